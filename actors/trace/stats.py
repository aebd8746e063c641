"""Counting: per operation how often and how long, per lock how often, who waited and how long.

Lengths are in steps of the log, the only time there is.
"""

from __future__ import annotations

from typing import Any

import msgspec

from actors.trace import schema as s
from actors.trace.jsonl import Log
from actors.trace.tree import outcomes_of, value_of


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


def stats(log: Log) -> Stats:
    """Count what happened."""
    events: dict[str, int] = {}
    for event in log.events:
        name = s.event_name(type(event))
        events[name] = events.get(name, 0) + 1
    return Stats(dict(sorted(events.items())), operations(log), locks(log))


def operations(log: Log) -> list[OperationStats]:
    """Count system calls: the requests that no other request led to."""
    found: dict[str, OperationStats] = {}
    outcomes = outcomes_of(log.events)
    inner = {event.step for event in log.events if isinstance(event, s.Request)}
    for event in log.events:
        if not isinstance(event, s.Request) or event.cause in inner:
            continue
        row = found.setdefault(event.operation, OperationStats(event.operation))
        row.count += 1
        outcome = outcomes.get(event.step) or (outcomes.get(event.cause) if event.cause is not None else None)
        if outcome is None:
            row.unfinished += 1
            continue
        value: Any = value_of(outcome)
        crashed = bool(outcome.error) and not outcome.error.startswith("TaskKilled")
        row.errors += crashed or (isinstance(value, int) and value < 0)
        length = outcome.step - event.step
        row.steps += length
        row.longest = max(row.longest, length)
    return sorted(found.values(), key=lambda row: (-row.count, row.operation))


def locks(log: Log) -> list[LockStats]:
    """Count locks: who took, held and waited."""
    found: dict[str, LockStats] = {}
    since: dict[tuple[str, str], int] = {}
    waiting: dict[tuple[str, str], int] = {}
    for event in log.events:
        if not isinstance(event, (s.Acquire, s.Release, s.Wait)):
            continue
        row = found.setdefault(event.object, LockStats(event.object))
        key = event.object, event.thread
        if isinstance(event, s.Wait):
            row.waits += 1
            waiting.setdefault(key, event.step)
        elif isinstance(event, s.Acquire):
            row.taken += 1
            since[key] = event.step
            waited = event.step - waiting.pop(key, event.step)
            row.waited += waited
            row.longest_wait = max(row.longest_wait, waited)
        else:
            held = event.step - since.pop(key, event.step)
            row.held += held
            row.longest_hold = max(row.longest_hold, held)
    return sorted(found.values(), key=lambda row: (-row.waited, -row.held, row.lock))
