"""The default: DPOR as far as small programs need, a little bounded search, then DPOR and sampling in turn.

No strategy wins everywhere. Few deviations find most bugs and give the shortest failures; DPOR can
prove; the samplers find what is too deep for the first and too wide for the second. The search is
complete only when a member that can be has been.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import cycle
from typing import TYPE_CHECKING, ClassVar

from actors.explore.strategies.bounded import Bounded
from actors.explore.strategies.dpor import Dpor
from actors.explore.strategies.pct import Pct
from actors.explore.strategies.pos import Pos
from actors.explore.strategies.random import RandomWalk
from actors.explore.strategies.surw import Surw

if TYPE_CHECKING:
    from actors.explore.result import Result
    from actors.explore.strategies.base import Strategy
    from actors.runtime.core import Core
    from actors.runtime.thread import Thread

FIRST_DPOR = 30
"""Orders for DPOR at the very beginning: many programs have no more classes of orders."""
FIRST_BOUNDED = 100
"""Orders for the bounded search after that."""
SLICE = 50
"""Orders a member gets each time it is its turn."""
DPOR_SLICES = 4
"""Slices that DPOR gets for each of a sampler's."""


class Portfolio:
    """Several strategies, slice by slice.

    Args:
        seed: handed on to the members.
    """

    name: ClassVar[str] = "portfolio"

    def __init__(self, seed: int = 0) -> None:
        self.bounded = Bounded(bound=2)
        self.dpor = Dpor()
        self.samplers: tuple[Strategy, ...] = (Pct(seed), Pos(seed), Surw(seed), RandomWalk(seed))
        self.turns = self._turns()
        self.member, self.left = next(self.turns)

    def _turns(self) -> Iterator[tuple[Strategy, int]]:
        yield self.dpor, FIRST_DPOR
        yield self.bounded, FIRST_BOUNDED
        for sampler in cycle(self.samplers):
            yield self.dpor, DPOR_SLICES * SLICE
            yield sampler, SLICE

    @property
    def every_step(self) -> bool:
        """Whether the member whose turn it is wants to be asked at every step."""
        return self.member.every_step

    @property
    def complete(self) -> bool:
        """Whether a member has covered every order."""
        return self.dpor.complete or self.bounded.complete

    @property
    def estimate(self) -> float | None:
        """How many orders there may be in all, as far as DPOR can tell."""
        return self.dpor.estimate

    @property
    def trail(self) -> list[int]:
        """The decisions of the order in progress."""
        return self.member.trail

    def begin(self, core: Core) -> None:
        """A new order begins."""
        self.member.begin(core)

    def choose(self, label: str, options: int) -> int:
        """Let the member decide."""
        return self.member.choose(label, options)

    def pick(self, core: Core) -> Thread:
        """Let the member decide."""
        return self.member.pick(core)

    def end(self, result: Result | None) -> bool:
        """Tell the member; turn to the next one when its slice is used up or it is done."""
        goes_on = self.member.end(result)
        self.left -= 1
        if self.complete:
            return False
        if not goes_on or self.left == 0:
            self.member, self.left = next(self.turns)
        return True


__all__ = ["Portfolio"]
