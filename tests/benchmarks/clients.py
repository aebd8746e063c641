"""What real clients and real size cost: recorded streams, many containers, many regions, wide windows."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Iterable
from itertools import count
from math import log
from random import Random
from typing import Any, NamedTuple

from actors import VFIO_SPAPR_TCE_v2_IOMMU
from actors.execute.play import play
from actors.execute.play.calls import Cursor
from actors.execute.play.session import Session
from actors.machine import Container, Machine, Memory, Process
from actors.program import MachineSpec, builtin_streams, load_stream
from actors.runtime.bare import BareRuntime
from tests.benchmarks.harness import Pairs, Target, at_most, figure, seconds
from tests.benchmarks.machines import GIB, Guest
from tests.benchmarks.runtime import MICRO, ROUND_TRIP, round_trip

STREAM = "qemu-rtl8139"
PAGE = 65536
ROUNDS, OPERATIONS = 9, 60

# -- recorded clients -----------------------------------------------------------------------------


@figure(f"{STREAM}: one of its 262,176 single-page unmaps", "µs", ROUND_TRIP, at_most(2))
def unmap_calls() -> Pairs:
    """The calls as ``tcemu play`` makes them, 8,192 at a time, in the course of the whole stream."""
    stream = load_stream(builtin_streams()[STREAM])
    session = Session.boot([stream], "fixed")
    for chunk in Cursor(stream.program.setup).until(None):
        taken = seconds(lambda chunk=chunk: session.make(chunk))  # type: ignore[misc]
        if chunk.step.op == "unmap" and chunk.calls > 1000:
            yield taken / chunk.calls * MICRO, round_trip()


@figure(f"{STREAM}: all its 262,382 calls, and its end", "s", target=at_most(15, "value"))
def whole_stream() -> Pairs:
    stream = load_stream(builtin_streams()[STREAM])
    yield seconds(lambda: play(stream)), None


# -- many containers, many regions ----------------------------------------------------------------


class Crowd(NamedTuple):
    """How many containers of one process there are, and how many regions each has registered."""

    containers: int
    regions: int

    def __str__(self) -> str:
        if self.containers == 1:
            return f"1 container with {self.regions:,} regions"
        return f"{self.containers:,} containers, {self.containers * self.regions:,} regions"

    def may_cost(self, small: Crowd) -> Target:
        """At most what a cost that grows like the logarithm of the number of regions would be."""
        return at_most(round(log(self.containers * self.regions) / log(small.containers * small.regions), 2))


class Crowded:
    """A machine with a crowd on it, on the bare loop; more regions come and go."""

    def __init__(self, crowd: Crowd) -> None:
        self.core = BareRuntime(budget=1 << 40)
        spec = MachineSpec(groups=crowd.containers, memory_bytes=64 * GIB)
        self.machine = Machine.boot(self.core, "fixed", spec)
        self.draw = Random(1)
        self.process: Process
        self.containers: list[Container] = []
        self.run(self._open(crowd))

    def run(self, body: Any) -> Any:
        thread = self.core.spawn(self.machine.harness, body, "client")
        self.core.run()
        return self.core.result(thread)

    async def _open(self, crowd: Crowd) -> None:
        """Registers every other page, so that regions do not touch, in a drawn order."""
        self.process = await self.machine.spawn("qemu")
        pages = crowd.containers * crowd.regions + OPERATIONS * ROUNDS
        self.ram = await self.process.mmap(2 * pages * PAGE)
        self.places = list(range(0, 2 * pages, 2))
        self.draw.shuffle(self.places)
        for index in range(crowd.containers):
            container = await self.process.open_container()
            group = await self.process.open_group(index)
            await group.set_container(container)
            await container.set_iommu(VFIO_SPAPR_TCE_v2_IOMMU)
            self.containers.append(container)
            for _ in range(crowd.regions):
                await container.register_memory(self.page())
            await container.map_dma(0, self.last.start, 4096)
            await container.unmap_dma(0, 4096)

    def page(self) -> Memory:
        """A page that no region holds yet."""
        self.last = Memory(self.ram.start + self.places.pop() * PAGE, PAGE)
        return self.last

    def costs(self) -> dict[str, float]:
        """Microseconds of each operation, all over the crowd."""
        chosen = [(self.draw.choice(self.containers), self.page()) for _ in range(OPERATIONS)]
        return {name: self.each(name, chosen) for name in OPERATION_NAMES}

    def each(self, name: str, chosen: Iterable[tuple[Container, Memory]]) -> float:
        """Microseconds of one call, over the chosen places."""

        async def calls() -> None:
            for at, (container, memory) in zip(count(0, PAGE), chosen, strict=False):
                if name in ("register", "unregister"):
                    await getattr(container, f"{name}_memory")(memory)
                elif name == "map":
                    await container.map_dma(at, memory.start, PAGE)
                else:
                    await container.unmap_dma(at, PAGE)

        return seconds(lambda: self.run(calls())) / OPERATIONS * MICRO


OPERATION_NAMES = ("register", "map", "unmap", "unregister")


def beside(crowd: Crowd, small: Crowd, names: Iterable[str]) -> Pairs:
    """Operations in a crowd, beside the same ones in a small one."""
    large_machine, small_machine = Crowded(crowd), Crowded(small)
    gc.collect()
    gc.freeze()
    for _ in range(ROUNDS):
        large, little = large_machine.costs(), small_machine.costs()
        yield sum(large[name] for name in names), sum(little[name] for name in names)
    gc.unfreeze()


def curve(crowd: Crowd, small: Crowd, names: tuple[str, ...]) -> None:
    """One point of a curve."""

    @figure(f"{', '.join(names)}: {crowd}", "µs", str(small), crowd.may_cost(small))
    def point() -> Pairs:
        return beside(crowd, small, names)


FEW = Crowd(10, 10)
curve(Crowd(100, 10), FEW, OPERATION_NAMES)
for _name in OPERATION_NAMES:
    curve(Crowd(1000, 10), FEW, (_name,))
for _regions in (100, 1000, 10_000):
    curve(Crowd(1, _regions), Crowd(1, 10), OPERATION_NAMES)

# -- wide windows ---------------------------------------------------------------------------------


def kept(work: Any) -> int:
    """Bytes that are in use after ``work`` and were not before."""
    gc.collect()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    work()
    gc.collect()
    after = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    return after - before


class Wide(Guest):
    """A guest of 1 GiB with a window of 128 GiB in pages of 4 KiB."""

    def __init__(self) -> None:
        super().__init__(GIB, PAGE)
        self.run(self.container.register_memory(self.ram))

    async def make_window(self) -> None:
        self.window = await self.container.create_window(12, 128 * GIB, 2)

    async def fill(self) -> None:
        await self.container.map_dma(self.window, self.ram.start, self.ram.size)


@figure("memory kept for an empty window of 128 GiB with 4K TCEs", "KiB", target=at_most(1024, "value"))
def empty_window() -> Pairs:
    guest = Wide()
    yield kept(lambda: guest.run(guest.make_window())) / 1024, None


@figure("memory kept for a mapped TCE of it (1 GiB mapped)", "bytes", target=at_most(64, "value"))
def mapped_tce() -> Pairs:
    guest = Wide()
    guest.run(guest.make_window())
    yield kept(lambda: guest.run(guest.fill())) / (GIB >> 12), None
