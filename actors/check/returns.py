"""J-A1, J-A2, J-A3 and J-T6: what an ioctl answered against what it did.

What one call did can be told only when it ran alone. Of calls that ran together, each MAP that returned 0
and that no other call could have undone must still be there when all have ended (J-T6).
"""

from __future__ import annotations

from collections.abc import Iterator
from errno import EFAULT, EINVAL
from typing import Any, NamedTuple

import numpy as np

from actors.check.state import State
from actors.check.view import Driver, Scan, View, pages
from actors.check.violation import Violation
from actors.kernel import uapi
from actors.kernel.messages import Ioctl
from actors.kernel.process import Process
from actors.kernel.tce_container import IommuTable
from actors.kernel.uapi import UserPointer

ANSWERS = frozenset(
    {uapi.VFIO_GET_API_VERSION, uapi.VFIO_CHECK_EXTENSION, uapi.VFIO_EEH_PE_OP, uapi.VFIO_GROUP_GET_DEVICE_FD}
)
"""Requests whose result may be positive."""

TAKES_AWAY = frozenset(
    {
        uapi.VFIO_IOMMU_UNMAP_DMA,
        uapi.VFIO_IOMMU_DISABLE,
        uapi.VFIO_IOMMU_SPAPR_TCE_REMOVE,
        uapi.VFIO_GROUP_UNSET_CONTAINER,
    }
)
"""Requests that may take away what a MAP has made."""

WITH_DEFAULT_WINDOW = frozenset(
    {uapi.VFIO_IOMMU_MAP_DMA, uapi.VFIO_IOMMU_UNMAP_DMA, uapi.VFIO_IOMMU_SPAPR_TCE_CREATE}
)


FAR = 1 << 62
"""Beyond the last entry of any table."""


class Reply(NamedTuple):
    """A system call that was answered.

    Attributes:
        process: who made it.
        container: the id of the container it was about, "" for none.
        cmd: the request number.
        arg: its argument.
        ret: the answer.
    """

    process: str
    container: str
    cmd: int
    arg: Any
    ret: int

    @property
    def name(self) -> str:
        """The request for people."""
        return uapi.REQUEST_NAMES.get(self.cmd, f"ioctl {self.cmd:#x}")

    def mapping(self) -> uapi.DmaMap | None:
        """The argument of a MAP."""
        data = self.argument(uapi.VFIO_IOMMU_MAP_DMA, uapi.DMA_MAP.size)
        return None if data is None else uapi.DmaMap._make(uapi.DMA_MAP.unpack(data))

    def registration(self) -> uapi.RegisterMemory | None:
        """The argument of a REGISTER."""
        data = self.argument(uapi.VFIO_IOMMU_SPAPR_REGISTER_MEMORY, uapi.REGISTER_MEMORY.size)
        return None if data is None else uapi.RegisterMemory._make(uapi.REGISTER_MEMORY.unpack(data))

    def argument(self, cmd: int, size: int) -> bytes | None:
        """The struct that a request of this number pointed to."""
        return self.arg.read(size) if self.cmd == cmd and isinstance(self.arg, UserPointer) else None


