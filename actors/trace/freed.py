"""Of a use after free: the step that found the object, and the one that has taken it away since."""

from __future__ import annotations

import re

from actors.trace import schema as s
from actors.trace.jsonl import Log
from actors.trace.query import about, object_of
from actors.trace.text import changes

FREED = re.compile(r"use after free of ([a-z_]+:\d+)")

KINDS = ("list", "rcu", "reference", "counter", "field", "slot")
"""Which accesses say best that an object is gone: it left its list, its last reference went ..."""


def freed(log: Log, message: str) -> tuple[int, ...]:
    """Of a use after free: the step that found the object, and the one that has taken it away since."""
    found = FREED.search(message)
    if found is None:
        return ()
    name, user = found[1], log.events[-1].thread
    accesses = [event for event in log.events if isinstance(event, s.Access)]
    taken = [event for event in accesses if event.thread != user and takes_away(event, name)]
    if not taken:
        return ()
    seen = {object_of(event) for event in accesses if event.thread == user}
    last = min(taken, key=lambda event: (KINDS.index(event.kind), object_of(event) not in seen, -event.step))
    looks = [event for event in accesses if event.thread == user and event.step < last.step]
    pointers = [event for event in looks if name in (event.before, event.after)]
    walks = [event for event in looks if object_of(event) == object_of(last)]
    touches = [event for event in looks if about(event, name)]
    return (*(event.step for event in (pointers or walks or touches)[-1:]), last.step)


def takes_away(event: s.Access, name: str) -> bool:
    """Whether an access takes an object off a list, drops the last reference to it, or forgets it."""
    if event.kind not in KINDS:
        return False
    if event.before == name and event.after is None:
        return True
    counted = event.kind in ("reference", "counter") and about(event, name)
    return counted and changes(event) and event.after in (0, None)
