"""What the runtimes cost: a system call, a scheduling point, an order."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from random import Random
from typing import Any

import trio

from actors import VFIO_SPAPR_TCE_v2_IOMMU, open_machine
from actors.kernel import uapi
from actors.kernel.uapi import UserPointer
from actors.machine import Container, Machine, Process
from actors.runtime.actor import Actor
from actors.runtime.bare import BareRuntime
from actors.runtime.cells import Counter
from actors.runtime.controlled import ControlledRuntime
from actors.runtime.core import Core
from actors.runtime.thread import Thread
from tests.benchmarks.harness import Pairs, async_seconds, at_least, at_most, figure, seconds

MICRO = 1e6
CALLS = 1536
ROUNDS = 11
TASKS, POINTS = 5, 20
ROUND_TRIP = "raw trio channel round trip"

Call = Callable[[], Awaitable[Any]]


class Echo:
    """The baseline of a call: two tasks, two memory channels, one request and its reply."""

    def __init__(self, nursery: trio.Nursery) -> None:
        self.requests, arrive = trio.open_memory_channel[int](16)
        reply, self.replies = trio.open_memory_channel[int](16)

        async def answer() -> None:
            async for number in arrive:
                await reply.send(number)

        nursery.start_soon(answer)

    async def trip(self) -> None:
        await self.requests.send(1)
        await self.replies.receive()


async def client(machine: Machine) -> tuple[Process, Container]:
    process = await machine.spawn("qemu")
    container, group = await process.open_container(), await process.open_group(0)
    await group.set_container(container)
    await container.set_iommu(VFIO_SPAPR_TCE_v2_IOMMU)
    return process, container


def beside_round_trips(calls: Callable[[Process, Container], Call]) -> Pairs:
    """A call on the free runtime, and the same number of raw round trips."""
    pairs: list[tuple[float, float | None]] = []

    async def main() -> None:
        async with open_machine() as machine, trio.open_nursery() as nursery:
            echo = Echo(nursery)
            call = calls(*await client(machine))
            await async_seconds(call, CALLS)
            for _ in range(ROUNDS):
                value = await async_seconds(call, CALLS)
                pairs.append((value * MICRO, await async_seconds(echo.trip, CALLS) * MICRO))
            nursery.cancel_scope.cancel()

    trio.run(main)
    return pairs


@figure("free runtime: GET_API_VERSION", "µs", ROUND_TRIP, at_most(2))
def free_api_version() -> Pairs:
    return beside_round_trips(lambda qemu, c: lambda: qemu.ioctl(c.fd, uapi.VFIO_GET_API_VERSION))


@figure("free runtime: GET_INFO through the typed API", "µs", ROUND_TRIP, at_most(2))
def free_info() -> Pairs:
    return beside_round_trips(lambda qemu, container: container.info)


@figure("free runtime: UNMAP of one mapped page (the container asks group and mm)", "µs", ROUND_TRIP)
def free_unmap() -> Pairs:
    pairs: list[tuple[float, float | None]] = []

    async def main() -> None:
        async with open_machine() as machine, trio.open_nursery() as nursery:
            echo = Echo(nursery)
            process, container = await client(machine)
            ram = await process.mmap(CALLS * 4096)
            await container.register_memory(ram)
            for _ in range(ROUNDS):
                await container.map_dma(0, ram.start, CALLS * 4096)
                pages = iter(range(0, CALLS * 4096, 4096))

                async def unmap(container: Container = container, pages: Any = pages) -> None:
                    await container.unmap_dma(next(pages), 4096)

                value = await async_seconds(unmap, CALLS)
                pairs.append((value * MICRO, await async_seconds(echo.trip, CALLS) * MICRO))
            nursery.cancel_scope.cancel()

    trio.run(main)
    return pairs


def round_trip() -> float:
    """Microseconds of a raw round trip, in a run of trio of its own."""

    async def main() -> float:
        async with trio.open_nursery() as nursery:
            echo = Echo(nursery)
            await async_seconds(echo.trip, 100)
            taken = await async_seconds(echo.trip, CALLS)
            nursery.cancel_scope.cancel()
        return taken * MICRO

    return trio.run(main)


def bare_calls(cmd: int, data: Callable[[int], bytes], mapped: bool = False) -> Pairs:
    """Microseconds of one ioctl on the bare loop, made by one thread after another."""
    for _ in range(ROUNDS):
        core = BareRuntime()
        machine = Machine.boot(core)

        async def ready(machine: Machine = machine) -> tuple[Process, Container]:
            process, container = await client(machine)
            ram = await process.mmap(CALLS * 4096)
            await container.register_memory(ram)
            if mapped:
                await container.map_dma(0, ram.start, CALLS * 4096)
            return process, container

        thread = core.spawn(machine.harness, ready(), "client")
        core.run()
        process, container = core.result(thread)

        async def many(process: Process = process, container: Container = container) -> None:
            for number in range(CALLS):
                await process.ioctl(container.fd, cmd, UserPointer(bytearray(data(number))))

        core.spawn(machine.harness, many(), "caller")
        yield seconds(core.run) / CALLS * MICRO, round_trip()


def info_argument(number: int) -> bytes:
    return uapi.TCE_INFO.pack(uapi.TCE_INFO.size, 0, 0, 0, 0, 0, 0)


def unmap_argument(number: int) -> bytes:
    return uapi.DMA_UNMAP.pack(uapi.DMA_UNMAP.size, 0, number * 4096, 4096)


@figure("bare loop: GET_INFO", "µs", ROUND_TRIP, at_most(2))
def bare_info() -> Pairs:
    return bare_calls(uapi.VFIO_IOMMU_SPAPR_TCE_GET_INFO, info_argument)


@figure("bare loop: UNMAP of one page that is not mapped", "µs", ROUND_TRIP, at_most(2))
def bare_unmap_absent() -> Pairs:
    return bare_calls(uapi.VFIO_IOMMU_UNMAP_DMA, unmap_argument)


@figure("bare loop: UNMAP of one mapped page", "µs", ROUND_TRIP)
def bare_unmap() -> Pairs:
    return bare_calls(uapi.VFIO_IOMMU_UNMAP_DMA, unmap_argument, mapped=True)


class Drawn:
    """A chooser that draws every decision from a seed: the plainest of strategies."""

    def __init__(self, seed: int) -> None:
        self.draw = Random(seed).random

    def choose(self, label: str, options: int) -> int:
        return int(self.draw() * options)

    def pick(self, core: Core) -> Thread:
        ready = core.ready
        return ready[int(self.draw() * len(ready))]


async def counting(counter: Counter) -> None:
    for _ in range(POINTS):
        await counter.add(1)


def spread(core: Core, actors: list[Actor]) -> None:
    """One thread in each actor, with the points of the benchmark before it."""
    for index, actor in enumerate(actors):
        core.spawn(actor, counting(Counter(core, f"x{index}")), f"t{index}")


def bare_order(seed: int) -> None:
    core = BareRuntime(Drawn(seed))
    spread(core, [Actor(core)] * TASKS)
    core.run()


def bare_microseconds(orders: int = 200) -> float:
    return seconds(lambda: [bare_order(seed) for seed in range(orders)]) / orders * MICRO


@figure("bare loop: a scheduling point, 5 tasks x 20, all included", "µs", target=at_most(0.8, "value"))
def bare_point() -> Pairs:
    for _ in range(ROUNDS):
        yield bare_microseconds() / (TASKS * POINTS), None


@figure("bare loop: orders of 5 tasks x 20 points", "orders/s", target=at_least(10_000, "value"))
def bare_orders() -> Pairs:
    for _ in range(ROUNDS):
        yield MICRO / bare_microseconds(), None


async def raw_checkpoints() -> None:
    for _ in range(POINTS):
        await trio.lowlevel.checkpoint()


async def five_raw_tasks() -> None:
    async with trio.open_nursery() as nursery:
        for _ in range(TASKS):
            nursery.start_soon(raw_checkpoints)


@figure(
    "controlled under trio: a scheduling point, 5 tasks x 20, each in an actor of its own", "µs",
    "raw checkpoint, 5 tasks x 20", at_most(2),
)  # fmt: skip
def controlled_point() -> Pairs:
    pairs: list[tuple[float, float | None]] = []
    repeat, points = 20, TASKS * POINTS

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            core = ControlledRuntime(nursery, Drawn(1))
            actors = [Actor(core) for _ in range(TASKS)]

            async def order() -> None:
                spread(core, actors)
                await core.run()

            await async_seconds(order, repeat)
            for _ in range(3 * ROUNDS):
                value = await async_seconds(order, repeat)
                pairs.append(
                    (value / points * MICRO, await async_seconds(five_raw_tasks, repeat) / points * MICRO)
                )
            nursery.cancel_scope.cancel()

    trio.run(main)
    return pairs


@figure(
    "the same with a machine core and its tasks started and stopped for every order", "µs",
    "raw checkpoint, 5 tasks x 20",
)  # fmt: skip
def controlled_order() -> Pairs:
    pairs: list[tuple[float, float | None]] = []
    repeat, points = 20, TASKS * POINTS

    async def order() -> None:
        async with trio.open_nursery() as nursery:
            core = ControlledRuntime(nursery, Drawn(1))
            spread(core, [Actor(core) for _ in range(TASKS)])
            await core.run()
            nursery.cancel_scope.cancel()

    async def main() -> None:
        for _ in range(3 * ROUNDS):
            value = await async_seconds(order, repeat)
            pairs.append(
                (value / points * MICRO, await async_seconds(five_raw_tasks, repeat) / points * MICRO)
            )

    trio.run(main)
    return pairs
