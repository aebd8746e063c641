"""Invariants about accesses, answers, locks and orders: small planted variants of the kernel show them."""

from __future__ import annotations

from collections.abc import Coroutine
from errno import EINVAL, ENOMEM
from random import Random
from typing import Any

import pytest

from actors.check import Oracles, blame
from actors.errors import KernelError
from actors.kernel.catalogue import find_kernel
from actors.kernel.container import Container
from actors.kernel.messages import Mmap, Mmdrop
from actors.kernel.tce_container import IommuTable, TceContainer
from actors.kernel.uapi import VFIO_SPAPR_TCE_IOMMU, DmaMap, UserPointer, VFIO_SPAPR_TCE_v2_IOMMU
from actors.machine import Machine, Memory, Process
from actors.runtime.bare import BareRuntime
from actors.runtime.core import Core
from actors.runtime.errors import Deadlock, KernelOops, Livelock, UseAfterFree
from actors.runtime.ops import call
from actors.runtime.sync import Mutex
from actors.runtime.thread import Thread
from hw import (
    BadGeometry,
    DmaHit,
    DmaReport,
    EntryOutsideTable,
    FreeOfPinnedFrame,
    LevelMissing,
    NoSuchFrame,
    NoView,
    PageAlreadyMapped,
    PinUnderflow,
    UseOfFreedFrame,
)
from tests.actors.check.stage import MIB, Stage, one, plant

# -- devices --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("freed", "pins", "stale", "name", "words"),
    [
        (True, 0, True, "J-T4", "wrote to frame 0x107 at bus 0x2000, which is free, by a translation"),
        (True, 0, False, "J-P2", "which is free, by a live TCE"),
        (False, 0, True, "J-T4", "belongs to mm:9 and is not pinned"),
        (False, 0, False, "J-T1", "belongs to mm:9 and is not pinned, by a live TCE"),
        (False, 1, True, "J-T4", "pinned for somebody else by now"),
    ],
)
def test_what_a_device_met_is_judged(freed: bool, pins: int, stale: bool, name: str, words: str) -> None:
    stage = Stage().v2()
    owner = None if freed else "mm:9"
    report = DmaReport(8, False, None, [DmaHit(0x107, 0x2000, True, owner, pins, stale, freed)])
    stage.machine.world.note_dma("group:0", report)
    stage.only(name, words)


def test_a_stale_translation_to_a_page_still_pinned_for_the_container_is_no_harm() -> None:
    stage = Stage().v2()
    pfn = int(stage.mm.mem_list.items[0].pfns[0])
    stage.machine.world.note_dma(
        "group:0", DmaReport(8, False, None, [DmaHit(pfn, 0, False, "mm:0", 1, True, False)])
    )
    assert stage.look() == []


def test_t4_a_bridge_that_remembers_an_unpinned_page_is_caught() -> None:
    stage = Stage().v2()
    stage.run(stage.machine.dma(0, 0x1000, 16))
    stage.table.hw.clear(1, 1)
    frame = stage.machine.memory.allocate(1, "mm:0").tolist()[0]
    stage.pe._cache[0][1] = frame << 16 | 1
    stage.only("J-T4", f"still translates entry 0x1 of window 0 to frame {frame:#x}")


class Forgets(Container):
    """Never marks what a device could write to."""

    def mark_dirty(self, pfns: Any) -> None:
        return None


def shared(stage: Stage, iommu: int = VFIO_SPAPR_TCE_v2_IOMMU) -> Process:
    """Map shared memory for the device; return a child that has it, too, and the descriptors."""
    stage.open(iommu)

    async def body() -> Process:
        stage.ram = Memory(1 << 40, MIB)
        await stage.qemu.memory_call(Mmap(stage.ram.start, MIB, True, True, True, 0, True), "mmap")
        if iommu == VFIO_SPAPR_TCE_v2_IOMMU:
            await stage.container.register_memory(stage.ram)
        else:
            await stage.container.enable()
        await stage.container.map_dma(0, stage.ram.start, 4 * 4096)
        return await stage.qemu.fork()

    child: Process = stage.run(body())
    return child


def test_d1_a_write_that_is_lost_is_caught() -> None:
    stage = Stage(plant(container=Forgets)).v2()
    stage.run(stage.container.unmap_dma(0, 4 * 4096))
    assert stage.seen() == []
    stage.run(stage.container.unregister_memory(stage.ram))
    one(stage.oracles.violations, "J-D1", "1 page of mm:0 of qemu were unpinned clean")


