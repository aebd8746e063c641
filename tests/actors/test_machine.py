from __future__ import annotations

from errno import EBUSY, EINVAL, ENOMEM, EPERM
from itertools import pairwise
from typing import Any

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

import actors
from actors import EmulatorError, KernelError, Machine, MachineSpec, VFIO_SPAPR_TCE_v2_IOMMU
from actors.kernel import messages as m
from actors.machine import Container, Memory, Process
from actors.runtime.bare import BareRuntime
from actors.runtime.free import FreeRuntime
from actors.runtime.sync import Mutex

PAGE = 65536


async def test_the_first_scenario() -> None:
    async with actors.open_machine(kernel="fixed") as machine:
        qemu = await machine.spawn("qemu")
        ram = await qemu.mmap(64 << 20)
        container = await qemu.open_container()
        group = await qemu.open_group(0)
        await group.set_container(container)
        await container.set_iommu(VFIO_SPAPR_TCE_v2_IOMMU)
        await container.register_memory(ram)
        await container.map_dma(iova=0, vaddr=ram.start, size=ram.size, flags=actors.READ | actors.WRITE)
        assert machine.memory.pinned_pages == ram.size // machine.page_size
        await machine.cpus[1].run(qemu)
        await machine.cpus[1].run_kthread("kworker/1:0")
        await qemu.exit()
        await machine.rcu_barrier()
        assert machine.memory.pinned_pages == 0


async def client(machine: Machine, name: str = "qemu", index: int = 0) -> tuple[Process, Container, Memory]:
    process = await machine.spawn(name)
    ram = await process.mmap(8 * PAGE)
    container, group = await process.open_container(), await process.open_group(index)
    await group.set_container(container)
    await container.set_iommu(VFIO_SPAPR_TCE_v2_IOMMU)
    return process, container, ram


async def test_an_error_tells_number_operation_and_place() -> None:
    async with actors.open_machine() as machine:
        qemu, container, ram = await client(machine)
        await container.register_memory(ram)
        with pytest.raises(KernelError) as caught:
            await container.register_memory(ram)
        error = caught.value
        assert isinstance(error, OSError)
        assert error.errno == EBUSY
        assert error.operation == "VFIO_IOMMU_SPAPR_REGISTER_MEMORY"
        assert error.place == "tce_iommu_register_memory"
        told = "VFIO_IOMMU_SPAPR_REGISTER_MEMORY: -EBUSY (Device or resource busy)"
        assert str(error) == f"{told} from tce_iommu_register_memory"
        with pytest.raises(KernelError) as caught:
            await container.map_dma(iova=0, vaddr=ram.start + 1, size=PAGE)
        assert (caught.value.errno, caught.value.place) == (EINVAL, "tce_iommu_map_dma")
        with pytest.raises(KernelError, match=r"open\(/dev/vfio/0\): -EBUSY"):
            await qemu.open_group(0)


async def test_limits_bind_a_process_that_gave_its_capability_up() -> None:
    async with actors.open_machine() as machine:
        process, container, ram = await client(machine)
        await process.limit_memlock(ram.size - 1)
        with pytest.raises(KernelError) as caught:
            await container.register_memory(ram)
        assert caught.value.errno == ENOMEM
        child = await process.fork()
        with pytest.raises(KernelError) as caught:
            await Container(child, container.fd).register_memory(ram)
        assert caught.value.errno == EPERM


async def test_the_block_raises_what_was_raised_in_it() -> None:
    with pytest.raises(KernelError, match=r"-EPERM .* from tce_iommu_map_dma"):
        async with actors.open_machine() as machine:
            _, container, ram = await client(machine)
            await container.map_dma(iova=0, vaddr=ram.start + 1, size=PAGE)