class Returns:
    """The judge of answers.

    Attributes:
        replies: the ioctls answered since nothing was last in the middle.
    """

    def __init__(self, view: View) -> None:
        self.view = view
        self.replies: list[Reply] = []
        self._before: dict[str, Scan] = {}

    def answered(self, process: str, call: Ioctl, ret: int, container: str = "") -> Violation | None:
        """Note an answer; J-A1 at once.

        Args:
            process: who called.
            call: what.
            ret: the answer.
            container: the one that the call has reached, "" when nobody saw it reach one: the descriptor
                may have been closed meanwhile.
        """
        actor = self.view.machine.core.actors[process]
        assert isinstance(actor, Process)
        file = actor.files.get(call.fd)
        if not container and file is not None and file.kind == "container":
            container = file.actor
        reply = Reply(process, container, call.cmd, call.arg, ret)
        self.replies.append(reply)
        if ret > 0 and call.cmd not in ANSWERS:
            where = f"{reply.name} of {actor.name} on {file.actor if file else call.fd}"
            return Violation("J-A1", f"{where} returned {ret}, neither 0 nor an error", recorded=True)
        return None

    def judge(self, alone: bool, together: bool, before: State, after: State) -> Iterator[Violation]:
        """Judge what was answered, now that nothing is in the middle.

        Args:
            alone: whether the one answer belongs to the only thing that happened.
            together: whether only the answered ioctls may have taken entries away.
            before: the state before it.
            after: the state now.
        """
        replies, self.replies = self.replies, []
        if alone and len(replies) == 1:
            reply = replies[0]
            yield from self._map_alone(reply)
            if reply.ret < 0 and before != after:
                yield from unchanged(reply, before, after)
        elif together and not any(reply.cmd in TAKES_AWAY for reply in replies):
            yield from self._together(replies)
        yield from self._shareable(replies)

    def remember(self) -> None:
        """Keep what is mapped now, to tell what the next call adds."""
        self._before = {
            table.name: self.view.scan(table) for driver in self.view.drivers for _, table in driver.tables
        }

    # -- MAP -----------------------------------------------------------------------------------

    def _map_alone(self, reply: Reply) -> Iterator[Violation]:
        """J-A2."""
        param, driver = reply.mapping(), self._driver(reply.container)
        if param is None or driver is None:
            return
        if reply.ret == 0 and param.size:
            missing = self._missing(driver, param) or self._other_pages(driver, param)
            if missing:
                yield Violation("J-A2", f"{told(reply, param)} returned 0, but {missing}", recorded=True)
        elif reply.ret < 0:
            left = self._left_over(driver, param)
            if left:
                message = (
                    f"{told(reply, param)} returned {reply.ret}, but {left} of its entries stayed mapped"
                )
                yield Violation("J-A2", message, recorded=True)

    def _together(self, replies: list[Reply]) -> Iterator[Violation]:
        """J-T6 for MAPs that ran together and overlap no other one; J-A2 for one that was the only MAP."""
        maps = [(reply, param) for reply in replies if (param := reply.mapping()) is not None]
        for reply, param in maps:
            driver = self._driver(reply.container)
            others = [p for r, p in maps if r is not reply and r.container == reply.container]
            if reply.ret or not param.size or driver is None or any(overlap(param, p) for p in others):
                continue
            missing = self._missing(driver, param)
            if missing:
                message = f"{told(reply, param)} returned 0, but when all calls had ended {missing}"
                yield Violation("J-T6" if others else "J-A2", message, recorded=not others)

    def _missing(self, driver: Driver, param: uapi.DmaMap) -> str:
        """What of a mapping is not there; "" when all is."""
        table = find_table(driver, param.iova)
        if table is None:
            return "no window has that bus address"
        shift = table.hw.it_page_shift
        first, count = (param.iova >> shift) - table.hw.it_offset, param.size >> shift
        found = entries(self.view.scan(table), first, count)
        if len(found.indices) != count:
            return f"only {len(found.indices):,} of {count:,} entries are mapped"
        if driver.data.v2:
            wanted = np.arange(count, dtype=np.uint64) * np.uint64(1 << shift) + np.uint64(param.vaddr)
            wrong = found.uas != wanted
            if wrong.any():
                at = int(wrong.argmax())
                return f"entry {first + at:#x} is mapped to {int(found.uas[at]):#x}, not {int(wanted[at]):#x}"
        return ""

    def _other_pages(self, driver: Driver, param: uapi.DmaMap) -> str:
        """What of a v1 mapping leads to other pages than the process has there; "" when nothing does."""
        table = find_table(driver, param.iova)
        if driver.data.v2 or driver.mm is None or table is None:
            return ""
        shift, page_shift = table.hw.it_page_shift, self.view.page_shift
        count = param.size >> shift
        uas = np.arange(count, dtype=np.uint64) * np.uint64(1 << shift) + np.uint64(param.vaddr)
        first = param.vaddr >> page_shift
        frames = np.zeros((int(uas[-1]) >> page_shift) - first + 1, np.uint64)
        for page, pfns, _ in driver.mm.page_table.runs(first, len(frames)):
            frames[page - first : page - first + len(pfns)] = pfns
        behind = frames[((uas >> np.uint64(page_shift)) - np.uint64(first)).astype(np.intp)]
        found = entries(self.view.scan(table), (param.iova >> shift) - table.hw.it_offset, count)
        wrong = found.hpas >> np.uint64(page_shift) != behind
        return f"{int(np.count_nonzero(wrong)):,} entries lead to other pages" if wrong.any() else ""

    def _left_over(self, driver: Driver, param: uapi.DmaMap) -> int:
        """How many entries of a refused mapping are there that were not there before."""
        table = find_table(driver, param.iova)
        if table is None:
            return 0
        shift = table.hw.it_page_shift
        first, count = (param.iova >> shift) - table.hw.it_offset, param.size >> shift
        now = entries(self.view.scan(table), first, count)
        before = self._before.get(table.name)
        if before is None:
            return len(now.indices)
        was = entries(before, first, count)
        same = np.isin(now.indices, was.indices)
        same[same] = was.hpas[np.searchsorted(was.indices, now.indices[same])] == now.hpas[same]
        return int(np.count_nonzero(~same))

    # -- REGISTER ------------------------------------------------------------------------------

    def _shareable(self, replies: list[Reply]) -> Iterator[Violation]:
        """J-A2 for REGISTER: an overlap is no reason where the very same range is registered."""
        registers = [r for r in replies if r.cmd == uapi.VFIO_IOMMU_SPAPR_REGISTER_MEMORY]
        if len(registers) < len(replies):
            return
        for reply in registers:
            driver = self._driver(reply.container)
            param = reply.registration()
            if reply.ret != -EINVAL or driver is None or driver.mm is None or param is None:
                continue
            if param.argsz < uapi.REGISTER_MEMORY.size:
                continue
            for region in driver.mm.mem_list.items:
                size = region.entries << self.view.page_shift
                if (region.ua, size, 0) == (param.vaddr, param.size, param.flags):
                    what = f"{reply.name} of {pages(region.entries)} at {region.ua:#x} on {reply.container}"
                    message = f"{what} returned {reply.ret}, although {region.name} is that very range"
                    yield Violation("J-A2", message, recorded=True)

    def _driver(self, container: str) -> Driver | None:
        return next((driver for driver in self.view.drivers if driver.actor.id == container), None)


