"""PCT: random priorities, lowered at a few random moments.

Burckhardt, Kothari, Musuvathi, Nagarakatte: A randomized scheduler with probabilistic guarantees of
finding bugs, ASPLOS 2010. With n threads and k steps a bug of depth d shows with probability at least
``1 / (n * k**(d - 1))`` an order. Deviations: steps are counted where more than one thread can go on,
since only there anything is decided; k is the longest order so far; without a fixed depth the orders
take d = 1 to 5 in turn.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from actors.explore.strategies.base import Sampler

if TYPE_CHECKING:
    from actors.explore.result import Result
    from actors.runtime.core import Core
    from actors.runtime.thread import Thread

DEEPEST = 5


class Pct(Sampler):
    """Lets the thread of highest priority go on.

    Args:
        seed: the same seed gives the same campaign.
        depth: how many ordering constraints a bug has; None to try 1 to 5 in turn.
        steps: how many decisions an order is thought to have, before one has been seen.
    """

    name: ClassVar[str] = "pct"

    def __init__(self, seed: int = 0, depth: int | None = None, steps: int = 64) -> None:
        super().__init__(seed)
        self.depth = depth
        self.longest = steps
        self.measured = False
        self.step = 0
        self.priorities: dict[int, float] = {}
        self.changes: dict[int, int] = {}

    def begin(self, core: Core) -> None:
        """Draw the moments at which a priority drops."""
        super().begin(core)
        depth = self.depth or 1 + (self.orders - 1) % DEEPEST
        self.step = 0
        self.priorities = {}
        self.changes = {int(self.random.random() * self.longest): -rank for rank in range(1, depth)}

    def pick(self, core: Core) -> Thread:
        """Return the ready thread of highest priority, after the drop that falls on this moment."""
        priorities, ready = self.priorities, core.ready
        for thread in ready:
            if thread.index not in priorities:
                priorities[thread.index] = 1.0 + self.random.random()
        best = max(ready, key=self._priority)
        if self.step in self.changes:
            priorities[best.index] = self.changes[self.step]
            best = max(ready, key=self._priority)
        self.step += 1
        self.trail.append(best.index)
        return best

    def _priority(self, thread: Thread) -> float:
        return self.priorities[thread.index]

    def end(self, result: Result | None) -> bool:
        """Learn how long orders are."""
        self.longest = max(self.longest, self.step) if self.measured else max(1, self.step)
        self.measured = True
        return True


__all__ = ["Pct"]
