"""What the kernel would have written to its log: WARNs and oopses, with who, where and how it came there."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from actors.trace import schema as s
from actors.trace.jsonl import Log
from actors.trace.query import by_step

CUT = "------------[ cut here ]------------"


def dmesg(log: Log) -> Iterator[str]:
    """What a kernel log would show: WARNs and oopses with who, where and how it came there."""
    known = by_step(log.events)
    for event in log.events:
        if isinstance(event, s.KERNEL_MESSAGES):
            yield from message(event, known)


def message(event: s.Warn | s.Misuse | s.Oops | s.Violation, known: dict[int, s.Event]) -> Iterator[str]:
    """One message of a kernel."""
    stamp = f"[{event.step:8}] "
    place = getattr(event, "place", "") or event.function
    if isinstance(event, s.Oops):
        yield f"{stamp}BUG: {event.message}"
    else:
        yield f"{stamp}{CUT}"
        invariant = f"{event.invariant}: " if isinstance(event, (s.Misuse, s.Violation)) else ""
        yield f"{stamp}WARNING: at {place}: {invariant}{event.message}"
    yield f"{stamp}Comm: {event.thread}  Task: {event.caller or '-'}  mm: {event.mm or '-'}"
    if event.held:
        yield f"{stamp}Locks held: {', '.join(event.held)}"
    yield f"{stamp}Call Trace:"
    yield f"{stamp} {place}"
    for function in calls(event, known):
        if function != place:
            yield f"{stamp} {function}"


def calls(event: s.Event, known: dict[int, s.Event]) -> Iterator[str]:
    """The functions on the way to an event, innermost first, each with the actor that serves it."""
    while event.cause is not None and event.cause < event.step and event.cause in known:
        event = known[event.cause]
        if isinstance(event, s.Request):
            yield f"{event.request} [{event.to}]"


def messages_as_json(log: Log) -> list[dict[str, Any]]:
    """The kernel's messages as JSON values."""
    return [msgspec.to_builtins(event) for event in log.events if isinstance(event, s.KERNEL_MESSAGES)]