@pytest.mark.parametrize("forgets", [False, True])
def test_d1_the_process_is_gone_and_another_has_the_pages(forgets: bool) -> None:
    stage = Stage(*[plant(container=Forgets)][: int(forgets)])
    child = shared(stage)
    stage.run(stage.qemu.exit())
    assert stage.seen() == []
    stage.run(stage.group.seen_by(child).close())
    assert stage.seen() == ["J-D1"] * forgets


@pytest.mark.parametrize("forgets", [False, True])
def test_d1_the_pages_went_from_the_process_before_their_pins(forgets: bool) -> None:
    stage = Stage(*[plant(container=Forgets)][: int(forgets)])
    shared(stage)
    stage.run(stage.qemu.munmap(stage.ram))
    stage.run(stage.container.unmap_dma(0, 4 * 4096))
    assert stage.seen() == []
    stage.run(stage.container.unregister_memory(stage.ram))
    assert stage.seen() == ["J-D1"] * forgets


@pytest.mark.parametrize("forgets", [False, True])
def test_d1_the_pin_of_a_v1_tce(forgets: bool) -> None:
    stage = Stage(*[plant(container=Forgets)][: int(forgets)])
    shared(stage, VFIO_SPAPR_TCE_IOMMU)
    stage.run(stage.container.unmap_dma(0, 3 * 4096))
    assert stage.seen() == []
    stage.run(stage.container.unmap_dma(3 * 4096, 4096))
    assert stage.seen() == ["J-D1"] * forgets


def test_d1_a_page_that_another_region_pins_is_judged_when_that_goes() -> None:
    stage = Stage(plant(container=Forgets)).v2()
    pfn = int(stage.mm.mem_list.items[0].pfns[0])
    stage.machine.memory.pin(pfn, "another")
    stage.run(stage.container.unmap_dma(0, 4 * 4096))
    stage.run(stage.container.unregister_memory(stage.ram))
    assert "J-D1" not in stage.seen()
    stage.machine.memory.unpin(pfn, "another")
    stage.only("J-D1", f"the first is frame {pfn:#x}")


def test_d1_is_not_judged_of_pages_that_went_with_the_process() -> None:
    stage = Stage(plant(container=Forgets)).v2()
    stage.run(stage.qemu.exit())
    assert stage.seen() == []


def test_d1_a_frame_that_was_handed_out_anew_is_another_page() -> None:
    stage = Stage(plant(container=Forgets)).v2()
    pfns = set(stage.mm.mem_list.items[0].pfns.tolist())

    async def body() -> None:
        await stage.qemu.munmap(stage.ram)
        await stage.container.unmap_dma(0, 4 * 4096)
        await stage.container.unregister_memory(stage.ram)
        await stage.machine.rcu_barrier()
        again = await stage.qemu.mmap(MIB)
        await stage.qemu.touch(again)

    stage.run(body())
    first = next(iter(stage.mm.page_table.runs(0, 1 << 52)), None)
    assert first is not None and pfns.intersection(first[1].tolist())
    assert stage.seen() == []


# -- the order of a release -----------------------------------------------------------------------


def test_q5_an_mm_dropped_before_the_regions_is_caught() -> None:
    class Early(Container):
        async def tce_iommu_release_prereg(self, container: TceContainer, mm: str) -> None:
            await call(mm, Mmdrop(container.name))
            await super().tce_iommu_release_prereg(container, mm)

        async def drop_mm(self, container: TceContainer, mm: str) -> None:
            return None

    stage = Stage(plant(container=Early)).v2()
    stage.run(stage.group.unset_container())
    one(
        stage.oracles.violations, "J-Q5", "the release of container:0 puts region:0 after it has dropped mm:0"
    )


def test_q5_and_t5_regions_put_before_the_tces_are_cleared_are_caught() -> None:
    class Late(Container):
        async def leave_window(
            self, container: TceContainer, group: Any, num: int, table: IommuTable | None
        ) -> None:
            if table is not None:
                await self.unset_window(group.group, num, table)

    stage = Stage(plant(container=Late)).v2()
    stage.run(stage.group.unset_container())
    finding = one(stage.oracles.findings, "J-T5", "window 0 is taken from group:0 with 4 TCEs in its table")
    assert finding.recorded


# -- answers --------------------------------------------------------------------------------------


