"""``tcemu log``: from one log to the cause."""

from __future__ import annotations

import os
import sys
from difflib import get_close_matches
from typing import TYPE_CHECKING

import click
import msgspec

from actors.cli.exits import BadInput, ExitCode
from actors.cli.options import json_option
from actors.cli.tables import Column, plural, print_json, print_line, print_table, width

if TYPE_CHECKING:
    from actors.trace import schema as s
    from actors.trace.diff import Parting
    from actors.trace.jsonl import Log
    from actors.trace.text import Paint
    from actors.trace.why import History

EPILOG = """\b
Examples:
  tcemu log tree run.jsonl                      what led to what
  tcemu log why region:0 run.jsonl              who took and dropped its references
  tcemu log grep --object mm:0 --event access run.jsonl
  tcemu log diff good.jsonl bad.jsonl           where two runs part
  zcat run.jsonl.gz | tcemu log dmesg -         the kernel's view

\b
FILE is a log, as `tcemu replay --log` or a MachineLog writes it; it may be packed with gzip, and
- is standard input. `tcemu log schema` explains every event and field.
"""


@click.group("log", epilog=EPILOG)
def command() -> None:
    """Read the log of a run: causes, histories, differences.

    There is no clock in a log: the number of an event is its time.
    """


file_argument = click.argument("file", metavar="FILE", type=click.Path())


def load(file: str) -> Log:
    """Read a log; one that breaks off is told of on standard error."""
    from actors.trace.jsonl import read_log  # noqa: PLC0415 - not for the help

    log = read_log(file)
    if log.end is None:
        count = plural(len(log.events), "event")
        click.echo(f"{file}: the log has no end; it was cut off after {count}", err=True)
    return log


def paint() -> Paint:
    """How to colour: only a terminal shows colours."""
    from actors.trace.text import ansi_paint, no_paint  # noqa: PLC0415

    return ansi_paint if sys.stdout.isatty() and not os.environ.get("NO_COLOR") else no_paint


def print_events(events: list[s.Event]) -> None:
    """Print events, one a line."""
    from actors.trace.text import console_line  # noqa: PLC0415

    style, columns = paint(), width()
    for event in events:
        click.echo(console_line(event, style, columns))


@command.command("tree")
@file_argument
@click.option("--all", "everything", is_flag=True, help="Also what changes nothing: reads, locks, choices.")
@json_option
def tree_command(file: str, everything: bool, as_json: bool) -> None:
    """Show the causal tree: a system call, and under it all that it caused."""
    from actors.trace.tree import as_json as json_row  # noqa: PLC0415
    from actors.trace.tree import row_text, tree  # noqa: PLC0415

    log = load(file)
    if as_json:
        print_json({"rows": [json_row(row) for row in tree(log, everything)]})
        return
    columns = width()
    for row in tree(log, everything):
        click.echo(row_text(row, columns))


def step_range(ctx: click.Context, param: click.Parameter, value: str | None) -> range | None:
    """Read ``12:40``, ``12:`` or ``12``."""
    if value is None:
        return None
    first, colon, last = value.partition(":")
    try:
        start = int(first or 0)
        stop = (int(last) if last else sys.maxsize) if colon else start + 1
    except ValueError:
        raise click.BadParameter(f"found {value!r}, expected FROM:TO in steps", ctx, param) from None
    return range(start, stop)


@command.command("grep")
@file_argument
@click.option("--event", "kind", metavar="KIND", default="", help="Kind of event, such as access or wait.")
@click.option("--actor", metavar="ID", default="", help="Where it happened, such as mm:0.")
@click.option("--thread", metavar="NAME", default="", help="Who did it.")
@click.option("--object", "object_", metavar="NAME", default="", help="What it is about, or a part of that.")
@click.option("--operation", metavar="TEXT", default="", help="Part of the system call's name.")
@click.option("--function", metavar="NAME", default="", help="The kernel function.")
@click.option("--steps", metavar="FROM:TO", callback=step_range, help="Steps, without the last.")
@json_option
def grep_command(
    file: str,
    kind: str,
    actor: str,
    thread: str,
    object_: str,
    operation: str,
    function: str,
    steps: range | None,
    as_json: bool,
) -> ExitCode:
    """Show the events that meet all conditions; with --json as a log of its own.

    Exit code 1 when there is none.
    """
    from actors.trace.jsonl import dump  # noqa: PLC0415
    from actors.trace.query import select  # noqa: PLC0415
    from actors.trace.schema import EVENT_NAMES  # noqa: PLC0415

    if kind and kind not in EVENT_NAMES:
        raise BadInput(f"--event: found {kind!r}, expected one of {', '.join(EVENT_NAMES[1:-1])}")
    log = load(file)
    found = list(select(log.events, kind, actor, thread, object_, operation, function, steps))
    if as_json:
        click.echo(dump(log._replace(events=found)), nl=False)
    else:
        print_events(found)
    return ExitCode.OK if found else ExitCode.FOUND


