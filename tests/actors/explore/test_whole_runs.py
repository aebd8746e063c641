"""A whole run of entries as one step: the search comes to the same as entry by entry."""

from __future__ import annotations

import pytest

from actors.explore import Dpor, prepare
from actors.explore.explore import Campaign
from actors.kernel.tce_container import ContainerState
from tests.actors.explore.planted import EXIT, RAM, as_actor, mapped, on, opened, program

KWORKER = [{"op": "run", "task": "actor:0"}, {"op": "run", "task": "kthread:kworker/1:0"}]
MAPPED = [*opened(0), RAM, as_actor(on(0, "reg")), as_actor({**mapped(0), "size": 16384})]
CLOSE, DMA = {"op": "close", "fd": "G0"}, {"op": "dma", "group": 0, "iova": 0, "size": 8192, "write": True}


def searched(subject, kernel):
    campaign = Campaign(prepare(subject, kernel), Dpor())
    report = campaign.run(schedules=2000)
    assert report.complete or report.verdict != "ok"
    return report


@pytest.mark.parametrize("kernel", ["v4.9", "v4.10", "v6.12", "fixed"])
def test_beside_a_cpu_that_only_switches_tasks(kernel, monkeypatch):
    subject = program("exit-with-lazy-borrower", MAPPED, [EXIT], cpus=[KWORKER])
    whole = searched(subject, kernel)
    monkeypatch.setattr(ContainerState, "nobody_can_disturb", lambda self: False)
    single = searched(subject, kernel)
    assert (whole.verdict, whole.invariant) == (single.verdict, single.invariant)
    assert whole.complete == single.complete
    if whole.complete:
        assert whole.schedules == single.schedules
        assert whole.points < single.points


@pytest.mark.parametrize("threads", [([CLOSE], [DMA]), ([DMA], [CLOSE])], ids=["close first", "device first"])
def test_a_step_declares_what_it_touches_though_the_other_is_done(threads, monkeypatch):
    """Whoever comes first: that a device could have come in the middle of the clear is not lost."""
    subject = program("device-while-closing", MAPPED, *threads)
    classes = {searched(subject, "fixed").schedules}
    monkeypatch.setattr(ContainerState, "nobody_can_disturb", lambda self: False)
    classes.add(searched(subject, "fixed").schedules)
    assert len(classes) == 1
    assert classes.pop() > 4
