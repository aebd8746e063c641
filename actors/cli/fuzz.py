"""``tcemu fuzz``: programs that nobody wrote, under orders that nobody chose."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

import click

from actors.cli.ci import output_options, write_outputs
from actors.cli.exits import Ending, ExitCode
from actors.cli.options import Seconds, json_option, kernel_option, switches
from actors.cli.outputs import OutputFile
from actors.cli.pipes import settled
from actors.cli.tables import (
    Cell,
    Column,
    plural,
    print_command,
    print_json,
    print_line,
    print_table,
)
from actors.explore.executors import ClusterLost
from actors.explore.failure import Switches
from actors.fuzz import Corpus, Crew, FindingReport, FuzzCampaign, FuzzReport, Plan, Status
from actors.fuzz.campaign import PROGRAMS_PER_UNIT, UNITS
from actors.fuzz.report import plain_values, report_of
from actors.fuzz.seeds import seed_programs
from actors.kernel.catalogue import find_kernel
from actors.program import not_written

if TYPE_CHECKING:
    from actors.fuzz.campaign import Tell

EPILOG = """\b
Examples:
  tcemu fuzz --kernel v6.12 --seconds 120           two minutes, one process
  tcemu fuzz --kernel v6.12 --workers 2             goes on where the last campaign stopped
  tcemu fuzz --kernel fixed --seed 7 --corpus c.db  another campaign, another file
  tcemu fuzz --kernel v6.12 --with tce-level-race   a kernel of your own
  tcemu fuzz --kernel fixed --seeds builtin         begin with the built-in scenarios
  tcemu fuzz --kernel v6.12 --coverage              and say what was never reached
  tcemu fuzz --dask tcp://scheduler:8786            on many machines

