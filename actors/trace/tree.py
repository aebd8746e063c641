"""The causal tree: a system call, and under it all that it caused, across actors and threads."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec

from actors.trace import schema as s
from actors.trace.jsonl import Log
from actors.trace.text import changes, clipped, joined, number, result, what_happened

DEEPEST = 40
"""Levels that are shown one under the other; what is deeper is shown at this depth."""


class Row(NamedTuple):
    """One event in the tree.

    Attributes:
        depth: 0 for what nothing in the log has caused.
        event: the event.
        outcome: of a request the answer, of a thread the end; None while there is none.
    """

    depth: int
    event: s.Event
    outcome: s.Reply | s.Finish | None


def tree(log: Log, everything: bool = False) -> Iterator[Row]:
    """The events in the order of the tree, each cause before its effects.

    Args:
        log: the log.
        everything: also what changes nothing: reads, locks, choices.
    """
    children: dict[int | None, list[s.Event]] = {}
    known = {event.step for event in log.events}
    outcomes = outcomes_of(log.events)
    for event in log.events:
        if isinstance(event, (s.Reply, s.Finish)) or not (everything or matters(event)):
            continue
        cause = event.cause if event.cause in known and event.cause != event.step else None
        children.setdefault(cause, []).append(event)
    stack = [(0, event) for event in reversed(children.get(None, []))]
    while stack:
        depth, event = stack.pop()
        yield Row(depth, event, outcomes.get(event.step))
        stack += [(depth + 1, child) for child in reversed(children.pop(event.step, []))]


def outcomes_of(events: list[s.Event]) -> dict[int, s.Reply | s.Finish]:
    """Step of each request or thread start -> its answer or end."""
    outcomes: dict[int, s.Reply | s.Finish] = {}
    for event in events:
        if isinstance(event, s.Reply) and event.of is not None:
            outcomes[event.of] = event
        elif isinstance(event, s.Finish) and event.cause is not None:
            outcomes[event.cause] = event
    return outcomes


def matters(event: s.Event) -> bool:
    """Whether an event is worth a line to somebody who wants to know what led where."""
    if isinstance(event, s.Access):
        return changes(event)
    return not isinstance(event, (s.Acquire, s.Release, s.Choice, s.State))


def row_text(row: Row, width: int = 100) -> str:
    """A row as a line: step, thread, and the event at its depth."""
    event = row.event
    indent = "  " * min(row.depth, DEEPEST // 2)
    head = f"{event.step:6} {clipped(event.thread, 12):12} {indent}"
    return head + clipped(node_text(row, width - len(head)), max(width - len(head), 20))


def node_text(row: Row, width: int) -> str:
    """What happened, with its outcome; arguments only as far as ``width`` allows."""
    event, outcome = row.event, row.outcome
    if isinstance(event, s.Start):
        return f"{event.thread} begins" + (f", ends: {outcome.error}" if outcome and outcome.error else "")
    if not isinstance(event, s.Request):
        return what_happened(event)
    title = f"{event.operation}: " if row.depth <= 1 and event.operation != event.request else ""
    name = f"{title}{joined(event.to, event.request)}"
    answer = answer_text(outcome)
    arguments = ", ".join(f"{key}={number(v)}" for key, v in event.args.items() if key != "cmd")
    return f"{name}({clipped(arguments, max(width - len(name) - len(answer) - 2, 1))}){answer}"


def answer_text(outcome: s.Reply | s.Finish | None) -> str:
    """What came back, as the end of a line."""
    if outcome is None or outcome.error:
        return "" if outcome is None else f" ends by {outcome.error}"
    value = value_of(outcome)
    return "" if value is None else f" = {result(value)}"


def value_of(outcome: s.Reply | s.Finish) -> Any:
    """What came back."""
    return outcome.ret if isinstance(outcome, s.Reply) else outcome.result


def as_json(row: Row) -> dict[str, Any]:
    """A row as JSON values."""
    return {
        "depth": row.depth,
        "event": msgspec.to_builtins(row.event),
        "outcome": None if row.outcome is None else msgspec.to_builtins(row.outcome),
    }
