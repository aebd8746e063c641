from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from actors.explore import Bounded, Dpor, Pct, Pos, RandomWalk, Surw, UnknownStrategy, explore, find_strategy
from actors.explore.arena import Arena
from actors.explore.explore import Campaign
from tests.actors.explore.toys import (
    ACQUIRE,
    RELEASE,
    far_order,
    lock_cycle,
    lost_update,
    program,
    r,
    store_buffer,
    under_lock,
    w,
)

TABLE = {
    "2 writers": (program(*[[w("x")]] * 2), 2, 2),
    "3 writers": (program(*[[w("x")]] * 3), 6, 6),
    "4 writers": (program(*[[w("x")]] * 4), 24, 24),
    "3 independent writers": (program([w("x")], [w("y")], [w("z")]), 6, 1),
    "1 writer 3 readers": (program([w("x")], *[[r("x")]] * 3), 24, 8),
    "1 writer 4 readers": (program([w("x")], *[[r("x")]] * 4), 120, 16),
    "store buffer": (store_buffer(), 6, 3),
    "2 x 3 writes": (program([w("x")] * 3, [w("x")] * 3), 20, 20),
    "lock with a shared write": (under_lock(True), 546, 36),
    "lock alone": (under_lock(False), 6, 6),
}


def orders(model, strategy):
    campaign = Campaign(model, strategy)
    report = campaign.run(schedules=100_000)
    assert report.complete
    return report.schedules


@pytest.mark.parametrize("name", TABLE)
def test_interleavings_are_counted_exactly(name):
    model, interleavings, _ = TABLE[name]
    assert orders(model, Bounded()) == interleavings
    assert orders(model, Bounded(preemptions=True)) == interleavings


@pytest.mark.parametrize("name", TABLE)
def test_dpor_makes_one_run_a_trace_and_none_is_blocked(name):
    model, _, traces = TABLE[name]
    dpor = Dpor()
    assert orders(model, dpor) == traces
    assert dpor.blocked == 0


def test_delay_bounds_have_closed_forms():
    model = program([w("x")] * 3, [w("x")] * 3)
    counts = [Campaign(model, Bounded(bound=k)).run(schedules=1000).schedules for k in range(4)]
    # one run; then a switch at one of 3 places; the last thread standing has no choice left
    assert counts == [1, 4, 10, 16]


op = st.sampled_from([r("x"), w("x"), r("y"), w("y")])
plain = st.lists(op, min_size=1, max_size=3)
locked = st.lists(op, max_size=2).map(lambda ops: [ACQUIRE, *ops, RELEASE])


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(st.lists(st.one_of(plain, locked, st.tuples(plain, locked).map(lambda p: p[0][:1] + p[1])),
                min_size=2, max_size=3))  # fmt: skip
def test_dpor_reaches_what_brute_force_reaches(threads):
    everything, reduced = [], []
    orders(program(*threads, trace=everything), Bounded())
    dpor = Dpor()
    orders(program(*threads, trace=reduced), dpor)
    assert set(reduced) == set(everything)
    assert dpor.runs <= len(everything)


@pytest.mark.parametrize(
    ("strategy", "budget"),
    [(RandomWalk(1), 200), (Pct(1), 200), (Pos(1), 200), (Surw(1), 200), (Bounded(), 200), (Dpor(), 200)],
    ids=lambda value: getattr(value, "name", ""),
)
def test_every_strategy_finds_a_lost_update_and_a_deadlock(strategy, budget):
    found = explore(lost_update(), strategy=strategy, schedules=budget)
    assert found.verdict == "violation"
    assert found.message == "an update was lost"
    again = explore(lock_cycle(), strategy=find_strategy(strategy.name, 1), schedules=budget)
    assert again.verdict == "deadlock"
    assert "held by ab" in again.message
    assert again.preemptions == 1


@pytest.mark.parametrize("strategy", [Pct(3, depth=1), Pos(3), Bounded(), Dpor(), Surw(3, objects=["flag"])],
                         ids=lambda s: s.name)  # fmt: skip
def test_a_far_order_is_found_by_all_but_the_random_walk(strategy):
    assert explore(far_order(), strategy=strategy, schedules=100).verdict == "violation"


def test_pct_hits_at_least_as_often_as_its_bound():
    hits, rounds, threads = 0, 400, 2
    pct = Pct(7, depth=1)
    for _ in range(rounds):
        core = Arena(pct)
        pct.begin(core)
        result = far_order().run(core)
        pct.end(result)
        hits += not result.ok
    assert hits / rounds >= 1 / threads * 0.8


def test_surw_spreads_evenly_over_the_orders_of_what_matters():
    """Two threads of 3 writes: 20 orders, each about as often as any other."""
    seen: dict[tuple, int] = {}
    surw = Surw(5, objects=["x"])
    model = program([w("x")] * 3, [w("x")] * 3)
    for number in range(2003):
        core = Arena(surw, every=True)
        surw.begin(core)
        surw.end(model.run(core))
        if number >= 3:
            seen[tuple(surw.trail)] = seen.get(tuple(surw.trail), 0) + 1
    assert len(seen) == 20
    assert max(seen.values()) < 3 * min(seen.values())


def test_the_portfolio_is_complete_when_a_member_is():
    report = explore(under_lock(True), schedules=1000)
    assert report.complete
    assert report.strategy == "portfolio"
    assert explore(lost_update(), schedules=10).verdict == "violation"


def test_an_unknown_strategy_is_refused():
    with pytest.raises(UnknownStrategy, match="no strategy 'luck'; there are portfolio, random"):
        explore(store_buffer(), strategy="luck")
