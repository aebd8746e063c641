"""Why an order failed, found in its log: the steps that matter, who raced, who holds what."""

from __future__ import annotations

from actors.explore.failure import Failure
from actors.explore.logged import logged
from actors.explore.result import Explanation
from actors.explore.run import Model
from actors.trace import schema as s
from actors.trace.interleaving import change_text, interleaving, short_operation
from actors.trace.jsonl import Log
from actors.trace.query import object_of
from actors.trace.reason import reason_of
from actors.trace.text import changes

ROWS = 14
"""Rows of a table that is one of several."""


def explain(
    failure: Failure, accesses: tuple[str, ...] = (), model: Model | None = None, most: int = ROWS
) -> Explanation:
    """Run a failure again with everything recorded, and find what matters.

    Args:
        failure: the order.
        accesses: what the oracle itself named.
        model: what failed, when it is prepared already.
        most: rows of the table.

    Raises:
        ReplayDivergence: the recording no longer fits.
    """
    return explained(logged(failure, model=model), accesses, most)


def explained(log: Log, accesses: tuple[str, ...] = (), most: int = ROWS) -> Explanation:
    """Find what matters in the log of a failing run."""
    message, invariant = (log.end.message, log.end.invariant) if log.end is not None else ("", "")
    reason = reason_of(log, invariant, message, accesses)
    table = interleaving(log.events, message, most, reason.racing)
    return Explanation(table, reason.facts or tuple(fact(log, step) for step in table.racing))


def fact(log: Log, step: int) -> str:
    """An access in words: who, what, where, and under which locks."""
    event = log.events[step]
    assert isinstance(event, s.Access)
    if event.kind in ("list", "rcu"):
        verb = "walks" if not changes(event) else "takes" if event.after is None else "puts"
        whom = {"walks": "", "takes": f"{event.before} off ", "puts": f"{event.after} on "}[verb]
        does = f"{verb} {whom}{object_of(event)}"
    elif changes(event):
        does = f"changes {object_of(event)} {change_text(event.before, event.after)}"
    else:
        does = f"reads {object_of(event)}, {change_text(event.before, event.after)}"
    where = f" in {event.function}" if event.function else ""
    operation = f" ({short_operation(event.operation)})" if event.operation else ""
    held = f"holds {', '.join(event.held)}" if event.held else "holds no lock"
    return f"step {step}: {event.thread} {does}{where}{operation}, {held}"


__all__ = ["ROWS", "explain", "explained"]
