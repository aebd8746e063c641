"""``tcemu corpus``: what campaigns have kept."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import click

from actors.cli.exits import BadInput, ExitCode
from actors.cli.fuzz import CORPUS
from actors.cli.options import NamedGroup, json_option
from actors.cli.tables import Cell, Column, plural, print_command, print_json, print_line, print_table
from actors.explore.failure import file_name, save_failure
from actors.fuzz import Corpus, regression_test
from actors.fuzz.corpus import KeptFailure
from actors.fuzz.tidy import merge, minimise
from actors.program import dump_program, not_written, write_program

EPILOG = """\b
Examples:
  tcemu corpus ls                        campaigns and failures
  tcemu corpus show 1a2b3c               one failure or program, with a test to paste
  tcemu corpus minimise                  drop programs that cover nothing the others do not
  tcemu corpus merge other.db            take over what another corpus has
  tcemu corpus export FOLDER             failures, programs and tests as files
"""

corpus_option = click.option(
    "--corpus", "path", type=click.Path(path_type=Path), default=CORPUS, show_default=True, metavar="FILE",
    help="The corpus.",
)  # fmt: skip


@click.group("corpus", cls=NamedGroup, epilog=EPILOG)
def command() -> None:
    """Look at what tcemu fuzz has kept, and tidy it up."""


CAMPAIGNS = (
    Column("kernel", wraps=True), Column("seed", right=True), Column("programs", right=True),
    Column("orders", right=True),
    Column("seconds", right=True), Column("kept", right=True), Column("features", right=True),
)  # fmt: skip
FAILURES = (
    Column("id"), Column("kernel"), Column("what"), Column("failure", wraps=True), Column("hits", right=True),
)  # fmt: skip


@command.command("ls")
@corpus_option
@json_option
def ls(path: Path, as_json: bool) -> int:
    """List campaigns and failures."""
    with Corpus(path, create=False) as corpus:
        campaigns = [
            {
                "kernel": row.kernel, "seed": row.seed, "mode": row.mode, "programs": row.programs,
                "orders": row.orders, "seconds": row.seconds,
                "kept": sum(kept.campaign == row.id for kept in corpus.kept(row.id)),
                "features": len(corpus.features(row.id)),
            }
            for row in corpus.campaigns()
        ]  # fmt: skip
        failures = corpus.failures()
    if as_json:
        print_json({"campaigns": campaigns, "failures": [values(each) for each in failures]})
        return ExitCode.OK
    print_table(CAMPAIGNS, [[each[column.title] for column in CAMPAIGNS] for each in campaigns])
    if failures:
        print_line()
        print_table(FAILURES, [row_of(each) for each in failures])
    return ExitCode.OK


def row_of(kept: KeptFailure) -> tuple[Any, ...]:
    """A failure as a row."""
    finding = kept.finding
    label = finding.label if kept.stands else f"{finding.label}, fails no more"
    return (
        kept.id, kept.kernel, finding.invariant or finding.verdict,
        Cell(label, "yellow" if finding.known else "red"), kept.hits,
    )  # fmt: skip


def values(kept: KeptFailure) -> dict[str, Any]:
    """A failure as JSON values, its program included."""
    finding = kept.finding
    return {
        "id": kept.id, "kernel": kept.kernel, "label": finding.label, "known": finding.known,
        "hits": kept.hits, "verdict": finding.verdict, "invariant": finding.invariant,
        "message": finding.message,
        "programs": kept.programs, "seconds": kept.seconds, "stands": kept.stands,
        "program": write_program(finding.program), "test": regression_test(kept.kernel, finding),
    }  # fmt: skip


@command.command("show")
@click.argument("name", metavar="ID")
@corpus_option
@json_option
def show(name: str, path: Path, as_json: bool) -> int:
    """Tell of one failure, with a test to paste, or print one program."""
    with Corpus(path, create=False) as corpus:
        failures = [kept for kept in corpus.failures() if kept.id.startswith(name)]
        programs = corpus.named(name)
    if len(failures) + len(programs) != 1:
        found = (
            "several begin so"
            if failures or programs
            else "there is none; tcemu corpus ls lists the failures"
        )
        raise BadInput(f"{path}: no one failure or program {name!r}: {found}")
    if programs:
        click.echo(dump_program(programs[0][1]), nl=False)
    elif as_json:
        print_json(values(failures[0]))
    else:
        tell(failures[0], path)
    return ExitCode.OK


EXPORT = Path(".tcemu") / "corpus"
"""Where failures of a corpus are written in the commands that are printed."""


def tell(kept: KeptFailure, path: Path) -> None:
    """Print a failure: what, the program, the test, how to replay and draw it."""
    finding = kept.finding
    print_line(
        f"{kept.id} on {kept.kernel}: {finding.invariant or finding.verdict}, {finding.label}", bold=True
    )
    print_line(finding.message, 2)
    print_line(
        f"found after {plural(kept.programs, 'program')} and {kept.seconds:.0f} s, shown by"
        f" {plural(kept.hits, 'program')} so far", 2,
    )  # fmt: skip
    for slug in finding.known:
        print_command(f"tcemu defects show {slug}")
    print_line()
    for thread in finding.program.threads:
        print_line(f"{thread.name}: {', '.join(step.op for step in thread.steps)}", 2)
    if finding.failure is not None:
        print_line(f"order: {the_order(kept)}", 2)
    print_line()
    click.echo(regression_test(kept.kernel, finding), nl=False)
    if finding.failure is not None:
        file = shlex.quote(str(EXPORT / "failures" / file_name(finding.failure)))
        of = "" if path == CORPUS else f" --corpus {shlex.quote(str(path))}"
        print_line()
        print_command(f"tcemu corpus export {EXPORT}{of}")
        print_command(f"tcemu replay {file}")
        print_command(f"tcemu draw {file} -o run.html")


def the_order(kept: KeptFailure) -> str:
    """The failing order: whose turn it is where there is a choice, run by run."""
    failure = kept.finding.failure
    runs: list[list[Any]] = []
    for _, _, label in failure.choices if failure is not None else ():
        if runs and runs[-1][0] == label:
            runs[-1][1] += 1
        else:
            runs.append([label, 1])
    return ", ".join(f"{label} x {count}" for label, count in runs) or "only one"


@command.command("minimise")
@corpus_option
def minimise_command(path: Path) -> int:
    """Drop programs that cover nothing that the others of their campaign do not."""
    with Corpus(path, create=False) as corpus:
        before = len(corpus.kept())
        gone = minimise(corpus)
    print_line(f"{plural(before, 'program')}, {gone:,} of them dropped.")
    return ExitCode.OK


@command.command("merge")
@click.argument("others", nargs=-1, required=True, metavar="FILE...", type=click.Path(path_type=Path))
@corpus_option
def merge_command(others: tuple[Path, ...], path: Path) -> int:
    """Take over the programs and failures of other corpora."""
    with Corpus(path) as corpus:
        for each in others:
            with Corpus(each, create=False) as other:
                programs, failures = merge(corpus, other)
            print_line(f"{each}: {plural(programs, 'program')} and {plural(failures, 'failure')} taken over.")
    return ExitCode.OK


@command.command("export")
@click.argument("folder", metavar="FOLDER", type=click.Path(path_type=Path))
@corpus_option
def export(folder: Path, path: Path) -> int:
    """Write failures, their programs and their tests as files."""
    with Corpus(path, create=False) as corpus:
        failures = corpus.failures()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for kept in failures:
            write(folder, kept)
    except OSError as problem:
        raise not_written(folder, problem) from None
    print_line(f"{plural(len(failures), 'failure')} written to {folder}.")
    return ExitCode.OK


def write(folder: Path, kept: KeptFailure) -> None:
    """Write one failure: what ``tcemu replay`` and ``tcemu stress`` read, and a test."""
    finding = kept.finding
    name = f"{kept.kernel}-{'-'.join(finding.known) or 'new'}-{kept.id}"
    (folder / f"{name}.json").write_text(
        json.dumps(write_program(finding.program), indent=1) + "\n", encoding="utf-8"
    )
    test = "test_" + name.replace("-", "_").replace(".", "_") + ".py"
    (folder / test).write_text(regression_test(kept.kernel, finding), encoding="utf-8")
    if finding.failure is not None:
        save_failure(finding.failure, folder / "failures")
