"""The state at every step of a run, worked out from what its log says changed.

The state is flat: ``(object, part)`` has a value, and an event makes a few patches, each with the
value before and after. So a reader can go forward and back a step at a time and stores no copies.

A part that the log's first ``state`` does not tell is known from its first access, which says what
it was before. Nothing changes that the log does not tell, so it had been so since the object is known.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

from actors.draw.initial import ABOUT, LISTS, beginning, first_values, told
from actors.draw.values import Key, Value, about, entry, joined_place, shown, who
from actors.trace import schema as s
from actors.trace.why import CREATION, count

LIFE: Final = "life"
"""The part that says ``freed`` or ``ended`` of what is gone."""

LAST_REFERENCES: Final = ("mm_count", "it_kref", "kref", "f_count")
"""Reference counts that free their object when the last holder lets go."""

NUMBER: Final = re.compile(r"[0-9,]{1,20}")


class Patch(NamedTuple):
    """A change of one part of the state."""

    key: Key
    old: Value
    new: Value


class Fold:
    """Follows the state through a log.

    Args:
        events: of the whole log, to know what parts were before they are first touched.

    Attributes:
        values: the state after the last event that was fed.
    """

    def __init__(self, events: Iterable[s.Event]) -> None:
        self.values: dict[Key, Value] = {}
        self.found = first_values(events)
        self.switching: dict[int, Key] = {}
        self.tasks: dict[int, str] = {}
        self.started = False
        self.patches: list[Patch] = []

    def feed(self, event: s.Event) -> list[Patch]:
        """Bring the state up to date; what changed, in order."""
        self.patches = []
        self.put(("machine", "pinned pages"), f"{event.pins:,}")
        if isinstance(event, s.State):
            self.begin(event)
        elif isinstance(event, s.Access):
            self.access(event)
        elif isinstance(event, (s.Acquire, s.Release, s.Wait, s.Wake)):
            self.lock(event)
        else:
            self.message(event)
        self.thread(event)
        return self.patches

    def put(self, key: Key, new: Value) -> None:
        """Give a part a value."""
        old = self.values.get(key)
        if old != new:
            self.patches.append(Patch(key, old, new))
            self.values[key] = new

    def meet(self, name: str) -> None:
        """Take over what an object was before the log first touches it."""
        for part, value in self.found.pop(name, {}).items():
            if (name, part) not in self.values:
                self.put((name, part), value)

    # -- events --------------------------------------------------------------------------------

    def begin(self, state: s.State) -> None:
        """Take the state over that a log begins with; later ones say nothing new."""
        if self.started:
            return
        self.started = True
        for name, part, value in told(state):
            self.put((name, part), value)
        for name in dict.fromkeys(name for name, _ in self.values):
            self.meet(name)

    def access(self, event: s.Access) -> None:
        """A shared thing was read or changed."""
        self.meet(event.object)
        key = (event.object, event.field)
        if event.facts and isinstance(event.after, str):
            self.born(event.after, event.facts)
        if event.kind == "reference":
            self.reference(key, event)
        elif event.kind in LISTS:
            self.moved(key, event)
        elif event.kind == "slot":
            self.slot(key, event)
        elif event.field:
            self.put(key, shown(event.after))
            if event.field == "freed" and event.after is True:
                self.put((event.object, LIFE), "freed")
            elif event.field == "iommu_data" and event.after is None and isinstance(event.before, str):
                self.put((event.before, LIFE), "freed")

    def born(self, name: str, facts: Mapping[str, Any]) -> None:
        """A thing comes into the log."""
        self.put((name, ABOUT), about(facts))
        self.meet(name)
        for part, value in beginning(facts):
            if (name, part) not in self.values:
                self.put((name, part), value)

    def reference(self, key: Key, event: s.Access) -> None:
        """A reference was taken or dropped, or the count was read."""
        if not isinstance(event.after, int):
            return
        known = self.values.get(key)
        holders = dict(known) if isinstance(known, dict) else {}
        missing = event.after - sum(holders.values())
        if missing:
            count(holders, event.holder or CREATION, missing)
        self.put(key, {who: n for who, n in holders.items() if n})
        if event.field in LAST_REFERENCES and event.write:
            self.put((event.object, LIFE), None if event.after else "freed")

    def moved(self, key: Key, event: s.Access) -> None:
        """Something was put on a list or taken off; a look at a list changes nothing."""
        known = self.values.get(key)
        items = list(known) if isinstance(known, tuple) else []
        if event.before is not None and event.before != event.after:
            gone = shown(event.before) or ""
            if gone in items:
                items.remove(gone)
            if event.field == "iommu_group_mem_list":
                self.put((gone, LIFE), "freed")
        elif event.after is not None and event.write:
            name = shown(event.after) or ""
            items.insert(0, name)
            self.meet(name)
        else:
            return
        self.put(key, tuple(items))

    def slot(self, key: Key, event: s.Access) -> None:
        """An entry of a window was written, or many were at once."""
        total = (event.object, "set")
        if not key[1]:
            self.put(total, shown(event.after))
            if event.after == 0:
                self.emptied(event.object)
            return
        new, known = entry(event.after), self.values.get(total)
        self.put(key, new)
        if isinstance(known, str) and key[1].startswith("[") and NUMBER.fullmatch(known):
            change = bool(new) - bool(entry(event.before))
            self.put(total, f"{int(known.replace(',', '')) + change:,}")

    def emptied(self, table: str) -> None:
        """All entries of a window were cleared at once."""
        for key in [key for key in self.values if key[0] == table and key[1].startswith("[")]:
            self.put(key, None)

    def lock(self, event: s.Acquire | s.Release | s.Wait | s.Wake) -> None:
        """A lock was taken, given back or waited for."""
        holders, waiters = (event.object, "held by"), (event.object, "waited for by")
        if isinstance(event, s.Acquire):
            self.join(holders, who(event.thread, event.mode))
            self.leave(waiters, event.thread)
        elif isinstance(event, s.Release):
            self.leave(holders, who(event.thread, event.mode))
        elif isinstance(event, s.Wait):
            self.join(waiters, event.thread)
        else:
            self.leave(waiters, event.thread)

    def join(self, key: Key, name: str) -> None:
        """Put a name on a list of names."""
        known = self.values.get(key)
        self.put(key, (*(known if isinstance(known, tuple) else ()), name))

    def leave(self, key: Key, name: str) -> None:
        """Take a name off a list of names."""
        known = self.values.get(key)
        if isinstance(known, tuple) and name in known:
            left = list(known)
            left.remove(name)
            self.put(key, tuple(left) or None)

    def message(self, event: s.Event) -> None:
        """A request to a CPU to run something else, once it is answered; the end of a thread."""
        if isinstance(event, s.Request) and event.request == "context_switch":
            task = event.args.get("task")
            self.switching[event.step] = (event.to, "running")
            self.tasks[event.step] = shown(task) or "idle"
        elif isinstance(event, s.Reply) and event.of in self.switching:
            self.put(self.switching.pop(event.of), self.tasks.pop(event.of))
        elif isinstance(event, s.Start):
            self.put((event.thread, LIFE), None)
        elif isinstance(event, s.Finish):
            self.put((event.thread, LIFE), "ended")

    def thread(self, event: s.Event) -> None:
        """Where a thread is, and for what."""
        ended = isinstance(event, s.Finish)
        place = joined_place(event.function, event.actor)
        self.put((event.thread, "in"), None if ended else place or None)
        self.put((event.thread, "for"), event.operation or None)


__all__ = ["ABOUT", "LIFE", "Fold", "Patch"]
