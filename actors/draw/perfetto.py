"""A run in the trace event format that Perfetto's viewer and Chrome open.

Each actor is a process, each thread of control that comes into it a lane there. A request is a slice
on the receiver's lane, with an arrow from where it was sent and one back from the reply. Held locks
are slices of their own process. A step is a microsecond: there is no other time in a run.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from actors.trace import schema as s
from actors.trace.jsonl import Log
from actors.trace.text import changes, end_text, header_text, joined, result, what_happened

LOCKS: Final = "locks"
MACHINE: Final = "machine"
ARRIVAL: Final = 0.5
"""What is sent at a step arrives half a step later, so that arrows have a length."""

LOUD: Final = (*s.KERNEL_MESSAGES, s.Fault, s.Dma)
"""Events that are marked on their lane."""

Slice = dict[str, Any]


def draw(log: Log, everything: bool = False) -> str:
    """Return the trace as JSON.

    Args:
        log: of the run.
        everything: also mark reads and what changes nothing.
    """
    trace = Trace(everything)
    trace.process(MACHINE)
    for event in log.events:
        trace.add(event)
    trace.finish(log.events[-1].step + 1 if log.events else 0)
    about = {"run": header_text(log.header)} | ({"end": end_text(log.end)} if log.end is not None else {})
    whole = {"traceEvents": trace.names + trace.events, "displayTimeUnit": "ns", "otherData": about}
    return msgspec.json.encode(whole).decode() + "\n"


class Trace:
    """The trace so far.

    Attributes:
        names: events that name processes and lanes.
        events: all others, in order of time.
    """

    def __init__(self, everything: bool) -> None:
        self.everything = everything
        self.names: list[Slice] = []
        self.events: list[Slice] = []
        self.processes: dict[str, int] = {}
        self.lanes: dict[tuple[str, str], int] = {}
        self.open: dict[str, list[tuple[str, str]]] = {}
        self.holds: dict[tuple[str, str], str] = {}
        self.counters: dict[str, int] = {}

    # -- where ---------------------------------------------------------------------------------

    def process(self, name: str) -> int:
        """The number of an actor; it is named when it is first met."""
        if name not in self.processes:
            self.processes[name] = number = len(self.processes) + 1
            self.names.append(meta("process_name", number, 0, {"name": name}))
            self.names.append(meta("process_sort_index", number, 0, {"sort_index": number}))
        return self.processes[name]

    def lane(self, actor: str, thread: str) -> dict[str, int]:
        """Where a thread is shown inside an actor."""
        pid = self.process(actor or MACHINE)
        key = actor or MACHINE, thread
        if key not in self.lanes:
            self.lanes[key] = tid = len(self.lanes) + 1
            self.names.append(meta("thread_name", pid, tid, {"name": thread}))
        return {"pid": pid, "tid": self.lanes[key]}

    # -- what ----------------------------------------------------------------------------------

    def add(self, event: s.Event) -> None:
        """Show one event."""
        self.count(event)
        ts = float(event.step)
        if isinstance(event, s.Start):
            self.begin(event, event.actor, event.thread, ts, {})
        elif isinstance(event, s.Request):
            self.request(event, ts)
        elif isinstance(event, s.Reply):
            self.reply(event, ts)
        elif isinstance(event, s.Finish):
            self.unwind(event.thread, ts)
        elif isinstance(event, s.Wait):
            self.begin(event, event.actor, f"waits for {event.object}", ts, {"held by": list(event.holders)})
        elif isinstance(event, s.Wake):
            self.end(event.thread, ts)
        elif isinstance(event, (s.Acquire, s.Release)):
            self.lock(event, ts)
        elif isinstance(event, LOUD) or (isinstance(event, s.Access) and (self.everything or changes(event))):
            self.mark(event, ts)

    def begin(self, event: s.Event, actor: str, name: str, ts: float, args: dict[str, Any]) -> None:
        """Begin a slice on the lane of the event's thread inside ``actor``."""
        place = actor or MACHINE, event.thread
        self.open.setdefault(event.thread, []).append(place)
        where = self.lane(*place)
        args = {"step": event.step} | args
        self.events.append({"ph": "B", "ts": ts, **where, "name": name, "cat": "run", "args": args})

    def end(self, thread: str, ts: float, args: dict[str, Any] | None = None) -> None:
        """End the innermost slice of a thread, if one is open."""
        stack = self.open.get(thread)
        if stack:
            place = stack.pop()
            self.events.append({"ph": "E", "ts": ts, **self.lane(*place), "args": args or {}})

    def unwind(self, thread: str, ts: float) -> None:
        """End all slices of a thread."""
        while self.open.get(thread):
            self.end(thread, ts)

    def request(self, event: s.Request, ts: float) -> None:
        """A request: an arrow, and a slice where it arrives."""
        flow = {"cat": "message", "name": event.request, "id": event.step}
        if not self.open.get(event.thread):
            self.begin(event, event.actor, event.thread, ts, {})
        self.events.append({"ph": "s", "ts": ts, **self.lane(event.actor, event.thread), **flow})
        self.begin(event, event.to, event.request, ts + ARRIVAL, {"operation": event.operation} | event.args)
        arrival = self.lane(event.to, event.thread)
        self.events.append({"ph": "f", "bp": "e", "ts": ts + ARRIVAL, **arrival, **flow})

    def reply(self, event: s.Reply, ts: float) -> None:
        """A reply: the slice ends, and an arrow leads back into the sender's."""
        if len(self.open.get(event.thread, ())) < 2:
            return
        flow = {"cat": "message", "name": f"{event.request} returns", "id": event.step}
        self.events.append({"ph": "s", "ts": ts, **self.lane(event.actor, event.thread), **flow})
        self.end(event.thread, ts, {"ret": event.error or result(event.ret)})
        where = self.lane(*self.open[event.thread][-1])
        self.events.append({"ph": "f", "bp": "e", "ts": ts + ARRIVAL, **where, **flow})

    def lock(self, event: s.Acquire | s.Release, ts: float) -> None:
        """A lock is held from here on, or no longer; shared ones are held by several at once."""
        key = event.object, event.thread
        taken = isinstance(event, s.Acquire)
        if taken is (key in self.holds):
            return
        if taken:
            self.holds[key] = f"{event.object} {event.thread}"
        name = self.holds[key] if taken else self.holds.pop(key)
        where = self.lane(LOCKS, event.object)
        held = {"cat": "lock", "id": name, "name": f"{event.object} held by {event.thread}"}
        self.events.append({"ph": "b" if taken else "e", "ts": ts, **where, **held})

    def mark(self, event: s.Event, ts: float) -> None:
        """A moment: a change, or something that went wrong, which is marked across all lanes."""
        scope = "g" if isinstance(event, (s.Violation, s.Oops)) else "t"
        if isinstance(event, s.Access):
            name, cat = joined(event.object, event.field), "access"
            args = {"before": event.before, "after": event.after, "holder": event.holder}
        else:
            name, cat, args = what_happened(event), s.event_name(type(event)), {}
        where = self.lane(event.actor, event.thread)
        args |= {"step": event.step, "function": event.function}
        self.events.append({"ph": "i", "ts": ts, **where, "s": scope, "name": name, "cat": cat, "args": args})

    def count(self, event: s.Event) -> None:
        """Show pins and charges where they change."""
        values = {"pinned pages": event.pins}
        if event.mm:
            values[f"locked_vm of {event.mm}"] = event.locked_vm
        for name, value in values.items():
            if self.counters.get(name) != value:
                self.counters[name] = value
                where = {"pid": self.process(MACHINE), "tid": 0}
                counted = {"name": name, "args": {"pages": value}}
                self.events.append({"ph": "C", "ts": float(event.step), **where, **counted})

    def finish(self, ts: float) -> None:
        """End everything that the run leaves open."""
        for thread in list(self.open):
            self.unwind(thread, ts + ARRIVAL)
        for (lock, thread), name in self.holds.items():
            held = {"cat": "lock", "id": name, "name": f"{lock} held by {thread}"}
            self.events.append({"ph": "e", "ts": ts + ARRIVAL, **self.lane(LOCKS, lock), **held})
        self.events.sort(key=lambda event: float(event["ts"]))


def meta(name: str, pid: int, tid: int, args: dict[str, Any]) -> Slice:
    """An event that names something."""
    return {"ph": "M", "ts": 0.0, "pid": pid, "tid": tid, "name": name, "args": args}
