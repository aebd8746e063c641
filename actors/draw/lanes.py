"""Lanes of a timeline: one for each thread, actor and lock, and in them who was where from when to when.

Times are rows: the index of an event in the log. A log that was cut out of another one lacks starts
and answers; what an event says about its actor is then believed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from actors.trace import schema as s

ORDER: Final = ("process", "container", "mm", "group", "cpu", "kthread", "rcu")
"""Kinds of actors, as their lanes stand side by side; others follow."""

OUTSIDE: Final = "machine:"
"""The actor in which threads are before they call anything: their own lane stands for it."""


class Lane(NamedTuple):
    """A column.

    Attributes:
        name: of the thread, actor or lock.
        kind: ``thread``, ``actor`` or ``lock``.
        slots: how many slices stand side by side in it at most.
    """

    name: str
    kind: str
    slots: int


class Slice(NamedTuple):
    """A thread in a lane, from one row to another.

    Attributes:
        lane: its index.
        slot: place within the lane, from 0.
        first: the row where it begins.
        last: the row where it ends; the last of the log when it does not.
        thread: index of the thread's lane.
        label: the function, the mode of a lock, or the operation.
        parent: index of the slice whose request led here; -1 for none.
    """

    lane: int
    slot: int
    first: int
    last: int
    thread: int
    label: str
    parent: int


class Lanes(NamedTuple):
    """The whole drawing.

    Attributes:
        lanes: the columns, in order.
        slices: threads being in their own lane or inside an actor.
        holds: locks held.
        waits: locks waited for.
        at: row -> index of the slice that the event happened in.
    """

    lanes: list[Lane]
    slices: list[Slice]
    holds: list[Slice]
    waits: list[Slice]
    at: list[int]


class Open:
    """A slice that may not have ended yet."""

    __slots__ = ("actor", "first", "label", "lane", "last", "parent", "thread")

    def __init__(self, lane: tuple[str, str], first: int, thread: str, label: str, parent: int, actor: str):
        self.lane = lane
        self.first = first
        self.last = -1
        self.thread = thread
        self.label = label
        self.parent = parent
        self.actor = actor


class Tracks:
    """Follows all threads through a log."""

    def __init__(self) -> None:
        self.order: dict[tuple[str, str], None] = {}
        self.slices: list[Open] = []
        self.holds: list[Open] = []
        self.waits: list[Open] = []
        self.stacks: dict[str, list[int]] = {}
        self.holding: dict[tuple[str, str], list[Open]] = {}
        self.waiting: dict[str, Open] = {}
        self.at: list[int] = []

    def feed(self, row: int, event: s.Event) -> None:
        """Follow one event."""
        if isinstance(event, s.Start) or event.thread not in self.stacks:
            self.begin(row, event)
        stack = self.settled(row, event)
        self.at.append(stack[-1])
        if isinstance(event, s.Request):
            self.enter(row, event.thread, event.to, event.request, stack)
        elif isinstance(event, s.Reply) and len(stack) > 1:
            self.slices[stack.pop()].last = row
        elif isinstance(event, s.Finish):
            self.end(row, event.thread)
        elif isinstance(event, s.State):
            self.held_before(row, event)
        else:
            self.lock(row, event)

    def begin(self, row: int, event: s.Event) -> None:
        """A thread begins, or is met for the first time."""
        self.end(row - 1, event.thread)
        lane = self.lane("thread", event.thread)
        self.slices.append(Open(lane, row, event.thread, event.operation, -1, event.actor))
        self.stacks[event.thread] = [len(self.slices) - 1]
        if not event.actor.startswith(OUTSIDE) and event.actor:
            self.enter(row, event.thread, event.actor, event.function, self.stacks[event.thread])

    def settled(self, row: int, event: s.Event) -> list[int]:
        """The stack of an event's thread, its top in the actor that the event names."""
        stack = self.stacks[event.thread]
        actors = [self.slices[index].actor for index in stack]
        if not event.actor or actors[-1] == event.actor:
            return stack
        if event.actor in actors:
            while self.slices[stack[-1]].actor != event.actor:
                self.slices[stack.pop()].last = row - 1
        elif not event.actor.startswith(OUTSIDE):
            self.enter(row, event.thread, event.actor, event.function, stack)
        return stack

    def enter(self, row: int, thread: str, actor: str, label: str, stack: list[int]) -> None:
        """A thread goes into an actor."""
        self.slices.append(Open(self.lane("actor", actor), row, thread, label, stack[-1], actor))
        stack.append(len(self.slices) - 1)

    def end(self, row: int, thread: str) -> None:
        """A thread ends: it is nowhere and waits for nothing. What it holds stays held."""
        for index in self.stacks.pop(thread, ()):
            self.slices[index].last = row
        self.stop_waiting(row, thread)

    def lane(self, kind: str, name: str) -> tuple[str, str]:
        """The lane of that name, made when it is first asked for."""
        self.order.setdefault((kind, name))
        return kind, name

    # -- locks ---------------------------------------------------------------------------------

    def held_before(self, row: int, state: s.State) -> None:
        """Locks that are held when the log begins."""
        for lock, threads in state.locks.items() if not self.holds else ():
            name, shared, _ = lock.partition("/read")
            for thread in threads:
                self.hold(row, name, thread, "read" if shared else "")

    def lock(self, row: int, event: s.Event) -> None:
        """A lock is taken, given back or waited for."""
        if isinstance(event, s.Acquire):
            self.stop_waiting(row, event.thread)
            self.hold(row, event.object, event.thread, event.mode)
        elif isinstance(event, s.Release):
            held = self.holding.get((event.object, event.thread))
            if held:
                held.pop().last = row
        elif isinstance(event, s.Wait):
            self.stop_waiting(row, event.thread)
            lane = self.lane("lock", event.object)
            wait = Open(lane, row, event.thread, event.mode, -1, event.actor)
            self.waits.append(wait)
            self.waiting[event.thread] = wait
        elif isinstance(event, s.Wake):
            self.stop_waiting(row, event.thread)

    def hold(self, row: int, lock: str, thread: str, mode: str) -> None:
        """A thread holds a lock from here on."""
        held = Open(self.lane("lock", lock), row, thread, mode, -1, "")
        self.holds.append(held)
        self.holding.setdefault((lock, thread), []).append(held)

    def stop_waiting(self, row: int, thread: str) -> None:
        """A thread waits no longer."""
        wait = self.waiting.pop(thread, None)
        if wait is not None:
            wait.last = row


