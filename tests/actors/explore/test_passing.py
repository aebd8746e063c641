"""The order nearest to a failing one that ends well."""

from __future__ import annotations

import pytest

from actors.explore import capture, explore
from actors.explore.logged import logged
from actors.explore.passing import others, passing
from actors.explore.result import Choice
from actors.explore.scenarios import builtin
from actors.kernel.catalogue import find_kernel
from actors.trace.diff import diff


def failing(name, kernel, *defects):
    program, whole = builtin(name), find_kernel(kernel, defects)
    return capture(program, whole, explore(program, whole, "random", schedules=2000).failure)


@pytest.mark.parametrize(
    ("name", "kernel", "defects"),
    [("exit-with-lazy-borrower", "v4.9", []), ("map-vs-remove", "fixed", ["map-remove-race"])],
)
def test_it_is_the_same_up_to_one_choice_and_then_ends_well(name, kernel, defects):
    failure = failing(name, kernel, *defects)
    found = passing(failure)
    assert found is not None
    taken, other = ([choice[1] for choice in each.choices] for each in (failure, found))
    parted = next(i for i, (a, b) in enumerate(zip(taken, other, strict=False)) if a != b)
    assert not any(other[parted + 1 :])
    log = logged(found)
    assert log.end.verdict == "ok"
    assert diff(logged(failure), log).choice is not None


def test_where_every_order_fails_there_is_none():
    failure = failing("borrowed-region-close", "v4.9")
    assert passing(failure) is None


def test_the_last_decision_is_changed_first():
    choices = [Choice(2, 1, "a"), Choice(1, 0, "b"), Choice(3, 1, "c")]
    assert list(others(choices)) == [[1, 0, 0], [1, 0, 2], [0]]
