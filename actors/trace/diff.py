"""Where two runs part: the first event that differs, and the choice that made it so."""

from __future__ import annotations

from itertools import islice, zip_longest
from typing import Any, NamedTuple

import msgspec
from msgspec import structs

from actors.trace import schema as s
from actors.trace.jsonl import Log

LARGE = ("choices", "program", "order", "switches")
"""Fields of a header that are not spelled out where they differ."""


class Parting(NamedTuple):
    """Where two runs part.

    Attributes:
        headers: field of the header -> its two values, where they differ.
        common: how many events the runs have in common.
        before: the last of them.
        a: the first events of the one run after that; of decisions only the first.
        b: of the other.
        choice: the decision that made the runs differ, as each took it; None when none did.
        end: how each ended.
    """

    headers: dict[str, tuple[Any, Any]]
    common: int
    before: list[s.Event]
    a: list[s.Event]
    b: list[s.Event]
    choice: tuple[s.Choice | None, s.Choice | None] | None
    end: tuple[s.End | None, s.End | None]

    @property
    def same(self) -> bool:
        """Whether the runs are the same to the end."""
        return not (self.a or self.b) and self.end[0] == self.end[1]


def diff(one: Log, other: Log, context: int = 3) -> Parting:
    """Compare two logs event by event.

    Args:
        one: a log.
        other: another.
        context: events to give before the parting, and four times as many after it.
    """
    pairs = zip_longest(one.events, other.events)
    common = next((i for i, (a, b) in enumerate(pairs) if a != b), max(len(one.events), len(other.events)))
    a, b = (after(log.events, common, 4 * context) for log in (one, other))
    decision = None
    for mine, theirs in zip_longest(a[:1], b[:1]):
        if isinstance(mine, s.Choice) or isinstance(theirs, s.Choice):
            decision = (choice_or_none(mine), choice_or_none(theirs))
    before = one.events[max(0, common - context) : common]
    return Parting(headers(one.header, other.header), common, before, a, b, decision, (one.end, other.end))


def after(events: list[s.Event], common: int, most: int) -> list[s.Event]:
    """The first event after the parting, and those that follow it, without more decisions."""
    rest = (e for e in islice(events, common + 1, None) if not isinstance(e, s.Choice))
    return events[common : common + 1] + list(islice(rest, max(0, most - 1)))


def choice_or_none(event: s.Event | None) -> s.Choice | None:
    """The event, if it is a decision."""
    return event if isinstance(event, s.Choice) else None


def headers(one: s.Header, other: s.Header) -> dict[str, tuple[Any, Any]]:
    """What the headers do not agree on; what is large is compared as a whole."""
    left, right = structs.asdict(one), structs.asdict(other)
    return {
        name: (left[name], right[name]) if name not in LARGE else ("…", "…")
        for name in left
        if left[name] != right[name]
    }


def unlike(one: Log, other: Log) -> str:
    """In what two runs are of different programs, so that no decision need part them; "" for one program."""
    names = [log.header.name or "a run" for log in (one, other)]
    if names[0] != names[1]:
        return f"{names[0]} and {names[1]} are different programs; what parts them need be no decision"
    if one.header.program != other.header.program:
        return f"two different programs have the name {names[0]}; what parts them need be no decision"
    return ""


def as_json(parting: Parting) -> dict[str, Any]:
    """The parting as JSON values."""
    values: dict[str, Any] = msgspec.to_builtins(parting._asdict())
    return {"same": parting.same} | values
