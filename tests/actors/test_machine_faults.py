"""What a scenario can do to a machine and see of it, beside making calls."""

from __future__ import annotations

import pytest
import trio

import actors
from actors import KernelError, Machine, open_machine
from actors.machine import Container, Group, Memory, Process


async def registered(machine: Machine) -> tuple[Process, Container, Group, Memory]:
    qemu = await machine.spawn("qemu")
    ram = await qemu.mmap(1 << 20)
    container = await qemu.open_container()
    group = await qemu.open_group(0)
    await group.set_container(container)
    await container.set_iommu(actors.VFIO_SPAPR_TCE_v2_IOMMU)
    return qemu, container, group, ram


async def test_fail_counts_arrivals_from_now_on() -> None:
    async with open_machine() as machine:
        _, container, _, ram = await registered(machine)
        machine.fail("account_locked_vm", nth=2)
        await container.register_memory(ram)
        with pytest.raises(KernelError, match="ENOMEM"):
            await container.map_dma(0, ram.start, 4096)
        await container.map_dma(0, ram.start, 4096)


async def test_one_point_may_be_armed_more_than_once() -> None:
    async with open_machine() as machine:
        _, container, _, ram = await registered(machine)
        machine.fail("tce_iommu_register_pages.kzalloc")
        machine.fail("tce_iommu_register_pages.kzalloc", nth=2)
        for _ in range(2):
            with pytest.raises(KernelError, match="ENOMEM"):
                await container.register_memory(ram)
        await container.register_memory(ram)
        assert machine.armed == {}


async def test_unknown_failure_points_are_refused() -> None:
    async with open_machine() as machine:
        with pytest.raises(ValueError, match="did you mean pin_user_pages"):
            machine.fail("pin_user_page")
        with pytest.raises(ValueError, match="nth: found 0"):
            machine.fail("pin_user_pages", nth=0)


async def test_nobody_is_stuck_on_a_healthy_machine() -> None:
    async with open_machine() as machine:
        await registered(machine)
        assert await machine.stuck() == ()


async def test_stuck_names_the_dead_holder() -> None:
    async with open_machine("v4.10-seed") as machine, trio.open_nursery() as nursery:
        qemu, container, group, ram = await registered(machine)
        child = await qemu.fork()
        machine.fail("tce_iommu_register_pages.kzalloc")
        with pytest.raises(actors.KernelOops):
            await container.register_memory(ram)
        nursery.start_soon(group.seen_by(child).unset_container)
        (waiting,) = await machine.stuck()
        assert waiting == ("qemu-child", "container:0.group_lock", "qemu (dead)")
        nursery.cancel_scope.cancel()


async def test_charges_and_holders_are_seen() -> None:
    async with open_machine("v4.10") as machine:
        qemu, container, _, ram = await registered(machine)
        await container.register_memory(ram)
        assert qemu.locked_vm_pages == 16
        assert qemu.mm_holders == ("tce_container:0", "users")
        await machine.cpus[1].run(qemu)
        await machine.cpus[1].idle()
        await qemu.exit()
        assert qemu.locked_vm_pages == 0
        assert qemu.mm_holders == ("cpu:1",)
        assert machine.name_of(qemu.id) == "qemu"


async def test_descriptors_are_seen_by_those_who_inherit_them() -> None:
    async with open_machine(groups=2) as machine:
        qemu = await machine.spawn("qemu")
        group = await qemu.open_group(1)
        child = await qemu.fork()
        other = group.seen_by(child)
        assert (other.process, other.fd, other.index) == (child, group.fd, 1)
        again = await group.dup()
        assert again.fd != group.fd
        assert again.index == 1


def test_every_public_name_can_be_imported() -> None:
    for name in actors.__all__:
        assert getattr(actors, name) is not None
    assert set(actors.__all__) <= set(dir(actors))
    with pytest.raises(AttributeError, match="no attribute 'open_machin'"):
        _ = actors.open_machin
