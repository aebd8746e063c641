"""Happens-before over one finished order: clocks, races, and who could have come first.

Two steps of different threads are ordered when they depend on each other
(:meth:`actors.runtime.ops.Op.depends_on`), when one created the other's thread, or when one completed
what the other waited for. A *race* is a pair of dependent steps with nothing ordered in between; it
can be turned around unless the first one is what enabled the second, as a release enables an acquire.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from actors.runtime.ops import Op
from actors.runtime.rcu import GracePeriod

RELEASES = frozenset({"release", "read-release", "write-release"})
NOTHING: Mapping[Any, int] = {}


class Event:
    """One step of an order.

    Attributes:
        thread: index of the thread that made it.
        op: what it did, without its guard, which belongs to a machine that is gone by then.
        guard: the name of the guard it passed; "" without one.
        awaited: threads whose read sections a grace period awaited; None when it was none.
        clock: thread -> number of its last step that happens before this one, or is this one.
    """

    __slots__ = ("awaited", "clock", "guard", "op", "thread")

    def __init__(self, thread: int, op: Op) -> None:
        guard = op.guard
        self.thread = thread
        self.op = op if guard is None else Op(op.kind, op.object, op.write, None, op.mode, op.within, op.also)
        self.guard = "" if guard is None else guard.name
        self.awaited = guard.awaited if type(guard) is GracePeriod else None
        self.clock: dict[int, int] = {}


class History:
    """The steps of one order with their clocks.

    Of what was done to an object only the last accesses matter: those since the last write, and of
    one thread the last of each mode, since what it did before happens before that.

    Args:
        events: the steps.
        births: thread -> the step that created it, or -1.
        completed: completion -> the step that completed it.
        known: how many steps, from the first on, have their clocks from an earlier order.
    """

    def __init__(
        self, events: Sequence[Event], births: dict[int, int], completed: dict[str, int], known: int = 0
    ) -> None:
        self.events = events
        self.births = births
        self.completed = completed
        self.known = known
        self.last: dict[int, int] = {}
        self.recent: dict[str, dict[tuple[int, bool, str], int]] = {}
        self.inside: dict[str, dict[tuple[int, bool], int]] = {}

    def races(self) -> Iterator[tuple[int, int]]:
        """Fill the clocks in; each race ``(earlier, later)`` of a new step that can be turned around."""
        events = self.events
        for number in range(self.known):
            self._enter(events[number], number)
        for number in range(self.known, len(events)):
            event = events[number]
            thread = event.thread
            clock = event.clock = self._inherited(event)
            enablers: list[int] = []
            for earlier in self._dependent(event):
                other = events[earlier]
                if clock.get(other.thread, -1) >= earlier:
                    continue
                if enables(other, event):
                    enablers.append(earlier)
                    continue
                yield earlier, number
                join(clock, other.clock)
            for earlier in enablers:
                join(clock, events[earlier].clock)
            clock[thread] = number
            self._enter(event, number)

    def _inherited(self, event: Event) -> dict[int, int]:
        """The clock of a step before what it touches is looked at."""
        before = self.last.get(event.thread)
        if before is None:
            before = self.births.get(event.thread, -1)
        clock = dict(self.events[before].clock) if before >= 0 else {}
        completion = self.completed.get(event.guard, -1) if event.guard else -1
        if completion >= 0:
            join(clock, self.events[completion].clock)
        return clock

    def _dependent(self, event: Event) -> list[int]:
        """Earlier steps of other threads that depend on ``event``, latest first, as far as they matter."""
        found = self._meeting(event.op, event.thread)
        for op in event.op.also:
            found += self._meeting(op, event.thread)
        return sorted(set(found), reverse=True) if len(found) > 1 else found

    def _meeting(self, op: Op, me: int) -> list[int]:
        found: list[int] = []
        for name in (op.object, op.within) if op.within else (op.object,):
            for (thread, write, _), number in self.recent.get(name, NOTHING).items():
                if thread != me and (op.write or write):
                    found.append(number)
        for (thread, write), number in self.inside.get(op.object, NOTHING).items():
            if thread != me and (op.write or write):
                found.append(number)
        return found

    def _enter(self, event: Event, number: int) -> None:
        """Remember an access, and forget those that happen before it whatever comes."""
        self.last[event.thread] = number
        self._touch(event.op, event.thread, number)
        for op in event.op.also:
            self._touch(op, event.thread, number)

    def _touch(self, op: Op, thread: int, number: int) -> None:
        if op.write and op.mode not in RELEASES:
            self.recent[op.object] = {(thread, True, op.mode): number}
            self.inside.pop(op.object, None)
        else:
            self.recent.setdefault(op.object, {})[thread, op.write, op.mode] = number
        if op.within:
            self.inside.setdefault(op.within, {})[thread, op.write] = number

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
    if not later.guard:
        return False
    if later.awaited is not None:
        return earlier.op.mode == "read-unlock" and earlier.thread in later.awaited
    return earlier.op.mode in RELEASES
