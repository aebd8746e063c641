"""``tcemu stress``: programs under many orders and faults; the main job."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import click

from actors.cli.ci import OPTIONS, output_options, write_outputs
from actors.cli.clients import Client
from actors.cli.exits import BadInput, Ending, Told
from actors.cli.fleet import available_cpus, run_all
from actors.cli.hunt import named, print_failures, print_noted, print_races, print_refused
from actors.cli.options import Seconds, json_option, kernel_option, switches
from actors.cli.outputs import OutputFile
from actors.cli.pipes import settled
from actors.cli.shelf import Running, run_shelf
from actors.cli.subjects import Subject, everything, find_subject, kernels_of
from actors.cli.tables import Advance, Cell, Column, plural, print_json, print_line, print_table, progress
from actors.cli.units import FAILURES, Unit
from actors.explore import STRATEGIES, Failure, Report, find_strategy, load_failure, replay
from actors.kernel.catalogue import find_kernel, nearest
from actors.kernel.composition import Kernel
from actors.kernel.failpoints import FAILPOINTS
from actors.linear.oracle import INVARIANT as LINEARIZABILITY
from actors.program import Program

EPILOG = f"""\b
Examples:
  tcemu stress                                       everything built in
  tcemu stress exit-with-lazy-borrower               one scenario, on the kernels it names
  tcemu stress my.json --kernel v6.12 --seconds 60   your program, one kernel, a minute
  tcemu stress my_module:scenario --kernel fixed     your async function of a machine
  tcemu stress lookup-uaf                            the small program that shows a defect
  tcemu stress --kernel fixed --with lookup-uaf      everything on the mended kernel but for one
  tcemu stress lookup-uaf --log run.jsonl            all that happened, for tcemu log and draw
  tcemu stress my.json --fail-nth all                fail each allocation, pin, copy in turn
  tcemu stress my.json --fail memory                 let one allocation fail, where the order says
  tcemu stress my.json --kill all                    kill each process, at every point
  tcemu stress qemu-rtl8139 --kernel v6.12           a recorded client, killed at drawn calls
  tcemu stress --after FAILURE.json                  other orders from just before what went wrong
  tcemu stress my.json --linear                      does a sequential order explain the answers?

