"""A run as a small still picture: a column a thread, a row a step that matters.

For a mail, a commit message or a page of docs: light background, no script, no network, text as text.
"""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from typing import Final, NamedTuple

from actors.draw.matter import table_of
from actors.trace import schema as s
from actors.trace.interleaving import Row, Table
from actors.trace.jsonl import Log
from actors.trace.query import by_step
from actors.trace.text import clipped, header_text

MOST: Final = 30
WIDTH: Final = 960
MARGIN, STEPS, ROW, BOX = 16, 58, 26, 20
HEAD, LANES = 62, 26
LETTER: Final = 6.65
"""Pixels of a letter at the size of the boxes' text, which is a monospaced one."""


class Look(NamedTuple):
    """Colours of a kind of row: border, background, text."""

    line: str
    fill: str
    text: str


LOOKS: Final[dict[str, Look]] = {
    "call": Look("#57606a", "#f0f2f4", "#1f2328"),
    "meet": Look("#bf8700", "#fff8dc", "#3b2f00"),
    "change": Look("#8c959f", "#ffffff", "#1f2328"),
    "wait": Look("#8250df", "#f6efff", "#3e1f79"),
    "fault": Look("#bc4c00", "#fff1e5", "#6b2b00"),
    "end": Look("#d0d7de", "#ffffff", "#57606a"),
    "complaint": Look("#cf222e", "#ffebe9", "#82071e"),
    "racing": Look("#cf222e", "#fff5f5", "#82071e"),
}
STYLE: Final = """\
text { font-family: "DejaVu Sans Mono", "Liberation Mono", Menlo, Consolas, monospace; font-size: 11px; }
.title { font-size: 14px; font-weight: bold; } .small { font-size: 10px; fill: #57606a; }
.lane { font-weight: bold; font-size: 12px; }"""


def draw(log: Log, most: int = MOST) -> str:
    """Return the picture as SVG.

    Args:
        log: of the run.
        most: rows.
    """
    table = table_of(log, most)
    end = log.end
    message = wrapped(end.message or end.verdict, 2) if end is not None else ["the log breaks off"]
    top = HEAD + 14 * len(message)
    height = top + LANES + ROW * (len(table.rows) + bool(table.left_out)) + MARGIN
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}"'
        f' height="{height}" role="img" aria-label="{attribute(header_text(log.header))}">',
        f"<style>{STYLE}</style>",
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
        *title(log, message),
        *lanes(table, top, height),
        *rows(log, table, top + LANES),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def attribute(text: str) -> str:
    """Text for an attribute, with nothing that XML cannot have."""
    return escape(clipped(text, 300), quote=True)


def wrapped(text: str, most: int) -> list[str]:
    """A message as at most so many lines of the picture's width."""
    room = int((WIDTH - 2 * MARGIN) / LETTER)
    lines, rest = [], clipped(text, room * most)
    while rest:
        cut = rest.rfind(" ", 0, room) if len(rest) > room else -1
        cut = cut if cut > 0 else room
        lines.append(rest[:cut])
        rest = rest[cut:].lstrip()
    return lines[:most]


def title(log: Log, message: list[str]) -> Iterator[str]:
    """What was run, and what it came to."""
    ended = log.end.invariant or log.end.verdict if log.end is not None else "cut off"
    colour = "#1a7f37" if ended == "ok" else "#cf222e"
    name = f"{log.header.name or 'a run'} on {log.header.kernel}"
    yield label(MARGIN, 28, clipped(name, 90), "title")
    yield label(WIDTH - MARGIN, 28, clipped(ended, 20), "title", colour, "end")
    for number, line in enumerate(message):
        yield label(MARGIN, 50 + 14 * number, line, fill="#1f2328")


def label(x: float, y: float, text: str, kind: str = "", fill: str = "", anchor: str = "") -> str:
    """A piece of text."""
    extra = f' class="{kind}"' if kind else ""
    extra += f' fill="{fill}"' if fill else ""
    extra += f' text-anchor="{anchor}"' if anchor else ""
    return f'<text x="{x:g}" y="{y:g}"{extra}>{escape(text)}</text>'


def column(table: Table, thread: str) -> tuple[float, float]:
    """Where the column of a thread begins, and how wide it is."""
    each = (WIDTH - 2 * MARGIN - STEPS) / max(1, len(table.threads))
    return MARGIN + STEPS + each * table.threads.index(thread), each


def lanes(table: Table, top: float, height: float) -> Iterator[str]:
    """The columns with their heads."""
    for thread in table.threads:
        x, size = column(table, thread)
        middle = x + size / 2
        yield (
            f'<line x1="{middle:g}" y1="{top + LANES - 6:g}" x2="{middle:g}" y2="{height - MARGIN:g}"'
            ' stroke="#d0d7de" stroke-dasharray="3 4"/>'
        )
        yield label(middle, top + 12, clipped(thread, int(size / LETTER) - 2), "lane", "#1f2328", "middle")


def rows(log: Log, table: Table, top: float) -> Iterator[str]:
    """The steps, an arc between the two that raced, and what was left out."""
    known = by_step(log.events)
    raced = []
    for number, row in enumerate(table.rows):
        y = top + ROW * number
        if row.step in table.racing:
            raced.append((column(table, row.thread)[0] + 4, y + BOX / 2))
        yield label(MARGIN + STEPS - 22, y + 14, str(row.step), "small", anchor="end")
        yield from box(table, row, y, known[row.step])
    if len(raced) == 2:
        yield race(table, *raced)
    if table.left_out:
        y = top + ROW * len(table.rows) + 14
        yield label(MARGIN + STEPS, y, f"{table.left_out} more steps that matter less are left out", "small")


def box(table: Table, row: Row, y: float, event: s.Event) -> Iterator[str]:
    """The box of a step, in the column of its thread; a complaint goes across all of them."""
    look = LOOKS["racing" if row.step in table.racing else row.why]
    x, size = column(table, row.thread)
    if row.why == "complaint":
        x, size = column(table, table.threads[0])[0], WIDTH - 2 * MARGIN - STEPS
    weight = 2 if row.step in table.racing or row.why == "complaint" else 1
    yield (
        f'<rect x="{x + 4:g}" y="{y:g}" width="{size - 8:g}" height="{BOX}" rx="4" fill="{look.fill}"'
        f' stroke="{look.line}" stroke-width="{weight}">'
        f"<title>{escape(clipped(hint(event), 300))}</title></rect>"
    )
    yield label(x + 11, y + 14, clipped(row.text, int((size - 22) / LETTER)), fill=look.text)


def hint(event: s.Event) -> str:
    """What a pointer that rests on a box is told."""
    held = f", holding {', '.join(event.held)}" if event.held else ""
    return f"step {event.step}: {event.thread} in {event.actor} {event.function}{held}"


def race(table: Table, one: tuple[float, float], other: tuple[float, float]) -> str:
    """A line at the left of the columns between the boxes of two steps that raced."""
    x = column(table, table.threads[0])[0] - 2
    bend = x - 14
    curve = f"C {bend:g} {one[1]:g} {bend:g} {other[1]:g} {x:g} {other[1]:g}"
    return (
        f'<path d="M {one[0]:g} {one[1]:g} H {x:g} {curve} H {other[0]:g}"'
        ' fill="none" stroke="#cf222e" stroke-width="1.5"/>'
    )
