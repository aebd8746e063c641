"""What the kernel would have written to its log: WARNs and oopses, with who, where and how it came there."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import Any

import msgspec

from actors.trace import schema as s
from actors.trace.jsonl import Log
from actors.trace.query import by_step
from actors.trace.text import WIDTH

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
        yield from wrapped(stamp, f"BUG: {event.message}")
    else:
        yield f"{stamp}{CUT}"
        invariant = f"{event.invariant}: " if isinstance(event, (s.Misuse, s.Violation)) else ""
        yield from wrapped(stamp, f"WARNING: {f'at {place}: ' if place else ''}{invariant}{event.message}")
    yield f"{stamp}Comm: {event.thread}  Task: {event.caller or '-'}  mm: {event.mm or '-'}"
    if event.held:
        yield from wrapped(stamp, f"Locks held: {', '.join(event.held)}")
    trace = [place, *(function for function in calls(event, known) if function != place)]
    if any(trace):
        yield f"{stamp}Call Trace:"
        yield from (f"{stamp} {function}" for function in trace if function)


def wrapped(stamp: str, text: str, width: int = WIDTH) -> list[str]:
    """A long message as several lines, each with its stamp."""
    return textwrap.wrap(text, width, initial_indent=stamp, subsequent_indent=f"{stamp} ",
                         break_on_hyphens=False)  # fmt: skip


def calls(event: s.Event, known: dict[int, s.Event]) -> Iterator[str]:
    """The functions on the way to an event, innermost first, each with the actor that serves it."""
    while event.cause is not None and event.cause < event.step and event.cause in known:
        event = known[event.cause]
        if isinstance(event, s.Request):
            yield f"{event.request} [{event.to}]"


def messages_as_json(log: Log) -> list[dict[str, Any]]:
    """The kernel's messages as JSON values."""
    return [msgspec.to_builtins(event) for event in log.events if isinstance(event, s.KERNEL_MESSAGES)]