def unchanged(reply: Reply, before: State, after: State) -> Iterator[Violation]:
    """J-A3, but for what a failure may leave: the binding, the default window, overwritten entries."""
    if reply.cmd == uapi.VFIO_IOMMU_SPAPR_TCE_CREATE and reply.ret == -EFAULT:
        return
    ignored = {"holders", "caches", "dying"}
    if before.dying != after.dying:
        ignored.add("pins")
    if reply.cmd == uapi.VFIO_IOMMU_MAP_DMA:
        ignored |= {"mapped", "entries", "pins"}
        if only_orphans_went(before, after):
            ignored |= {"regions", "charges"}
    if reply.cmd in WITH_DEFAULT_WINDOW and [c[2] for c in before.containers] != [
        c[2] for c in after.containers
    ]:
        ignored |= {"containers", "windows", "entries", "charges"}
    changed = [
        part
        for part, old, new in zip(State._fields, before, after, strict=True)
        if old != new and part not in ignored
    ]
    if changed:
        details = tuple(f"{part}: {getattr(before, part)} -> {getattr(after, part)}" for part in changed)
        where = f"{reply.name} on {reply.container}" if reply.container else reply.name
        message = f"{where} returned {reply.ret}, but changed {', '.join(changed)}"
        yield Violation("J-A3", message, accesses=details, recorded=True)


def only_orphans_went(before: State, after: State) -> bool:
    """Whether regions went, with their charges, that nothing kept but entries which were overwritten."""
    for old, new, charged, charged_now in zip(
        before.regions, after.regions, before.charges, after.charges, strict=True
    ):
        gone = [region for region in old if region not in new]
        if any(used for _, _, used in gone) or tuple(r for r in old if r not in gone) != new:
            return False
        if charged - charged_now != sum(entries for _, entries, _ in gone):
            return False
    return True


def find_table(driver: Driver, iova: int) -> IommuTable | None:
    """The table of the window that has a bus address."""
    for _, table in driver.tables:
        index = (iova >> table.hw.it_page_shift) - table.hw.it_offset
        if 0 <= index < table.hw.it_size:
            return table
    return None


def entries(scan: Scan, first: int, count: int) -> Scan:
    """The part of a scan that lies in a run of entries."""
    low, high = np.searchsorted(scan.indices, [first, min(first + count, FAR)])
    run = slice(int(low), int(high))
    return Scan(scan.indices[run], scan.hpas[run], scan.perms[run], scan.uas[run])


def overlap(one: uapi.DmaMap, other: uapi.DmaMap) -> bool:
    """Whether two mappings share bus addresses."""
    return one.iova < other.iova + other.size and other.iova < one.iova + one.size


def told(reply: Reply, param: uapi.DmaMap) -> str:
    """A MAP for people."""
    return f"MAP_DMA of {param.size:#x} bytes at bus {param.iova:#x} to {param.vaddr:#x} on {reply.container}"
