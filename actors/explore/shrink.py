"""Making failures small: first the choices, then the program.

A shorter list of choices counts as the same failure when it has the same signature: verdict,
invariant and kind of object. Zeller and Hildebrandt: Simplifying and isolating failure-inducing
input, IEEE TSE 2002 (ddmin), over the decisions that are not the calm ones.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from actors.explore.strategies.replay import Lenient

if TYPE_CHECKING:
    from actors.explore.result import Result
    from actors.runtime.core import Chooser

Runner = Callable[["Chooser"], "Result"]
"""Runs one order and records its choices."""

MOST_ATTEMPTS = 400
"""Orders that shortening one failure may take."""


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
        """Zero blocks of decisions, then lower single ones, until nothing helps."""
        before = None
        while before is not self.best and self.left > 0:
            before = self.best
            self._zero_blocks()
            self._lower()
        return self.best

    def _indices(self) -> list[int]:
        return [choice.taken for choice in self.best.choices]

    def _zero_blocks(self) -> None:
        size = max(1, len(deviations(self._indices())) // 2)
        while size and self.left > 0:
            at = 0
            while at < len(places := deviations(self._indices())) and self.left > 0:
                block = set(places[at : at + size])
                if not self._try([0 if n in block else v for n, v in enumerate(self._indices())]):
                    at += size
            size //= 2

    def _lower(self) -> None:
        for place in deviations(self._indices()):
            indices = self._indices()
            if place < len(indices) and indices[place] > 1:
                for lower in range(1, indices[place]):
                    if self._try([*indices[:place], lower, *indices[place + 1 :]]):
                        break

    def _try(self, indices: Sequence[int]) -> bool:
        if self.left <= 0:
            return False
        self.left -= 1
        again = self.run(Lenient(indices))
        if again.signature != self.best.signature or weight(again) >= weight(self.best):
            return False
        self.best = again
        return True


def deviations(indices: Sequence[int]) -> list[int]:
    """Numbers of the decisions that are not the calm ones."""
    return [number for number, value in enumerate(indices) if value]


def weight(result: Result) -> tuple[int, int, int, int]:
    """What makes one order simpler than another: preemptions, deviations, how large they are, steps."""
    values = [choice.taken for choice in result.choices]
    return result.preemptions, sum(map(bool, values)), sum(values), result.steps


__all__ = ["shrink"]
