"""Happens-before over one finished order: clocks, races, and who could have come first.

Two steps of different threads are ordered when they depend on each other
(:meth:`actors.runtime.ops.Op.depends_on`), when one created the other's thread, or when one completed
what the other waited for. A *race* is a pair of dependent steps with nothing ordered in between; it
can be turned around unless the first one is what enabled the second, as a release enables an acquire.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from actors.runtime.rcu import GracePeriod

if TYPE_CHECKING:
    from actors.runtime.ops import Op

RELEASES = frozenset({"release", "read-release", "write-release"})


class Event:
    """One step of an order.

    Attributes:
        thread: index of the thread that made it.
        op: what it did.
        clock: thread -> number of its last step that happens before this one, or is this one.
    """

    __slots__ = ("clock", "op", "thread")

    def __init__(self, thread: int, op: Op) -> None:
        self.thread = thread
        self.op = op
        self.clock: dict[int, int] = {}


class History:
    """The steps of one order with their clocks.

    Args:
        events: the steps; their clocks are filled in.
        births: thread -> the step that created it, or -1.
        completed: completion -> the step that completed it.
    """

    def __init__(self, events: Sequence[Event], births: dict[int, int], completed: dict[str, int]) -> None:
        self.events = events
        self.births = births
        self.completed = completed
        self.touched: dict[str, list[int]] = {}
        self.parts: dict[str, list[str]] = {}

    def races(self) -> Iterator[tuple[int, int]]:
        """Fill the clocks in; each race ``(earlier, later)`` that can be turned around."""
        last: dict[int, int] = {}
        for number, event in enumerate(self.events):
            clock = event.clock = self._inherited(event, last)
            enablers: list[int] = []
            for earlier in self._dependent(event):
                other = self.events[earlier]
                if other.thread == event.thread or clock.get(other.thread, -1) >= earlier:
                    continue
                if enables(other, event):
                    enablers.append(earlier)
                    continue
                yield earlier, number
                join(clock, other.clock)
            for earlier in enablers:
                join(clock, self.events[earlier].clock)
            clock[event.thread] = number
            last[event.thread] = number
            self._enter(event, number)

    def _inherited(self, event: Event, last: dict[int, int]) -> dict[int, int]:
        """The clock of a step before what it touches is looked at."""
        before = last.get(event.thread)
        if before is None:
            before = self.births.get(event.thread, -1)
        clock = dict(self.events[before].clock) if before >= 0 else {}
        guard = event.op.guard
        if guard is not None and guard.name in self.completed:
            completion = self.completed[guard.name]
            if completion >= 0:
                join(clock, self.events[completion].clock)
        return clock

    def _dependent(self, event: Event) -> Iterator[int]:
        """Earlier steps that depend on ``event``, latest first, as far back as they can matter."""
        op = event.op
        names = [op.object]
        if op.within:
            names.append(op.within)
        names += self.parts.get(op.object, ())
        found = [number for name in names for number in self._since_write(name, op)]
        return iter(sorted(found, reverse=True)) if len(names) > 1 else iter(found)

    def _since_write(self, name: str, op: Op) -> Iterator[int]:
        """Accesses of one object that depend on ``op``, latest first, back to the last write."""
        for number in reversed(self.touched.get(name, ())):
            other = self.events[number].op
            if other.write or op.write:
                yield number
            if other.write and other.mode not in RELEASES:
                return

    def _enter(self, event: Event, number: int) -> None:
        op = event.op
        if op.within and op.object not in self.touched:
            self.parts.setdefault(op.within, []).append(op.object)
        self.touched.setdefault(op.object, []).append(number)

    def initials(self, earlier: int, later: int) -> set[int]:
        """Threads that could make the first step if ``later`` were to come before ``earlier``.

        The steps after ``earlier`` that do not happen after it, and then ``later``, could all be made
        without it; a thread is an initial if its first step among them happens after none of the others.
        """
        events = self.events
        start = events[earlier].thread
        firsts: dict[int, int] = {}
        for number in (*range(earlier + 1, later), later):
            event = events[number]
            if number != later and event.clock.get(start, -1) >= earlier:
                continue
            firsts.setdefault(event.thread, number)
        return {
            thread
            for thread, number in firsts.items()
            if not any(
                first < number and events[number].clock.get(other, -1) >= first
                for other, first in firsts.items()
                if other != thread
            )
        }


def join(clock: dict[int, int], other: dict[int, int]) -> None:
    """Make ``clock`` cover ``other`` too."""
    for thread, number in other.items():
        if clock.get(thread, -1) < number:
            clock[thread] = number


def enables(earlier: Event, later: Event) -> bool:
    """Whether ``later`` could not have happened without ``earlier``."""
    guard = later.op.guard
    if guard is None:
        return False
    if isinstance(guard, GracePeriod):
        return earlier.op.mode == "read-unlock" and earlier.thread in guard.awaited
    return earlier.op.mode in RELEASES
