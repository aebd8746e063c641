"""Tables and progress, the same in every command.

On a terminal there is colour, and a progress bar on standard error; in a pipe the text is plain and
fits 100 columns. ``NO_COLOR`` is honoured.
"""

from __future__ import annotations

import os
import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import zip_longest
from shutil import get_terminal_size
from typing import Any, NamedTuple

import click
import msgspec

WIDTH = 100
"""Columns of text in a pipe, and at most on a terminal."""

GAP = "  "
NARROWEST = 16
Advance = Callable[[int, str], None]


class Column(NamedTuple):
    """A column of a table.

    Attributes:
        title: its head.
        right: whether it is a number, set to the right.
        wraps: whether its text may be broken into lines; at most one column of a table.
    """

    title: str
    right: bool = False
    wraps: bool = False


class Cell(NamedTuple):
    """A cell with a colour of its own."""

    text: str
    colour: str


def width() -> int:
    """How many columns there are to write in."""
    return min(WIDTH, get_terminal_size((WIDTH, 24)).columns) if sys.stdout.isatty() else WIDTH


def print_line(text: str = "", indent: int = 0, *, colour: str = "", bold: bool = False) -> None:
    """Print a paragraph, broken at words and indented."""
    margin = " " * indent
    lines = textwrap.wrap(
        text, width(), initial_indent=margin, subsequent_indent=margin, break_on_hyphens=False
    )
    for line in lines or [""]:
        click.echo(styled(line, colour, bold))


def print_command(text: str, indent: int = 2) -> None:
    """Print a line to be copied: never broken."""
    click.echo(" " * indent + printable(text))


def print_table(columns: Sequence[Column], rows: Iterable[Sequence[Any]]) -> None:
    """Print rows under their titles; a cell is text, a number or a :class:`Cell`."""
    cells = [[cell if isinstance(cell, Cell) else Cell(shown(cell), "") for cell in row] for row in rows]
    widths = fitted(columns, cells)
    print_row(columns, widths, [Cell(column.title, "") for column in columns], bold=True)
    for row in cells:
        print_row(columns, widths, row)


def fitted(columns: Sequence[Column], rows: list[list[Cell]]) -> list[int]:
    """Widths of the columns: natural ones, but the wrapping column takes only what is left."""
    widths = [
        max(len(column.title), *(len(row[i].text) for row in rows), 0) for i, column in enumerate(columns)
    ]
    too_wide = sum(widths) + len(GAP) * (len(widths) - 1) - width()
    for i, column in enumerate(columns):
        if column.wraps and too_wide > 0:
            widths[i] = max(NARROWEST, widths[i] - too_wide)
    return widths


def print_row(columns: Sequence[Column], widths: list[int], row: list[Cell], bold: bool = False) -> None:
    """Print one row, on several lines where a cell wraps."""
    wrapped = [
        textwrap.wrap(cell.text, size, break_on_hyphens=False) if column.wraps else [cell.text]
        for column, cell, size in zip(columns, row, widths, strict=True)
    ]
    for line in zip_longest(*wrapped, fillvalue=""):
        parts = [
            styled(text.rjust(size) if column.right else text.ljust(size), cell.colour, bold)
            for column, cell, size, text in zip(columns, row, widths, line, strict=True)
        ]
        click.echo(GAP.join(parts).rstrip())


def styled(text: str, colour: str, bold: bool) -> str:
    """The text with the codes of its colour where a terminal shows them; codes in it are made harmless."""
    text = printable(text)
    if not (colour or bold) or not sys.stdout.isatty() or os.environ.get("NO_COLOR"):
        return text
    return click.style(text, fg=colour or None, bold=bold or None)


def printable(text: str) -> str:
    """The text with control characters spelled out: a name in a file must not command the terminal."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def print_json(value: object) -> None:
    """Print a value as JSON."""
    click.echo(msgspec.json.format(msgspec.json.encode(value), indent=2))


def shown(cell: object) -> str:
    """A cell as text: numbers with thousands separated, seconds short."""
    if isinstance(cell, float):
        return f"{cell:.2f}" if cell < 10 else f"{cell:,.1f}"
    return f"{cell:,}" if isinstance(cell, int) else str(cell)


def plural(count: int, noun: str) -> str:
    """``1 vector``, ``2 vectors``, ``2 replies``."""
    if count == 1:
        return f"1 {noun}"
    return f"{count:,} {noun[:-1]}ies" if noun.endswith("ply") else f"{count:,} {noun}s"


@contextmanager
def progress(total: int | None) -> Iterator[Advance]:
    """Show a bar on standard error while the block runs; nothing when that is no terminal.

    Args:
        total: how much there is to do; None when nobody knows.

    Yields:
        A function that takes how much more is done and what is being done.
    """
    if not sys.stderr.isatty():
        yield lambda done, doing: None
        return
    from rich.console import Console  # noqa: PLC0415 - only where it is seen
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn  # noqa: PLC0415

    columns = (BarColumn(24), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=total)
        yield lambda done, doing: bar.update(task, advance=done, description=doing)
