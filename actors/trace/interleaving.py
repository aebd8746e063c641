"""The interleaving of a failing run as a small table: a column a thread, a row a step that matters.

What matters is found from the events alone: what the kernel or an oracle complained of, what each
thread was asked to do, who had to wait, and where two threads met at one variable of which at least
one changed it. Objects that the complaint names come first when there is not room for all.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from actors.trace import schema as s
from actors.trace.query import object_of, part_of
from actors.trace.text import changes, clipped, finish_text, number, what_happened

OBJECT = re.compile(r"\b[a-z_]+:\d+\b")
SHORTER = ("VFIO_IOMMU_SPAPR_", "VFIO_IOMMU_", "VFIO_GROUP_", "VFIO_")
NARROWEST_COLUMN = 20
UNINTERESTING = frozenset({"f_count"})
"""Fields at which threads meet in every run: each system call holds its file."""


class Row(NamedTuple):
    """A step that matters.

    Attributes:
        step: its number.
        thread: who made it.
        text: what happened.
        why: ``call``, ``meet`` (two threads at one variable), ``wait``, ``fault``, ``end`` or ``complaint``.
        rank: the lower, the more it matters.
    """

    step: int
    thread: str
    text: str
    why: str
    rank: int


class Table(NamedTuple):
    """The table.

    Attributes:
        threads: the columns, in order of appearance.
        rows: the steps that matter, in order.
        left_out: how many steps that matter there was no room for.
        racing: the last two steps at which different threads met at what the complaint names.
    """

    threads: tuple[str, ...]
    rows: tuple[Row, ...]
    left_out: int
    racing: tuple[int, ...]


def interleaving(
    events: Sequence[s.Event], message: str = "", most: int = 40, racing: tuple[int, ...] | None = None
) -> Table:
    """Find the steps that matter.

    Args:
        events: of the run.
        message: what was found wrong; objects that it names matter most.
        most: rows.
        racing: the steps that raced, when they are known; None, and they are looked for.
    """
    named = blamed(events, message)
    meetings = meetings_of(events)
    marked = racing_of(events, meetings, named) if racing is None else racing
    rows = merged((event, row_of(event, meetings, named, message, marked)) for event in events)
    kept = sorted(sorted(rows, key=lambda row: (row.rank, -row.step))[:most], key=lambda row: row.step)
    threads = tuple(dict.fromkeys(row.thread for row in kept))
    return Table(threads, tuple(kept), len(rows) - len(kept), marked)


def blamed(events: Iterable[s.Event], message: str) -> tuple[str, ...]:
    """The objects that complaints are about."""
    texts = [message]
    texts += [event.message for event in events if isinstance(event, s.KERNEL_MESSAGES)]
    return tuple(dict.fromkeys(name for text in texts for name in OBJECT.findall(text)))


def meetings_of(events: Iterable[s.Event]) -> set[int]:
    """Steps at which a thread touches a variable that another one touched last, one of them to change it."""
    last: dict[str, s.Access] = {}
    met: set[int] = set()
    for event in events:
        if not isinstance(event, s.Access) or event.kind == "message":
            continue
        name = object_of(event)
        before = last.get(name)
        if before is not None and before.thread != event.thread and (changes(before) or changes(event)):
            met |= {before.step, event.step}
        if before is None or changes(event) or not changes(before) or before.thread == event.thread:
            last[name] = event
    return met


def row_of(
    event: s.Event, meetings: set[int], named: tuple[str, ...], message: str, racing: tuple[int, ...]
) -> Row | None:
    """The row of an event; None for one that does not matter."""
    about = isinstance(event, s.Access) and any(part_of(object_of(event), name) for name in named)
    why, rank = "", 9
    if isinstance(event, s.KERNEL_MESSAGES):
        why, rank = "complaint", 0
    elif event.step in racing:
        why, rank = "meet", 0
    elif isinstance(event, s.Access) and event.field in UNINTERESTING:
        return None
    elif isinstance(event, s.Request) and outermost(event):
        why, rank = "call", 1
    elif isinstance(event, (s.Fault, s.Dma)):
        why, rank = "fault", 1
    elif isinstance(event, s.Wait):
        why, rank = "wait", 3
    elif isinstance(event, s.Finish):
        why, rank = "end", 4
    elif event.step in meetings:
        why, rank = "meet", 2 if about else 6
    elif about and changes(event):
        why, rank = "change", 5
    return Row(event.step, event.thread, short_text(event, message), why, rank) if why else None


def outermost(event: s.Request) -> bool:
    """Whether a request is what its thread was told to do, not what that led to."""
    return event.operation != "" and (event.actor.startswith("machine:") or event.to == event.actor)


def short_text(event: s.Event, message: str = "") -> str:
    """What happened, as short as it can be said; not ``message`` once more."""
    if isinstance(event, (s.Violation, s.Oops)) and event.message in message:
        if isinstance(event, s.Oops):
            return f"Oops ({event.invariant})"
        return f"{event.invariant} broken" if event.invariant else "not as expected"
    if isinstance(event, s.Request):
        return f"calls {short_operation(event.operation)}"
    if isinstance(event, s.Access):
        name = object_of(event)
        if event.kind in ("list", "rcu"):
            moved = f"-{number(event.before)}" if event.after is None else f"+{number(event.after)}"
            return f"{name} {moved}" if changes(event) else f"walks {name}"
        return f"{name} {change_text(event.before, event.after)}"
    if isinstance(event, s.Finish):
        return finish_text(event)
    return what_happened(event)


def change_text(before: Any, after: Any) -> str:
    """How a value changed, or that it did not."""
    return f"is {number(after)}" if before == after else f"{number(before)} → {number(after)}"


def merged(pairs: Iterable[tuple[s.Event, Row | None]]) -> list[Row]:
    """The rows, a run of changes that one thread makes to one variable as one row."""
    rows: list[Row] = []
    first = latest = None
    for event, row in pairs:
        if row is None:
            continue
        plain_change = event if isinstance(event, s.Access) and row.why == "change" else None
        if plain_change and first and latest and continues(latest, plain_change):
            text = f"{object_of(first)} {change_text(first.before, plain_change.after)}"
            rows[-1] = rows[-1]._replace(text=text)
        else:
            rows.append(row)
            first = plain_change
        latest = plain_change
    return rows


def continues(before: s.Access, event: s.Access) -> bool:
    """Whether a change goes on where the one before it has stopped."""
    same = before.thread == event.thread and object_of(before) == object_of(event)
    return same and event.kind == "counter" and before.after == event.before


def short_operation(name: str) -> str:
    """The name of an operation without what all of them begin with."""
    return next((name.removeprefix(prefix) for prefix in SHORTER if name.startswith(prefix)), name)


def racing_of(events: Sequence[s.Event], meetings: set[int], named: tuple[str, ...]) -> tuple[int, ...]:
    """The last two steps at which two threads met at one thing that the complaint names."""
    for later in reversed(events):
        name = object_of(later)
        if later.step not in meetings or not any(part_of(name, n) for n in named):
            continue
        for earlier in reversed(events[: later.step]):
            if earlier.step < later.step and object_of(earlier) == name and earlier.thread != later.thread:
                return earlier.step, later.step
    return ()


def lines(table: Table, width: int = 100) -> list[str]:
    """The table as text; ``*`` marks the two racing accesses."""
    if not table.rows:
        return []
    room = width - 8
    columns = max(1, min(len(table.threads), room // NARROWEST_COLUMN))
    size = room // columns
    heads = [clipped(name, size - 1).ljust(size) for name in table.threads[:columns]]
    text = [f"{'step':>6}  {''.join(heads)}"]
    for row in table.rows:
        place = min(table.threads.index(row.thread), columns - 1)
        mark = "*" if row.step in table.racing else " "
        who = f"{row.thread}: " if table.threads.index(row.thread) >= columns else ""
        free = width - 8 - place * size
        text.append(f"{row.step:6}{mark} " + " " * (place * size) + clipped(who + row.text, free))
    if table.left_out:
        rest = "step, which matters less, is" if table.left_out == 1 else "steps, which matter less, are"
        text.append(f"{'':8}({table.left_out:,} more {rest} left out)")
    return [line.rstrip() for line in text]


def as_json(table: Table) -> dict[str, Any]:
    """The table as JSON values."""
    rows = [row._asdict() for row in table.rows]
    racing_steps = list(table.racing)
    return {"threads": list(table.threads), "rows": rows, "left_out": table.left_out, "racing": racing_steps}
