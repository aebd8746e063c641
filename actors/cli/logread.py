"""What the commands of ``tcemu log`` share: reading a log, and printing events."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import click

from actors.cli.tables import plural, width

if TYPE_CHECKING:
    from actors.trace import schema as s
    from actors.trace.jsonl import Log
    from actors.trace.text import Paint

file_argument = click.argument("file", metavar="FILE", type=click.Path())


def load(file: str) -> Log:
    """Read a log; one that breaks off is told of on standard error."""
    from actors.trace.jsonl import read_log  # noqa: PLC0415 - not for the help

    log = read_log(file)
    if log.end is None:
        count = plural(len(log.events), "event")
        click.echo(f"{file}: the log has no end; it was cut off after {count}", err=True)
    return log


def streamed(file: str) -> tuple[s.Header, Iterator[s.Event], list[s.End]]:
    """Read a log event by event, however long it is: header, events, and the end once that is reached."""
    from actors.trace.jsonl import read_lines  # noqa: PLC0415 - not for the help
    from actors.trace.schema import End, Header  # noqa: PLC0415

    lines = read_lines(file)
    header, ends = next(lines), list[End]()
    assert isinstance(header, Header)

    def events() -> Iterator[s.Event]:
        for line in lines:
            if isinstance(line, End):
                ends.append(line)
            elif not isinstance(line, Header):
                yield line
        if not ends:
            click.echo(f"{file}: the log has no end; it was cut off", err=True)

    return header, events(), ends


def paint() -> Paint:
    """How to colour: only a terminal shows colours."""
    from actors.trace.text import ansi_paint, no_paint  # noqa: PLC0415

    return ansi_paint if sys.stdout.isatty() and not os.environ.get("NO_COLOR") else no_paint


def print_events(events: Iterable[s.Event]) -> int:
    """Print events, one a line, and return how many there were."""
    from actors.trace.text import console_line  # noqa: PLC0415

    style, columns, count = paint(), width(), 0
    for event in events:
        click.echo(console_line(event, style, columns))
        count += 1
    return count
