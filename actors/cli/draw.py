"""``tcemu draw``: a picture of a run."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from actors.cli.exits import BadInput
from actors.cli.outputs import OutputFile
from actors.cli.pipes import settled
from actors.cli.tables import plural, print_line
from actors.draw import FORMS, SUFFIXES, draw, form_of
from actors.program import not_written

if TYPE_CHECKING:
    from actors.trace.jsonl import Log

EPILOG = """\b
Examples:
  tcemu draw run.jsonl -o run.html                 a page to walk through, step by step
  tcemu draw FAILURE.json -o run.html              run a recorded failure again and draw it
  tcemu draw bad.jsonl --compare good.jsonl -o two.html
  tcemu draw FAILURE.json --compare passing -o two.html
  tcemu draw run.jsonl -o run.perfetto.json        for ui.perfetto.dev
  tcemu draw run.jsonl --form mermaid              on standard output

\b
FILE is a log, as `tcemu replay --log` or a MachineLog writes it (gzip too, - is standard input),
or a failure that `tcemu stress` has kept. The page is one file that needs no network: open it in
a browser, press ? for its keys; run.html#step=120 opens it at a step. `--compare passing` looks
for the order nearest to the failing one that ends well, and shows the two side by side.
"""

PASSING = "passing"
"""The second run that is looked for; a file of that name is ./passing."""

FAILURE_MARK = b'"tcemu-failure"'
"""What the first bytes of a failure file hold, and those of a log do not."""


@click.command("draw", epilog=EPILOG)
@click.argument("file", metavar="FILE", type=click.Path())
@click.option(
    "-o", "--output", metavar="OUT", type=OutputFile(stream=True),
    help="Where to write; its suffix picks the form.",
)  # fmt: skip
@click.option("--form", type=click.Choice(list(FORMS)), help="The form, whatever the suffix.")
@click.option("--compare", metavar="OTHER|passing", help="A second run, drawn beside the first (html).")
def command(file: str, output: str | None, form: str | None, compare: str | None) -> None:
    """Draw a picture of a run from its log."""
    chosen = pick(output, form)
    if compare is not None and chosen != "html":
        raise BadInput(f"--compare: {chosen} shows one run, expected the form html")
    log = load(file)
    other = None if compare is None else second(compare, file, log)
    picture = draw(log, chosen, **({} if other is None else {"compare": other}))
    to_stdout = output is None or output == "-"
    if to_stdout:
        click.echo(picture, nl=False)
    else:
        write(str(output), picture)
    if chosen == "html":
        for note in notes(log, other):
            click.echo(note, err=True)
    if not to_stdout:
        steps = plural(min(len(log.events), most_steps(chosen)), "step")
        print_line(f"{output}: {steps} of {log.header.name or 'a run'}")


def most_steps(form: str) -> int:
    """How many steps a form shows."""
    from actors.draw.rundata import MOST_STEPS  # noqa: PLC0415 - not for the help

    return MOST_STEPS if form == "html" else sys.maxsize


def notes(log: Log, other: Log | None) -> list[str]:
    """What one has to know of a page: that runs are not shown to their end, or are not of one program."""
    from actors.trace.diff import unlike  # noqa: PLC0415

    most = most_steps("html")
    found = [
        f"{each.header.name or 'a run'}: too long for a page, drawn are the first {most:,} of its"
        f" {len(each.events):,} steps"
        for each in (log, other)
        if each is not None and len(each.events) > most
    ]
    different = unlike(log, other) if other is not None else ""
    return [*found, f"--compare: {different}"] if different else found


def pick(output: str | None, form: str | None) -> str:
    """The form to draw: what was asked for, or what the name of the file asks for."""
    if form is not None:
        return form
    if output is None:
        raise BadInput("--output: found none, expected a file such as run.html, or --form")
    found = form_of(output)
    if found is None:
        endings = ", ".join(SUFFIXES)
        raise BadInput(f"--output: found {output!r}, expected a name that ends in {endings}, or --form")
    return found


def load(file: str) -> Log:
    """Read a log, or run a failure again to get one.

    Raises:
        ReplayDivergence: the run would not be the failure.
    """
    from actors.cli.log import load as load_log  # noqa: PLC0415 - not for the help

    file = settled(file)
    if is_failure(file):
        from actors.explore import load_failure, replay  # noqa: PLC0415
        from actors.explore.logged import logged  # noqa: PLC0415

        failure = load_failure(file)
        replay(failure)
        return logged(failure)
    return load_log(file)


def second(compare: str, file: str, log: Log) -> Log:
    """The run to draw beside the first: another log or failure, or the nearest order that ends well."""
    if compare != PASSING:
        return load(compare)
    from actors.explore import load_failure  # noqa: PLC0415
    from actors.explore.logged import failure_of, logged  # noqa: PLC0415
    from actors.explore.passing import passing  # noqa: PLC0415

    file = settled(file)
    found = passing(load_failure(file) if is_failure(file) else failure_of(log, file))
    if found is None:
        raise BadInput(f"--compare: found no order near that of {file} that ends well, expected another run")
    return logged(found)


def is_failure(file: str) -> bool:
    """Whether a file is a kept failure; what cannot be opened is left to whoever reads the log."""
    try:
        with open(file, "rb") as stream:
            return FAILURE_MARK in stream.read(200)
    except OSError:
        return False


def write(output: str, picture: str) -> None:
    """Write a picture to a file."""
    try:
        Path(output).write_text(picture, encoding="utf-8")
    except OSError as problem:
        raise not_written(output, problem) from None
