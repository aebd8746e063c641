"""The causal tree: a system call, and under it all that it caused, across actors and threads."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import msgspec

from actors.trace import schema as s
from actors.trace.jsonl import Log
from actors.trace.query import about
from actors.trace.text import (
    Paint,
    changes,
    clipped,
    joined,
    no_paint,
    number,
    result,
    style_of,
    what_happened,
)

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


def below(
    rows: Iterable[Row], operation: str = "", thread: str = "", steps: range | None = None, object: str = ""
) -> Iterator[Row]:
    """The rows that meet all conditions, each with everything under it.

    Args:
        rows: of a tree.
        operation: a part of the name of a system call or ioctl.
        thread: who did it.
        steps: from one step to before another.
        object: something under it is about this; a whole or a part.
    """
    branch: list[Row] = []
    for row in rows:
        if branch and row.depth > branch[0].depth:
            branch.append(row)
            continue
        yield from kept(branch, object)
        event = row.event
        fits = operation.lower() in event.operation.lower() and thread in ("", event.thread)
        fits = fits and (steps is None or event.step in steps) and not (object and is_thread(row))
        branch = [row] if fits else []
    yield from kept(branch, object)


def is_thread(row: Row) -> bool:
    """Whether a row is a whole thread, of which only the calls are looked for."""
    return isinstance(row.event, s.Start)


def kept(branch: list[Row], object: str) -> Iterator[Row]:
    """A branch of the tree on its own, if something in it is about ``object``."""
    if branch and (not object or any(about(row.event, object) for row in branch)):
        yield from (row._replace(depth=row.depth - branch[0].depth) for row in branch)


def row_text(row: Row, width: int = 100, paint: Paint = no_paint) -> str:
    """A row as a line: step, thread, and the event at its depth."""
    event = row.event
    indent = "  " * min(row.depth, DEEPEST // 2)
    step, thread = f"{event.step:6}", f"{clipped(event.thread, 12):12}"
    room = max(width - len(step) - len(thread) - len(indent) - 2, 20)
    text = clipped(node_text(row, room), room)
    return f"{paint(step, 'dim')} {paint(thread, 'bold')} {indent}{paint(text, row_style(row))}".rstrip()


def row_style(row: Row) -> str:
    """How a row is to stand out; a call that failed does too."""
    value = value_of(row.outcome) if row.outcome is not None else None
    failed = isinstance(value, int) and not isinstance(value, bool) and value < 0
    if failed or (row.outcome is not None and row.outcome.error):
        return "yellow"
    return "green" if isinstance(row.event, s.Access) else style_of(row.event)


def node_text(row: Row, width: int) -> str:
    """What happened, with its outcome; arguments only as far as ``width`` allows."""
    event, outcome = row.event, row.outcome
    if isinstance(event, s.Start):
        return f"{event.thread} begins" + (f", ends: {outcome.error}" if outcome and outcome.error else "")
    if not isinstance(event, s.Request):
        return what_happened(event)
    outermost = row.depth == 0 or event.to == event.caller or event.actor.startswith("machine:")
    title = f"{event.operation}: " if outermost and event.operation != event.request else ""
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
