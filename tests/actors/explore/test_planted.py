"""The mistakes planted in ``planted/`` are found by the default search, and the mended kernel has none."""

from __future__ import annotations

import pytest

from actors.explore import explore
from tests.actors.explore.planted import planted

WITHIN = 2_000

CAUGHT_BY = {
    "busy-keeps-reference": "J-R2",
    "foreign-put": "J-R2",
    "put-decrements-unlocked": "J-R2",
    "unregister-checks-unlocked": "J-K2",
    "publish-unchecked": "J-R1",
    "uncharge-before-busy": "J-L1",
    "free-without-grace-period": "J-K2",
    "mapped-plain-increment": "J-R3",
    "forsaken-seen-too-early": "J-Q1",
    "remove-unlocks-early": "J-K2",
    "missed-wakeup": "deadlock",
    "detach-unlists-first": "J-T4",
    "release-drops-mm-first": "J-Q5",
    "data-freed-unlocked": "J-K2",
    "install-finds-first": "J-Q4",
    "last-seen-before-drop": "J-Q4",
    "lazy-mm-used-unheld": "J-K2",
}


@pytest.mark.parametrize("each", planted(), ids=lambda each: each.piece.slug)
def test_the_default_search_finds_it(each):
    report = explore(each.program, each.kernel, schedules=WITHIN)
    assert (report.invariant or report.verdict) == CAUGHT_BY[each.piece.slug]
    assert report.schedules_to_first_failure <= WITHIN


@pytest.mark.parametrize("each", planted(), ids=lambda each: each.piece.slug)
def test_without_it_the_same_program_has_no_failing_order(each):
    report = explore(each.program, "fixed", "dpor", schedules=300)
    assert (report.verdict, report.message) == ("ok", "")
    assert report.complete


def test_none_of_them_is_a_mistake_of_linux():
    from actors.kernel.pieces import PIECES

    assert not {each.piece.slug for each in planted()} & {piece.slug for piece in PIECES}
