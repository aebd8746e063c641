"""One row of ``tcemu stress``: a program on a kernel, searched, and its failure kept in a file."""

from __future__ import annotations

from pathlib import Path
from time import monotonic
from typing import Any, NamedTuple

from msgspec import structs

from actors.cli.clients import Client, kill_often
from actors.cli.subjects import Subject
from actors.explore import Report, capture, explore, prepare, save_failure
from actors.explore.arena import Arena
from actors.explore.faults import Counting, FailNth
from actors.explore.known import known_as
from actors.kernel.composition import Kernel
from actors.program import Program

FAILURES = Path(".tcemu") / "failures"
"""Where failing orders are kept, below the folder in which the command runs."""


class Unit(NamedTuple):
    """What to search, and how; a value that workers can be sent.

    Attributes:
        subject: a program, a scenario or a recorded client, for which only kills are drawn.
        kernel: what it runs on.
        generation: the name of the kernel before switches were added and taken away.
        strategy: who chooses the orders.
        schedules: the most orders to run; None for no limit but the time.
        seconds: time for them; None for no limit but the orders.
        seed: of the strategy.
        fail_nth: the failure point to fail, or ``all`` for each in turn; None for none.
        expected: what its program says will come out: ``ok``, a verdict, an invariant; "" for nothing.
    """

    subject: Subject
    kernel: Kernel
    generation: str = ""
    strategy: str = "portfolio"
    schedules: int | None = None
    seconds: float | None = None
    seed: int = 0
    fail_nth: int | str | None = None
    expected: str = ""


def run_unit(unit: Unit) -> Report:
    """Search, and keep what fails in a file."""
    if isinstance(unit.subject, Client):
        return kill_often(unit.subject, unit.kernel, unit.schedules, unit.seconds, unit.seed)
    report = each_failure_point(unit) if unit.fail_nth == "all" else search(unit, unit.fail_nth, unit.seconds)
    if report.verdict != "ok" and unit.fail_nth != "all":
        report = structs.replace(report, known_as=cause(unit, report))
    return structs.replace(report, failure=None)


def cause(unit: Unit, report: Report) -> str | None:
    """The known defect behind a failure, found by searching again without each that could be."""

    def again(kernel: Kernel, schedules: int) -> Report:
        assert not isinstance(unit.subject, Client)
        faults = None if unit.fail_nth is None else FailNth(int(unit.fail_nth))
        return explore(unit.subject, kernel, unit.strategy, schedules, None, unit.seed, faults=faults)

    return known_as(report, unit.kernel, again)


def search(unit: Unit, fail_nth: Any, seconds: float | None) -> Report:
    """Search the orders in which the ``fail_nth`` failure point fails; None for none."""
    assert not isinstance(unit.subject, Client)
    report = explore(
        unit.subject,
        unit.kernel,
        unit.strategy,
        unit.schedules,
        seconds,
        unit.seed,
        faults=None if fail_nth is None else FailNth(fail_nth),
    )
    if report.failure is None or not isinstance(unit.subject, Program):
        return report
    path = save_failure(capture(unit.subject, unit.kernel, report.failure, fail_nth=fail_nth), FAILURES)
    return structs.replace(report, failure_file=str(path))


def each_failure_point(unit: Unit) -> Report:
    """Search the orders with each failure point failing in turn, until one of them breaks something."""
    names = failure_points(unit)
    end = None if unit.seconds is None else monotonic() + unit.seconds
    whole: Report | None = None
    for nth, name in enumerate(names):
        seconds = None if end is None else max(0.0, end - monotonic()) / (len(names) - nth)
        report = search(unit, nth, seconds)
        whole = report if whole is None else joined(whole, report)
        if report.verdict != "ok":
            return structs.replace(whole, message=f"with failure point {nth}, {name}: {whole.message}")
    return whole or search(unit, None, unit.seconds)


def failure_points(unit: Unit) -> list[str]:
    """The failure points that the calm order reaches, by name."""
    assert not isinstance(unit.subject, Client)
    counting = Counting()
    core = Arena()
    core.faults = counting(core)
    prepare(unit.subject, unit.kernel).run(core)
    return counting.reached


def joined(before: Report, report: Report) -> Report:
    """A report of two searches of one program."""
    findings = {finding.invariant: finding for finding in (*report.findings, *before.findings)}
    first = report.schedules_to_first_failure
    return structs.replace(
        report,
        schedules=before.schedules + report.schedules,
        complete=before.complete and report.complete,
        points=max(before.points, report.points),
        seconds=round(before.seconds + report.seconds, 3),
        findings=tuple(findings.values()),
        schedules_to_first_failure=None if first is None else before.schedules + first,
    )
