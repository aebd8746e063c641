"""The history of one object: who took and dropped each reference, and who holds it now."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from actors.program.values import MachineSpec
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
    """Follow the object ``name`` (``mm:0``, ``mm:0.mm_count``, ``region:1``, a lock) through a log.

    ``page:0x1421`` is a page of RAM by its number.
    """
    if name.startswith("page:"):
        return history_of_page(log, name)
    history = History(name, [], {}, {}, {}, {})
    for event in log.events:
        if isinstance(event, s.State):
            begin(history, event)
        elif (is_about(event, name) and follow(history, event)) or complains(event, name):
            history.events.append(event)
    return history


def complains(event: s.Event, name: str) -> bool:
    """Whether the kernel or an oracle complains of an object, or of a part of it."""
    if not isinstance(event, s.KERNEL_MESSAGES):
        return False
    return re.search(rf"(?<![\w:.]){re.escape(name)}(?!\w)", event.message) is not None


def history_of_page(log: Log, name: str) -> History:
    """Follow a page of RAM: which entries of tables pointed to it, who looked it up, which device hit it.

    A whole range that is mapped in one step is not told of entry by entry.
    """
    history = History(name, [], {}, {}, {}, {})
    try:
        pfn = int(name.removeprefix("page:"), 0)
    except ValueError:
        return history
    size = log.header.machine.get("page_size", MachineSpec().page_size)
    for event in log.events:
        if isinstance(event, s.Access) and event.kind == "slot":
            was, now = (is_in(value, pfn, size) for value in (event.before, event.after))
            if now:
                history.values[joined(event.object, event.field)] = "pointing to it"
            elif was:
                history.values.pop(joined(event.object, event.field), None)
            found = was or now
        elif isinstance(event, s.Reply):
            found = isinstance(event.ret, dict) and is_in([event.ret.get("hpa")], pfn, size)
        else:
            found = isinstance(event, s.Dma) and any(hit.get("pfn") == pfn for hit in event.hits)
        if found:
            history.events.append(event)
    return history


def is_in(entry: Any, pfn: int, size: int) -> bool:
    """Whether the address that an entry begins with lies in a page."""
    return isinstance(entry, list) and bool(entry) and isinstance(entry[0], int) and entry[0] // size == pfn


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
