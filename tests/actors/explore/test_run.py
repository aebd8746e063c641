from __future__ import annotations

import pytest

from actors.explore import RandomWalk, explore, prepare, run_once
from actors.explore.explore import Campaign
from actors.explore.faults import Counting, FailByChoice, FailNth
from actors.explore.run import CALM
from actors.explore.scenarios import builtin, builtin_names
from actors.explore.workers import Unit, explore_all
from actors.kernel.catalogue import find_kernel
from actors.program import ProgramError, parse_program

SETUP = [
    {"actor": 0, "op": "open", "path": "/dev/vfio/vfio", "fd": "C0"},
    {"actor": 0, "op": "open", "path": "/dev/vfio/<group>", "group_index": 0, "fd": "G0"},
    {"actor": 0, "op": "setcont", "fd": "G0", "container": "C0"},
    {"actor": 0, "op": "setiommu", "fd": "C0", "iommu_type": 7},
    {"actor": 0, "op": "mmap", "addr": "M0", "size": "16P", "prot": "rw"},
]
REG = {"op": "reg", "fd": "C0", "vaddr": "M0", "size": "16P"}


def program(*threads, setup=(), finally_=(), **keys):
    return parse_program(
        {"format": "tcemu-program", "version": 1, "name": "test", "setup": [*SETUP, *setup],
         "threads": list(threads), "finally": list(finally_), **keys}
    )  # fmt: skip


def thread(name, *steps, actor=0):
    return {"name": name, "actor": actor, "steps": list(steps)}


def calm(subject, kernel="fixed"):
    return run_once(prepare(subject, kernel), CALM)


@pytest.mark.parametrize("name", builtin_names())
def test_the_mended_kernel_survives_every_scenario(name):
    report = explore(builtin(name), "fixed", "portfolio", schedules=150, seed=3)
    assert (report.verdict, report.message) == ("ok", "")


def test_a_failed_expectation_ends_the_run_and_names_the_step():
    result = calm(program(thread("a", REG, {**REG, "ret": 0})))
    assert result.verdict == "expectation"
    assert result.message == "a[1] reg: returned -16, expected 0"
    assert calm(program(thread("a", REG, {**REG, "errno": "EBUSY"}))).ok


def test_a_setup_that_fails_is_the_result():
    result = calm(program(thread("a", REG), setup=[{"actor": 0, **REG, "errno": "EPERM"}]))
    assert result.verdict == "expectation"
    assert result.message.startswith("setup[5] reg")


def test_a_step_of_the_setup_that_fails_unexpectedly_is_noted():
    subject = program(thread("a", {"op": "exit"}), setup=[{"actor": 0, **REG}, {"actor": 0, **REG}])
    report = explore(subject, schedules=1)
    assert report.verdict == "ok"
    assert report.notes == report.as_json()["notes"] == ("setup[6] reg returned -EBUSY",)
    assert "notes" not in explore(program(thread("a", {"op": "exit"})), schedules=1).as_json()


def test_a_thread_waits_for_its_process_and_ends_with_it():
    steps = [{"op": "fork", "new_actor": 1}, {"op": "exit"}]
    forked = program(thread("child", REG, {"op": "exit"}, actor=1), thread("parent", *steps))
    assert explore(forked, schedules=100).verdict == "ok"
    killed = program(
        thread("victim", {"op": "fork", "new_actor": 1}),
        {"name": "killer", "cpu": 0, "steps": [{"op": "abort", "target": 0}]},
        thread("child", {"op": "exit"}, actor=1),
    )
    assert explore(killed, strategy="dpor", schedules=300).verdict == "ok"


def test_an_endless_run_is_cut_with_a_verdict():
    kernel = find_kernel("fixed", ["release-loop-infinite"])
    report = explore(builtin("borrowed-region-close"), kernel, "dpor", schedules=5, budget=5000)
    assert (report.verdict, report.invariant) == ("livelock", "J-Q3")
    assert "no end after 5000 steps" in report.message


