"""The work of a campaign as small values, and a crew of processes that does it.

A unit says everything that its outcome depends on. Outcomes come back in the order of the units, so who
does the work, and how many do, changes nothing but the time. Any ``concurrent.futures`` executor will do.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import active_children, get_context

import msgspec

from actors.explore.failure import Switches
from actors.fuzz.generate import Generator, mutate
from actors.fuzz.triage import Finding, triage
from actors.fuzz.trial import Hit, Trial, try_program
from actors.program import Program

MOST_DEATHS = 2
"""How often a unit may end its worker before it is given up."""


class Child(msgspec.Struct, frozen=True):
    """A program to be made by mutation: its parents and the seed."""

    parents: tuple[Program, ...]
    seed: int


class TryUnit(msgspec.Struct, frozen=True):
    """Programs to make and to run.

    Attributes:
        kernel: what to run them on.
        seeds: of the fresh ones.
        children: the others.
        plain: orders by random walk only.
    """

    kernel: Switches
    seeds: tuple[int, ...] = ()
    children: tuple[Child, ...] = ()
    plain: bool = False

    def run(self) -> tuple[Trial, ...]:
        """Run them here."""
        kernel = self.kernel.compose()
        made = [(seed, Generator(seed).program()) for seed in self.seeds]
        made += [(child.seed, mutate(child.parents, child.seed)) for child in self.children]
        return tuple(try_program(program, kernel, seed, self.plain) for seed, program in made)


class LookUnit(msgspec.Struct, frozen=True):
    """A failure to classify and to make small; see `triage`."""

    program: Program
    kernel: Switches
    hit: Hit
    explained: tuple[str, ...] = ()
    off: tuple[str, ...] = ()

    def run(self) -> Finding | None:
        """Do it here."""
        return triage(self.program, self.kernel, self.hit, self.explained, self.off)


Unit = TryUnit | LookUnit
Outcome = tuple[Trial, ...] | Finding | None


class Lost(msgspec.Struct, frozen=True):
    """The outcome of a unit that has ended every worker that tried it, or that failed by itself."""

    reason: str


def run_unit(unit: Unit) -> Outcome | Lost:
    """Run one unit; a name that other processes can find."""
    try:
        return unit.run()
    except Exception as problem:
        return Lost(f"{type(problem).__name__}: {problem}")


def serve() -> None:
    """Be a worker: an interrupt from the terminal is for the campaign to deal with."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def processes(workers: int) -> Executor:
    """That many worker processes."""
    return ProcessPoolExecutor(workers, mp_context=get_context("forkserver"), initializer=serve)


class Crew:
    """Whoever does the work; workers that die are replaced.

    Args:
        workers: processes; with one, everything is done here.
        make: makes an executor of so many workers.

    Attributes:
        deaths: workers that have died so far.
    """

    def __init__(self, workers: int = 1, make: Callable[[int], Executor] = processes) -> None:
        self.workers = workers
        self.make = make
        self.executor: Executor | None = None
        self.deaths = 0

    def do(self, units: Sequence[Unit]) -> Iterator[Outcome | Lost]:
        """Do all units; their outcomes in their order."""
        if self.workers <= 1 and self.make is processes:
            yield from map(run_unit, units)
            return
        futures = [self.submit(unit) for unit in units]
        for at, unit in enumerate(units):
            try:
                yield futures[at].result()
            except BrokenProcessPool:
                yield self.again(unit)
                futures[at + 1 :] = self.renewed(units[at + 1 :], futures[at + 1 :])

    def submit(self, unit: Unit) -> Future[Outcome | Lost]:
        """Hand one unit to the workers."""
        if self.executor is None:
            self.executor = self.make(self.workers)
        return self.executor.submit(run_unit, unit)

    def again(self, unit: Unit) -> Outcome | Lost:
        """Do a unit by itself, after a worker has died."""
        for _ in range(MOST_DEATHS):
            self.deaths += 1
            self.close()
            try:
                return self.submit(unit).result()
            except BrokenProcessPool:
                continue
        self.close()
        return Lost("every worker that ran it has died")

    def renewed(
        self, units: Sequence[Unit], futures: list[Future[Outcome | Lost]]
    ) -> list[Future[Outcome | Lost]]:
        """Hand out again what died with its worker."""
        return [
            future
            if future.done() and not future.cancelled() and future.exception() is None
            else self.submit(unit)
            for unit, future in zip(units, futures, strict=True)
        ]

    def close(self) -> None:
        """End the workers."""
        if self.executor is not None:
            self.executor.shutdown(wait=True, cancel_futures=True)
            self.executor = None

    def stop(self) -> None:
        """End the workers now, whatever they are doing."""
        if isinstance(self.executor, ProcessPoolExecutor):
            for child in active_children():
                if child.pid is not None:
                    os.kill(child.pid, signal.SIGTERM)
        self.close()


__all__ = ["Child", "Crew", "LookUnit", "Lost", "TryUnit", "Unit", "run_unit"]
