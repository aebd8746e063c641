from __future__ import annotations

import json

import pytest

from actors.trace import schema as s
from actors.trace.interleaving import as_json, interleaving, lines


def access(step: int, thread: str, before: int, after: int, name: str = "mm:0") -> s.Access:
    return s.Access(step=step, thread=thread, object=name, field="n", kind="counter", write=before != after,
                    before=before, after=after)  # fmt: skip


def test_two_threads_at_one_variable_are_what_matters():
    events = [
        access(0, "a", 0, 1, "mm:7"),
        access(1, "a", 0, 1),
        access(2, "b", 1, 1),
        access(3, "b", 5, 5, "mm:8"),
    ]
    table = interleaving(events)
    assert [row.step for row in table.rows] == [1, 2]
    assert table.threads == ("a", "b")


def test_the_racing_accesses_are_those_that_the_complaint_is_about():
    events = [access(0, "a", 0, 1), access(1, "b", 1, 2)]
    events += [access(2, "a", 0, 1, "mm:9"), access(3, "b", 1, 2, "mm:9")]
    assert interleaving(events, "mm:0 is wrong").racing == (0, 1)
    assert interleaving(events, "all is wrong").racing == ()
    assert lines(interleaving(events, "mm:0 is wrong"))[1].startswith("     0* mm:0.n 0 → 1")


def test_a_run_of_changes_is_one_row():
    events = [access(n, "a", n, n + 1) for n in range(5)]
    table = interleaving(events, "mm:0 is wrong")
    assert [row.text for row in table.rows] == ["mm:0.n 0 → 5"]


def test_what_matters_most_is_kept():
    events: list[s.Event] = [access(n, "ab"[n % 2], n, n + 1) for n in range(100)]
    events.append(s.Oops(step=100, thread="a", message="use after free of mm:0"))
    table = interleaving(events, most=10)
    assert len(table.rows) == 10
    assert table.left_out == 91
    assert table.rows[-1].why == "complaint"


def test_a_real_race(runs):
    log = next(log for log in runs.all() if log.end.verdict != "ok" or log.events)
    table = interleaving(log.events, log.end.message)
    text = lines(table)
    assert {"mapper", "closer", "other"} <= set(table.threads)
    assert max(map(len, text)) <= 100
    assert any("calls UNREGISTER_MEMORY" in line for line in text)
    json.dumps(as_json(table))


@pytest.mark.parametrize("threads", [1, 4, 9])
def test_many_threads_fit_into_the_width(threads):
    events = [access(n, f"thread-{n % threads}", n, n + 1) for n in range(30)]
    assert all(len(line) <= 100 for line in lines(interleaving(events, "mm:0")))


def test_nothing_happened():
    assert lines(interleaving([])) == []
