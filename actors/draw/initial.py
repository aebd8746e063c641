"""What the state is before the first event: as the log tells it, and as the first accesses do."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from actors.draw.values import Key, Value, about, names, shown, text_of, who
from actors.trace import schema as s
from actors.trace.text import number
from actors.trace.why import CREATION

ABOUT: Final = "about"
"""The part that says what never changes."""

LISTS: Final = ("list", "rcu")
"""Kinds of accesses that put something on a list, take it off, or walk it."""


def told(state: s.State) -> Iterator[tuple[str, str, Value]]:
    """The state of a log's first moment as object, part, value."""
    for name, mm in state.mms.items():
        yield name, ABOUT, text_of(mm.get("comm"))
        yield from parts(name, mm, ("mm_users", "mm_count"), ("locked_vm",))
        yield name, "iommu_group_mem_list", names(r for r, v in state.regions.items() if v.get("mm") == name)
    for name, region in state.regions.items():
        yield name, ABOUT, about(region)
        yield from parts(name, region, (), ("used", "mapped"))
    for name, container in state.containers.items():
        yield from container_parts(name, container)
    for name, group in state.groups.items():
        yield from parts(name, group, (), ("container", "file", "container_users"))
    for name, file in state.files.items():
        yield name, ABOUT, about(file)
        yield from parts(name, file, ("f_count",), ())
    for name, cpu in state.cpus.items():
        yield from parts(name, cpu, (), ("running", "active_mm"))
    for lock, threads in state.locks.items():
        name, shared, _ = lock.partition("/read")
        yield name, "held by", tuple(who(thread, "read" if shared else "") for thread in threads)


def container_parts(name: str, container: Mapping[str, Any]) -> Iterator[tuple[str, str, Value]]:
    """A container, the driver's data of it, and its windows."""
    yield from parts(name, container, ("kref",), ())
    yield name, "group_list", names(container.get("groups"))
    data = container.get("tce_container")
    if not isinstance(data, str):
        return
    yield name, "iommu_data", data
    yield from parts(data, container, (), ("mm", "enabled", "def_window_pending"))
    yield data, "prereg_list", names(container.get("prereg_list"))
    yield data, "group_list", names(container.get("groups"))
    windows = container.get("windows")
    for table, window in windows.items() if isinstance(windows, dict) else ():
        if not isinstance(window, dict):
            continue
        yield table, ABOUT, about(window)
        yield from parts(table, window, ("it_kref",), ("set",))
        yield data, f"tables[{number(window.get('slot'))}]", table


def parts(
    name: str, values: Mapping[str, Any], counts: Iterable[str], plain: Iterable[str]
) -> Iterator[tuple[str, str, Value]]:
    """Reference counts with their holders, and plain values, as far as they are there."""
    for part in counts:
        if isinstance(values.get(part), dict):
            yield name, part, {text_of(k): v for k, v in values[part].items() if isinstance(v, int)}
    for part in plain:
        if part in values:
            yield name, part, shown(values[part])


def beginning(facts: Mapping[str, Any]) -> tuple[tuple[str, Value], ...]:
    """What a region, window or file is at first: one registration and no TCE; no entries; one holder."""
    if "ua" in facts:
        return ("used", "1"), ("mapped", "1")
    return (("set", "0"),) if "page_shift" in facts else (("f_count", {CREATION: 1}),)


def first_values(events: Iterable[s.Event]) -> dict[str, dict[str, Value]]:
    """Object -> part -> what it was before the log first touches it."""
    found: dict[str, dict[str, Value]] = {}
    added: set[tuple[Key, str]] = set()
    for event in events:
        if not isinstance(event, s.Access) or event.kind == "slot":
            continue
        known, part = found.setdefault(event.object, {}), event.field
        if event.kind in LISTS:
            listed(known, added, event)
        elif part in known or not part:
            continue
        elif event.kind == "reference":
            n = event.before if isinstance(event.before, int) else 0
            known[part] = {CREATION: n} if n else {}
        else:
            known[part] = shown(event.before)
    return found


def listed(known: dict[str, Value], added: set[tuple[Key, str]], event: s.Access) -> None:
    """What is taken off a list and was never put on it was there before."""
    key = (event.object, event.field)
    if event.after is not None and event.write:
        added.add((key, shown(event.after) or ""))
    elif event.before is not None and (key, shown(event.before) or "") not in added:
        items = known.get(event.field)
        known[event.field] = (*(items if isinstance(items, tuple) else ()), shown(event.before) or "")
