"""``tcemu stress``: programs under many orders and faults; the main job."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from actors.cli.clients import NEXT_LINE
from actors.cli.exits import BadInput, Ending, Told
from actors.cli.fleet import available_cpus, run_all
from actors.cli.options import json_option, kernel_option, switches
from actors.cli.subjects import Subject, everything, find_subject, kernels_of
from actors.cli.tables import (
    Cell,
    Column,
    plural,
    print_command,
    print_json,
    print_line,
    print_table,
    progress,
)
from actors.cli.units import FAILURES, Unit, run_unit
from actors.explore import STRATEGIES, Report
from actors.kernel.catalogue import find_kernel
from actors.kernel.composition import Kernel
from actors.program import Program

EPILOG = f"""\\b
Examples:
  tcemu stress                                       everything built in
  tcemu stress exit-with-lazy-borrower               one scenario, on the kernels it names
  tcemu stress my.json --kernel v6.12 --seconds 60   your program, one kernel, a minute
  tcemu stress my_module:scenario --kernel fixed     your async function of a machine
  tcemu stress lookup-uaf                            the small program that shows a defect
  tcemu stress --kernel fixed --with lookup-uaf      everything on the mended kernel but for one
  tcemu stress my.json --fail-nth all                fail each allocation, pin, copy in turn