async def test_a_mistake_in_an_actor_ends_the_block_with_that_mistake() -> None:
    with pytest.raises(ZeroDivisionError) as caught:
        async with actors.open_machine() as machine:
            _, container, ram = await client(machine)
            machine.core.faults = lambda failpoint: bool(1 // 0)
            await container.register_memory(ram)
    assert "in thread qemu at container:0" in caught.value.__notes__[0]


async def test_a_block_that_is_cancelled_is_cancelled() -> None:
    with trio.move_on_after(0) as scope:
        async with actors.open_machine() as machine:
            await machine.spawn("qemu")
            await trio.sleep_forever()
    assert scope.cancelled_caught


async def test_a_machine_whose_block_has_ended_says_so() -> None:
    async with actors.open_machine() as machine:
        qemu = await machine.spawn("qemu")
    with pytest.raises(EmulatorError, match="the machine has ended"):
        await qemu.mmap(PAGE)


# -- concurrency -----------------------------------------------------------------------------------


async def test_a_stopped_containers_requests_wait_while_anothers_proceed() -> None:
    async with actors.open_machine(groups=2) as machine:
        core = machine.core
        assert isinstance(core, FreeRuntime)
        _, first, ram = await client(machine)
        _, second, heap = await client(machine, "dpdk", 1)
        core.pause("container:0")
        done: list[str] = []

        async def register(name: str, container: Container, memory: Memory) -> None:
            await container.register_memory(memory)
            done.append(name)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(register, "first", first, ram)
            await wait_all_tasks_blocked()
            await register("second", second, heap)
            assert done == ["second"]
            core.resume("container:0")
        assert done == ["second", "first"]


def halves(ram: Memory) -> list[Memory]:
    return [Memory(ram.start + at, ram.size // 2) for at in (0, ram.size // 2)]


def overlapping(operation: str, container: Container, ram: Memory) -> list[Any]:
    """Two MAPs, or two REGISTERs, of different halves of a client's memory."""
    if operation == "map":
        return [container.map_dma(part.start - ram.start, part.start, part.size) for part in halves(ram)]
    return [container.register_memory(part) for part in halves(ram)]


@pytest.mark.parametrize("operation", ["map", "register"])
async def test_two_maps_of_one_container_overlap_and_two_registers_do_not(operation: str) -> None:
    """With the mm stopped each goes as far as the container's own locks let it."""
    async with actors.open_machine() as machine:
        core = machine.core
        assert isinstance(core, FreeRuntime)
        _, container, ram = await client(machine)
        if operation == "map":
            await container.register_memory(ram)
            await container.map_dma(0, ram.start, PAGE)
        async with trio.open_nursery() as nursery:
            for _ in range(2):  # the process has two tasks from now on
                nursery.start_soon(container.check_extension, VFIO_SPAPR_TCE_v2_IOMMU)
        core.pause("mm:0")
        async with trio.open_nursery() as nursery:
            for call in overlapping(operation, container, ram):
                nursery.start_soon(awaited, call)
            await wait_all_tasks_blocked()
            waiting = [t.guard.name for t in core.threads.values() if t.guard is not None]
            at_mm = len(core.inboxes["mm:0"]) + 1  # and one that has been taken out of it
            if operation == "map":
                assert (waiting, at_mm) == ([], 2)
            else:
                assert (waiting, at_mm) == (["tce_container:0.lock"], 1)
            core.resume("mm:0")


async def awaited(call: Any) -> Any:
    return await call


class Alternating:
    """Lets nobody make two steps in a row while somebody else can make one."""

    def choose(self, label: str, options: int) -> int:
        return 0

    def pick(self, core: Any) -> Any:
        return next(t for t in core.ready if t is not core.current)


@pytest.mark.parametrize("operation", ["map", "register"])
def test_they_do_so_under_control_too(operation: str) -> None:
    core = BareRuntime(Alternating(), keep_log=True)
    machine = Machine.boot(core)

    async def setup() -> tuple[Process, Container, Memory]:
        process, container, ram = await client(machine)
        if operation == "map":
            await container.register_memory(ram)
        return process, container, ram

    _, container, ram = run(machine, setup())
    both([container.check_extension(1), container.check_extension(1)], machine)
    core.log.clear()
    assert both(overlapping(operation, container, ram), machine) == [0, 0]
    at_mm = [t.name for t, op in core.log if op is not None and op.kind == "message" and op.object == "mm:0"]
    turns = sum(a != b for a, b in pairwise(at_mm))
    assert turns > 1 if operation == "map" else turns == 1


def both(calls: list[Any], machine: Machine) -> list[Any]:
    core = machine.core
    assert isinstance(core, BareRuntime)
    threads = [core.spawn(machine.harness, call, f"t{i}") for i, call in enumerate(calls)]
    core.run()
    return [core.result(t) for t in threads]


# -- copies ----------------------------------------------------------------------------------------


def run(machine: Machine, body: Any) -> Any:
    thread = machine.core.spawn(machine.harness, body, "test")
    assert isinstance(machine.core, BareRuntime)
    machine.core.run()
    return machine.core.result(thread)


def prepared(page_size: int = PAGE) -> tuple[Machine, Process, Container, Memory]:
    machine = Machine.boot(BareRuntime(), "fixed", MachineSpec(page_size=page_size))

    async def setup() -> tuple[Process, Container, Memory]:
        process, container, ram = await client(machine)
        await container.register_memory(ram)
        await container.map_dma(0, ram.start, 4 * PAGE)
        return process, container, ram

    return machine, *run(machine, setup())


def state(machine: Machine) -> dict[str, Any]:
    core: dict[str, Any] = machine.core.actors  # type: ignore[assignment]
    container = core["container:0"].iommu_data.value
    tables = [c.value for c in container.tables if c.value is not None] if container else []
    return {
        "pins": dict(machine.memory.pins_by_holder),
        "free": machine.memory.free_bytes,
        "tables": [[[p.tolist() for p in piece] for piece in t.hw.live()] for t in tables],
        "mms": {n: (a.locked_vm.value, a.mm_count.holders) for n, a in core.items() if n.startswith("mm:")},
        "names": machine.core.names,
        "actors": list(core),
    }


@pytest.mark.parametrize("page_size", [4096, PAGE])
def test_a_copy_is_equal_and_goes_its_own_way(page_size: int) -> None:
    machine, process, container, ram = prepared(page_size)
    copy = machine.snapshot()
    before = state(machine)
    restored = Machine.restore(BareRuntime(), copy)
    assert state(restored) == before

    qemu = Process(restored, process.id, "qemu")
    run(restored, Container(qemu, container.fd).map_dma(8 * PAGE, ram.start, 2 * PAGE))
    run(restored, Container(qemu, container.fd).unmap_dma(0, PAGE))
    run(restored, qemu.exit())
    assert restored.memory.pinned_pages == 0
    assert state(machine) == before

    run(machine, container.unmap_dma(0, 4 * PAGE))
    run(machine, container.map_dma(PAGE, ram.start, PAGE))
    assert state(Machine.restore(BareRuntime(), copy)) == before


def test_a_restored_machine_makes_the_same_run() -> None:
    machine, process, container, ram = prepared()
    copy = machine.snapshot()

    def go(machine: Machine) -> tuple[list[str], dict[str, Any]]:
        core = machine.core
        assert isinstance(core, BareRuntime)
        core.keep_log, core.log = True, []
        qemu = Process(machine, process.id, "qemu")

        async def all_of_it() -> None:
            mine = Container(qemu, container.fd)
            await mine.unmap_dma(0, PAGE)
            await mine.map_dma(0, ram.start + PAGE, PAGE)
            await qemu.exit()

        run(machine, all_of_it())
        return [f"{t.index} {t.name} {op}" for t, op in core.log], state(machine)

    assert go(Machine.restore(BareRuntime(), copy)) == go(machine)


def test_a_busy_machine_cannot_be_copied() -> None:
    machine, process, _, _ = prepared()
    core = machine.core
    lock = Mutex(core, "lock")

    async def waiting() -> None:
        async with lock, lock:
            pass

    core.spawn(machine.harness, waiting(), "sleeper", daemon=True)
    run(machine, process.call(m.SetRlimit(None)))
    with pytest.raises(EmulatorError, match="only a machine at rest can be copied; busy: sleeper"):
        machine.snapshot()
    core.close()


async def test_a_machine_with_a_pending_callback_cannot_be_copied() -> None:
    async with actors.open_machine() as machine:
        _, container, ram = await client(machine)
        await container.register_memory(ram)
        await container.unregister_memory(ram)
        with pytest.raises(EmulatorError, match="busy: callback:0"):
            machine.snapshot()
        await machine.rcu_barrier()
        again = Machine.restore(BareRuntime(), machine.snapshot())
        assert again.memory.pinned_pages == 0
        assert again.memory.free_bytes == machine.memory.free_bytes


def test_a_scenario_may_copy_its_own_machine() -> None:
    machine = Machine.boot(BareRuntime())

    async def scenario() -> int:
        await client(machine)
        copy = machine.snapshot()
        return len(Machine.restore(BareRuntime(), copy).core.actors)

    assert run(machine, scenario()) == len(machine.core.actors)


async def test_a_killed_process_is_gone_for_its_threads() -> None:
    async with actors.open_machine() as machine:
        core = machine.core
        assert isinstance(core, FreeRuntime)
        process, container, ram = await client(machine)
        core.pause("container:0")
        outcome: list[str] = []

        async def thread() -> None:
            try:
                await container.register_memory(ram)
            except actors.TaskKilled as problem:
                outcome.append(str(problem))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(thread)
            await wait_all_tasks_blocked()
            await process.kill()
            core.resume("container:0")
        assert outcome == ["qemu has exited"]
        await machine.rcu_barrier()
        assert machine.memory.pinned_pages == 0
        with pytest.raises(actors.TaskKilled):
            await process.mmap(PAGE)