def test_a1_a_positive_answer_is_noted_and_the_run_goes_on() -> None:
    class One(Container):
        def param_check_error(self) -> int:
            return 1

    stage = Stage(plant(container=One)).v2()
    assert stage.run(stage.container.map_dma(0x800, stage.ram.start, 4096)) == 1
    finding = one(stage.oracles.findings, "J-A1", "VFIO_IOMMU_MAP_DMA of qemu on container:0 returned 1")
    assert finding.recorded
    assert stage.oracles.violations == []


def test_a1_lets_questions_have_answers() -> None:
    stage = Stage().v2()
    assert stage.run(stage.container.check_extension(7)) == 1
    assert stage.seen() == []


def test_a2_a_success_that_mapped_half_is_noted() -> None:
    class Half(Container):
        async def tce_iommu_map(self, container: TceContainer, param: DmaMap) -> int:
            return await super().tce_iommu_map(container, param._replace(size=param.size // 2))

    stage = Stage(plant(container=Half)).open()
    stage.run(stage.container.register_memory(stage.ram))
    stage.run(stage.container.map_dma(0x10000, stage.ram.start, 8 * 4096))
    one(
        stage.oracles.findings,
        "J-A2",
        "MAP_DMA of 0x8000 bytes at bus 0x10000",
        "only 4 of 8 entries are mapped",
    )


def test_a2_a_success_that_mapped_other_pages_is_noted() -> None:
    class Off(Container):
        async def tce_iommu_map(self, container: TceContainer, param: DmaMap) -> int:
            return await super().tce_iommu_map(container, param._replace(vaddr=param.vaddr + 4096))

    stage = Stage(plant(container=Off)).open()
    stage.run(stage.container.register_memory(stage.ram))
    stage.run(stage.container.map_dma(0, stage.ram.start, 4096))
    start = int(stage.ram.start)
    one(stage.oracles.findings, "J-A2", f"entry 0x0 is mapped to {start + 4096:#x}, not {start:#x}")


def test_a2_a_v1_success_that_mapped_other_pages_is_noted() -> None:
    class Off(Container):
        async def tce_iommu_map(self, container: TceContainer, param: DmaMap) -> int:
            return await super().tce_iommu_map(container, param._replace(vaddr=param.vaddr + 65536))

    stage = Stage(plant(container=Off)).open(VFIO_SPAPR_TCE_IOMMU)
    stage.run(stage.container.enable())
    stage.run(stage.container.map_dma(0, stage.ram.start, 2 * 4096))
    one(stage.oracles.findings, "J-A2", "2 entries lead to other pages")


def test_a2_a_refusal_that_mapped_something_is_noted() -> None:
    class Refused(Container):
        async def tce_iommu_map(self, container: TceContainer, param: DmaMap) -> int:
            await super().tce_iommu_map(container, param)
            return -EINVAL

    stage = Stage(plant(container=Refused)).open()
    stage.run(stage.container.register_memory(stage.ram))
    with pytest.raises(KernelError):
        stage.run(stage.container.map_dma(0, stage.ram.start, 3 * 4096))
    stage.oracles.step()
    one(stage.oracles.findings, "J-A2", "returned -22, but 3 of its entries stayed mapped")


def test_a2_a_range_that_could_be_shared_is_noted() -> None:
    class Loser(Container):
        async def registered_already(self, container: TceContainer, mem: str) -> bool:
            return False

        async def tce_iommu_register_pages(self, container: TceContainer, vaddr: Any, size: int) -> int:
            listed = bool(container.prereg_list.items)
            return -EINVAL if listed else await super().tce_iommu_register_pages(container, vaddr, size)

    stage = Stage(plant(container=Loser)).v2()
    with pytest.raises(KernelError):
        stage.run(stage.container.register_memory(stage.ram))
    stage.oracles.step()
    one(stage.oracles.findings, "J-A2", "REGISTER_MEMORY of 16 pages", "although region:0 is that very range")


def test_a3_a_failure_that_changed_something_is_noted() -> None:
    class Failing(Container):
        async def tce_iommu_register_memory(self, container: TceContainer, arg: UserPointer) -> int:
            await super().tce_iommu_register_memory(container, arg)
            return -ENOMEM

    stage = Stage(plant(container=Failing)).open()
    with pytest.raises(KernelError):
        stage.run(stage.container.register_memory(stage.ram))
    stage.oracles.step()
    finding = one(
        stage.oracles.findings, "J-A3", "REGISTER_MEMORY on container:0 returned -12, but changed charges"
    )
    assert "regions" in finding.message
    assert any(detail.startswith("charges: (0,) -> (16,)") for detail in finding.accesses)


def test_a3_lets_a_failed_map_make_the_default_window() -> None:
    stage = Stage().open()
    stage.run(stage.container.register_memory(stage.ram))
    with pytest.raises(KernelError):
        stage.run(stage.container.map_dma(0, 0x1000, 4096))
    stage.oracles.step()
    assert stage.seen() == []
    assert stage.table.name == "table:0"


def test_t6_an_entry_lost_between_two_maps_is_caught() -> None:
    stage = Stage().v2()
    for number in range(2):
        body = stage.container.map_dma(0x100000 * (number + 1), stage.ram.start, 2 * 4096)
        stage.core.spawn(stage.machine.harness, body, f"mapper{number}")
    stage.core.run()
    stage.table.hw.clear(0x101, 1)
    stage.oracles.step()
    one(stage.oracles.violations, "J-T6", "MAP_DMA of 0x2000 bytes at bus 0x100000", "only 1 of 2 entries")


def test_a2_a_success_beside_other_calls_is_judged_when_all_have_ended() -> None:
    class Half(Container):
        async def tce_iommu_map(self, container: TceContainer, param: DmaMap) -> int:
            return await super().tce_iommu_map(container, param._replace(size=param.size // 2))

    stage = Stage(plant(container=Half)).open()
    stage.run(stage.container.register_memory(stage.ram))
    other = stage.run(stage.qemu.mmap(1 << 16))
    for body in (stage.container.map_dma(0, stage.ram.start, 8192), stage.container.register_memory(other)):
        stage.core.spawn(stage.machine.harness, body, "caller")
    stage.core.run()
    stage.oracles.step()
    one(stage.oracles.findings, "J-A2", "when all calls had ended only 1 of 2 entries are mapped")


# -- locks ----------------------------------------------------------------------------------------


def test_k1_a_lock_kept_is_caught() -> None:
    class Keeps(Container):
        async def tce_iommu_get_info(self, container: TceContainer, arg: UserPointer) -> int:
            await container.lock.acquire()
            return await super().tce_iommu_get_info(container, arg)

    stage = Stage(plant(container=Keeps)).v2()
    stage.run(stage.container.info(), "asker")
    found = one(
        stage.oracles.violations, "J-K1", "asker has returned to user space with tce_container:0.lock"
    )
    assert found.accesses == ("asker holds tce_container:0.lock",)


def test_k4_a_read_section_left_open_is_caught() -> None:
    class Open(Container):
        async def tce_iommu_get_info(self, container: TceContainer, arg: UserPointer) -> int:
            self.world.rcu.enter(self.core.current)
            return await super().tce_iommu_get_info(container, arg)

    stage = Stage(plant(container=Open)).v2()
    stage.run(stage.container.info(), "asker")
    one(stage.oracles.violations, "J-K4", "asker has returned to user space 1 RCU read section deep")


def locked_in(core: Core, *orders: tuple[str, ...]) -> list[Coroutine[Any, Any, None]]:
    """One coroutine an order, which takes locks one inside the other."""
    locks = {name: Mutex(core, name) for order in orders for name in order}

    async def nested(order: tuple[str, ...]) -> None:
        for name in order:
            await locks[name].acquire()
        for name in reversed(order):
            await locks[name].release()

    return [nested(order) for order in orders]


def test_k3_two_orders_are_caught_without_a_deadlock() -> None:
    stage = Stage().open()
    orders = [("container:0.group_lock", "mem_list_mutex"), ("mem_list_mutex", "container:1.group_lock")]
    for name, body in zip(("first", "second"), locked_in(stage.core, *orders), strict=True):
        stage.run(body, name)
    found = one(stage.oracles.violations, "J-K3", "container.group_lock is taken under mem_list_mutex")
    assert found.accesses[0].startswith("second at ")
    assert "mem_list_mutex -> container:1.group_lock" in found.accesses[0]
    assert "container:0.group_lock -> mem_list_mutex" in found.accesses[1]


def test_k3_a_cycle_of_three_is_caught() -> None:
    stage = Stage().open()
    for body in locked_in(stage.core, ("x.a", "x.b"), ("x.b", "x.c"), ("x.c", "x.a")):
        stage.run(body)
    one(stage.oracles.violations, "J-K3", "x.a -> x.b -> x.c")


def test_k3_two_of_one_class_may_nest_in_one_order_only() -> None:
    stage = Stage().open()
    for body in locked_in(stage.core, ("mm:0.l", "mm:1.l"), ("mm:0.l", "mm:1.l")):
        stage.run(body)
    assert stage.seen() == []
    (body,) = locked_in(stage.core, ("mm:1.l", "mm:0.l"))
    stage.run(body)
    one(stage.oracles.violations, "J-K3", "mm:0.l is taken under mm:1.l")


def test_k3_a_lock_taken_twice_is_caught() -> None:
    stage = Stage().open()
    thread = Thread(99, "greedy")
    thread.held = [Mutex(stage.core, "mem_list_mutex").acquire_op]
    watch = stage.core.lock_watch
    assert watch is not None
    watch(thread, "mem_list_mutex", "write")
    one(stage.oracles.violations, "J-K3", "greedy takes mem_list_mutex (write), which it already holds")


def test_sleeping_inside_a_read_section_is_caught() -> None:
    stage = Stage().open()

    async def body() -> None:
        async with stage.machine.world.rcu.read_lock(), Mutex(stage.core, "mem_list_mutex"):
            pass

    stage.run(body(), "sleeper")
    one(stage.oracles.violations, "sleeping", "sleeper takes mem_list_mutex, which may sleep")


# -- races ----------------------------------------------------------------------------------------


class Shuffled:
    """A chooser that draws."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)

    def choose(self, label: str, options: int) -> int:
        return self.random.randrange(options)

    def pick(self, core: Core) -> Thread:
        return core.ready[self.random.randrange(len(core.ready))]


def raced(kernel: Any, seed: int) -> Oracles:
    """Two MAPs of a fresh container, while another thread registers and unregisters."""
    core = BareRuntime(Shuffled(seed))
    machine = Machine.boot(core, kernel)
    stage = Stage.__new__(Stage)
    stage.core, stage.machine, stage.races = core, machine, True
    stage.open()
    stage.run(stage.container.register_memory(stage.ram))

    async def register() -> None:
        other = await stage.qemu.mmap(1 << 16)
        await stage.container.register_memory(other)
        await stage.container.unregister_memory(other)

    for number in range(2):
        body = stage.container.map_dma(0x10000 * number, stage.ram.start, 4096)
        core.spawn(machine.harness, body, f"mapper{number}")
    core.spawn(machine.harness, register(), "registrar")
    core.run()
    stage.oracles.step()
    return stage.oracles


def test_the_mended_kernel_has_no_races() -> None:
    kernel = find_kernel("fixed")
    for seed in range(30):
        oracles = raced(kernel, seed)
        assert (oracles.violations, oracles.findings) == ([], [])


def races_of(slug: str) -> set[str]:
    kernel = find_kernel("fixed", [slug])
    return {
        violation.message
        for seed in range(30)
        for violation in raced(kernel, seed).findings
        if violation.verdict == "race"
    }


def test_two_makers_of_one_window_race_and_both_are_named() -> None:
    messages = races_of("default-window-double-create")
    assert any(
        "tce_container:0.tables[0]" in message
        and message.count("writes it in tce_iommu_create_window with no lock") == 0
        and "mapper0 writes it" in message
        and "mapper1 writes it" in message
        for message in messages
    ), messages


def test_a_reader_outside_its_read_section_races_with_the_list() -> None:
    messages = races_of("rcu-readers-unprotected")
    assert any("mm:0.iommu_group_mem_list" in message for message in messages), messages


# -- what is left ---------------------------------------------------------------------------------


class Forgetful(Container):
    """A release that forgets the registrations."""

    async def tce_iommu_release_prereg(self, container: TceContainer, mm: str) -> None:
        container.prereg_list.items = []


def test_q1_and_q2_what_a_release_forgot_is_caught() -> None:
    stage = Stage(plant(container=Forgetful)).v2()
    stage.run(stage.group.unset_container())
    assert stage.oracles.violations == []
    found = stage.oracles.quiescent(final=False)
    one(found, "J-Q1", "16 pages of region:0", "used is 1 and mapped 1, but no container has registered it")
    one(found, "J-Q2", "locked_vm of mm:0 of qemu is 16 pages, but all that is still in use is 0")


def test_q1_names_who_keeps_the_mm_of_a_process_that_is_gone() -> None:
    stage = Stage(plant(container=Forgetful)).v2()
    stage.mm.mm_count.holders["cpu:1"] = 1
    cpu: Any = stage.core.actors["cpu:1"]
    cpu.active_mm.value, cpu.borrowed = "mm:0", True
    stage.run(stage.qemu.exit())
    one(stage.oracles.quiescent(final=True), "J-Q1", "the process is gone and cpu:1 holds the mm")


def test_q1_a_region_that_waits_for_nothing_is_caught() -> None:
    stage = Stage().open()
    stage.run(stage.container.register_memory(stage.ram))
    region = stage.mm.mem_list.items.pop()
    stage.data.prereg_list.items = []
    region.mapped.value = 0
    stage.mm.locked_vm.value -= 16
    one(stage.oracles.quiescent(final=False), "J-Q1", "no grace period is pending")


def test_q1_a_region_forsaken_while_another_container_maps_it_may_live() -> None:
    stage = Stage(groups=2).v2()

    async def second() -> None:
        container = await stage.qemu.open_container()
        group = await stage.qemu.open_group(1)
        await group.set_container(container)
        await container.set_iommu(7)
        own = await stage.qemu.mmap(1 << 16)
        await container.register_memory(own)
        await container.map_dma(0, stage.ram.start, 4096)
        await stage.group.unset_container()

    stage.run(second())
    assert stage.mm.regions["region:0"].used.value == 0
    assert stage.oracles.quiescent(final=False) == []


def test_q4_a_group_without_its_window_is_caught() -> None:
    stage = Stage().v2()
    stage.run(stage.qemu.exit())
    assert stage.oracles.quiescent(final=True) == []
    stage.pe.bypass = False
    one(stage.oracles.quiescent(final=True), "J-Q4", "group:0 is back with the host without")


def test_q4_an_mm_that_outlives_everything_is_caught() -> None:
    stage = Stage().v2()
    stage.run(stage.qemu.exit())
    stage.mm.destroyed = False
    stage.mm.mm_count.holders["users"] = 1
    names = [v.invariant for v in stage.oracles.quiescent(final=True)]
    assert names[0] == "J-M2"


# -- crashes --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("problem", "name", "verdict"),
    [
        (UseAfterFree("region:3.used", "mm_iommu_put"), "J-K2", "violation"),
        (KernelOops("NULL pointer dereference", "tce_iommu_build_v2"), "", "oops"),
        (KernelOops("NULL pointer dereference", "tce_iommu_release", "J-K1"), "J-K1", "oops"),
        (EntryOutsideTable(9, 1, 8), "J-T3", "violation"),
        (LevelMissing(9), "J-T6", "violation"),
        (BadGeometry(1 << 20, 12, 6), "J-T3", "violation"),
        (NoView(), "J-K2", "violation"),
        (NoSuchFrame(9), "J-P2", "violation"),
        (PageAlreadyMapped(0x1000), "J-P2", "violation"),
        (PinUnderflow(256, 0, 1, "mm:0.regions"), "J-P1", "violation"),
        (FreeOfPinnedFrame(256, 1, 0), "J-P2", "violation"),
        (UseOfFreedFrame(256, "pinned"), "J-P2", "violation"),
        (Livelock(1000, "closer", ("mm:0",)), "J-Q3", "livelock"),
        (Deadlock((("a", "mem_list_mutex", "b"),)), "", "deadlock"),
    ],
)
def test_a_crash_is_blamed_on_the_invariant_it_breaks(problem: Exception, name: str, verdict: str) -> None:
    violation = blame(problem)
    assert violation is not None
    assert (violation.invariant, violation.verdict) == (name, verdict)
    assert "\n" not in violation.message


def test_a_mistake_of_our_own_is_blamed_on_nobody() -> None:
    assert blame(ValueError("oops")) is None


def test_an_oops_is_heard() -> None:
    class Crashes(Container):
        async def tce_iommu_get_info(self, container: TceContainer, arg: UserPointer) -> int:
            raise KernelOops("NULL pointer dereference", "tce_iommu_get_info", "J-K2")

    stage = Stage(plant(container=Crashes)).v2()
    with pytest.raises(Deadlock, match="held by asker"):
        stage.run(stage.container.info(), "asker")
    assert one(stage.oracles.violations, "J-K2", "(thread asker)").verdict == "oops"


def test_a_misuse_that_the_model_noticed_is_reported_once() -> None:
    stage = Stage().v2()
    stage.machine.world.misuse("J-R3", "region:0: a TCE less than none", "mm_iommu_mapped_dec")
    stage.only("J-R3", "a TCE less than none (in mm_iommu_mapped_dec)")
    assert len(stage.look()) == 1
