"""The work of a campaign as small values, and a crew that does it.

A unit says everything that its outcome depends on. Outcomes come back in the order of the units, so who
does the work, and how many do, changes nothing but the time. Any ``concurrent.futures`` executor will do.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from actors.explore.executors import Lost, Pool, Processes
from actors.explore.failure import Switches
from actors.fuzz.generate import Generator, mutate
from actors.fuzz.triage import Finding, triage
from actors.fuzz.trial import Hit, Trial, try_program
from actors.program import Program


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
        uniform: uniformly random programs and orders.
    """

    kernel: Switches
    seeds: tuple[int, ...] = ()
    children: tuple[Child, ...] = ()
    uniform: bool = False

    def run(self) -> tuple[Trial, ...]:
        """Run them here."""
        kernel = self.kernel.compose()
        made = [(seed, Generator(seed, self.uniform).program()) for seed in self.seeds]
        made += [(child.seed, mutate(child.parents, child.seed)) for child in self.children]
        return tuple(try_program(program, kernel, seed, self.uniform) for seed, program in made)


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


def run_unit(unit: Unit) -> Outcome | Lost:
    """Run one unit; a name that other processes can find."""
    try:
        return unit.run()
    except Exception as problem:
        return Lost(f"{type(problem).__name__}: {problem}")


class Crew:
    """Whoever does the work; workers that die are replaced.

    Args:
        workers: processes on this machine, with one everything is done here; or any pool of workers.

    Attributes:
        pool: who does it; None for nobody else.
    """

    def __init__(self, workers: int | Pool = 1) -> None:
        self.pool = workers if isinstance(workers, Pool) else Processes(workers) if workers > 1 else None

    @property
    def deaths(self) -> int:
        """How often workers have died so far."""
        return self.pool.deaths if self.pool is not None else 0

    def do(self, units: Sequence[Unit]) -> Iterator[Outcome | Lost]:
        """Do all units; their outcomes in their order.

        Raises:
            ClusterLost: the workers are gone for good.
        """
        if self.pool is None:
            yield from map(run_unit, units)
            return
        early: dict[int, Outcome | Lost] = {}
        told = 0
        for index, outcome in self.pool.spread(run_unit, units):
            early[index] = outcome
            while told in early:
                yield early.pop(told)
                told += 1

    def close(self) -> None:
        """End the workers, or leave them if they are somebody else's."""
        if self.pool is not None:
            self.pool.close()

    def stop(self) -> None:
        """The same now, whatever they are doing."""
        if self.pool is not None:
            self.pool.stop()


__all__ = ["Child", "Crew", "LookUnit", "Lost", "TryUnit", "Unit", "run_unit"]
