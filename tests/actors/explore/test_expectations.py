"""Built-in scenarios come out as they say."""

from __future__ import annotations

import pytest

from actors.explore import Report, explore
from actors.explore.scenarios import builtins
from actors.program import Program

EXPECTED = [(program, kernel) for program in builtins() for kernel in program.expect]
QUICK = [(program, kernel) for program, kernel in EXPECTED if kernel in ("v4.9", "fixed")]


def named(pair: tuple[Program, str]) -> str:
    """The name of a case."""
    return f"{pair[0].name}-{pair[1]}"


def seen(report: Report) -> set[str]:
    """Everything that came out."""
    return {report.verdict, report.invariant, *(finding.invariant for finding in report.findings)}


def test_every_scenario_says_what_the_mended_kernel_makes_of_it() -> None:
    assert {program.expect.get("fixed") for program in builtins()} == {"ok"}


@pytest.mark.parametrize("pair", QUICK, ids=named)
def test_quickly(pair: tuple[Program, str]) -> None:
    program, kernel = pair
    report = explore(program, kernel, schedules=25)
    assert program.expect[kernel] in seen(report) or (report.verdict == "ok" and not report.complete)


@pytest.mark.slow
@pytest.mark.parametrize("pair", EXPECTED, ids=named)
@pytest.mark.parametrize("strategy", ["portfolio", "pct"])
def test_thoroughly(pair: tuple[Program, str], strategy: str) -> None:
    program, kernel = pair
    report = explore(program, kernel, strategy, schedules=400)
    assert program.expect[kernel] in seen(report) or (report.verdict == "ok" and not report.complete)