@command.command("why")
@click.argument("object_", metavar="OBJECT")
@file_argument
@json_option
def why_command(object_: str, file: str, as_json: bool) -> None:
    """Tell the history of one object, and who holds it now.

    OBJECT is a region, mm, container, table, file or lock, or a part: mm:0, mm:0.mm_count, region:1,
    mem_list_mutex.
    """
    from actors.trace.why import objects, why  # noqa: PLC0415

    log = load(file)
    history = why(log, object_)
    if not (history.events or history.values or history.holders):
        known = objects(log)
        close = ", ".join(get_close_matches(object_, known, 3)) or ", ".join(known[:12]) or "nothing"
        raise BadInput(f"{file}: nothing ever happens to {object_!r}; there is {close}")
    if as_json:
        print_json(msgspec.to_builtins(history._asdict()))
    else:
        print_history(history)


def print_history(history: History) -> None:
    """Print what happened, then how things stand."""
    from actors.trace.why import summary  # noqa: PLC0415

    print_events(history.events)
    print_line()
    for line in summary(history):
        print_line(line)


@command.command("diff")
@click.argument("a", metavar="A", type=click.Path())
@click.argument("b", metavar="B", type=click.Path())
@click.option("--context", type=click.IntRange(0, 1000), default=3, show_default=True, metavar="N",
              help="Common events to show before the parting.")  # fmt: skip
@json_option
def diff_command(a: str, b: str, context: int, as_json: bool) -> ExitCode:
    """Find the first place where two runs part, and the choice that made it so.

    Exit code 1 when they do.
    """
    from actors.trace.diff import as_json as json_diff  # noqa: PLC0415
    from actors.trace.diff import diff  # noqa: PLC0415

    parting = diff(load(a), load(b), context)
    if as_json:
        print_json(json_diff(parting))
    else:
        print_parting(parting, a, b)
    return ExitCode.OK if parting.same else ExitCode.FOUND


def print_parting(parting: Parting, a: str, b: str) -> None:
    """Print where two runs part, the one beside the other."""
    from actors.trace.text import clipped, console_line, end_text  # noqa: PLC0415

    for field, (left, right) in parting.headers.items():
        print_line(f"{field}: {left} | {right}")
    if parting.same:
        print_line(f"no difference in {plural(parting.common, 'event')}")
        return
    print_line(f"the same for {plural(parting.common, 'event')}, then they part:", bold=True)
    print_events(parting.before)
    if parting.choice is not None:
        names = [choice.chosen or choice.label if choice else "nothing" for choice in parting.choice]
        print_line(f"decided: {names[0]} | {names[1]}", bold=True)
    half = (width() - 3) // 2
    click.echo(f"{clipped(a, half):{half}} | {clipped(b, half)}")
    for i in range(max(len(parting.a), len(parting.b))):
        cells = [side[i : i + 1] for side in (parting.a, parting.b)]
        texts = [squeezed(console_line(cell[0], width=half + 20), half) if cell else "" for cell in cells]
        click.echo(f"{texts[0]:{half}} | {texts[1]}".rstrip())
    for name, end in zip((a, b), parting.end, strict=True):
        print_line(f"{name}: {end_text(end) if end is not None else 'cut off'}")


def squeezed(line: str, size: int) -> str:
    """A line with its runs of blanks shortened, cut to ``size``."""
    return " ".join(line.split())[:size]


@command.command("stats")
@file_argument
@json_option
def stats_command(file: str, as_json: bool) -> None:
    """Count operations and locks: how often, how long, who waited.

    Lengths are in steps of the log.
    """
    from actors.trace.stats import stats  # noqa: PLC0415

    counted = stats(load(file))
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


@command.command("dmesg")
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
        click.echo(line)


@command.command("ftrace")
@file_argument
@json_option
def ftrace_command(file: str, as_json: bool) -> None:
    """Show the log in the format of ftrace; a step is a microsecond."""
    from actors.trace.ftrace import ftrace  # noqa: PLC0415

    lines = ftrace(load(file))
    if as_json:
        print_json({"lines": list(lines)})
        return
    for line in lines:
        click.echo(line)


@command.command("schema")
@json_option
def schema_command(as_json: bool) -> None:
    """Explain every event and field of a log; --json prints a JSON Schema."""
    from actors.trace.reference import json_schema, reference  # noqa: PLC0415

    if as_json:
        print_json(json_schema())
    else:
        click.echo(reference(), nl=False)