\b
Kernel, seed and seeds name a campaign; the corpus keeps how far it has come. What has failed is
run first next time. tcemu corpus ls lists what there is, tcemu corpus show ID tells of one
failure.
"""

CORPUS = Path(".tcemu") / "fuzz.db"
"""Where campaigns are kept, below the folder in which the command runs."""
DEFAULT_SECONDS = 60.0
BATCH = PROGRAMS_PER_UNIT * UNITS
"""Programs that are run before one looks what they came to."""
MOST_LINES = 16
"""Failures that the live display shows."""
LINE_SECONDS = 10.0
"""How often a line is written when there is no terminal."""

COLUMNS = (
    Column("failure", wraps=True),
    Column("what"),
    Column("found at", right=True),
    Column("seconds", right=True),
    Column("hits", right=True),
    Column("id"),
)


@click.command("fuzz", epilog=EPILOG)
@kernel_option("Run on this kernel.  [default: fixed]")
@click.option(
    "--seconds",
    type=Seconds(),
    metavar="S",
    help="Time for this sitting; looking into what failed last comes on top."
    f"  [default: {DEFAULT_SECONDS:g} without --programs]",
)
@click.option(
    "--programs", type=click.IntRange(1), metavar="N",
    help=f"End after that many, in all sittings; rounded up to whole batches of {BATCH}.",
)  # fmt: skip
@click.option(
    "--seed", type=click.IntRange(0, (1 << 31) - 1), default=0, metavar="N", help="Of the campaign."
)
@click.option(
    "--workers", type=click.IntRange(1, 1024), default=1, show_default=True, metavar="N", help="Processes."
)
@click.option("--dask", metavar="ADDRESS", help="Spread over a Dask cluster, tcp://HOST:PORT.")
@click.option(
    "--corpus", type=click.Path(path_type=Path), default=CORPUS, show_default=True, metavar="FILE",
    help="Where everything is kept.",
)  # fmt: skip
@click.option("--coverage", is_flag=True, help="Say what was covered and what was never reached.")
@click.option("--curve", type=OutputFile(), metavar="FILE", help="Draw the coverage as SVG.")
@click.option(
    "--seeds", multiple=True, metavar="FILE|builtin",
    help="Begin with these programs, vectors or recordings; may be repeated.",
)  # fmt: skip
@switches
@output_options
@json_option
def command(
    kernel: str | None,
    seconds: float | None,
    programs: int | None,
    seed: int,
    workers: int,
    dask: str | None,
    corpus: Path,
    coverage: bool,
    curve: str | None,
    seeds: tuple[str, ...],
    with_: tuple[str, ...],
    without: tuple[str, ...],
    as_json: bool,
    **outputs: Any,
) -> int:
    """Generate programs and orders, and keep whatever breaks the kernel or covers something new."""
    composed = find_kernel(kernel or "fixed", with_, without)
    plan = Plan(
        kernel=Switches.of(composed),
        seed=seed,
        seconds=DEFAULT_SECONDS if seconds is None and programs is None else seconds,
        programs=programs,
        seeds=seed_programs(map(settled, seeds)),
    )
    problems = Ending()
    with crew_of(workers, dask) as crew, Corpus(corpus) as kept, display(plan) as tell:
        campaign = FuzzCampaign(kept, plan, crew, tell)
        try:
            report = campaign.run()
        except ClusterLost as problem:
            problems.note(problem)
            report = report_of(campaign, interrupted=False)
    if curve is not None:
        draw_curve(report, Path(curve))
    if any(outputs.values()):
        from actors.report import of_fuzz  # noqa: PLC0415 - only where it is asked for

        write_outputs(of_fuzz(report), **outputs)
    if as_json:
        print_json(plain_values(report))
    else:
        show(report, coverage)
    return max(ending(report), problems.finish())


@contextmanager
def crew_of(workers: int, dask: str | None) -> Iterator[Crew]:
    """Whoever does the work: processes here, or a cluster.

    Raises:
        ClusterLost: there is no cluster, or it has no workers.
    """
    if dask is None:
        yield Crew(workers)
        return
    from actors.cli.afar import cluster_at  # noqa: PLC0415 - an extra

    with cluster_at(dask) as cluster:
        yield Crew(cluster)


def ending(report: FuzzReport) -> int:
    """The exit code of a campaign."""
    if report.interrupted:
        return ExitCode.INTERRUPTED
    if report.mistakes:
        return ExitCode.EMULATOR
    return ExitCode.FOUND if report.found else ExitCode.OK


def draw_curve(report: FuzzReport, path: Path) -> None:
    """Write the picture of the coverage.

    Raises:
        ProgramError: the file cannot be written.
    """
    from actors.fuzz.curve import curve_svg  # noqa: PLC0415 - only where it is asked for

    try:
        path.write_text(curve_svg(report), encoding="utf-8")
    except OSError as problem:
        raise not_written(path, problem) from None


# -- while it runs -----------------------------------------------------------------------------


@contextmanager
def display(plan: Plan) -> Iterator[Tell]:
    """Show how things stand on standard error: live on a terminal, else a line every ten seconds."""
    if not sys.stderr.isatty():
        yield every_ten_seconds(plan)
        return
    from rich.console import Console  # noqa: PLC0415 - only where it is seen
    from rich.live import Live  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    with Live(console=Console(stderr=True), transient=True, refresh_per_second=4) as live:
        yield lambda status: live.update(
            Text("\n".join(panel(plan, status)), no_wrap=True, overflow="ellipsis")
        )


def every_ten_seconds(plan: Plan) -> Callable[[Status], None]:
    """Whoever writes a line now and then."""
    last = monotonic()

    def tell(status: Status) -> None:
        nonlocal last
        if monotonic() - last >= LINE_SECONDS:
            last = monotonic()
            click.echo(one_line(plan, status), err=True)

    return tell


def one_line(plan: Plan, status: Status) -> str:
    """How things stand in one line."""
    parts = [
        f"{plan.kernel_name}: {plural(status.programs, 'program')}, {plural(status.orders, 'order')}",
        rates(status),
        f"{status.features:,} features",
        plural(len(status.findings), "failure"),
    ]
    if status.left is not None:
        parts.append(f"{status.left:.0f} s left")
    return "; ".join(parts)


def rates(status: Status) -> str:
    """Programs and orders a second."""
    seconds = max(status.seconds, 1e-6)
    return f"{status.new_programs / seconds:.1f} programs/s, {status.new_orders / seconds:,.0f} orders/s"


def panel(plan: Plan, status: Status) -> list[str]:
    """How things stand in several lines."""
    left = "" if status.left is None else f", {status.left:.0f} s left"
    lines = [
        f"{plan.kernel_name}, seed {plan.seed}{left}",
        f"  {plural(status.programs, 'program')}, {plural(status.orders, 'order')}; {rates(status)}",
        f"  {status.features:,} features covered, {plural(len(status.findings), 'failure')}",
    ]
    ranked = sorted(status.findings.items(), key=lambda item: -item[1])
    for signature, hits in ranked[:MOST_LINES]:
        lines.append(f"  {hits:6,}  {signature}{'  (off)' if signature in status.off else ''}")
    if len(ranked) > MOST_LINES:
        lines.append(f"  and {len(ranked) - MOST_LINES} more")
    return lines


# -- when it has ended -------------------------------------------------------------------------


def show(report: FuzzReport, coverage: bool) -> None:
    """Print the findings, what to type next, and the sums."""
    if report.findings:
        print_table(COLUMNS, [row(finding) for finding in report.findings])
        print_line()
    for finding in report.new:
        print_line(f"{finding.label}: {finding.message}", bold=True)
        print_command(show_command(finding.id, report.corpus))
    for signature in report.gone:
        print_line(f"{signature}: failed in an earlier sitting, and does not any more")
    if report.off:
        print_line(f"Found often and switched off since: {', '.join(report.off)}.")
    for reason in report.lost[:5]:
        print_line(f"Lost: {reason}", colour="yellow")
    if report.deaths:
        print_line(f"{plural(report.deaths, 'worker')} died and had a successor.", colour="yellow")
    if coverage:
        show_coverage(report)
    programs, orders, seconds = report.sitting
    stand = sum(finding.stands for finding in report.findings)
    print_line(
        f"{report.kernel}, seed {report.seed}: {plural(report.programs, 'program')},"
        f" {plural(report.orders, 'order')}, {sum(report.features.values()):,} features,"
        f" {plural(stand, 'failure')}; now {plural(programs, 'program')} and {plural(orders, 'order')}"
        f" in {seconds:.0f} s. Kept in {report.corpus}."
    )
    if report.pending:
        print_line(
            f"{plural(report.pending, 'failure')} of the last batch not looked into yet; the next sitting"
            " begins with that."
        )
    first = next(iter(report.new or report.findings), None)
    if first is not None:
        print_command(show_command(first.id, report.corpus))
    if report.interrupted:
        click.echo("interrupted", err=True)


def show_command(name: str, corpus: str) -> str:
    """What to type to be told of a failure."""
    of = "" if Path(corpus) == CORPUS else f" --corpus {shlex.quote(corpus)}"
    return f"tcemu corpus show {name}{of}"


def row(finding: FindingReport) -> tuple[Any, ...]:
    """A finding as a row of the table."""
    what = finding.invariant or finding.verdict
    colour = "yellow" if finding.known else "red"
    label = finding.label if finding.stands else f"{finding.label}, fails no more"
    return (
        Cell(label, colour),
        what,
        f"program {finding.programs:,}",
        finding.seconds,
        finding.hits,
        finding.id,
    )


def show_coverage(report: FuzzReport) -> None:
    """Print what was covered, and what of the documented answers and failure points was not."""
    kinds = ", ".join(f"{count:,} {kind}" for kind, count in report.features.items())
    print_line(f"Covered: {kinds}.")
    if report.never:
        print_line(f"Never reached: {'; '.join(report.never)}.")
    else:
        print_line("Every documented answer and every failure point was reached.")
    print_line()
