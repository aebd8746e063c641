"""Making the program of a failure small: whatever can be left out is left out.

A smaller program counts when some order of it fails with the same signature: the order of the failure
itself as far as it fits, or one of the few with at most two deviations.
"""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import structs

from actors.check import Oracles
from actors.explore.explore import Campaign, prepare
from actors.explore.faults import FaultMaker
from actors.explore.result import Result
from actors.explore.shrink import Stretches, shrink
from actors.explore.strategies import Bounded, Lenient, RandomWalk
from actors.explore.verdicts import OracleMaker
from actors.kernel.composition import Kernel
from actors.program import Program, ProgramError, ThreadSpec, check_program

ORDERS = 60
"""Orders in which a smaller program gets the chance to fail."""


def shrink_program(
    program: Program,
    kernel: Kernel,
    failure: Result,
    oracles: OracleMaker = Oracles,
    faults: FaultMaker | None = None,
) -> tuple[Program, Result]:
    """Leave out threads and steps as long as the program still fails in the same way.

    Returns:
        The smaller program, with an order in which it fails; as they were when nothing can go.
    """
    shrunk = True
    while shrunk:
        shrunk = False
        for smaller in without_one(program):
            again = fails(smaller, kernel, failure, oracles, faults)
            if again is not None:
                program, failure, shrunk = smaller, again, True
                break
    return program, failure


def fails(
    program: Program, kernel: Kernel, failure: Result, oracles: OracleMaker, faults: FaultMaker | None
) -> Result | None:
    """An order in which the program fails as ``failure`` does, made small, or None."""
    try:
        check_program(program)
    except ProgramError:
        return None
    campaign = Campaign(prepare(program, kernel, oracles), RandomWalk(), faults)
    first = campaign.recorded(Lenient([choice.taken for choice in failure.choices]))[0]
    second = campaign.recorded(Stretches(failure.order))[0]
    bounded = Bounded(bound=2)
    found = next((r for r in (first, second) if r.signature == failure.signature), None)
    for _ in range(ORDERS):
        if found is not None:
            return shrink(found, lambda chooser: campaign.recorded(chooser)[0])
        bounded.begin()
        result = campaign.recorded(bounded)[0]
        found = result if result.signature == failure.signature else None
        if not bounded.end(result):
            break
    return found


def without_one(program: Program) -> Iterator[Program]:
    """The programs with one thread, or one step, less; the largest cuts first."""
    threads = program.threads
    for number in range(len(threads)):
        yield structs.replace(program, threads=(*threads[:number], *threads[number + 1 :]))
    for number, thread in enumerate(threads):
        for at in reversed(range(len(thread.steps))):
            fewer: ThreadSpec = structs.replace(thread, steps=(*thread.steps[:at], *thread.steps[at + 1 :]))
            if fewer.steps:
                yield structs.replace(program, threads=(*threads[:number], fewer, *threads[number + 1 :]))
    for key in ("finally_", "setup"):
        steps = getattr(program, key)
        for at in reversed(range(len(steps))):
            yield structs.replace(program, **{key: (*steps[:at], *steps[at + 1 :])})


__all__ = ["shrink_program"]
