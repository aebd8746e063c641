"""Making failures small: first the order, then the program.

A simpler order counts as the same failure when it has the same signature: verdict, invariant and kind
of thing. Three ways are tried, each from the best so far: the few orders with at most one preemption;
joining stretches of one thread that others interrupt; and calming decisions, in blocks and one by one
(ddmin: Zeller and Hildebrandt, Simplifying and isolating failure-inducing input, IEEE TSE 2002).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from actors.explore.recorder import option
from actors.explore.strategies.bounded import Bounded
from actors.explore.strategies.replay import Lenient

if TYPE_CHECKING:
    from actors.explore.result import Result
    from actors.runtime.core import Chooser, Core
    from actors.runtime.thread import Thread

Runner = Callable[["Chooser"], "Result"]
"""Runs one order and records it."""

MOST_ATTEMPTS = 600
"""Orders that shortening one failure may take."""
SEARCHED = 200
"""How many of them may be spent on orders with at most one preemption."""


def shrink(failure: Result, run: Runner, attempts: int = MOST_ATTEMPTS) -> Result:
    """Find an order with fewer deviations from the calm one that fails in the same way."""
    return Shrinker(failure, run, attempts).result()


class Shrinker:
    """One failure on its way to a smaller one.

    Attributes:
        best: the smallest so far.
        left: attempts left.
    """

    def __init__(self, failure: Result, run: Runner, attempts: int) -> None:
        self.best = failure
        self.run = run
        self.left = attempts

    def result(self) -> Result:
        """Try everything until nothing helps."""
        if self.best.preemptions > 1:
            self._search()
        before = None
        while before is not self.best and self.left > 0:
            before = self.best
            self._join_stretches()
            self._calm_blocks()
            self._lower()
        return self.best

    def _search(self) -> None:
        """Look among the orders with at most one preemption."""
        strategy = Bounded(bound=1, preemptions=True)
        for _ in range(min(SEARCHED, self.left)):
            strategy.begin()
            if self._try(strategy) or not strategy.end(None):
                return

    def _join_stretches(self) -> None:
        """Let a thread that is interrupted go on instead, and so for every stretch."""
        at = 0
        while at < len(self.best.order) and self.left > 0:
            order = list(self.best.order)
            name, steps = order.pop(at)
            later = next((n for n in range(at, len(order)) if order[n][0] == name), None)
            if later is not None:
                order[later] = (name, order[later][1] + steps)
            if not self._try(Stretches(order)):
                at += 1

    def _calm_blocks(self) -> None:
        size = max(1, len(deviations(self._taken())) // 2)
        while size and self.left > 0:
            at = 0
            while at < len(places := deviations(self._taken())) and self.left > 0:
                block = set(places[at : at + size])
                if not self._try(Lenient([0 if n in block else v for n, v in enumerate(self._taken())])):
                    at += size
            size //= 2

    def _lower(self) -> None:
        for place in deviations(self._taken()):
            taken = self._taken()
            if place < len(taken):
                for lower in range(1, taken[place]):
                    if self._try(Lenient([*taken[:place], lower, *taken[place + 1 :]])):
                        break

    def _taken(self) -> list[int]:
        return [choice.taken for choice in self.best.choices]

    def _try(self, chooser: Chooser) -> bool:
        if self.left <= 0:
            return False
        self.left -= 1
        again = self.run(chooser)
        if again.signature != self.best.signature or weight(again) >= weight(self.best):
            return False
        self.best = again
        return True


class Stretches:
    """Lets each thread make as many steps as a list says before the next one's turn, then is calm.

    Decisions that are not about the order are calm ones.
    """

    def __init__(self, order: Sequence[tuple[str, int]]) -> None:
        self.order = [*order]
        self.at = 0
        self.made = 0

    def choose(self, label: str, options: int) -> int:
        """Return the calm option."""
        return 0

    def pick(self, core: Core) -> Thread:
        """Return the thread whose turn it is, or the calm one where the list does not fit."""
        while self.at < len(self.order):
            name, steps = self.order[self.at]
            thread = next((t for t in core.ready if t.name == name), None)
            if thread is not None and self.made < steps:
                self.made += 1
                return thread
            self.at, self.made = self.at + 1, 0
        return option(core, 0)


def deviations(taken: Sequence[int]) -> list[int]:
    """Numbers of the decisions that are not the calm ones."""
    return [number for number, value in enumerate(taken) if value]


def weight(result: Result) -> tuple[int, int, int, int]:
    """What makes one order simpler than another: preemptions, deviations, how large they are, steps."""
    values = [choice.taken for choice in result.choices]
    return result.preemptions, sum(map(bool, values)), sum(values), result.steps


__all__ = ["shrink"]
