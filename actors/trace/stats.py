"""Counting: per operation how often and how long, per lock how often, who waited and how long.

Lengths are in steps of the log, the only time there is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import msgspec

from actors.trace import schema as s
from actors.trace.tree import value_of


class OperationStats(msgspec.Struct):
    """One kind of system call.

    Attributes:
        operation: its name.
        count: calls.
        errors: calls that returned a negative number or crashed.
        steps: steps from call to return, together.
        longest: of one call.
        unfinished: calls that the log does not see the end of.
    """

    operation: str
    count: int = 0
    errors: int = 0
    steps: int = 0
    longest: int = 0
    unfinished: int = 0


class LockStats(msgspec.Struct):
    """One lock, or another thing that threads wait for.

    Attributes:
        lock: its name.
        taken: how often it was taken.
        waits: how often somebody had to wait.
        waited: steps waited, together.
        longest_wait: of one wait.
        held: steps held, together.
        longest_hold: of one time.
    """

    lock: str
    taken: int = 0
    waits: int = 0
    waited: int = 0
    longest_wait: int = 0
    held: int = 0
    longest_hold: int = 0


class Stats(msgspec.Struct):
    """All counts of a log.

    Attributes:
        events: kind -> how many.
        operations: by name.
        locks: by name.
    """

    events: dict[str, int]
    operations: list[OperationStats]
    locks: list[LockStats]


def stats(events: Iterable[s.Event]) -> Stats:
    """Count what happened, in one pass and in no more memory than what is open at once takes."""
    counts: Counter[str] = Counter()
    calls, locks = Calls(), Locks()
    for event in events:
        counts[s.event_name(type(event))] += 1
        calls.take(event)
        locks.take(event)
    return Stats(dict(sorted(counts.items())), calls.rows(), locks.rows())


class Calls:
    """Counts system calls: the requests that no other request led to."""

    def __init__(self) -> None:
        self.found: dict[str, OperationStats] = {}
        self.open: dict[int, s.Request | None] = {}
        self.bodies: dict[int, s.Request] = {}

    def take(self, event: s.Event) -> None:
        """Take one event."""
        if isinstance(event, s.Request):
            outer = event.cause not in self.open
            self.open[event.step] = event if outer else None
            if outer:
                self.row(event).count += 1
                if event.cause is not None:
                    self.bodies[event.cause] = event
        elif isinstance(event, s.Reply) and event.of is not None:
            self.ended(self.open.pop(event.of, None), event)
        elif isinstance(event, s.Finish) and event.cause is not None:
            # The request with which a thread of a process begins is answered by the thread's end.
            call = self.bodies.pop(event.cause, None)
            if call is not None and self.open.pop(call.step, None) is not None:
                self.ended(call, event)

    def row(self, call: s.Request) -> OperationStats:
        """The counts of the operation that a call is."""
        return self.found.setdefault(call.operation, OperationStats(call.operation))

    def ended(self, call: s.Request | None, outcome: s.Reply | s.Finish) -> None:
        """Enter how a call ended and how long it took."""
        if call is None:
            return
        row, value, length = self.row(call), value_of(outcome), outcome.step - call.step
        crashed = bool(outcome.error) and not outcome.error.startswith("TaskKilled")
        row.errors += crashed or (isinstance(value, int) and value < 0)
        row.steps += length
        row.longest = max(row.longest, length)

    def rows(self) -> list[OperationStats]:
        """The counts, the most frequent first; what is still open is unfinished."""
        for call in self.open.values():
            if call is not None:
                self.row(call).unfinished += 1
        return sorted(self.found.values(), key=lambda row: (-row.count, row.operation))


class Locks:
    """Counts locks: who took, held and waited."""

    def __init__(self) -> None:
        self.found: dict[str, LockStats] = {}
        self.since: dict[tuple[str, str], int] = {}
        self.waiting: dict[tuple[str, str], int] = {}

    def take(self, event: s.Event) -> None:
        """Take one event."""
        if not isinstance(event, (s.Acquire, s.Release, s.Wait)):
            return
        row = self.found.setdefault(event.object, LockStats(event.object))
        key = event.object, event.thread
        if isinstance(event, s.Wait):
            row.waits += 1
            self.waiting.setdefault(key, event.step)
        elif isinstance(event, s.Acquire):
            row.taken += 1
            self.since[key] = event.step
            waited = event.step - self.waiting.pop(key, event.step)
            row.waited += waited
            row.longest_wait = max(row.longest_wait, waited)
        else:
            held = event.step - self.since.pop(key, event.step)
            row.held += held
            row.longest_hold = max(row.longest_hold, held)

    def rows(self) -> list[LockStats]:
        """The counts, the longest waited for first."""
        return sorted(self.found.values(), key=lambda row: (-row.waited, -row.held, row.lock))
