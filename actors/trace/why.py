"""The history of one object: who took and dropped each reference, and who holds it now."""

from __future__ import annotations

from typing import Any, NamedTuple

from actors.trace import schema as s
from actors.trace.jsonl import Log
from actors.trace.query import about as is_about
from actors.trace.query import part_of
from actors.trace.text import changes, joined

CREATION = "its creation"
"""The holder of references that were there before the log saw the first change."""


class History(NamedTuple):
    """What became of an object.

    Attributes:
        object: its name.
        events: every change of it, and every lock of it taken, waited for or given back.
        values: part -> its last value.
        holders: reference count -> who holds how many now.
        locks: held lock -> threads that hold it.
        waiting: lock -> threads that wait for it.
    """

    object: str
    events: list[s.Event]
    values: dict[str, Any]
    holders: dict[str, dict[str, int]]
    locks: dict[str, list[str]]
    waiting: dict[str, list[str]]


def why(log: Log, name: str) -> History:
    """Follow the object ``name`` (``mm:0``, ``mm:0.mm_count``, ``region:1``, a lock) through a log."""
    history = History(name, [], {}, {}, {}, {})
    for event in log.events:
        if isinstance(event, s.State):
            begin(history, event)
        elif is_about(event, name) and follow(history, event):
            history.events.append(event)
    return history


def objects(log: Log) -> list[str]:
    """Every object that the log knows, for somebody who has mistyped one."""
    names = {e.object for e in log.events if isinstance(e, (s.Access, s.Acquire, s.Wait))}
    return sorted(names)


def begin(history: History, state: s.State) -> None:
    """Take over what was there when the log began; a later state adds nothing that events do not say."""
    if history.events:
        return
    for mm, values in state.mms.items():
        for field in ("mm_users", "mm_count"):
            if part_of(f"{mm}.{field}", history.object):
                history.holders[f"{mm}.{field}"] = dict(values.get(field, {}))
        if part_of(f"{mm}.locked_vm", history.object):
            history.values[f"{mm}.locked_vm"] = values.get("locked_vm")
    for region, values in state.regions.items():
        for field in ("used", "mapped"):
            if part_of(f"{region}.{field}", history.object):
                history.values[f"{region}.{field}"] = values.get(field)


def follow(history: History, event: s.Event) -> bool:
    """Bring the history up to date; whether the event belongs into it."""
    if isinstance(event, s.Access):
        return follow_access(history, event)
    if isinstance(event, s.Acquire):
        history.locks.setdefault(event.object, []).append(event.thread)
        leave(history.waiting, event.object, event.thread)
    elif isinstance(event, s.Release):
        leave(history.locks, event.object, event.thread)
    elif isinstance(event, s.Wait):
        history.waiting.setdefault(event.object, []).append(event.thread)
    elif isinstance(event, s.Wake):
        leave(history.waiting, event.object, event.thread)
    else:
        return False
    return True


def follow_access(history: History, event: s.Access) -> bool:
    """Bring values and holders up to date."""
    whole = joined(event.object, event.field)
    if event.kind == "reference" and part_of(whole, history.object) and isinstance(event.after, int):
        before = event.before if isinstance(event.before, int) else 0
        known = history.holders.setdefault(whole, {CREATION: before} if before else {})
        count(known, event.holder, event.after - before)
    elif event.kind not in ("list", "rcu") and part_of(whole, history.object):
        history.values[whole] = event.after
    return changes(event)


def count(holders: dict[str, int], holder: str, change: int) -> None:
    """Give a holder more or fewer; what nobody was seen to take came with the object."""
    if change < 0 and holder not in holders and CREATION in holders:
        holder = CREATION
    holders[holder] = holders.get(holder, 0) + change
    if not holders[holder]:
        del holders[holder]


def leave(table: dict[str, list[str]], name: str, thread: str) -> None:
    """Take a thread off a list of threads, and the list off the table when it is empty."""
    if thread in table.get(name, ()):
        table[name].remove(thread)
    if not table.get(name, True):
        del table[name]


def summary(history: History) -> list[str]:
    """How things stand at the end of the log, one line a fact."""
    lines = []
    for name, holders in sorted(history.holders.items()):
        held = ", ".join(f"{who}{f' ({n} times)' if n != 1 else ''}" for who, n in holders.items())
        about = f", held by {held}" if held else ": nobody holds it"
        lines.append(f"{name} is {sum(holders.values())}{about}")
    lines += [f"{name} is {value}" for name, value in sorted(history.values.items()) if value is not None]
    lines += [f"{name} is held by {', '.join(who)}" for name, who in sorted(history.locks.items())]
    lines += [f"{name} is waited for by {', '.join(who)}" for name, who in sorted(history.waiting.items())]
    return lines
