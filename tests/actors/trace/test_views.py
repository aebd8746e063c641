"""The views of a log: tree, history, difference, counts, the kernel's own."""

from __future__ import annotations

import json

import msgspec
import pytest

from actors.trace import schema as s
from actors.trace.diff import as_json as diff_json
from actors.trace.diff import diff
from actors.trace.dmesg import dmesg, messages_as_json
from actors.trace.ftrace import HEAD, ftrace
from actors.trace.jsonl import Log
from actors.trace.query import LogCapture, chain, object_of, part_of, select
from actors.trace.stats import stats
from actors.trace.text import console_line
from actors.trace.tree import as_json as row_json
from actors.trace.tree import row_text, tree
from actors.trace.why import CREATION, objects, summary, why


def header() -> s.Header:
    return s.Header(format="tcemu-log", version=1, kernel="fixed")


def made(*events: s.Event) -> Log:
    return Log(header(), list(events), s.End(step=len(events)))


# -- finding ------------------------------------------------------------------------------------


def test_parts_of_names():
    assert part_of("mm:0.locked_vm", "mm:0")
    assert part_of("table:1[0x0]", "table:1")
    assert not part_of("mm:01.locked_vm", "mm:0")


def test_conditions_of_a_search_go_together(log):
    found = list(select(log.events, kind="access", object="region:0", actor="mm:0"))
    assert found
    assert all(object_of(event).startswith("region:0") and event.actor == "mm:0" for event in found)
    assert list(select(log.events, kind="access", object="region:0", steps=range(0))) == []
    assert list(select(log.events)) == log.events


def test_a_chain_leads_from_the_thread_to_the_access(log):
    access = next(select(log.events, kind="access", function="mm_iommu_get"))
    links = chain(log.events, access)
    assert isinstance(links[0], s.Start)
    assert [e.request for e in links if isinstance(e, s.Request)][-1] == "mm_iommu_get"
    assert links[-1] is access


async def test_a_capture_finds_exactly_one(life):
    log = LogCapture()
    await life(log)
    assert log.only(s.Access, field="exiting", before=False, after=True).operation == "exit_group"
    with pytest.raises(AssertionError, match=r"0 events warn\(\), expected one"):
        log.only(s.Warn)


# -- the tree -----------------------------------------------------------------------------------


def test_the_tree_holds_every_event_once_below_its_cause(log):
    rows = list(tree(log, everything=True))
    told = {row.event.step for row in rows} | {row.outcome.step for row in rows if row.outcome}
    assert told == {event.step for event in log.events}
    depth = {row.event.step: row.depth for row in rows}
    for row in rows:
        if row.depth:
            assert depth[row.event.cause] == row.depth - 1


def test_the_tree_as_text_and_as_json(log):
    lines = [row_text(row) for row in tree(log)]
    assert max(map(len, lines)) <= 100
    assert any("VFIO_IOMMU_SPAPR_UNREGISTER_MEMORY: process:0.sys_ioctl(" in line for line in lines)
    assert any("mm:0.mm_iommu_get(" in line and line.endswith("= region:0") for line in lines)
    json.dumps([row_json(row) for row in tree(log)])


def test_a_callback_stands_under_who_queued_it(runs):
    log = next(log for log in runs.all() if any(e.thread.startswith("rcu-") for e in log.events))
    begun = next(e for e in log.events if isinstance(e, s.Start) and e.thread.startswith("rcu-"))
    assert any(isinstance(e, s.Request) and e.request == "mm_iommu_put" for e in chain(log.events, begun))
    assert begun.parent in ("closer", "other")


# -- histories ----------------------------------------------------------------------------------


async def test_who_holds_an_mm(life):
    log = LogCapture()
    await life(log)
    events = log.events()
    whole = why(Log(header(), events), "mm:0.mm_count")
    assert whole.holders == {"mm:0.mm_count": {}}
    assert summary(whole) == ["mm:0.mm_count is 0: nobody holds it"]
    bound = next(e for e in events if isinstance(e, s.Access) and e.holder == "tce_container:0")
    half = why(Log(header(), events[: bound.step + 1]), "mm:0.mm_count")
    assert half.holders == {"mm:0.mm_count": {"users": 1, "tce_container:0": 1}}
    assert [e.step for e in half.events] == [bound.step]


def test_references_from_before_the_log_count_as_from_the_creation():
    drop = s.Access(step=0, thread="a", object="file:1", field="f_count", kind="reference", write=True,
                    before=2, after=1, holder="process:0")  # fmt: skip
    history = why(made(drop), "file:1")
    assert history.holders == {"file:1.f_count": {CREATION: 1}}
    assert summary(history) == ["file:1.f_count is 1, held by its creation"]