def test_switches_of_a_program_compose_its_kernel():
    switched = program(thread("a", REG), **{"with": ["map-remove-race"]})
    assert prepare(switched, "fixed").kernel.slugs == {"map-remove-race"}
    assert "map-remove-race" in prepare(switched, "v6.12").kernel.slugs


def test_failure_points_are_counted_failed_in_turn_and_chosen():
    subject = program(thread("a", REG), finally_=[{"actor": 0, "op": "exit"}])
    counting = Counting()
    explore(subject, schedules=1, strategy="bounded", faults=counting)
    assert counting.reached
    for number in range(len(counting.reached)):
        assert explore(subject, schedules=3, faults=FailNth(number)).verdict == "ok"
    chosen = explore(subject, strategy="dpor", schedules=1000, faults=FailByChoice())
    assert chosen.complete
    assert chosen.schedules > len(counting.reached)
    with pytest.raises(ValueError, match="fail_nth: found -1"):
        FailNth(-1)


def test_a_lost_element_is_found_by_failing_allocations():
    kernel = find_kernel("fixed", ["prereg-element-alloc-unchecked"])
    subject = program(thread("a", REG), finally_=[{"actor": 0, "op": "exit"}])
    assert explore(subject, kernel, "bounded", schedules=100, faults=FailByChoice()).verdict != "ok"


def test_workers_change_nothing_but_the_time():
    units = [
        Unit(program=builtin(name), strategy="random", schedules=30, seed=seed)
        for name in ("close-orders", "map-vs-unregister") for seed in (1, 2)
    ]  # fmt: skip
    alone, together = (
        [{**report.as_json(), "seconds": 0} for report in explore_all(units, workers)] for workers in (1, 2)
    )
    assert alone == together


def test_a_campaign_depends_on_its_seed_only():
    kernel = find_kernel("fixed", ["map-remove-race"])
    reports = [explore(builtin("map-vs-remove"), kernel, "random", schedules=500, seed=9) for _ in range(2)]
    assert {**reports[0].as_json(), "seconds": 0} == {**reports[1].as_json(), "seconds": 0}
    assert reports[0].failure == reports[1].failure


def test_seconds_end_a_campaign():
    report = explore(builtin("close-orders"), strategy="random", seconds=0.0)
    assert report.schedules == 1


def test_there_is_no_other_scenario():
    with pytest.raises(ProgramError, match="nothing: scenario: unknown, expected one of"):
        builtin("nothing")


def test_memory_stays_flat():
    """Nothing of an order outlives it but the report."""
    import gc

    model, walk = prepare(builtin("kill-with-lazy-borrower")), RandomWalk(1)

    def orders(count):
        for _ in range(count):
            walk.begin(None)
            run_once(model, walk)
        gc.collect()
        return len(gc.get_objects())

    orders(20)
    assert abs(orders(40) - orders(40)) < 200


class Interrupted(RandomWalk):
    """Somebody presses Ctrl-C in the fourth order."""

    def pick(self, core):
        """Draw a thread, three times."""
        if self.orders == 4:
            raise KeyboardInterrupt
        return super().pick(core)


def test_an_interrupt_reaches_the_caller_and_loses_nothing():
    campaign = Campaign(prepare(builtin("map-vs-remove")), Interrupted(1))
    with pytest.raises(KeyboardInterrupt):
        campaign.run(50)
    report = campaign.report()
    assert (report.schedules, report.verdict, report.complete) == (3, "ok", False)
    assert report.points > 50


def test_a_campaign_goes_on_where_it_stopped():
    whole = Campaign(prepare(builtin("map-vs-remove"), "v6.12"), RandomWalk(7)).run(60)
    campaign = Campaign(prepare(builtin("map-vs-remove"), "v6.12"), RandomWalk(7))
    while campaign.go_on(60, seconds=0.0):
        assert campaign.orders < 60
    assert campaign.report().schedules == whole.schedules
    assert campaign.report().message == whole.message
