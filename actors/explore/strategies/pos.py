"""POS: a random priority for every operation, drawn anew after each one it races with.

Yuan, Yang, Gu: Partial order aware concurrency sampling, CAV 2018. Samples classes of orders more
evenly than a random walk, which drowns in operations that commute.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from actors.explore.strategies.base import Sampler

if TYPE_CHECKING:
    from actors.runtime.core import Core
    from actors.runtime.thread import Thread


class Pos(Sampler):
    """Lets the operation of highest priority happen."""

    name: ClassVar[str] = "pos"

    def __init__(self, seed: int = 0) -> None:
        super().__init__(seed)
        self.priorities: dict[int, tuple[object, float]] = {}

    def begin(self, core: Core) -> None:
        """Forget the priorities."""
        super().begin(core)
        self.priorities = {}

    def pick(self, core: Core) -> Thread:
        """Return the thread whose operation has the highest priority."""
        draw, priorities, ready = self.random.random, self.priorities, core.ready
        best, highest = ready[0], -1.0
        for thread in ready:
            known = priorities.get(thread.index)
            if known is None or known[0] is not thread.pending:
                known = priorities[thread.index] = (thread.pending, draw())
            if known[1] > highest:
                best, highest = thread, known[1]
        del priorities[best.index]
        done = best.pending
        assert done is not None
        for thread in ready:
            if thread is not best and thread.pending is not None and done.depends_on(thread.pending):
                del priorities[thread.index]
        self.trail.append(best.index)
        return best


__all__ = ["Pos"]