def test_the_history_of_a_lock(log):
    wait = next(event for event in log.events if isinstance(event, s.Wait))
    waiting = why(log._replace(events=log.events[: wait.step + 1]), wait.object)
    assert waiting.waiting == {wait.object: [wait.thread]}
    assert waiting.locks == {wait.object: list(wait.holders)}
    assert why(log, wait.object).locks == {}
    assert wait.object in objects(log)


# -- differences --------------------------------------------------------------------------------


def test_a_run_does_not_differ_from_itself(log):
    assert diff(log, log).same


def test_two_runs_part_at_a_choice(runs):
    one, other = runs.log(1), runs.log(2)
    parting = diff(one, other)
    assert not parting.same
    assert parting.headers == {"seed": (1, 2)}
    assert one.events[: parting.common] == other.events[: parting.common]
    assert parting.choice is not None
    assert parting.choice[0] != parting.choice[1]
    json.dumps(diff_json(parting))


def test_a_run_that_goes_on_longer(log):
    parting = diff(log, log._replace(events=log.events[:-2], end=None))
    assert parting.common == len(log.events) - 2
    assert parting.b == []
    assert len(parting.a) == 2


# -- counts -------------------------------------------------------------------------------------


def test_counts_of_operations_and_locks(log):
    counted = stats(log.events)
    assert sum(counted.events.values()) == len(log.events)
    calls = {row.operation: row for row in counted.operations}
    assert calls["VFIO_IOMMU_MAP_DMA"].count == 1
    assert set(calls) == {
        "VFIO_IOMMU_MAP_DMA", "VFIO_IOMMU_SPAPR_REGISTER_MEMORY", "VFIO_IOMMU_SPAPR_UNREGISTER_MEMORY",
    }  # fmt: skip
    wait = next(event for event in log.events if isinstance(event, s.Wait))
    row = next(row for row in counted.locks if row.lock == wait.object)
    assert row.waits >= 1
    assert row.waited >= row.longest_wait > 0
    msgspec.json.encode(counted)


async def test_calls_of_a_free_machine_are_counted_too(life):
    log = LogCapture()
    await life(log)
    calls = {row.operation: row for row in stats(log.events()).operations}
    assert calls["open(/dev/vfio/vfio)"].count == 1
    assert calls["exit_group"].errors == 0
    assert not any(row.unfinished for row in calls.values())


# -- the kernel's view --------------------------------------------------------------------------


def test_a_warning_has_a_call_trace():
    log = made(
        s.Start(step=0, thread="a", actor="machine:0"),
        s.Request(step=1, thread="a", cause=0, to="process:0", request="sys_ioctl", operation="X"),
        s.Warn(step=2, thread="a", cause=1, caller="process:0", message="no", place="f", held=("l",)),
    )
    assert list(dmesg(log)) == [
        "[       2] ------------[ cut here ]------------",
        "[       2] WARNING: at f: no",
        "[       2] Comm: a  Task: process:0  mm: -",
        "[       2] Locks held: l",
        "[       2] Call Trace:",
        "[       2]  f",
        "[       2]  sys_ioctl [process:0]",
    ]
    assert [message["event"] for message in messages_as_json(log)] == ["warn"]


def test_an_oops_is_a_bug():
    log = made(s.Oops(step=0, thread="a", message="use after free of x", place="f", invariant="J-K2"))
    assert next(dmesg(log)) == "[       0] BUG: use after free of x"


def test_ftrace_has_a_line_an_event(log):
    lines = list(ftrace(log.events))
    states = sum(isinstance(event, s.State) for event in log.events)
    assert len(lines) == len(HEAD.splitlines()) + len(log.events) - states
    assert any("mm_iommu_get: access: region:0.used 1->2" in line for line in lines)


# -- lines --------------------------------------------------------------------------------------


EXAMPLES = [
    (s.Finish(step=1, thread="a", error="KernelOops: x"), "ends by KernelOops: x"),
    (s.Reply(step=1, thread="a", request="f", ret=-16), "← f = -EBUSY"),
    (s.Wait(step=1, thread="a", object="l", holders=("b",)), "waits for l, held by b"),
    (s.Choice(step=1, thread="a", number=3, label="order", count=2, taken=1), "choice 3: order: 1 of 2"),
    (s.Fault(step=1, thread="a", failpoint="x"), "x fails, as told"),
    (s.Warn(step=1, thread="a", message="m", place="f"), "WARN f: m"),
    (s.Dma(step=1, thread="a", device="d", iova=1 << 59, size=8, write=True),
     "d writes 8 bytes at 0x800000000000000: nothing hit"),
    (s.Access(step=1, thread="a", object="l", kind="list", write=True, after="region:0"), "l +region:0"),
    (s.Request(step=1, thread="a", to="x", request="f", args={"a\n": "b\033[1m"}), "→ x f(a\\n=b\\x1b[1m)"),
]  # fmt: skip


@pytest.mark.parametrize(("event", "text"), EXAMPLES)
def test_what_happened_in_words(event, text):
    assert console_line(event).endswith(text)
    assert "\033" not in console_line(event)
