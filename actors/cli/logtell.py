"""``tcemu log stats``, ``dmesg``, ``ftrace``, ``check``, ``lnav`` and ``schema``: a log in other forms."""

from __future__ import annotations

import click
import msgspec

from actors.cli.exits import ExitCode
from actors.cli.logread import file_argument, load, streamed
from actors.cli.options import json_option
from actors.cli.tables import Column, print_json, print_line, print_table, printable


@click.command("stats")
@file_argument
@json_option
def stats_command(file: str, as_json: bool) -> None:
    """Count operations and locks: how often, how long, who waited.

    Lengths are in steps of the log.
    """
    from actors.trace.stats import stats  # noqa: PLC0415

    counted = stats(streamed(file)[1])
    if as_json:
        print_json(counted)
        return
    calls = [(r.operation, r.count, r.errors, r.steps, r.longest) for r in counted.operations]
    print_table(numbers("operation", "calls", "errors", "steps", "longest"), calls)
    print_line()
    titles = numbers("lock", "taken", "held", "longest", "waits", "waited", "longest")
    locks = counted.locks
    held = [(r.lock, r.taken, r.held, r.longest_hold, r.waits, r.waited, r.longest_wait) for r in locks]
    print_table(titles, held)
    print_line()
    print_line(", ".join(f"{count:,} {kind}" for kind, count in counted.events.items()))


def numbers(first: str, *others: str) -> tuple[Column, ...]:
    """Columns of a table of numbers: a name, and the numbers of it."""
    return (Column(first, wraps=True), *(Column(title, right=True) for title in others))


@click.command("dmesg")
@file_argument
@json_option
def dmesg_command(file: str, as_json: bool) -> None:
    """Show what the kernel would have written to its log."""
    from actors.trace.dmesg import dmesg, messages_as_json  # noqa: PLC0415

    log = load(file)
    if as_json:
        print_json({"messages": messages_as_json(log)})
        return
    for line in dmesg(log):
        click.echo(printable(line))


@click.command("ftrace")
@file_argument
@json_option
def ftrace_command(file: str, as_json: bool) -> None:
    """Show the log in the format of ftrace; a step is a microsecond."""
    from actors.trace.ftrace import ftrace  # noqa: PLC0415

    _, events, _ = streamed(file)
    lines = ftrace(events)
    if as_json:
        print_json({"lines": list(lines)})
        return
    for line in lines:
        click.echo(printable(line))


@click.command("check")
@file_argument
@json_option
def check_command(file: str, as_json: bool) -> ExitCode:
    """Check that everything in a log fits: shape, order, causes, counts.

    Exit code 1 for one that is cut off or only a part, 2 for one that is damaged.
    """
    from actors.trace.checked import as_text, check  # noqa: PLC0415
    from actors.trace.jsonl import read_lines  # noqa: PLC0415

    checked = check(read_lines(file), file)
    if as_json:
        print_json(msgspec.to_builtins(checked._asdict()) | {"file": file})
    else:
        print_line(f"{file}: {as_text(checked)}")
    return ExitCode.FOUND if checked.missing or checked.end is None else ExitCode.OK


@click.command("lnav")
def lnav_command() -> None:
    """Print the format file with which lnav reads logs.

    lnav -i FILE installs it.
    """
    from importlib.resources import files  # noqa: PLC0415 - not for the help

    click.echo((files("actors.trace") / "lnav.json").read_text(encoding="utf-8"), nl=False)


@click.command("schema")
@json_option
def schema_command(as_json: bool) -> None:
    """Explain every event and field of a log.

    With --json: as a JSON Schema.
    """
    from actors.trace.reference import json_schema, reference  # noqa: PLC0415

    if as_json:
        print_json(json_schema())
    else:
        click.echo(reference(), nl=False)
