"""Measuring: each figure beside its baseline, in turns in one process, and medians of both.

A figure is one function, marked with :func:`figure`, that yields pairs ``(value, baseline)``: one
repetition each, the two measured right after one another, so that a busy machine slows both alike.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterable
from statistics import median
from typing import Any, NamedTuple

Pairs = Iterable[tuple[float, float | None]]


class Target(NamedTuple):
    """What a figure has to reach.

    Attributes:
        bound: the number.
        of: ``ratio`` when it bounds value over baseline, ``value`` when it bounds the value.
        at_least: whether more is better.
    """

    bound: float
    of: str = "ratio"
    at_least: bool = False

    def met(self, value: float, ratio: float | None) -> bool:
        """Whether what was measured reaches it."""
        measured = ratio if self.of == "ratio" else value
        if measured is None:
            return False
        return measured >= self.bound if self.at_least else measured <= self.bound

    def __str__(self) -> str:
        what = "x the baseline" if self.of == "ratio" else ""
        return f"at {'least' if self.at_least else 'most'} {self.bound:g} {what}".strip()


class Figure(NamedTuple):
    """One thing that is measured.

    Attributes:
        name: what is measured, as the table says it.
        unit: of value and baseline.
        beside: what the baseline is; "" without one.
        target: what is asked for; None for a figure that is only told.
        measure: the function.
    """

    name: str
    unit: str
    beside: str
    target: Target | None
    measure: Callable[[], Pairs]


class Result(NamedTuple):
    """One row of the table. ``verdict`` is ``MET``, ``MISSED``, or "" without a target."""

    name: str
    unit: str
    value: float
    beside: str
    baseline: float | None
    ratio: float | None
    target: str
    verdict: str


FIGURES: list[Figure] = []

LONG = False
"""Whether figures that can be measured at length are: set by ``--long``, before any is."""


def figure(
    name: str, unit: str, beside: str = "", target: Target | None = None
) -> Callable[[Callable[[], Pairs]], Callable[[], Pairs]]:
    """Enter a function among the figures, in the order of the table."""

    def enter(measure: Callable[[], Pairs]) -> Callable[[], Pairs]:
        FIGURES.append(Figure(name, unit, beside, target, measure))
        return measure

    return enter


def at_most(bound: float, of: str = "ratio") -> Target:
    """A target that is an upper bound."""
    return Target(bound, of)


def at_least(bound: float, of: str = "ratio") -> Target:
    """A target that is a lower bound."""
    return Target(bound, of, at_least=True)


def result(each: Figure) -> Result:
    """Measure a figure."""
    gc.collect()
    pairs = list(each.measure())
    value = median(v for v, _ in pairs)
    bases = [b for _, b in pairs if b is not None]
    baseline = median(bases) if bases else None
    ratio = median(v / b for v, b in pairs if b) if bases else None
    verdict = ""
    if each.target is not None:
        verdict = "MET" if each.target.met(value, ratio) else "MISSED"
    return Result(each.name, each.unit, value, each.beside, baseline, ratio, str(each.target or ""), verdict)


def seconds(work: Callable[[], Any]) -> float:
    """How long one call of ``work`` takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


async def async_seconds(work: Callable[[], Any], count: int) -> float:
    """How long one of ``count`` awaited calls of ``work`` takes."""
    start = time.perf_counter()
    for _ in range(count):
        await work()
    return (time.perf_counter() - start) / count
