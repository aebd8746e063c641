from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from actors.machine import Machine
from actors.runtime.bare import BareRuntime
from actors.runtime.core import Calm
from actors.trace.jsonl import dump
from actors.trace.query import LogCapture
from actors.trace.recorder import ChooserTap, Recorder
from actors.trace.schema import Access, Acquire, Choice, Finish, Reply, Request, Start, State, Wait, Wake

ROOT = Path(__file__).parents[3]


def test_equal_runs_have_equal_logs(runs):
    assert dump(runs.log(7)) == dump(runs.log(7))
    assert dump(runs.log(7)) != dump(runs.log(8))


def test_a_log_does_not_depend_on_the_process():
    program = (
        "import hashlib, sys; sys.path.insert(0, 'tests/actors/trace')\n"
        "from conftest import Runs; from actors.trace.jsonl import dump\n"
        "runs = Runs(); print(hashlib.sha256(b''.join(dump(runs.log(n)) for n in range(5))).hexdigest())"
    )
    digests = {
        subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True, capture_output=True,
                       env=os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)}).stdout
        for seed in ("1", "2")
    }  # fmt: skip
    assert len(digests) == 1


def test_steps_count_up_from_zero(log):
    assert [event.step for event in log.events] == list(range(len(log.events)))


def test_recording_changes_nothing(runs):
    log = runs.log(5)
    assert runs.unrecorded(5) == (log.end.verdict, log.end.message, log.end.steps)


def test_locks_that_are_held(log):
    for event in log.events:
        if isinstance(event, Acquire):
            assert any(lock.removesuffix("/read") == event.object for lock in event.held)
    publish = [e for e in log.events if isinstance(e, Access) and e.function == "mm_iommu_release"]
    assert all("mem_list_mutex" in event.held for event in publish)


def test_a_thread_that_has_ended_holds_nothing(log):
    assert all(event.held == () for event in log.events if isinstance(event, Finish))


def test_causes_lead_to_a_thread_and_never_forward(log):
    for event in log.events:
        if event.cause is not None:
            cause = log.events[event.cause]
            assert cause.step < event.step
            assert isinstance(cause, Request | Start)


def test_every_reply_answers_its_request(log):
    replies = [event for event in log.events if isinstance(event, Reply)]
    assert replies
    for reply in replies:
        request = log.events[reply.of]
        assert isinstance(request, Request)
        assert (request.thread, request.request, request.to) == (reply.thread, reply.request, reply.actor)


def test_who_waits_is_woken_by_the_holder(log):
    wait = next(event for event in log.events if isinstance(event, Wait))
    later = [event for event in log.events[wait.step :] if event.thread == wait.thread]
    wake = next(event for event in later if isinstance(event, Wake))
    assert wake.object == wait.object
    assert wait.holders
    assert wake.waker == wait.holders[0]


def test_choices_of_a_run_can_be_had_from_its_log(log):
    chosen = [event for event in log.events if isinstance(event, Choice)]
    assert [event.number for event in chosen] == list(range(len(chosen)))
    assert all(event.options[event.taken] == event.chosen for event in chosen if event.options)
    assert log.choices() == tuple((c.count, c.taken, c.chosen or c.label) for c in chosen)


async def test_the_life_of_a_process(life):
    log = LogCapture()
    await life(log)
    state = log.of(State)[0]
    assert state.mms["mm:0"]["mm_count"] == {"users": 1}
    charge = log.of(Access, field="locked_vm", function="account_locked_vm", write=True)[0]
    assert (charge.before, charge.after, charge.locked_vm) == (0, 16, 16)
    assert charge.operation == "VFIO_IOMMU_SPAPR_REGISTER_MEMORY"
    assert (charge.actor, charge.mm) == ("mm:0", "mm:0")
    assert (charge.container, charge.caller) == ("container:0", "process:0")
    assert max(event.pins for event in log.events()) == 16
    assert log.events()[-1].pins == 0
    grab = log.of(Access, field="mm_count", holder="tce_container:0")
    assert [(event.before, event.after) for event in grab] == [(1, 2), (2, 1)]


async def test_ioctls_are_decoded(life):
    log = LogCapture()
    await life(log)
    request = log.of(Request, request="sys_ioctl", operation="VFIO_IOMMU_SPAPR_REGISTER_MEMORY")[0]
    assert request.args["cmd"] == "VFIO_IOMMU_SPAPR_REGISTER_MEMORY"
    assert request.args["size"] == 1 << 20


async def test_read_sections_and_callbacks_of_rcu_are_seen(life):
    log = LogCapture()
    await life(log)
    assert log.of(Access, kind="rcu", function="mm_iommu_release", holder="mm_iommu_free")


def test_a_machine_that_is_booted_later_is_found():
    core = BareRuntime()
    recorder = Recorder()
    recorder.attach(core)
    machine = Machine.boot(core)
    thread = core.spawn(machine.harness, machine.spawn("qemu"), "test")
    core.run(thread)
    assert [type(event).__name__ for event in recorder.events()][:2] == ["Start", "State"]


def test_detached_it_leaves_no_trace():
    chooser = Calm()
    core = BareRuntime(chooser)
    recorder = Recorder()
    recorder.attach(core)
    assert isinstance(core.chooser, ChooserTap)
    recorder.detach()
    assert (core.tracer, core.tracing, core.chooser) == (None, False, chooser)
    Machine.boot(core)
    assert recorder.events() == []


def test_a_failing_failure_point_is_an_event():
    core = BareRuntime()
    recorder = Recorder()
    recorder.attach(core)
    core.faults = lambda name: name == "copy_from_user"
    assert core.fails("copy_from_user")
    assert not core.fails("copy_to_user")
    assert [event.failpoint for event in recorder.events()] == ["copy_from_user"]