\b
--fail takes the name of a failure point (docs/defects.md lists them), or memory: any allocation,
pin or charge; cma: pages come from a CMA area and have to be moved; any.
Every failing order is shortened and kept in {FAILURES}; tcemu replay runs it again.
"""

DEFAULT_SECONDS = 32.0
"""Time for everything when neither a number of orders nor a time was asked for."""

COLUMNS = (
    Column("program"),
    Column("kernel"),
    Column("orders", right=True),
    Column("covered"),
    Column("result", wraps=True),
)


STRATEGY = "portfolio"
AFTER_STRATEGY = "pct"
"""The default of ``--after``: the portfolio has to see every step from the first one, so it cannot go on."""

FAULTS = {
    "any": ("any",),
    "cma": ("alloc_pages.cma",),
    "memory": (
        "account_locked_vm",
        "mm_iommu_do_alloc.array",
        "pin_user_pages",
        "tce_iommu_register_pages.kzalloc",
        "tce_iommu_attach_group.kzalloc",
        "pnv_pci_ioda2_table_alloc_pages",
        "pnv_alloc_tce_level",
        "pnv_alloc_tce_level.view",
    ),
}
"""Several failure points by one name."""


class NumberOrAll(click.ParamType):  # type: ignore[type-arg,unused-ignore]  # generic from click 8.5 on
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
    help=f"Who chooses the orders: {', '.join(STRATEGIES)}.  [default: {STRATEGY}]",
)
@click.option("--schedules", type=click.IntRange(1), metavar="N", help="Orders to run, for each row.")
@click.option(
    "--seconds",
    type=Seconds(),
    metavar="S",
    help="Time for the search; looking into what has failed comes on top."
    f"  [default: {DEFAULT_SECONDS:g} without --schedules]",
)
@click.option(
    "--seed", type=click.IntRange(0), default=0, metavar="N", help="The same seed, the same orders."
)
@switches
@click.option(
    "--fail-nth", type=NumberOrAll(), help="Fail the N-th failure point of each order, from 0, or each."
)
@click.option("--fail", multiple=True, metavar="NAME", help="Let one of these fail, where the order says.")
@click.option("--kill", type=NumberOrAll(), help="Kill process N at every point, or each.")
@click.option(
    "--after", metavar="FILE", type=click.Path(), help="Go on from just before a recorded failure went wrong."
)
@click.option(
    "--choices", type=click.IntRange(0), metavar="N", help="With --after: from after its first N choices."
)
@click.option("--linear", is_flag=True, help="Also look for a sequential order that explains all answers.")
@click.option("--races", is_flag=True, help="Also look for data races; a quarter slower.")
@click.option("--workers", type=click.IntRange(1, 1024), metavar="N", help="Processes.  [default: one a CPU]")
@click.option("--dask", metavar="ADDRESS", help="Spread over a Dask cluster, tcp://HOST:PORT.")
@click.option(
    "--log", "log_file", metavar="FILE", type=OutputFile(), help="Write a log of the first order that broke."
)
@output_options
@json_option
def command(
    programs: tuple[str, ...],
    kernels: tuple[str, ...],
    after: str | None,
    choices: int | None,
    seconds: float | None,
    workers: int | None,
    dask: str | None,
    log_file: str | None,
    as_json: bool,
    **how: Any,
) -> int:
    """Run programs under many orders and faults, and say what breaks.

    Without a program: the built-in scenarios, then the recorded clients.
    """  # fmt: skip
    ending, outputs = Ending(), {name: how.pop(name) for name in OPTIONS}
    if seconds is None and how["schedules"] is None:
        seconds = DEFAULT_SECONDS
    if after is None:
        subjects = [find_subject(name) for name in programs] or everything()
        units = plan(subjects, kernels, **how)
    else:
        units = [go_on_after(after, choices, programs, kernels, **how)]
    if choices is not None and after is None:
        raise BadInput("--choices: says where --after goes on, and there is no --after")
    reports: dict[int, Report] = {}
    with ending.kept(), progress(len(units)) as advance:
        work = partial(run_shelf, seconds=seconds)
        rows = afar(dask, units, seconds) if dask else run_all(work, units, workers or available_cpus())
        for index, said in rows:
            if isinstance(said, Told):
                ending.note(said)
            elif isinstance(said, Report):
                reports[index] = said
            show_progress(advance, units, index, said)
    done = [(units[index], reports[index]) for index in sorted(reports)]
    ending.found(any(report.verdict != "ok" or surprising(unit, report) for unit, report in done))
    if as_json:
        print_json({"runs": [json_of(unit, report) for unit, report in done]})
    elif done:
        show(done)
    if any(outputs.values()):
        from actors.report import of_stress  # noqa: PLC0415 - only where it is asked for

        write_outputs(of_stress((report, unit.expected) for unit, report in done), **outputs)
    if log_file is not None:
        write_log_of([report for _, report in done], log_file)
    return ending.finish()


def write_log_of(reports: Sequence[Report], file: str) -> None:
    """Write the log of the first order that was kept; without one say so."""
    from actors.explore.failure import load_failure  # noqa: PLC0415 - only for --log
    from actors.explore.logged import logged  # noqa: PLC0415
    from actors.trace.jsonl import write_log  # noqa: PLC0415

    kept = next((report.failure_file for report in reports if report.failure_file), None)
    if kept is None:
        click.echo(f"--log: nothing that broke was kept, {file} is not written", err=True)
        return
    write_log(file, logged(load_failure(kept)))


def afar(address: str, units: Sequence[Unit], seconds: float | None) -> Iterator[tuple[int, Report | Told]]:
    """Search all rows on a cluster."""
    from actors.cli.afar import run_afar  # noqa: PLC0415 - an extra

    return run_afar(address, units, seconds)


def show_progress(advance: Advance, units: Sequence[Unit], index: int, said: Report | Told | Running) -> None:
    """Say on a terminal which row has been worked on."""
    if index >= 0:
        orders = f": {plural(said.orders, 'order')}" if isinstance(said, Running) else ""
        unit = units[index]
        advance(not isinstance(said, Running), f"{unit.name} on {unit.kernel.name}{orders}")


def json_of(unit: Unit, report: Report) -> dict[str, Any]:
    """A report as JSON values: the kernel by its name, the switches beside it."""
    usual, slugs = frozenset(find_kernel(unit.generation).slugs), unit.kernel.slugs
    switches = {"with": sorted(slugs - usual), "without": sorted(usual - slugs)}
    return report.as_json() | {"kernel": unit.generation} | switches


def plan(
    subjects: Sequence[Subject],
    kernels: tuple[str, ...],
    *,
    strategy: str | None,
    with_: tuple[str, ...],
    without: tuple[str, ...],
    fail: tuple[str, ...],
    **how: Any,
) -> list[Unit]:
    """One unit of work for each subject and kernel.

    Raises:
        UnknownPiece, Conflict, UnknownStrategy, BadInput: bad names.
    """
    as_is = not with_ and not without and how.get("kill") is None
    find_strategy(strategy or STRATEGY)
    return [
        Unit(
            subject,
            compose(subject, name, with_, without),
            name,
            strategy or STRATEGY,
            fail=failure_points(fail),
            expected=subject.expect.get(name, "") if as_is and isinstance(subject, Program) else "",
            **how,
        )
        for subject in subjects
        for name in kernels_of(subject, kernels)
    ]


def failure_points(names: tuple[str, ...]) -> tuple[str, ...]:
    """The failure points that the words of ``--fail`` mean.

    Raises:
        BadInput: there is none of that name.
    """
    known = FAULTS | {name: (name,) for name in FAILPOINTS}
    for name in names:
        if name not in known:
            hint = nearest(name, known) or f"; there are {', '.join(known)}"
            raise BadInput(f"--fail: no failure point {name!r}{hint}")
    return tuple(dict.fromkeys(point for name in names for point in known[name]))


def go_on_after(
    file: str, choices: int | None, programs: tuple[str, ...], kernels: tuple[str, ...], **how: Any
) -> Unit:
    """The unit that goes on from within a recorded failure.

    Raises:
        ProgramError: the file is malformed.
        ReplayDivergence: it no longer fits, and there is no going on from what it holds.
        BadInput: something else is asked for that the file says already, or that cannot be.
    """
    given = {"PROGRAM": programs, "--kernel": kernels, "--with": how["with_"], "--without": how["without"]}
    given |= {"--fail": how["fail"], "--kill": how["kill"], "--fail-nth": how["fail_nth"]}
    for name, value in given.items():
        if value not in ((), None):
            raise BadInput(f"{name}: {file} says that already; --after goes on from there")
    failure = load_failure(settled(file))
    replay(failure)
    strategy = how["strategy"] or AFTER_STRATEGY
    if strategy == STRATEGY or find_strategy(strategy).every_step:
        able = ", ".join(
            name for name in STRATEGIES if name != STRATEGY and not find_strategy(name).every_step
        )
        raise BadInput(f"--strategy: {strategy} cannot go on after a recorded beginning; {able} can")
    beginning = failure.recording[: before_the_end(failure) if choices is None else choices]
    if choices is not None and choices > len(failure.choices):
        raise BadInput(
            f"--choices: found {choices}, expected at most {len(failure.choices)}, those of {file}"
        )
    return Unit(
        failure.client or failure.subject(),
        failure.kernel.compose(),
        failure.kernel.name,
        strategy,
        how["schedules"],
        how["seed"],
        failure.fail_nth,
        failure.fail,
        after=beginning,
        linear=how["linear"],
        races=how["races"],
    )


def before_the_end(failure: Failure) -> int:
    """How many choices come before the last one that is not the calm one."""
    return max((number for number, choice in enumerate(failure.recording) if choice.taken), default=0)


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
    if unit.linear and unit.expected != "ok" and report.invariant == LINEARIZABILITY:
        return False
    seen = {report.verdict, report.invariant, *(finding.invariant for finding in report.findings)}
    return unit.expected not in seen


def show(done: Sequence[tuple[Unit, Report]]) -> None:
    """Print the table, and of each failure what it was and the line to type next."""
    print_table(COLUMNS, [row(unit, report) for unit, report in done])
    reports = [report for _, report in done]
    print_refused(reports)
    print_noted(reports)
    print_failures(reports)
    print_races(reports)
    complete = sum(report.complete for report in reports)
    broken = [(unit, report) for unit, report in done if report.verdict != "ok"]
    expected = sum(bool(unit.expected) and not surprising(unit, report) for unit, report in broken)
    known = f", {expected:,} of them as expected" if expected else ""
    print_line()
    print_line(
        f"{plural(len(reports), 'row')}, {plural(sum(report.schedules for report in reports), 'order')}:"
        f" {complete:,} covered completely, {len(broken):,} broken{known}."
    )


def row(unit: Unit, report: Report) -> tuple[Any, ...]:
    """A report as a row of the table."""
    covered = "all" if report.complete else ""
    if report.places is not None:
        covered = places(unit, *report.places)
    elif not covered and report.verdict == "ok" and (report.estimate or 0) > report.schedules:
        covered = f"of about {rounded(report.estimate)}"
    result, colour = outcome_of(report)
    if surprising(unit, report):
        result, colour = f"{result}; expected {unit.expected}", "red"
    return (report.program, report.kernel, report.schedules, covered, Cell(result, colour))


def rounded(estimate: float | None) -> str:
    """An estimate with the two digits that mean something."""
    return f"{int(float(f'{estimate or 0:.2g}')):,}"


def places(unit: Unit, covered: int, tried: int) -> str:
    """At how many kills or faults every order was covered."""
    noun = "kill" if unit.kill is not None or isinstance(unit.subject, Client) else "fault"
    return f"{'all' if covered == tried else covered} of {plural(tried, noun)}"


def outcome_of(report: Report) -> tuple[str, str]:
    """What came out, in words, and its colour."""
    if report.verdict != "ok":
        preempted = f", {plural(report.preemptions, 'preemption')}" if report.preemptions is not None else ""
        return f"{named(report)} in order {report.schedules_to_first_failure:,}{preempted}", "red"
    noted = ", ".join(dict.fromkeys(finding.invariant for finding in report.findings))
    return (f"ok, noted {noted}", "yellow") if noted else ("ok", "green")
