"""The explanation of a failure: who raced, who holds what, in a table that fits."""

from __future__ import annotations

import pytest

from actors.explore import Report, capture, explain, explore, find_strategy, prepare
from actors.explore.explore import Campaign
from actors.explore.logged import end_of, watched
from actors.explore.result import Explanation
from actors.explore.scenarios import builtin
from actors.kernel.catalogue import find_kernel
from actors.trace.header import header
from actors.trace.interleaving import lines
from actors.trace.jsonl import Log
from tests.actors.explore.planted import planted


def explained(program, kernel) -> tuple[Report, Explanation]:
    """A failure and its explanation."""
    report = explore(program, kernel, schedules=500)
    assert report.failure is not None
    return report, explain.explain(capture(program, kernel, report.failure), report.failure.accesses)


def test_a_use_after_free_names_who_found_and_who_freed() -> None:
    report, explanation = explained(builtin("map-vs-remove"), find_kernel("v6.12"))
    found, freed = explanation.facts
    assert report.invariant == "J-K2"
    assert "mapper reads tce_container:0.tables[0]" in found
    assert "closer changes table:0.it_kref 1 → 0 in tce_table_put (TCE_REMOVE), holds" in freed
    marked = [line for line in lines(explanation.table) if "*" in line.split()[0]]
    assert len(marked) == 2


def test_a_leak_names_the_holders() -> None:
    _, explanation = explained(builtin("exit-with-lazy-borrower"), find_kernel("v4.9"))
    assert "mm:0.mm_count is 1, held by cpu:1" in explanation.facts


def test_a_lock_that_is_kept_names_its_holder() -> None:
    _, explanation = explained(builtin("map-vs-unmap"), find_kernel("fixed", ["tce-view-race"]))
    first, second = explanation.facts
    assert first.startswith("step ")
    assert second.startswith("step ")
    assert explanation.table.racing == tuple(int(fact.split(":")[0].split()[1]) for fact in explanation.facts)


def test_a_deadlock_shows_who_waits_for_whom() -> None:
    (mistake,) = [each for each in planted() if each.piece.slug == "missed-wakeup"]
    campaign = Campaign(prepare(mistake.program, mistake.kernel), find_strategy("portfolio"))
    report = campaign.run(500)
    assert report.failure is not None
    result, events = watched(campaign, report.failure.choices)
    log = Log(header(mistake.kernel, program=mistake.program), events, end_of(result, len(events)))
    (fact,) = explain.explained(log, result.accesses).facts
    assert report.verdict == "deadlock"
    assert fact.startswith("closer waits for container:0.idle, held by")


@pytest.mark.parametrize("name", ["map-vs-unmap", "fork-races-to-register", "attach-second-group"])
def test_the_table_fits(name: str) -> None:
    _, explanation = explained(builtin(name), find_kernel("v6.12"))
    text = lines(explanation.table, 98)
    assert 3 < len(text) <= 16
    assert max(map(len, text)) <= 98
    assert any(" broken" in line or "Oops" in line for line in text)
