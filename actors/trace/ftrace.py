"""A log in the text format of ftrace, for the eyes and tools that are used to it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from actors.trace import schema as s
from actors.trace.text import joined, listed, number

HEAD = """\
# tracer: tcemu
#
#           TASK-TID     CPU#   TIMESTAMP  FUNCTION
#              | |         |       |         |"""


def ftrace(events: Iterable[s.Event]) -> Iterator[str]:
    """Every event but the whole state as a line of ftrace; a step is a microsecond."""
    yield from HEAD.splitlines()
    tids: dict[str, int] = {}
    for event in events:
        if isinstance(event, s.State):
            continue
        tid = tids.setdefault(event.thread, len(tids) + 1)
        task = f"{event.thread[:16]}-{tid}"
        seconds, micros = divmod(event.step, 1_000_000)
        place = event.function or event.actor or "-"
        yield f"{task:>20}    [000] {seconds:5}.{micros:06}: {place}: {fields(event)}"


def fields(event: s.Event) -> str:
    """An event's own fields in the way of trace points."""
    name = s.event_name(type(event))
    if isinstance(event, s.Access):
        target = joined(event.object, event.field)
        holder = f" holder={event.holder}" if event.holder else ""
        return f"{name}: {target} {number(event.before)}->{number(event.after)}{holder}"
    common = set(s.Happening.__struct_fields__)
    values = {key: getattr(event, key) for key in event.__struct_fields__ if key not in common}
    return f"{name}: " + " ".join(f"{key}={spelled(value)}" for key, value in values.items())


def spelled(value: Any) -> str:
    """The value of a field; one with parts is put into braces."""
    return f"{{{listed(value)}}}" if isinstance(value, dict) else number(value)
