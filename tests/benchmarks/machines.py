"""What whole machines cost: copies, big guests."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np

from actors import VFIO_SPAPR_TCE_v2_IOMMU
from actors.machine import Container, Machine, Memory, Process
from actors.program.values import MachineSpec
from actors.runtime.bare import BareRuntime
from tests.benchmarks.harness import Pairs, at_most, figure, seconds

MILLI = 1e3
MIB, GIB = 1 << 20, 1 << 30
FILLS = "two numpy fills of one 8-byte word a page"


class Guest:
    """A process with a container on a machine of its own, on the bare loop."""

    def __init__(self, size: int, page_size: int) -> None:
        self.core = BareRuntime()
        memory_bytes = size + size // 8 + 256 * MIB
        spec = MachineSpec(page_size=page_size, memory_bytes=memory_bytes, dma32_window_size=2 * GIB)
        self.machine = Machine.boot(self.core, "fixed", spec)
        self.page_size = page_size
        self.process: Process
        self.container: Container
        self.ram: Memory
        self.run(self._open(size))

    def run(self, body: Any) -> Any:
        thread = self.core.spawn(self.machine.harness, body, "client")
        self.core.run()
        return self.core.result(thread)

    async def _open(self, size: int) -> None:
        self.process = await self.machine.spawn("qemu")
        self.container = await self.process.open_container()
        group = await self.process.open_group(0)
        await group.set_container(self.container)
        await self.container.set_iommu(VFIO_SPAPR_TCE_v2_IOMMU)
        self.ram = await self.process.mmap(size)

    async def register_and_map(self) -> None:
        """Two calls: all memory registered, and all mapped at the start of a window."""
        await self.container.register_memory(self.ram)
        await self.container.map_dma(self.window, self.ram.start, self.ram.size)

    async def make_window(self) -> None:
        """A window as large as the memory, with IOMMU pages as large as the kernel's."""
        shift = self.page_size.bit_length() - 1
        size = 1 << (self.ram.size - 1).bit_length()
        self.window = await self.container.create_window(shift, size, 2)

    async def leave(self) -> None:
        """Everything unmapped, unregistered and freed."""
        await self.container.unmap_dma(self.window, self.ram.size)
        await self.container.unregister_memory(self.ram)
        await self.process.munmap(self.ram)


def copied(guest: Guest) -> Callable[[], object]:
    return lambda: Machine.restore(BareRuntime(), guest.machine.snapshot())


def copies(page_size: int) -> Pairs:
    guest = Guest(GIB, page_size)
    guest.run(guest.make_window())
    guest.run(guest.register_and_map())
    for _ in range(15):
        yield seconds(copied(guest)) * MILLI, None


@figure("copy of a machine with a 1 GiB guest in 64K pages, all mapped", "ms", target=at_most(5, "value"))
def copy_64k() -> Pairs:
    return copies(65536)


@figure("copy of a machine with a 1 GiB guest in 4K pages, all mapped", "ms", target=at_most(5, "value"))
def copy_4k() -> Pairs:
    return copies(4096)


@figure("restoring a small machine, as every order does", "ms", target=at_most(0.3, "value"))
def restore_small() -> Pairs:
    guest = Guest(MIB, 65536)
    guest.run(guest.make_window())
    guest.run(guest.register_and_map())
    copy = guest.machine.snapshot()
    for _ in range(15):
        yield seconds(lambda: [Machine.restore(BareRuntime(), copy) for _ in range(20)]) / 20 * MILLI, None


def fills(pages: int) -> Callable[[], object]:
    return lambda: (np.full(pages, 1, np.uint64), np.full(pages, 2, np.uint64))


def register_and_map(size: int, rounds: int) -> Pairs:
    """Registering and mapping all of a guest, beside two fills; frames come and go in every round."""
    pages = size // 65536
    for _ in range(rounds):
        guest = Guest(size, 65536)
        guest.run(guest.make_window())
        value = seconds(lambda guest=guest: guest.run(guest.register_and_map()))  # type: ignore[misc]
        guest.run(guest.leave())
        yield value * MILLI, seconds(fills(pages)) * MILLI
        del guest
        gc.collect()


@figure("register and map 64 GiB in 64K pages", "ms", FILLS, at_most(60))
def map_64_gib() -> Pairs:
    return register_and_map(64 * GIB, 5)


@figure("memory kept for a registered and mapped page (64 GiB in 64K pages)", "bytes", "",
        at_most(40, "value"))  # fmt: skip
def bytes_a_page() -> Pairs:
    size = 64 * GIB
    guest = Guest(size, 65536)
    guest.run(guest.make_window())
    gc.collect()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    guest.run(guest.register_and_map())
    gc.collect()
    after = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    yield (after - before) / (size // 65536), None


def curve(gib: int) -> None:
    """One point of the curve from 1 GiB to 1 TiB."""
    name = f"register and map {gib} GiB" if gib < 1024 else "register and map 1 TiB"

    @figure(name, "ms", FILLS, at_most(60))
    def point() -> Pairs:
        return register_and_map(gib * GIB, 7 if gib < 64 else 3)


for _gib in (1, 8, 512, 1024):
    curve(_gib)
