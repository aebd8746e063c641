"""Clients whose calls are generated, and a simple model of what they should have come to."""

from __future__ import annotations

from typing import Any, NamedTuple

from hypothesis import strategies as st

from actors.kernel import uapi
from actors.kernel.uapi import UserPointer
from actors.machine import Container, Machine, Process
from actors.program.values import MachineSpec
from actors.runtime.bare import BareRuntime
from hw.bridge import Fault

PAGE = 4096
PAGES = 16
"""Pages of a client's memory, and of its window, that calls are about."""

FAR = 1 << 40
"""Where neither memory nor a window is."""

RANGES = [(0, 8), (8, 8), (0, 16), (4, 4)]
"""First page and pages of ranges that are registered; some of them overlap."""


class Step(NamedTuple):
    """A call: of which client, what, and on which pages.

    Attributes:
        wrong: what is not quite right about it: ``size``, ``address``, ``argsz``, ``flags`` or nothing.
    """

    who: int
    op: str
    iova: int
    page: int
    count: int
    flags: int = 3
    wrong: str = ""


def on_ranges(op: str) -> st.SearchStrategy[Step]:
    """A call on one of the ranges."""
    return st.builds(
        lambda who, span, wrong: Step(who, op, 0, *span, 0, wrong), who, st.sampled_from(RANGES), wrongs
    )


def on_pages(op: str) -> st.SearchStrategy[Step]:
    """A call on some pages."""
    return st.builds(Step, who, st.just(op), pages, pages, st.integers(1, 8), st.sampled_from([1, 3]), wrongs)


who = st.integers(0, 1)
pages = st.integers(0, PAGES - 1)
wrongs = st.sampled_from([""] * 12 + ["size", "address", "argsz", "flags"])
calls = st.one_of(
    on_ranges("register"),
    on_ranges("register"),
    on_ranges("unregister"),
    on_pages("map"),
    on_pages("map"),
    on_pages("unmap"),
)
REGISTERED = [Step(who, "register", 0, *span, 0) for who in range(2) for span in RANGES[:2]]
MAPPED = [*REGISTERED, Step(0, "map", 0, 0, 12), Step(1, "map", 3, 5, 6)]
programs = st.builds(
    lambda start, steps: start + steps,
    st.sampled_from([[], REGISTERED, MAPPED]),
    st.lists(calls, min_size=4, max_size=14),
)
REQUESTS = {
    "register": (uapi.VFIO_IOMMU_SPAPR_REGISTER_MEMORY, uapi.REGISTER_MEMORY),
    "unregister": (uapi.VFIO_IOMMU_SPAPR_UNREGISTER_MEMORY, uapi.REGISTER_MEMORY),
    "map": (uapi.VFIO_IOMMU_MAP_DMA, uapi.DMA_MAP),
    "unmap": (uapi.VFIO_IOMMU_UNMAP_DMA, uapi.DMA_UNMAP),
}


