"""Spreading work over processes, with the same outcome as doing it here.

A unit of work is a value and says everything that its outcome depends on; outcomes come back in the
order of the units, whoever was faster. So the number of workers changes nothing but the time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from multiprocessing import get_context
from typing import TypeVar

import msgspec

from actors.check import Oracles
from actors.explore.explore import explore
from actors.explore.faults import FailNth
from actors.explore.result import Report
from actors.explore.verdicts import OracleMaker
from actors.kernel.composition import Kernel
from actors.program import Program

T = TypeVar("T")
U = TypeVar("U")


class Unit(msgspec.Struct, frozen=True, kw_only=True):
    """One campaign to run: the arguments of :func:`actors.explore.explore.explore`."""

    program: Program
    kernel: Kernel | str = "fixed"
    strategy: str = "portfolio"
    schedules: int | None = None
    seconds: float | None = None
    seed: int = 0
    oracles: OracleMaker = Oracles
    fail_nth: int | None = None

    def run(self) -> Report:
        """Run it here."""
        faults = FailNth(self.fail_nth) if self.fail_nth is not None else None
        return explore(
            self.program, self.kernel, self.strategy, self.schedules, self.seconds, self.seed,
            oracles=self.oracles, faults=faults,
        )  # fmt: skip


def run_unit(unit: Unit) -> Report:
    """Run one unit; a name that other processes can find."""
    return unit.run()


def spread(work: Callable[[T], U], units: Iterable[T], workers: int = 1) -> Iterator[U]:
    """Apply ``work`` to every unit, in ``workers`` processes; outcomes in the order of the units.

    Raises:
        whatever ``work`` raises, for the first unit in order that fails.
    """
    if workers <= 1:
        yield from map(work, units)
        return
    with ProcessPoolExecutor(workers, mp_context=get_context("forkserver")) as pool:
        yield from spread_over(pool, work, units)


def spread_over(pool: Executor, work: Callable[[T], U], units: Iterable[T]) -> Iterator[U]:
    """Apply ``work`` in an executor of the caller's; outcomes in the order of the units."""
    futures = [pool.submit(work, unit) for unit in units]
    try:
        for future in futures:
            yield future.result()
    finally:
        for future in futures:
            future.cancel()


def explore_all(units: Iterable[Unit], workers: int = 1) -> Iterator[Report]:
    """Run many campaigns, in ``workers`` processes."""
    return spread(run_unit, units, workers)


__all__ = ["Unit", "explore_all", "spread", "spread_over"]
