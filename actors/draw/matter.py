"""The steps of a run that matter, for pictures that have not room for all."""

from __future__ import annotations

from actors.trace import schema as s
from actors.trace.interleaving import Table, interleaving
from actors.trace.jsonl import Log
from actors.trace.query import by_step
from actors.trace.reason import reason_of
from actors.trace.tree import outcomes_of


def table_of(log: Log, most: int) -> Table:
    """The steps that matter, at most so many."""
    invariant, message = (log.end.invariant, log.end.message) if log.end is not None else ("", "")
    return interleaving(log.events, message, most, reason_of(log, invariant, message).racing)


def with_causes(log: Log, steps: set[int]) -> list[s.Event]:
    """The events at ``steps``, the requests that led to them, and the answers to these."""
    known, outcomes = by_step(log.events), outcomes_of(log.events)
    wanted = set(steps)
    for step in steps:
        event = known[step]
        while event.cause is not None and event.cause in known and event.cause not in wanted:
            wanted.add(event.cause)
            event = known[event.cause]
    wanted |= {outcomes[step].step for step in wanted if step in outcomes}
    return [known[step] for step in sorted(wanted)]