class Clients:
    """Processes with a container and a group each, on one machine.

    Args:
        kernel: its name.
        processes: how many there are.
        scale: how many pages of the machine stand for one of the calls.
        machine: fields of the machine that are not the smallest.
    """

    def __init__(self, kernel: str, processes: int = 2, scale: int = 1, **machine: Any) -> None:
        self.core = BareRuntime(budget=1 << 30)
        small = {"memory_bytes": 64 << 20, "groups": processes, "dma32_window_size": 1 << 20}
        self.machine = Machine.boot(self.core, kernel, MachineSpec(**{"page_size": PAGE, **small, **machine}))
        self.scale = scale
        self.processes: list[Process] = []
        self.containers: list[Container] = []
        self.bases: list[int] = []
        for index in range(processes):
            self.run(self.open(index))

    def run(self, body: Any) -> Any:
        """Run something to its end, and every grace period after it."""
        thread = self.core.spawn(self.machine.harness, body, "client")
        self.core.run(thread)
        result = self.core.result(thread)
        settle = self.core.spawn(self.machine.harness, self.machine.rcu_barrier(), "settle")
        self.core.run(settle)
        return result

    async def open(self, index: int) -> None:
        """Start a client; a mapping that comes and goes makes its default window."""
        process = await self.machine.spawn(f"client{index}")
        ram = await process.mmap(PAGES * self.scale * PAGE)
        container = await process.open_container()
        group = await process.open_group(index)
        await group.set_container(container)
        await container.set_iommu(uapi.VFIO_SPAPR_TCE_v2_IOMMU)
        await container.register_memory(ram)
        await container.map_dma(0, ram.start, PAGE)
        await container.unmap_dma(0, PAGE)
        await container.unregister_memory(ram)
        self.processes.append(process)
        self.containers.append(container)
        self.bases.append(ram.start)

    def make(self, step: Step) -> int:
        """Make a call; the return value, with errors negative."""
        process, fd = self.processes[step.who], self.containers[step.who].fd
        cmd, layout = REQUESTS[step.op]
        size = step.count * self.scale * PAGE + (100 if step.wrong == "size" else 0)
        far = FAR if step.wrong == "address" else 0
        vaddr = self.bases[step.who] + step.page * self.scale * PAGE
        iova = step.iova * self.scale * PAGE + far
        argsz = layout.size - (8 if step.wrong == "argsz" else 0)
        flags = (step.flags if step.op == "map" else 0) | (8 if step.wrong == "flags" else 0)
        fields = {"map": (vaddr, iova, size), "unmap": (iova, size)}.get(step.op, (vaddr + far, size))
        data = UserPointer(bytearray(layout.pack(argsz, flags, *fields)))
        result: int = self.run(process.ioctl(fd, cmd, data))
        return result

    def charged(self, index: int) -> int:
        """Pages that a client is charged."""
        return self.processes[index].locked_vm_pages

    def pinned(self) -> int:
        """Pins of all pages."""
        return self.machine.memory.pinned_pages

    def device_sees(self, index: int) -> set[int]:
        """Pages of the window that the device of a client can read."""
        group: Any = self.core.actors[self.machine.world.group_ids[index]]
        looked = ((page, group.pe.translate(page * self.scale * PAGE, False)) for page in range(2 * PAGES))
        return {page for page, found in looked if not isinstance(found, Fault)}

    def end(self) -> None:
        """Every client exits."""
        for process in self.processes:
            self.run(process.exit())


class Model:
    """What one client should have, going by the answers alone.

    Attributes:
        used: registrations of each range.
        lost: ranges that the kernel forgot while TCEs pointed in: pinned and charged as long as the mm lives.
        mapped: page of memory behind each page of the window.
    """

    def __init__(self, swallows: bool) -> None:
        self.swallows = swallows
        self.used: dict[tuple[int, int], int] = {}
        self.lost: set[tuple[int, int]] = set()
        self.mapped: dict[int, int] = {}

    @property
    def pages(self) -> int:
        """Pages that are registered, or were and are lost."""
        return sum(count for _, count in {*self.used, *self.lost})

    def apply(self, step: Step, ret: int) -> None:
        """Take in the answer to a call."""
        span = (step.page, step.count)
        if step.op == "register" and ret == 0:
            self.used[span] = self.used.get(span, 0) + 1
        elif step.op == "unregister" and ret == 0:
            self.unregister(span)
        elif step.op == "map":
            self.map(step, ret)
        elif step.op == "unmap" and ret == 0:
            for page in range(step.iova, step.iova + step.count):
                self.mapped.pop(page, None)

    def unregister(self, span: tuple[int, int]) -> None:
        """One registration less; the last one frees the range unless TCEs point in."""
        assert self.used.get(span, 0) > 0, f"{span} is not registered"
        self.used[span] -= 1
        if not self.used[span]:
            del self.used[span]
            busy = any(span[0] <= page < sum(span) for page in self.mapped.values())
            assert self.swallows or not busy, f"{span} went although TCEs point in"
            self.lost |= {span} if busy else set()

    def map(self, step: Step, ret: int) -> None:
        """Pages are mapped up to the first that is not registered; then none of them stays."""
        for nth in range(step.count):
            page, at = step.page + nth, step.iova + nth
            if not step.wrong and not self.holds(page):
                assert ret < 0, f"page {page} is not registered"
                for undone in range(step.iova, at):
                    self.mapped.pop(undone, None)
                return
            if ret == 0:
                self.mapped[at] = page

    def holds(self, page: int) -> bool:
        """Whether a page is in a range that the kernel still has."""
        return any(first <= page < first + count for first, count in {*self.used, *self.lost})
