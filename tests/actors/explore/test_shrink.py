from __future__ import annotations

import pytest

from actors.explore import Bounded, Dpor, RandomWalk, explore
from actors.explore.explore import Campaign, prepare
from actors.explore.scenarios import builtin
from actors.explore.strategies import After, find_strategy
from actors.kernel.catalogue import find_kernel
from tests.actors.explore.toys import lock_cycle, lost_update


@pytest.mark.parametrize("model", [lost_update(), lock_cycle()], ids=lambda m: m.name)
@pytest.mark.parametrize("seed", range(5))
def test_a_random_failure_shrinks_to_one_preemption(model, seed):
    report = explore(model, strategy=RandomWalk(seed), schedules=500)
    assert report.preemptions == 1


def test_the_shrunk_failure_is_the_same_failure():
    kernel = find_kernel("fixed", ["lookup-uaf"])
    report = explore(builtin("borrowed-region-race"), kernel, "random", schedules=3000)
    assert report.invariant == "J-K2"
    assert report.preemptions <= 3


def test_exploring_goes_on_after_a_recorded_beginning():
    kernel = find_kernel("fixed", ["map-remove-race"])
    model = prepare(builtin("map-vs-remove"), kernel)
    failure = Campaign(model, Bounded()).run(schedules=2000).failure
    assert failure is not None
    report = Campaign(model, After(failure.choices, RandomWalk(1))).run(schedules=50)
    assert report.schedules_to_first_failure == 1
    assert report.invariant == failure.invariant
    with pytest.raises(ValueError, match="dpor cannot go on after"):
        After(failure.choices, Dpor())


def test_an_unfinished_search_says_how_much_may_be_left():
    report = explore(builtin("remove-pending-window"), strategy="dpor", schedules=100)
    assert not report.complete
    assert report.estimate is not None
    assert report.estimate > 100
    whole = explore(builtin("close-orders"), strategy=find_strategy("dpor"), schedules=10_000)
    assert whole.complete
    assert whole.estimate == whole.schedules
