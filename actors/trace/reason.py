"""What explains a complaint: who raced, or, where something is still held, who holds what."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from actors.trace.freed import freed
from actors.trace.interleaving import blamed
from actors.trace.jsonl import Log
from actors.trace.why import why

HELD = ("J-Q", "J-M", "J-L", "J-K4")
"""Invariants whose breach is that something is still held, or not held any more."""


class Reason(NamedTuple):
    """What explains a complaint.

    Attributes:
        facts: what an oracle has told, or who holds what; one sentence each.
        racing: the steps that raced; none where that explains nothing, None where they are still to be
            looked for.
    """

    facts: tuple[str, ...]
    racing: tuple[int, ...] | None


def reason_of(log: Log, invariant: str, message: str, facts: tuple[str, ...] = ()) -> Reason:
    """Say what explains a complaint at the end of a log.

    Args:
        log: up to the complaint.
        invariant: which is broken; "" when that is not known.
        message: the complaint.
        facts: what the oracle itself has told.
    """
    found = freed(log, message)
    if found or facts or not invariant.startswith(HELD):
        return Reason(facts, found or None)
    held = tuple(holders(log, message))
    return Reason(held, () if held else None)


def holders(log: Log, message: str) -> Iterator[str]:
    """Who holds the references to what a complaint names."""
    for name in blamed((), message):
        for count, held in sorted(why(log, name).holders.items()):
            who = ", ".join(f"{holder} ({n} times)" if n != 1 else holder for holder, n in held.items())
            yield f"{count} is {sum(held.values())}, held by {who}" if held else f"{count} is 0"


__all__ = ["HELD", "Reason", "reason_of"]
