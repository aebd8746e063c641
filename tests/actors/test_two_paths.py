"""A run of entries treated as one step, and entry by entry: both end in the same state.

An armed fault hook (here one that never fails anything) makes the kernel go entry by entry.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.kernel import messages as m
from actors.kernel import uapi
from actors.kernel.uapi import UserPointer
from actors.machine import Container, Machine, Process
from actors.program.values import MachineSpec
from actors.runtime.bare import BareRuntime

PAGE = 4096
BASE = 1 << 30
PAGES = 24

pages = st.integers(0, PAGES - 1)
counts = st.integers(1, 9)
flags = st.sampled_from([1, 2, 3])
Step = tuple[Any, ...]
steps = st.one_of(
    st.tuples(st.just("map"), pages, pages, counts, flags),
    st.tuples(st.just("map"), pages, pages, counts, flags),
    st.tuples(st.just("unmap"), pages, counts),
    st.tuples(st.just("register"), st.sampled_from([0, 8, 16]), st.just(8)),
    st.tuples(st.just("unregister"), st.sampled_from([0, 8, 16]), st.just(8)),
    st.tuples(st.just("munmap"), pages, counts),
    st.tuples(st.just("dma"), pages, st.booleans()),
)

REQUESTS = {
    "register": uapi.VFIO_IOMMU_SPAPR_REGISTER_MEMORY,
    "unregister": uapi.VFIO_IOMMU_SPAPR_UNREGISTER_MEMORY,
}
REGISTERED: list[Step] = [("register", 0, 8), ("register", 8, 8), ("register", 16, 8)]


class Client:
    """One process with one container, on a machine of its own."""

    def __init__(self, v2: bool, entry_by_entry: bool, page_size: int) -> None:
        self.core = BareRuntime()
        spec = MachineSpec(page_size=page_size, memory_bytes=64 << 20, dma32_window_size=1 << 20)
        self.machine = Machine.boot(self.core, "fixed", spec)
        self.page = page_size
        self.v2 = v2
        self.run(self.open())
        if entry_by_entry:
            self.core.faults = lambda failpoint: False

    def run(self, body: Any) -> Any:
        thread = self.core.spawn(self.machine.harness, body, "client")
        self.core.run(thread)
        return self.core.result(thread)

    async def open(self) -> None:
        self.process: Process = await self.machine.spawn("qemu")
        await self.process.call(m.Memory(m.Mmap(BASE, PAGES * self.page, True, True, False, 0, True)))
        self.container: Container = await self.process.open_container()
        group = await self.process.open_group(0)
        await group.set_container(self.container)
        await self.container.set_iommu(uapi.VFIO_SPAPR_TCE_v2_IOMMU if self.v2 else uapi.VFIO_SPAPR_TCE_IOMMU)
        if not self.v2:
            await self.container.enable()

    async def step(self, op: str, *args: Any) -> Any:
        page = self.page
        if op == "map":
            at, source, count, perm = args
            data = uapi.DMA_MAP.pack(uapi.DMA_MAP.size, perm, BASE + source * page, at * PAGE, count * PAGE)
            return await self.ioctl(uapi.VFIO_IOMMU_MAP_DMA, data)
        if op == "unmap":
            data = uapi.DMA_UNMAP.pack(uapi.DMA_UNMAP.size, 0, args[0] * PAGE, args[1] * PAGE)
            return await self.ioctl(uapi.VFIO_IOMMU_UNMAP_DMA, data)
        if op == "munmap":
            return await self.process.call(m.Memory(m.Munmap(BASE + args[0] * page, args[1] * page)))
        if op == "dma":
            return await self.machine.dma(0, args[0] * PAGE, PAGE, args[1])
        data = uapi.REGISTER_MEMORY.pack(uapi.REGISTER_MEMORY.size, 0, BASE + args[0] * page, args[1] * page)
        return await self.ioctl(REQUESTS[op], data)

    async def ioctl(self, cmd: int, data: bytes) -> int:
        return await self.process.ioctl(self.container.fd, cmd, UserPointer(bytearray(data)))

    def state(self) -> dict[str, Any]:
        """Tables, view, counts, dirty bits, pins."""
        actors: dict[str, Any] = self.machine.core.actors  # type: ignore[assignment]
        memory, mm, container = self.machine.memory, actors["mm:0"], actors["container:0"].iommu_data.value
        tables = []
        for cell in container.tables:
            if cell.value is not None:
                live = [[part.tolist() for part in piece] for piece in cell.value.hw.live()]
                tables.append((cell.value.name, live, cell.value.hw.live_count, cell.value.hw.view_count))
        frames = np.arange(256, 256 + 4 * PAGES, dtype=np.uint32)
        return {
            "tables": tables,
            "regions": [(r.name, r.ua, r.used.value, r.mapped.value) for r in mm.regions.values()],
            "locked_vm": mm.locked_vm.value,
            "pins": dict(memory.pins_by_holder),
            "frames": [(memory.pins(f), memory.references(f)) for f in frames.tolist()],
            "clean": memory.clean(frames).tolist(),
            "misuses": self.machine.world.misuses,
        }


def both(v2: bool, program: list[Step], page_size: int) -> None:
    fast, slow = Client(v2, False, page_size), Client(v2, True, page_size)
    for step in program:
        if not v2 and step[0] in ("register", "unregister"):
            continue
        assert fast.run(fast.step(*step)) == slow.run(slow.step(*step)), step
        for client in (fast, slow):
            client.run(client.machine.rcu_barrier())
        assert fast.state() == slow.state(), step
    for client in (fast, slow):
        client.run(client.process.exit())
        client.run(client.machine.rcu_barrier())
        assert client.machine.memory.pinned_pages == 0
    fast.core.close()
    slow.core.close()


def test_the_two_paths_are_two() -> None:
    fast, slow = Client(True, False, PAGE), Client(True, True, PAGE)
    for client in (fast, slow):
        assert [client.run(client.step(*s)) for s in (*REGISTERED, ("map", 0, 0, 9, 3))] == [0, 0, 0, 0]
    assert slow.core.steps > fast.core.steps + 9 * 5


@pytest.mark.parametrize(("counted", "missed"), [(1, 5), (3, 3), (5, 1), (6, 0)])
def test_both_paths_note_tces_that_were_not_counted(counted: int, missed: int) -> None:
    states = []
    for client in (Client(True, False, PAGE), Client(True, True, PAGE)):
        for step in (*REGISTERED, ("map", 0, 0, 5, 3)):
            assert client.run(client.step(*step)) == 0
        mm: Any = client.core.actors["mm:0"]
        mm.regions["region:0"].mapped.value = counted
        assert client.run(client.step("unmap", 0, 5)) == 0
        assert len(client.machine.world.misuses) == missed
        states.append(client.state())
    assert states[0] == states[1]


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.lists(steps, min_size=1, max_size=14), st.booleans())
def test_v2_both_paths_agree(program: list[Step], registered: bool) -> None:
    both(True, (REGISTERED if registered else []) + program, PAGE)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.lists(steps, min_size=1, max_size=14))
def test_v1_both_paths_agree(program: list[Step]) -> None:
    both(False, program, PAGE)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.lists(steps, min_size=1, max_size=10))
def test_both_paths_agree_with_pages_larger_than_the_windows(program: list[Step]) -> None:
    both(True, REGISTERED + program, 65536)
