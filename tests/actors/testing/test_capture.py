"""Capturing what happens on a machine, in a test."""

from __future__ import annotations

import io

import pytest
import structlog

from actors.machine import Machine, open_machine
from actors.testing.capture import capture
from actors.trace.machinelog import MachineLog
from actors.trace.query import LogCapture
from actors.trace.schema import Access, Acquire, Request, Warn
from actors.trace.why import why

REGISTER = "VFIO_IOMMU_SPAPR_REGISTER_MEMORY"


async def registered(machine: Machine):
    qemu = await machine.spawn("qemu")
    ram = await qemu.mmap(1 << 20)
    container = await qemu.open_container()
    group = await qemu.open_group(0)
    await group.set_container(container)
    await container.set_iommu(7)
    await container.register_memory(ram)
    return qemu


async def test_what_a_call_led_to_is_found_across_actors():
    async with open_machine() as machine:
        with capture(machine) as log:
            qemu = await registered(machine)
        await qemu.exit()
    charge = log.caused(REGISTER, Access, object="mm:0.locked_vm", write=True)
    assert [event.after for event in charge] == [16]
    assert charge[0].actor == "mm:0"
    requests = [event.request for event in log.chain(charge[0]) if isinstance(event, Request)]
    assert requests[0] == "sys_ioctl"
    assert log.chain(charge[0])[-1] is charge[0]
    assert log.caused(log.calls(REGISTER)[0], Access, object="mm:0.locked_vm") == log.caused(
        REGISTER, Access, object="mm:0.locked_vm"
    )
    assert log.caused("mmap_anywhere", Access, object="mm:0.locked_vm", write=True) == []
    assert log.of(Warn) == []


async def test_calls_are_those_from_outside_and_only_while_the_block_runs():
    async with open_machine() as machine:
        with capture(machine) as log:
            qemu = await registered(machine)
        await qemu.exit()
    assert [call.operation for call in log.calls()] == [
        "mmap_anywhere", "open(/dev/vfio/vfio)", "open(/dev/vfio/0)", "VFIO_GROUP_SET_CONTAINER",
        "VFIO_SET_IOMMU", REGISTER,
    ]  # fmt: skip


async def test_captures_and_logs_do_not_notice_each_other():
    output, whole = io.StringIO(), LogCapture()
    config = structlog.get_config()
    async with open_machine(log=MachineLog(output, form="json")) as machine:
        whole.open(machine)
        with capture(machine) as outer:
            qemu = await machine.spawn("qemu")
            with capture(machine) as inner:
                await qemu.mmap(1 << 20)
            await qemu.open_container()
        assert machine.core.tracing
        await qemu.exit()
        whole.close()
    assert [call.operation for call in inner.calls()] == ["mmap_anywhere"]
    assert [call.operation for call in outer.calls()] == ["mmap_anywhere", "open(/dev/vfio/vfio)"]
    assert [call.operation for call in whole.calls()][-1] == "exit_group"
    assert '"operation":"exit_group"' in output.getvalue()
    assert structlog.get_config() == config


async def test_a_machine_that_nobody_watches_any_more_costs_nothing():
    async with open_machine() as machine:
        chooser = machine.core.chooser
        with capture(machine):
            pass
        assert (machine.core.tracer, machine.core.tracing, machine.core.chooser) == (None, False, chooser)


async def test_failing_assertions_say_what_there_is():
    async with open_machine() as machine:
        with capture(machine) as log:
            await registered(machine)
    with pytest.raises(AssertionError, match="nobody called munmap; there is mmap_anywhere, open"):
        log.caused("munmap")
    with pytest.raises(AssertionError, match=r"expected one\n +\d+ .*takes") as caught:
        log.only(Acquire)
    assert len(str(caught.value).splitlines()) <= 6


async def test_what_was_captured_can_be_asked_why():
    async with open_machine() as machine:
        with capture(machine) as log:
            await registered(machine)
    history = why(log.log(), "mm:0.mm_count")
    assert history.holders["mm:0.mm_count"].keys() >= {"tce_container:0"}
    assert log.log().header.kernel == "fixed"


def test_inside_a_scenario_whose_orders_are_searched() -> None:
    from actors.explore import explore

    charged: list[int] = []

    async def scenario(machine: Machine) -> None:
        with capture(machine) as log:
            await registered(machine)
        charged.append(len(log.caused(REGISTER, Access, object="mm:0.locked_vm", write=True)))

    report = explore(scenario, "fixed", "random", schedules=3)
    assert report.verdict == "ok"
    assert set(charged) == {1}
