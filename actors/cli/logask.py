"""``tcemu log tree``, ``grep``, ``why`` and ``diff``: questions to a log."""

from __future__ import annotations

import sys
from difflib import get_close_matches
from itertools import islice, zip_longest
from typing import TYPE_CHECKING

import click
import msgspec

from actors.cli.exits import BadInput, ExitCode
from actors.cli.logread import file_argument, load, paint, print_events, streamed
from actors.cli.options import json_option
from actors.cli.tables import plural, print_json, print_line, width

if TYPE_CHECKING:
    from actors.trace import schema as s
    from actors.trace.diff import Parting
    from actors.trace.why import History


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


@click.command("tree")
@file_argument
@click.option("--all", "everything", is_flag=True, help="Also what changes nothing: reads, locks, choices.")
@click.option("--operation", metavar="TEXT", default="", help="Only calls with this in their name.")
@click.option("--object", "object_", metavar="NAME", default="", help="Only calls that led to this.")
@click.option("--thread", metavar="NAME", default="", help="Only what this thread began.")
@click.option("--steps", metavar="FROM:TO", callback=step_range, help="Only what these steps led to.")
@json_option
def tree_command(
    file: str,
    everything: bool,
    operation: str,
    object_: str,
    thread: str,
    steps: range | None,
    as_json: bool,
) -> ExitCode:
    """Show the causal tree: a system call, and what it caused.

    Exit code 1 when nothing meets the conditions.
    """
    from actors.trace.tree import as_json as json_row  # noqa: PLC0415
    from actors.trace.tree import below, row_text, tree  # noqa: PLC0415

    rows = list(below(tree(load(file), everything), operation, thread, steps, object_))
    if as_json:
        print_json({"rows": [json_row(row) for row in rows]})
    else:
        columns, style = width(), paint()
        for row in rows:
            click.echo(row_text(row, columns, style))
    return ending(file, len(rows))


@click.command("grep")
@file_argument
@click.option("--event", "kind", metavar="KIND", default="", help="Kind of event, such as access or wait.")
@click.option("--actor", metavar="ID", default="", help="Where it happened, such as mm:0.")
@click.option("--thread", metavar="NAME", default="", help="Who did it.")
@click.option("--object", "object_", metavar="NAME", default="", help="What it is about, or a part of that.")
@click.option("--operation", metavar="TEXT", default="", help="Part of the system call's name.")
@click.option("--function", metavar="NAME", default="", help="The kernel function.")
@click.option("--steps", metavar="FROM:TO", callback=step_range, help="Steps, without the last.")
@click.option("--first", type=click.IntRange(1), metavar="N", help="Only the first N of them.")
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
    first: int | None,
    as_json: bool,
) -> ExitCode:
    """Show the events that meet all conditions.

    With --json: as a log of its own. Exit code 1 when there is none.
    """
    from actors.trace.jsonl import encode  # noqa: PLC0415
    from actors.trace.query import select  # noqa: PLC0415
    from actors.trace.schema import EVENT_NAMES  # noqa: PLC0415

    if kind and kind not in EVENT_NAMES:
        raise BadInput(f"--event: found {kind!r}, expected one of {', '.join(EVENT_NAMES[1:-1])}")
    header, events, ends = streamed(file)
    found = islice(select(events, kind, actor, thread, object_, operation, function, steps), first)
    if not as_json:
        return ending(file, print_events(found))
    click.echo(encode(header), nl=False)
    count = 0
    for count, event in enumerate(found, 1):  # noqa: B007 - it is used below
        click.echo(encode(event), nl=False)
    for end in ends:
        click.echo(encode(end), nl=False)
    return ending(file, count)


def ending(file: str, found: int) -> ExitCode:
    """The exit code of a search; that there is nothing is said on standard error."""
    if not found:
        click.echo(f"{file}: nothing meets the conditions", err=True)
    return ExitCode.OK if found else ExitCode.FOUND


@click.command("why")
@click.argument("object_", metavar="OBJECT")
@file_argument
@json_option
def why_command(object_: str, file: str, as_json: bool) -> None:
    """Tell the history of one object, and who holds it now.

    OBJECT is a region, mm, container, table, file or lock, or a part: mm:0, mm:0.mm_count, region:1,
    mem_list_mutex. page:0x1421 is a page of RAM by its number: the TCEs that pointed to it, and the
    devices that touched it.
    """
    from actors.trace.why import objects, why  # noqa: PLC0415

    log = load(file)
    history = why(log, object_)
    if not object_ or not (history.events or history.values or history.holders):
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


@click.command("diff")
@click.argument("a", metavar="A", type=click.Path())
@click.argument("b", metavar="B", type=click.Path())
@click.option("--context", type=click.IntRange(0, 1000), default=3, show_default=True, metavar="N",
              help="Common events to show before the parting.")  # fmt: skip
@json_option
def diff_command(a: str, b: str, context: int, as_json: bool) -> ExitCode:
    """Find where two runs part, and the choice that made it so.

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
    from actors.trace.text import clipped, end_text  # noqa: PLC0415

    for field, (left, right) in parting.headers.items():
        plain = left != right and all(isinstance(value, str | int | dict | None) for value in (left, right))
        both = f"{header_text(left)} | {header_text(right)}" if plain else "not the same"
        print_line(f"{field}: {both}")
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
    for left, right in zip_longest(parting.a, parting.b):
        texts = [clipped(short_line(event), half) if event else "" for event in (left, right)]
        click.echo(f"{texts[0]:{half}} | {texts[1]}".rstrip())
    for name, end in zip((a, b), parting.end, strict=True):
        print_line(f"{name}: {end_text(end) if end is not None else 'cut off'}")


def header_text(value: object) -> str:
    """A value of a header: ``page_size=4096``; ``-`` for none."""
    if isinstance(value, dict):
        return ", ".join(f"{key}={each}" for key, each in value.items()) or "-"
    return "-" if value in (None, "") else str(value)


def short_line(event: s.Event) -> str:
    """An event where there is room for half a line."""
    from actors.trace.text import what_happened  # noqa: PLC0415

    return f"{event.step} {event.thread} {what_happened(event)}"
