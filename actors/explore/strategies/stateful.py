"""Stateful search: no state is explored twice.

Godefroid: Partial-order methods for the verification of concurrent systems, 1996, chapter 6 (sleep sets
with state matching); Holzmann: The model checker SPIN, 1997. Where many orders lead to one state, as
under a lock whose holders leave no trace, states grow far slower than classes of orders.

A state is captured where there is something to decide: :mod:`actors.explore.capture` says what is in
it. With each goes the set of threads that slept when it was first reached; whoever reaches it again
tries only those of them that do not sleep now, and gives up when there are none. A state that cannot be
captured, for it holds something foreign such as an open file, is never taken for another one: nothing is
given up there, and the search only takes longer. So it is complete when it ends.

Deviations: states are reached by running orders from the start, since coroutines cannot be copied; a run
that comes back to a state of its own path is given up too, so a loop that another thread could break is
no failure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from actors.explore.arena import Arena
from actors.explore.capture import digest
from actors.explore.strategies.base import Abandoned
from actors.explore.strategies.dpor import Dpor

if TYPE_CHECKING:
    from actors.runtime.core import Core
    from actors.runtime.thread import Thread


class Stateful(Dpor):
    """Enumerates states.

    Attributes:
        states: digest of a state -> threads that need not be tried from there.
        opaque: how often a state could not be captured.
    """

    name: ClassVar[str] = "stateful"

    def __init__(self, seed: int = 0) -> None:
        super().__init__(seed)
        self.states: dict[bytes, frozenset[int]] = {}
        self.opaque = 0

    @property
    def estimate(self) -> float | None:
        """How many orders there may be in all: nobody knows before the end."""
        return float(self.runs) if self.complete else None

    def _extend(self, core: Core) -> Thread:
        """Give a state up that was seen; else try all that can go on and do not sleep."""
        sleep = self._asleep()
        ready = [thread.index for thread in core.ready]
        fresh = set(ready)
        if len(ready) > 1:
            assert isinstance(core, Arena)
            state = digest(core)
            if state is None:
                self.opaque += 1
            elif state in self.states:
                fresh = set(self.states[state])
                sleep = {index: op for index, op in sleep.items() if index in fresh}
                fresh -= sleep.keys()
                self.states[state] = frozenset(sleep)
            else:
                self.states[state] = frozenset(sleep)
        fresh -= sleep.keys()
        if not fresh:
            raise Abandoned
        calm = core.current.index
        return self._enter(core, sleep, calm if calm in fresh else min(fresh), fresh)

    def _learn(self) -> None:
        """Nothing: every thread that can go on is tried."""


__all__ = ["Stateful"]
