"""Step invariants: the state is corrupted by hand, and the oracle must say so with the numbers."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from actors.check import Oracles
from actors.check.pins import in_cma
from actors.kernel.regions import Region
from actors.kernel.uapi import VFIO_SPAPR_TCE_IOMMU, VFIO_SPAPR_TCE_v2_IOMMU
from actors.machine import Container
from hw import BIDIRECTIONAL, PhysicalMemory, Ua
from tests.actors.check.stage import MIB, Stage

MM_OWNS = ("v4.9", "v4.10-parent", "v4.9.148-preseed")
"""Kernels where registrations belong to the mm."""

# -- J-M: lifetime --------------------------------------------------------------------------------


def test_m1_a_container_that_lost_the_mm_is_caught() -> None:
    stage = Stage().v2()
    stage.mm.destroyed = True
    stage.only("J-M1", "container:0 is bound to mm:0 of qemu, which was freed")


def test_m1_a_container_that_holds_the_mm_twice_is_caught() -> None:
    stage = Stage().v2()
    stage.mm.mm_count.holders[stage.data.name] = 2
    assert not stage.only("J-M1", "holds it 2 times, not once").recorded


def test_m1_a_container_that_does_not_hold_a_living_mm_is_only_noted() -> None:
    stage = Stage().v2()
    del stage.mm.mm_count.holders[stage.data.name]
    assert stage.only("J-M1", "holds it 0 times").recorded


def test_m2_a_holder_without_a_reason_is_caught() -> None:
    stage = Stage().v2()
    stage.mm.mm_count.holders["cpu:1"] = 1
    stage.only("J-M2", "cpu:1 holds mm:0 of qemu 1 times, but has reason for 0; mm_count is 3")


def test_m2_users_that_do_not_hold_the_struct_are_caught() -> None:
    stage = Stage().v2()
    del stage.mm.mm_count.holders["users"]
    stage.only("J-M2", "has 1 users")


def test_m2_a_cpu_may_hold_what_it_borrows() -> None:
    stage = Stage().v2()
    cpu: Any = stage.core.actors["cpu:1"]
    stage.mm.mm_count.holders["cpu:1"] = 1
    cpu.active_mm.value, cpu.borrowed = "mm:0", True
    assert stage.look() == []


def test_m3_a_destroyed_mm_that_is_still_held_is_caught() -> None:
    stage = Stage().open()
    stage.mm.destroyed = True
    stage.only("J-M3", "was destroyed although users still holds it")


def test_m3_a_destroyed_mm_with_regions_is_caught() -> None:
    stage = Stage().v2()
    stage.mm.mm_count.holders.clear()
    stage.mm.destroyed = True
    stage.only("J-M3", "region:0, 16 pages")


def test_m3_an_mm_that_nobody_holds_and_nobody_destroyed_is_caught() -> None:
    stage = Stage().open()
    stage.mm.mm_count.holders.clear()
    stage.only("J-M3", "nobody holds mm:0 of qemu any more")


# -- J-R: regions ---------------------------------------------------------------------------------


def another(stage: Stage, ua: int, pages: int) -> Region:
    pfns = stage.machine.memory.allocate(pages, "mm:0")
    stage.machine.memory.pin(pfns, "mm:0.regions")
    region = Region(stage.core, Ua(ua), pfns, 16, 16)
    stage.mm.mem_list.items.append(region)
    stage.mm.regions[region.name] = region
    stage.data.prereg_list.put(region.name)
    stage.mm.locked_vm.value += pages
    return region


def test_r1_overlapping_regions_are_caught() -> None:
    stage = Stage().v2()
    another(stage, stage.ram.start + MIB - 65536, 2)
    stage.only("J-R1", "region:0", "region:1", "overlap", "16 pages", "2 pages")


def test_r1_adjacent_regions_are_not() -> None:
    stage = Stage().v2()
    another(stage, stage.ram.start + MIB, 2)
    assert stage.look() == []


def test_r1_an_empty_region_is_caught() -> None:
    stage = Stage().v2()
    another(stage, stage.ram.start + 8 * MIB, 0)
    stage.only("J-R1", "region:1 of mm:0 of qemu", "has no page")


def test_r2_a_count_without_a_lister_is_caught() -> None:
    stage = Stage().v2()
    stage.mm.mem_list.items[0].used.value = 2
    stage.only("J-R2", "used of region:0", "is 2, but 1 container lists it: container:0")


def test_r2_a_region_listed_twice_is_caught() -> None:
    stage = Stage().v2()
    stage.data.prereg_list.put("region:0")
    stage.only("J-R2", "container:0 lists region:0 2 times")


def test_r2_a_listed_region_that_is_gone_is_caught() -> None:
    stage = Stage().v2()
    stage.data.prereg_list.put("region:7")
    stage.only("J-R2", "container:0 lists region:7, no live region of mm:0 of qemu")


def joined(stage: Stage, number: int) -> Container:
    """One more container of the process, with a group of its own and some memory registered."""

    async def body() -> Container:
        container = await stage.qemu.open_container()
        group = await stage.qemu.open_group(number)
        await group.set_container(container)
        await container.set_iommu(VFIO_SPAPR_TCE_v2_IOMMU)
        await container.register_memory(await stage.qemu.mmap(MIB))
        return container

    made: Container = stage.run(body())
    return made


@pytest.mark.parametrize("kernel", MM_OWNS)
def test_r2_a_container_that_goes_leaves_its_registrations_to_the_mm(kernel: str) -> None:
    stage = Stage(groups=2, kernel=kernel).open()
    for container in (stage.container, joined(stage, 1)):
        stage.run(container.register_memory(stage.ram))
    stage.run(stage.group.unset_container())
    assert stage.mm.mem_list.items[0].used.value == 2
    assert "J-R2" not in stage.seen()
    assert [v.invariant for v in stage.oracles.quiescent(final=False)] == ["J-Q1", "J-Q2"]


@pytest.mark.parametrize("kernel", MM_OWNS)
def test_r2_registering_twice_is_caught_where_the_mm_owns_registrations(kernel: str) -> None:
    stage = Stage(kernel=kernel).open()
    for _ in range(2):
        stage.run(stage.container.register_memory(stage.ram))
    stage.only("J-R2", "container:0 lists region:0 2 times")


@pytest.mark.parametrize("kernel", MM_OWNS)
@pytest.mark.parametrize(("owners", "what"), [(1, "no live region"), (2, "is 1, but 2 containers list it")])
def test_r2_taking_back_what_another_registered_is_caught(kernel: str, owners: int, what: str) -> None:
    stage = Stage(groups=3, kernel=kernel).open()
    containers = [stage.container, joined(stage, 1), joined(stage, 2)]
    for container in containers[:owners]:
        stage.run(container.register_memory(stage.ram))
    stage.run(containers[2].unregister_memory(stage.ram))
    stage.only("J-R2", what)


@pytest.mark.parametrize("kernel", MM_OWNS)
def test_r2_a_region_may_go_with_its_mm(kernel: str) -> None:
    stage = Stage(kernel=kernel).open()
    stage.run(stage.container.register_memory(stage.ram))

    async def parent_exits() -> None:
        await stage.qemu.fork()
        await stage.qemu.exit()

    stage.run(parent_exits())
    assert "J-R2" not in stage.seen()


def test_r3_a_count_of_tces_that_is_wrong_is_caught() -> None:
    stage = Stage().v2()
    stage.mm.mem_list.items[0].mapped.value = 6
    stage.only("J-R3", "mapped of region:0", "is 6, but 4 TCEs point into it, so it should be 5")


def test_r3_a_dying_region_has_no_count() -> None:
    stage = Stage().v2()
    stage.mm.mem_list.items.clear()
    stage.only("J-R3", "region:0 of mm:0 of qemu is off the list, but its mapped is 5, not 0")


# -- J-P: pins ------------------------------------------------------------------------------------


def test_p1_a_pin_without_a_reason_is_caught() -> None:
    stage = Stage().v2()
    pfn = int(stage.mm.mem_list.items[0].pfns[3])
    stage.machine.memory.pin(pfn, "leak")
    stage.only("J-P1", "17 pins", "account for 16", "leak 1", f"frame {pfn:#x} has 2 and should have 1")


def test_p1_pins_on_the_wrong_page_are_caught_though_their_number_is_right() -> None:
    stage = Stage().v2()
    memory, region = stage.machine.memory, stage.mm.mem_list.items[0]
    memory.pin(int(region.pfns[0]), "mm:0.regions")
    memory.unpin(int(region.pfns[1]), "mm:0.regions")
    stage.mm.locked_vm.value += 0
    stage.table.hw.set_ua(0, stage.table.hw.ua(0))
    stage.only("J-P1", "16 pins", f"frame {int(region.pfns[:2].min()):#x}")


def test_p1_the_pins_of_v1_tces_count_one_each() -> None:
    stage = Stage().v1()
    pfn = stage.table.hw.get(0)[0] >> 16
    stage.machine.memory.pin(pfn, stage.table.name)
    stage.only("J-P1", "3 pins", "account for 2")


def test_p3_a_region_inside_cma_is_caught() -> None:
    memory = PhysicalMemory(64 * MIB, 65536, cma_bytes=16 * MIB)
    pfns = np.concatenate([memory.allocate(3, "mm:0"), memory.allocate(2, "mm:0", cma=True)])
    stage = Stage().open()
    region = Region(stage.core, Ua(0x10000), pfns, 16, 16)
    view: Any = SimpleNamespace(memory=memory)
    (violation,) = in_cma(view, [region])
    assert violation.invariant == "J-P3"
    assert "2 of its 5 pages" in violation.message


# -- J-L: accounting ------------------------------------------------------------------------------


def test_l1_a_charge_without_a_reason_is_caught() -> None:
    stage = Stage().v2()
    tables = stage.table.hw.it_allocated_size // 65536
    stage.mm.locked_vm.value += 5
    stage.only(
        "J-L1",
        f"is {16 + tables + 5} pages, should be {16 + tables} = mlock 0 + regions 16 + tables {tables}",
    )


def test_l1_counts_what_the_process_has_locked_itself() -> None:
    stage = Stage().open()
    stage.run(stage.qemu.mlock(stage.ram))
    assert stage.look() == []
    stage.mm.locked_vm.value = 0
    stage.only("J-L1", "is 0 pages, should be 16 = mlock 16")


def test_l2_pins_that_nobody_pays_for_are_caught() -> None:
    stage = Stage().v1()
    stage.data.enabled.value = False
    stage.only("J-L2", "8,192 bytes mapped and pinned, but is charged for 0 pages")


@pytest.mark.parametrize("enabled", [False, True])
def test_l2_a_second_group_in_a_v1_container_pins_nothing(enabled: bool) -> None:
    stage = Stage(groups=2, kernel="v4.9.148").open(VFIO_SPAPR_TCE_IOMMU)

    async def join() -> None:
        if enabled:
            await stage.container.enable()
            await stage.container.map_dma(0, stage.ram.start, 2 * 4096)
        await (await stage.qemu.open_group(1)).set_container(stage.container)

    stage.run(join())
    assert len(stage.data.group_list.items) == 2
    assert stage.look() == []


@pytest.mark.parametrize("value", [-3, (1 << 64) - 3])
def test_l3_a_charge_below_zero_is_caught(value: int) -> None:
    stage = Stage().v2()
    stage.mm.locked_vm.value = value
    stage.only("J-L3", f"is {value}: it has gone below zero")


def test_l3_the_kernels_own_warning_is_heard() -> None:
    stage = Stage().v2()
    stage.machine.world.warn("locked_vm of qemu would go below zero by 4", "account_locked_vm")
    stage.only("J-L3", "below zero by 4")


# -- J-T: mappings --------------------------------------------------------------------------------


def test_t1_a_tce_to_another_page_is_caught() -> None:
    stage = Stage().v2()
    right = stage.table.hw.get(2)[0]
    stage.table.hw.xchg(2, 0x7FFF0000, BIDIRECTIONAL)
    stage.only("J-T1", "entry 0x2 of table:0 (bus 0x2000) points to 0x7fff0000", f"region:0 has {right:#x}")


def test_t1_a_tce_outside_every_region_is_caught() -> None:
    stage = Stage().v2()
    stage.table.hw.set_ua(1, stage.ram.start + 2 * MIB)
    stage.only("J-T1", "1 TCE of table:0 (container:0) lie in no region of mm:0 of qemu", "entry 0x1")


def test_t1_a_v1_tce_without_a_pin_is_caught() -> None:
    stage = Stage().v1()
    stage.machine.memory.unpin(stage.table.hw.get(1)[0] >> 16, stage.table.name)
    stage.only("J-T1", "2 TCEs of table:0 (container:0, v1)", "only 1 are pinned")


def test_t2_a_torn_iommu_page_is_caught() -> None:
    stage = Stage(hugepages={"2M": 4}, memory_bytes=1 << 30).open(size=4 * MIB, huge=21)
    stage.run(stage.container.register_memory(stage.ram))
    stage.run(stage.container.create_window(21, 1 << 30))
    stage.run(stage.container.map_dma(1 << 59, stage.ram.start, 4 * MIB))
    assert stage.seen() == []
    region = stage.mm.mem_list.items[0]
    region.pfns = region.pfns.copy()
    region.pfns[[5, 6]] = region.pfns[[6, 5]]
    stage.oracles = Oracles(stage.machine)
    stage.only("J-T2", "maps 2,097,152 bytes", "region:0 is torn there")


def test_t7_an_address_without_a_tce_is_caught() -> None:
    stage = Stage().v2()
    stage.table.hw.set_ua(77, 0x1234000)
    stage.only("J-T7", "1 slot of the userspace view of table:0 (container:0)")


def test_t5_a_table_freed_with_tces_in_it_is_caught() -> None:
    stage = Stage().v2()
    stage.data.tables[0].value = None
    stage.only("J-T5", "table:0 was freed by container:0 with 4 TCEs in it")


# -- J-W, J-E: windows ----------------------------------------------------------------------------


def test_w1_a_group_without_the_containers_window_is_caught() -> None:
    stage = Stage().v2()
    stage.pe.windows[0] = None
    stage.only("J-W1", "window 0 of group:0 has no table", "has table:0 there")


def test_w2_a_window_that_is_owed_though_it_is_there_is_caught() -> None:
    stage = Stage().v2()
    stage.data.def_window_pending.value = True
    stage.only("J-W2", "owed a default window although slot 0 has table:0")


def test_w3_a_reference_too_many_is_caught() -> None:
    stage = Stage().v2()
    stage.table.it_kref.holders["group:9"] = 1
    stage.only(
        "J-W3", "container:0 (1), group:0 (1), group:9 (1), but it is used by container:0 (1), group:0 (1)"
    )


def test_w3_a_table_that_outlives_its_container_is_caught() -> None:
    stage = Stage().v2()
    stage.data.tables[0].value = None
    stage.only(
        "J-W3", "table:0, which container:0 has given up, is still referenced by container:0 (1), group:0 (1)"
    )


def test_w4_a_window_at_the_wrong_place_is_caught() -> None:
    stage = Stage().v2()
    stage.data.tables[1].value = stage.table
    assert "J-W4" in [v.invariant for v in stage.look()]
    stage.only("J-W4", "table:0 in slot 1 of container:0 starts at bus 0x0, not 0x800000000000000")


def test_w4_overlapping_windows_are_caught() -> None:
    stage = Stage().v2()
    stage.run(stage.container.create_window(16, 1 << 30))
    table = stage.data.tables[1].value
    assert table is not None
    table.hw.it_offset = 1
    table.hw.set_ua(0, 0)
    found = [v.message for v in stage.look() if v.invariant == "J-W4"]
    assert any("table:0 and table:1 of container:0 overlap" in message for message in found)


def test_e1_a_container_enabled_by_nothing_is_caught() -> None:
    stage = Stage().open()
    stage.data.enabled.value = True
    stage.only("J-E1", "v2 container:0 is enabled though no REGISTER")


def test_e1_a_v1_container_enabled_for_free_is_caught() -> None:
    stage = Stage().v1()
    stage.mm.locked_vm.value -= stage.data.locked_pages.value
    stage.data.locked_pages.value = 0
    stage.only("J-E1", "v1 container:0 is enabled though it is charged for 0 pages")


def test_what_is_there_when_the_oracles_come_is_taken_as_it_is() -> None:
    stage = Stage().v2()
    stage.oracles = Oracles(stage.machine)
    assert stage.look() == []
