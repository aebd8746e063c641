"""What explains a complaint: what the oracle says, who freed it, who holds it, or else who raced."""

from __future__ import annotations

from typing import Any

from actors.trace import schema as s
from actors.trace.jsonl import Log
from actors.trace.reason import reason_of

HEADER = s.Header(format=s.FORMAT, version=s.VERSION, kernel="fixed")


def log(*events: tuple[type[s.Happening], dict[str, Any]]) -> Log:
    """A log of events of two threads, in turns."""
    made = [kind(step=n, thread=f"t{n % 2}", **fields) for n, (kind, fields) in enumerate(events)]
    return Log(HEADER, made)  # type: ignore[arg-type]


def taken(holder: str, before: int, after: int) -> tuple[type[s.Happening], dict[str, Any]]:
    """A reference to mm:0 that is taken or dropped."""
    fields = {"object": "mm:0", "field": "mm_count", "kind": "reference", "holder": holder}
    return s.Access, {**fields, "before": before, "after": after, "write": True}


KREF = {
    "object": "table:0", "field": "it_kref", "kind": "reference", "write": True, "before": 1, "after": 0,
}  # fmt: skip
HELD = log(taken("users", 0, 1), taken("cpu:1", 1, 2), taken("users", 2, 1))


def test_who_still_holds_something_explains_a_leak() -> None:
    assert reason_of(HELD, "J-Q1", "pages of mm:0 are still pinned") == (
        ("mm:0.mm_count is 1, held by cpu:1",),
        (),
    )


def test_another_complaint_of_the_same_object_is_a_race() -> None:
    assert reason_of(HELD, "J-R3", "a count of mm:0 is wrong") == ((), None)


def test_where_nobody_holds_anything_races_are_looked_for() -> None:
    assert reason_of(HELD, "J-L1", "locked_vm of mm:7 is wrong") == ((), None)


def test_what_the_oracle_says_comes_first() -> None:
    assert reason_of(HELD, "J-Q1", "pages of mm:0", ("t0 waits",)) == (("t0 waits",), None)


def test_a_use_after_free_names_who_found_and_who_freed() -> None:
    found = log(
        (s.Access, {"object": "tce_container:0", "field": "tables[0]", "before": "table:0"}),
        (s.Access, KREF),
        (s.Oops, {"message": "use after free of table:0"}),
    )
    assert reason_of(found, "J-K2", "use after free of table:0") == ((), (0, 1))
