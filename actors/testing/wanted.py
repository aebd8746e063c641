"""What a test asks for: seeds, kernels and subjects by name, and what is wrong with what it says."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from hashlib import sha256
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import pytest

from actors.check.invariants import INVARIANTS
from actors.errors import KernelError
from actors.explore import STRATEGIES
from actors.explore.scenarios import builtin, builtin_names
from actors.explore.verdicts import ENDINGS
from actors.kernel.catalogue import find_kernel, nearest
from actors.kernel.composition import Conflict, Kernel, UnknownPiece
from actors.machine import Machine, Scenario
from actors.machine.threads import foreign
from actors.program import MachineSpec, Program, ProgramError, load_program
from actors.program.programs import VERDICTS
from actors.runtime.errors import EmulatorError, TaskKilled
from actors.testing.options import STRATEGY, Options

if TYPE_CHECKING:
    from actors.testing.failures import FailingOrder


def seed_of(base: int, name: str) -> int:
    """The seed of one test: its own, and the same whoever runs it and in which order."""
    return int.from_bytes(sha256(f"{base}:{name}".encode()).digest()[:4], "big")


def composed(kernels: Iterable[Kernel | str], replayed: FailingOrder | None) -> list[Kernel]:
    """The kernels by name; for a replay that of the recording.

    Raises:
        ValueError: there is no such kernel.
    """
    try:
        found = [find_kernel(kernel) if isinstance(kernel, str) else kernel for kernel in kernels]
        if replayed is None:
            return found
        return [kernel for kernel in found if kernel.name == replayed.kernel] or [replayed.switches.compose()]
    except (UnknownPiece, Conflict) as problem:
        raise ValueError(str(problem)) from None


def complaint(values: Mapping[str, Any], options: Options) -> str:
    """What is wrong with the values of a mark ``explore``; "" for nothing."""
    strategy = options.over(STRATEGY, values.get("strategy"))
    if strategy not in STRATEGIES:
        hint = nearest(str(strategy), STRATEGIES) or f"; there are {', '.join(STRATEGIES)}"
        return f"no strategy {strategy!r}{hint}"
    for key, least in (("schedules", 1), ("seed", 0), ("faults", 0)):
        value = values.get(key, least)
        if not isinstance(value, int) or value < least:
            return f"{key}: found {value!r}, expected a number from {least} on"
    return wrong_outcome(values.get("expect"))


def wrong_outcome(expect: object) -> str:
    """What is wrong with what a test expects to come out; "" for nothing."""
    for outcome in expect.values() if isinstance(expect, Mapping) else [expect or "ok"]:
        if outcome not in VERDICTS and outcome not in INVARIANTS:
            hint = nearest(str(outcome), [*VERDICTS, *INVARIANTS])
            return f"expect: found {outcome!r}, expected one of {', '.join(VERDICTS)} or an invariant{hint}"
    return ""


def unknown_field(changes: Iterable[str]) -> str:
    """What is wrong with the keywords of a mark ``machine``; "" for nothing."""
    for name in changes:
        if name not in MachineSpec.__struct_fields__:
            hint = nearest(name, MachineSpec.__struct_fields__)
            return f"found {name}, expected kernel or a field of MachineSpec{hint}"
    return ""


def subject_of(subject: Program | Scenario | str) -> Program | Scenario:
    """A subject by its name, or as it is; one that is not there fails the test."""
    if not isinstance(subject, str):
        return subject
    if subject in builtin_names():
        return builtin(subject)
    if not Path(subject).is_file():
        hint = nearest(subject, builtin_names())
        pytest.fail(f"no file and no built-in scenario {subject!r}{hint}", pytrace=False)
    try:
        return load_program(subject)
    except ProgramError as error:
        problem = str(error)
    pytest.fail(problem, pytrace=False)


def guarded(scenario: Scenario) -> Scenario:
    """A scenario in which any error that is the test's own is a failed expectation of that order."""

    async def guard(machine: Machine) -> None:
        try:
            await scenario(machine)
        except pytest.xfail.Exception:
            raise
        except pytest.fail.Exception as problem:
            raise AssertionError(problem.msg).with_traceback(shown(problem.__traceback__)) from problem
        except Exception as problem:
            if isinstance(problem, JUDGED) or foreign(problem, machine.core) is not None:
                raise
            what = f"{type(problem).__name__}: {problem}"
            raise AssertionError(what).with_traceback(problem.__traceback__) from problem

    return guard


def shown(trace: TracebackType | None) -> TracebackType | None:
    """A traceback without the frames that hide themselves, as those of ``pytest.fail`` do."""
    if trace is None:
        return None
    rest = shown(trace.tb_next)
    if trace.tb_frame.f_locals.get("__tracebackhide__"):
        return rest
    return TracebackType(rest, trace.tb_frame, trace.tb_lasti, trace.tb_lineno)


JUDGED = (*ENDINGS, AssertionError, KernelError, TaskKilled, EmulatorError)
"""Errors that the search knows what to do with; all others are the test's own."""


__all__ = ["complaint", "composed", "guarded", "seed_of", "subject_of", "unknown_field"]
