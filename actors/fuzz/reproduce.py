"""Asking again: does this program, on this kernel, fail in that way?"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from actors.check import Oracles
from actors.explore.arena import STEP_BUDGET
from actors.explore.explore import Campaign
from actors.explore.faults import Counting, FailNth
from actors.explore.result import Result
from actors.explore.run import Prepared
from actors.explore.shrink import Stretches
from actors.explore.strategies import Bounded, Lenient, Pos, RandomWalk
from actors.explore.verdicts import OracleMaker
from actors.fuzz.trial import BUDGET, Hit
from actors.kernel.composition import Kernel
from actors.linear import Linear
from actors.linear.oracle import INVARIANT as LINEARIZABILITY
from actors.program import Program
from actors.runtime.core import Chooser, Core

MOST_FAULTS = 4
"""Places at which one and the same failure point may fail in a changed program."""
STEPS_OF_A_COPY = 20
"""How many steps copying the machine for one order is worth."""
NOBODY = Core()
"""Stands for the runtime of an order where a strategy does not look at it."""


class Reproducer:
    """One failure, to be found again in smaller programs and on other kernels.

    Args:
        hit: the failure.
        left: scheduling steps that may be spent in all.

    Attributes:
        fault: the failure point that failed in the last order that was found; None for none.
        otherwise: how often the last search has met another failure.
    """

    def __init__(self, hit: Hit, left: int) -> None:
        self.hit = hit
        self.left = left
        self.choices = hit.choices
        self.order = hit.order
        self.fault = hit.fault[1] if hit.fault is not None else None
        self.otherwise = 0

    @property
    def oracles(self) -> OracleMaker:
        """The oracles, ending a run at the breach in question."""
        oracles = Linear() if self.hit.invariant == LINEARIZABILITY else Oracles
        return partial(oracles, fatal=self.hit.fatal) if self.hit.fatal else oracles

    def search(self, program: Program, kernel: Kernel, orders: int) -> Result | None:
        """An order of the program that fails in the same way, recorded; None when none was found."""
        prepared = Prepared(program, kernel, self.oracles)
        self.otherwise = 0
        for nth in self.faults(prepared):
            campaign = Campaign(prepared, RandomWalk(), FailNth(nth) if nth is not None else None, BUDGET)
            for chooser in self.choosers(orders):
                if self.left <= 0:
                    return None
                result, _ = campaign.recorded(chooser)
                self.left -= result.steps + STEPS_OF_A_COPY
                if self.same(result):
                    self.fault = nth
                    return result
                self.otherwise += not result.ok
                if prepared.early is not None:
                    break
        return None

    def harmless(self, program: Program, kernel: Kernel, orders: int) -> bool:
        """Whether the program does not fail at all."""
        return self.search(program, kernel, orders) is None and not self.otherwise

    def faults(self, prepared: Prepared) -> Iterator[int | None]:
        """Which failure point is to fail: the one that did, then others of its kind in the calm order."""
        if self.hit.fault is None:
            yield None
            return
        if self.fault is not None:
            yield self.fault
        counting = Counting()
        Campaign(prepared, Bounded(bound=0), counting, BUDGET).order()
        places = [nth for nth, name in enumerate(counting.reached) if name == self.hit.fault[0]]
        yield from [nth for nth in places if nth != self.fault][: MOST_FAULTS - 1]

    def choosers(self, orders: int) -> Iterator[Chooser]:
        """The order of the failure as far as it fits, then a few simple ones, then random ones."""
        yield Lenient(self.choices)
        yield Stretches(self.order)
        bounded, random = Bounded(bound=2), Pos(orders)
        for _ in range(orders * 2 // 3):
            bounded.begin()
            yield bounded
            if not bounded.end(None):
                break
        for _ in range(0 if bounded.complete else orders // 3):
            random.begin(NOBODY)
            yield random

    def same(self, result: Result) -> bool:
        """Whether a result is the failure in question."""
        if self.hit.fatal:
            return not result.ok and f"{result.invariant}: {result.message}".startswith(self.hit.fatal)
        if self.hit.invariant == LINEARIZABILITY and call_of(result.message) != call_of(self.hit.message):
            return False
        return result.signature == self.hit.signature

    def campaign(self, program: Program, kernel: Kernel, budget: int = STEP_BUDGET) -> Campaign:
        """A campaign in which an order can be recorded, with the whole budget of steps for good."""
        faults = FailNth(self.fault) if self.fault is not None else None
        return Campaign(Prepared(program, kernel, self.oracles), RandomWalk(), faults, budget)


def call_of(message: str) -> str:
    """Which call a message about a history says cannot be explained, without its arguments."""
    return message.partition("(")[0]


__all__ = ["Reproducer"]