def lanes(events: Sequence[s.Event]) -> Lanes:
    """Lay the lanes out."""
    tracks = Tracks()
    for row, event in enumerate(events):
        tracks.feed(row, event)
    end = len(events) - 1
    for each in (*tracks.slices, *tracks.holds, *tracks.waits):
        each.last = end if each.last < 0 else max(each.last, each.first)
        tracks.lane("thread", each.thread)
    order = sorted(tracks.order, key=place)
    number = {lane: index for index, lane in enumerate(order)}
    slots: dict[int, int] = {}
    slices = placed(tracks.slices, number, slots)
    both = placed([*tracks.holds, *tracks.waits], number, slots)
    columns = [Lane(name, kind, slots.get(i, 1)) for i, (kind, name) in enumerate(order)]
    cut = len(tracks.holds)
    return Lanes(columns, slices, both[:cut], both[cut:], tracks.at)


def place(lane: tuple[str, str]) -> tuple[int, int]:
    """Where a lane stands: threads, then actors by kind, then locks; as they came within those."""
    kind, name = lane
    family = name.partition(":")[0]
    rank = ORDER.index(family) if family in ORDER else len(ORDER)
    return ("thread", "actor", "lock").index(kind), rank if kind == "actor" else 0


def placed(opened: Iterable[Open], number: dict[tuple[str, str], int], slots: dict[int, int]) -> list[Slice]:
    """Give slices that overlap in a lane places side by side, and note how many there are."""
    opened = list(opened)
    places = [0] * len(opened)
    free: dict[int, list[int]] = {}
    for index in sorted(range(len(opened)), key=lambda i: opened[i].first):
        each = opened[index]
        lane = number[each.lane]
        ends = free.setdefault(lane, [])
        slot = next((i for i, last in enumerate(ends) if last < each.first), len(ends))
        ends[slot : slot + 1] = [each.last]
        places[index], slots[lane] = slot, len(ends)
    return [
        Slice(number[o.lane], slot, o.first, o.last, number["thread", o.thread], o.label, o.parent)
        for o, slot in zip(opened, places, strict=True)
    ]


__all__ = ["Lane", "Lanes", "Slice", "lanes"]