\\b
Every failing order is shortened and kept in {FAILURES}; tcemu replay runs it again.
"""

DEFAULT_SECONDS = 48.0
"""Time for everything when neither a number of orders nor a time was asked for."""

COLUMNS = (
    Column("program"),
    Column("kernel"),
    Column("orders", right=True),
    Column("covered"),
    Column("result", wraps=True),
)


class FailNth(click.ParamType):  # type: ignore[type-arg,unused-ignore]  # generic from click 8.5 on
    """A number from 0 on, or ``all``."""

    name = "n|all"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int | str:
        """The number, or ``all``."""
        if value == "all" or isinstance(value, int):
            return value  # type: ignore[no-any-return]
        if not str(value).isascii() or not str(value).isdigit():
            self.fail(f"{value!r} is neither a number from 0 on nor 'all'", param, ctx)
        return int(value)


@click.command("stress", epilog=EPILOG)
@click.argument("programs", nargs=-1, metavar="[PROGRAM|MODULE:FUNCTION]...")
@kernel_option("Run on this kernel; may be repeated. Default: those that a program names.", multiple=True)
@click.option(
    "--strategy",
    metavar="NAME",
    default="portfolio",
    show_default=True,
    help=f"Who chooses the orders: {', '.join(STRATEGIES)}.",
)
@click.option("--schedules", type=click.IntRange(1), metavar="N", help="Orders to run, for each row.")
@click.option(
    "--seconds",
    type=click.FloatRange(0, min_open=True),
    metavar="S",
    help=f"Time for everything.  [default: {DEFAULT_SECONDS:g} without --schedules]",
)
@click.option(
    "--seed", type=click.IntRange(0), default=0, metavar="N", help="The same seed, the same orders."
)
@switches
@click.option(
    "--fail-nth", type=FailNth(), help="Fail the N-th failure point of each order, from 0, or each."
)
@click.option("--workers", type=click.IntRange(1, 1024), metavar="N", help="Processes.  [default: one a CPU]")
@json_option
def command(programs: tuple[str, ...], kernels: tuple[str, ...], as_json: bool, **how: Any) -> int:
    """Run programs under many orders and faults, and say what breaks.

    Without a program: the built-in scenarios, then the recorded clients.
    """  # fmt: skip
    ending = Ending()
    subjects = [find_subject(name) for name in programs] or everything()
    workers = how.pop("workers") or available_cpus()
    units = plan(subjects, kernels, workers=workers, **how)
    reports: dict[int, Report] = {}
    with ending.kept(), progress(len(units)) as advance:
        for index, outcome in run_all(run_unit, units, workers):
            if isinstance(outcome, Told):
                ending.note(outcome)
                continue
            reports[index] = outcome
            advance(1, f"{outcome.program} on {outcome.kernel}")
            if ending.interrupted:
                break
    done = [(units[index], reports[index]) for index in sorted(reports)]
    ending.found(any(report.verdict != "ok" or surprising(unit, report) for unit, report in done))
    if as_json:
        print_json({"runs": [json_of(unit, report) for unit, report in done]})
    elif done:
        show(done)
    return ending.finish()


def json_of(unit: Unit, report: Report) -> dict[str, Any]:
    """A report as JSON values: the kernel by its name, the switches beside it."""
    usual, slugs = frozenset(find_kernel(unit.generation).slugs), unit.kernel.slugs
    switches = {"with": sorted(slugs - usual), "without": sorted(usual - slugs)}
    return report.as_json() | {"kernel": unit.generation} | switches


def plan(
    subjects: Sequence[Subject],
    kernels: tuple[str, ...],
    *,
    strategy: str,
    schedules: int | None,
    seconds: float | None,
    workers: int,
    with_: tuple[str, ...],
    without: tuple[str, ...],
    **how: Any,
) -> list[Unit]:
    """One unit of work for each subject and kernel, with its share of the time.

    Raises:
        UnknownPiece, Conflict, BadInput: bad names.
    """
    if strategy not in STRATEGIES:
        raise BadInput(f"no strategy {strategy!r}; there are {', '.join(STRATEGIES)}")
    pairs = [(subject, name) for subject in subjects for name in kernels_of(subject, kernels)]
    if seconds is None and schedules is None:
        seconds = DEFAULT_SECONDS
    share = None if seconds is None else seconds * min(workers, len(pairs)) / len(pairs)
    as_is = not with_ and not without
    return [
        Unit(
            subject,
            compose(subject, name, with_, without),
            name,
            strategy,
            schedules,
            share,
            expected=subject.expect.get(name, "") if as_is and isinstance(subject, Program) else "",
            **how,
        )
        for subject, name in pairs
    ]


def compose(subject: Subject, name: str, with_: tuple[str, ...], without: tuple[str, ...]) -> Kernel:
    """The kernel with the switches of the command line and those of the program.

    Raises:
        UnknownPiece, Conflict: bad names.
    """
    usual = find_kernel(name).slugs
    if isinstance(subject, Program):
        with_ += tuple(slug for slug in subject.with_ if slug not in usual and slug not in (*with_, *without))
        own, without = without, tuple(slug for slug in without if slug in usual or slug not in subject.with_)
        without += tuple(slug for slug in subject.without if slug in usual and slug not in (*with_, *own))
    return find_kernel(name, [slug for slug in with_ if slug not in usual], without)


def surprising(unit: Unit, report: Report) -> bool:
    """Whether something else came out than the program expects; what was not found yet may still be."""
    if not unit.expected or (report.verdict == "ok" and not report.complete):
        return False
    seen = {report.verdict, report.invariant, *(finding.invariant for finding in report.findings)}
    return unit.expected not in seen


def show(done: Sequence[tuple[Unit, Report]]) -> None:
    """Print the table, and of each failure what it was and the line to type next."""
    print_table(COLUMNS, [row(unit, report) for unit, report in done])
    reports = [report for _, report in done]
    for report in reports:
        if report.verdict != "ok":
            print_failure(report)
    failed = sum(report.verdict != "ok" for report in reports)
    complete = sum(report.complete for report in reports)
    print_line()
    print_line(
        f"{plural(len(reports), 'row')}, {plural(sum(report.schedules for report in reports), 'order')}:"
        f" {complete:,} covered completely, {failed:,} broken."
    )


def row(unit: Unit, report: Report) -> tuple[Any, ...]:
    """A report as a row of the table."""
    covered = "all" if report.complete else ""
    if not covered and report.estimate:
        covered = f"of {report.estimate:.2g}"
    result, colour = outcome_of(report)
    if surprising(unit, report):
        result, colour = f"{result}; expected {unit.expected}", "red"
    elif unit.expected and report.verdict != "ok":
        result += ", as expected"
    return (report.program, report.kernel, report.schedules, covered, Cell(result, colour))


def outcome_of(report: Report) -> tuple[str, str]:
    """What came out, in words, and its colour."""
    if report.verdict != "ok":
        preempted = f", {plural(report.preemptions, 'preemption')}" if report.preemptions is not None else ""
        return f"{named(report)} in order {report.schedules_to_first_failure:,}{preempted}", "red"
    noted = ", ".join(finding.invariant for finding in report.findings)
    return (f"ok, noted {noted}", "yellow") if noted else ("ok", "green")


def named(report: Report) -> str:
    """What broke: the invariant, else the verdict."""
    return report.invariant or report.verdict


def print_failure(report: Report) -> None:
    """Say what broke, why if that is known, and what to type next."""
    print_line()
    print_line(f"{report.program} on {report.kernel}: {named(report)}", bold=True)
    message, _, play = report.message.partition(NEXT_LINE)
    print_line(message, 2)
    if play:
        print_command(f"tcemu play {play}")
    if report.known_as:
        print_command(f"tcemu defects show {report.known_as}")
    if report.failure_file:
        print_command(f"tcemu replay {report.failure_file}")
