from __future__ import annotations

import sys
from itertools import count

import pytest
import trio

import actors.machine
from actors.explore import explore
from actors.kernel.catalogue import find_kernel
from actors.kernel.uapi import VFIO_SPAPR_TCE_v2_IOMMU
from actors.runtime.errors import EmulatorError, ForeignAwait, ScenarioError


async def prepared(machine):
    qemu = await machine.spawn("qemu")
    ram = await qemu.mmap(1 << 20)
    container = await qemu.open_container()
    group = await qemu.open_group(0)
    await group.set_container(container)
    await container.set_iommu(VFIO_SPAPR_TCE_v2_IOMMU)
    await container.register_memory(ram)
    await container.map_dma(0, ram.start, 0x1000)
    return qemu, ram, container, group


async def map_and_remove(machine):
    qemu, ram, container, _ = await prepared(machine)

    async def mapper():
        try:
            await container.map_dma(0x1000, ram.start, 0x1000)
        except OSError as error:
            assert error.errno in (6, 22)

    async def remover():
        await container.remove_window(0)

    async with machine.threads() as threads:
        threads.start("mapper", mapper())
        threads.start("remover", remover())
    await qemu.exit()


async def test_the_same_scenario_runs_free():
    async with actors.machine.open_machine() as machine:
        await map_and_remove(machine)
        await machine.rcu_barrier()
        assert machine.memory.pinned_pages == 0


def test_a_scenario_is_searched_completely():
    report = explore(map_and_remove, strategy="dpor", schedules=2000)
    assert report.complete
    assert report.program == "map_and_remove"


def test_a_defect_shows_in_a_scenario():
    report = explore(map_and_remove, find_kernel("fixed", ["map-remove-race"]), schedules=500)
    assert report.invariant == "J-K2"


async def impatient(machine):
    async def sleeper():
        await trio.sleep(1)

    async with machine.threads() as threads:
        threads.start("sleepy", sleeper())


def test_a_foreign_await_is_named():
    line = impatient.__code__.co_firstlineno + 2
    with pytest.raises(ForeignAwait, match=rf"thread sleepy awaits .* at test_scenario\.py:{line};"):
        explore(impatient, schedules=1)


async def disappointed(machine):
    qemu = await machine.spawn("qemu")
    assert qemu is None, "no process for you"


async def refused(machine):
    qemu = await machine.spawn("qemu")
    await qemu.open_group(7)


def test_what_a_scenario_does_not_expect_is_a_verdict():
    report = explore(disappointed, schedules=1)
    assert report.verdict == "expectation"
    assert report.message.startswith("test_scenario.py:")
    assert "no process for you" in report.message
    assert explore(refused, schedules=1).verdict == "expectation"


async def lonely(machine):
    async with machine.threads() as threads:
        pass

    async def body():
        pass  # pragma: no cover

    threads.start("late", body())


async def test_a_thread_is_started_in_its_block():
    async with actors.machine.open_machine() as machine:
        with pytest.raises(EmulatorError, match="late is started outside its block"):
            await lonely(machine)


async def test_the_error_of_a_thread_reaches_the_block():
    async def fails():
        raise ValueError("mine")

    async def forever():
        await trio.sleep_forever()

    async with actors.machine.open_machine() as machine:
        with pytest.raises(ValueError, match="mine"):
            async with machine.threads() as threads:
                threads.start("a", fails())
                threads.start("b", forever())


async def of_nothing(): ...


async def of_two(machine, other): ...


async def beyond(machine):
    _, ram, container, _ = await prepared(machine)
    await container.map_dma(iova=-1, vaddr=ram.start, size=4096)


async def beyond_in_a_thread(machine):
    _, ram, container, _ = await prepared(machine)
    async with machine.threads() as threads:
        threads.start("mapper", container.map_dma(iova="a", vaddr=ram.start, size=4096))


async def too_many_cpus(machine):
    await machine.cpus[9].idle()


async def leaves(machine):
    async def body():
        sys.exit(3)

    async with machine.threads() as threads:
        threads.start("leaver", body())


MISTAKES = {
    of_nothing: r"test_scenario\.py:\d+: found the arguments \(\), expected one, the machine",
    of_two: r"found the arguments \(machine, other\), expected one, the machine",
    beyond: r"test_scenario\.py:\d+: map_dma: iova: found -1, expected a number from 0 to 0xf{16}",
    beyond_in_a_thread: r"test_scenario\.py:\d+: map_dma: iova: found 'a', expected",
    too_many_cpus: r"test_scenario\.py:\d+: cpus\[9\]: the machine has 2",
    leaves: r"test_scenario\.py:\d+: SystemExit: 3",
}


@pytest.mark.parametrize("scenario", MISTAKES, ids=lambda scenario: scenario.__name__)
def test_a_mistake_of_the_scenario_is_its_authors(scenario):
    with pytest.raises(ScenarioError, match=MISTAKES[scenario]):
        explore(scenario, schedules=1)


def test_a_scenario_that_differs_from_run_to_run_is_told():
    runs = count()

    async def unsteady(machine):
        _, ram, container, _ = await prepared(machine)
        async with machine.threads() as threads:
            for number in range(3 - min(next(runs), 2)):
                threads.start(f"t{number}", container.map_dma(0x1000, ram.start, 0x1000))

    with pytest.raises(ScenarioError, match="the scenario is not the same in every run: first "):
        explore(unsteady, strategy="dpor", schedules=50)


def test_what_cannot_be_explored_is_refused():
    with pytest.raises(TypeError, match="found 'name', expected a program or an async function"):
        explore("name")
    for schedules in (0, -1):
        with pytest.raises(ValueError, match=f"schedules: found {schedules}, expected a number from 1 on"):
            explore(disappointed, schedules=schedules)


async def test_a_machine_that_there_cannot_be_is_refused():
    with pytest.raises(ValueError, match="cpus: found 0, expected 1 to 64"):
        async with actors.machine.open_machine(cpus=0):
            pass  # pragma: no cover
