"""MAP_DMA and UNMAP_DMA: writing and clearing TCEs.

Kernel: drivers/vfio/vfio_iommu_spapr_tce.c, arch/powerpc/kernel/iommu.c. Neither takes
``container.lock``: two MAPs of one container run at the same time. An entry and its slot of the
userspace view change together, and a bridge forgets an entry before what it pointed to is let go.

Invariants that live here: J-R3, J-T1 to J-T7, J-A1, J-A2, J-D1.
"""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from errno import EFAULT, EINVAL, ENOMEM, ENXIO, EPERM, ESRCH
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from actors.kernel.messages import (
    MmIommuMappedDec,
    MmIommuMappedInc,
    MmIommuMapRange,
    MmIommuUaToHpa,
    MmIommuUnmapRange,
    PinUserPage,
    TceKill,
)
from actors.kernel.tce_container import ContainerState, IommuTable, TceContainer
from actors.kernel.uapi import (
    DMA_MAP,
    DMA_UNMAP,
    VFIO_DMA_MAP_FLAG_READ,
    VFIO_DMA_MAP_FLAG_WRITE,
    DmaMap,
    DmaUnmap,
    UserPointer,
)
from actors.runtime.errors import KernelOops
from actors.runtime.ops import call, point
from hw import NONE, WRITE, Cleared, Level, Ua

PERM_MASK = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE


class OldEntry(NamedTuple):
    """What an entry held: real address, permission (0: it was empty), userspace address."""

    hpa: int
    perm: int
    ua: int


NO_ENTRY = OldEntry(0, NONE, 0)


class Mapping(ContainerState):
    """The mapping part of a container."""

    def tables_stay(self, container: TceContainer) -> AbstractAsyncContextManager[None]:
        """Keep the container's tables while a MAP or UNMAP works on one, together with other such."""
        return container.tables_lock.read()

    def nobody_maps(self, container: TceContainer) -> AbstractAsyncContextManager[None]:
        """Keep MAPs and UNMAPs away while a table goes."""
        return container.tables_lock.write()

    async def tce_iommu_make_default_window(self, container: TceContainer) -> int:
        """Make the default window if it is owed; 0 or a negative errno."""
        raise NotImplementedError  # pragma: no cover - Windows has it

    # -- the two ioctls ------------------------------------------------------------------------

    async def tce_iommu_map_dma(self, container: TceContainer, arg: UserPointer) -> int:
        """MAP_DMA. Errors: -EPERM, -EFAULT, -EINVAL, those of the default window, -ENXIO, -ENOMEM.

        Context: takes ``container.lock`` only to make the default window.
        """
        if not await container.enabled.get():
            return -EPERM
        data = await self.copy_from_user(arg, DMA_MAP.size)
        if data is None:
            return -EFAULT
        param = DmaMap._make(DMA_MAP.unpack(data))
        if param.argsz < DMA_MAP.size or param.flags & ~PERM_MASK:
            return -EINVAL
        ret = await self.tce_iommu_make_default_window(container)
        if ret:
            return ret
        async with self.tables_stay(container):
            if not await self.may_still_map(container):
                return -EPERM
            return await self.tce_iommu_map(container, param)

    async def may_still_map(self, container: TceContainer) -> bool:
        """Whether no DISABLE has come since the first look; only a v1 container is ever disabled."""
        return container.v2 or await container.enabled.get()

    async def tce_iommu_map(self, container: TceContainer, param: DmaMap) -> int:
        """Map ``param.size`` bytes; an error leaves none of the range's entries mapped."""
        _, table = await self.tce_iommu_find_table(container, param.iova)
        if table is None:
            return -ENXIO
        shift = table.hw.it_page_shift
        if (param.size | param.vaddr) & ((1 << shift) - 1) or not param.flags:
            return -EINVAL
        count = param.size >> shift
        ret = self.iommu_tce_put_param_check(table, param.iova, count)
        if ret:
            return ret
        index = (param.iova >> shift) - table.hw.it_offset
        build = self.tce_iommu_build_v2 if container.v2 else self.tce_iommu_build
        return await build(container, table, index, Ua(param.vaddr), count, param.flags)

    async def tce_iommu_unmap_dma(self, container: TceContainer, arg: UserPointer) -> int:
        """UNMAP_DMA. Errors: -EPERM, -EFAULT, -EINVAL, those of the default window, -ENXIO.

        Clearing what was never mapped is a success.
        """
        if not await container.enabled.get():
            return -EPERM
        data = await self.copy_from_user(arg, DMA_UNMAP.size)
        if data is None:
            return -EFAULT
        param = DmaUnmap._make(DMA_UNMAP.unpack(data))
        if param.argsz < DMA_UNMAP.size or param.flags:
            return -EINVAL
        ret = await self.tce_iommu_make_default_window(container)
        if ret:
            return ret
        async with self.tables_stay(container):
            return await self.tce_iommu_unmap(container, param)

    async def tce_iommu_unmap(self, container: TceContainer, param: DmaUnmap) -> int:
        """Clear ``param.size`` bytes of a window."""
        _, table = await self.tce_iommu_find_table(container, param.iova)
        if table is None:
            return -ENXIO
        shift = table.hw.it_page_shift
        if param.size & ((1 << shift) - 1):
            return -EINVAL
        count = param.size >> shift
        ret = self.iommu_tce_clear_param_check(table, param.iova, count)
        if ret:
            return ret
        await self.tce_iommu_clear(container, table, param.iova >> shift, count)
        return 0

    async def tce_iommu_find_table(self, container: TceContainer, ioba: int) -> tuple[int, IommuTable | None]:
        """Return slot and table of the window that contains a bus address, or (-1, None)."""
        for num, cell in enumerate(container.tables):
            table = await cell.get()
            if table is not None:
                entry = ioba >> table.hw.it_page_shift
                if table.hw.it_offset <= entry < table.hw.it_offset + table.hw.it_size:
                    return num, table
        return -1, None

    # -- parameter checks ----------------------------------------------------------------------

    def iommu_tce_put_param_check(self, table: IommuTable, ioba: int, count: int) -> int:
        """Check the bus range of a MAP: aligned, and inside the table to its last page."""
        return self.iommu_tce_check_ioba(table, ioba, count)

    def iommu_tce_clear_param_check(self, table: IommuTable, ioba: int, count: int) -> int:
        """Check the bus range of an UNMAP: aligned, and inside the table to its last page."""
        return self.iommu_tce_check_ioba(table, ioba, count)

    def iommu_tce_check_ioba(self, table: IommuTable, ioba: int, count: int) -> int:
        """Return 0 when ``count`` IOMMU pages from ``ioba`` on are aligned and inside the table."""
        shift = table.hw.it_page_shift
        index = (ioba >> shift) - table.hw.it_offset
        if ioba & ((1 << shift) - 1) or index < 0 or index + count > table.hw.it_size:
            return self.param_check_error()
        return 0

    def param_check_error(self) -> int:
        """What a failed parameter check makes the ioctl return."""
        return -EINVAL

    # -- v2: regions ---------------------------------------------------------------------------

    async def tce_iommu_build_v2(
        self, container: TceContainer, table: IommuTable, index: int, ua: Ua, count: int, perm: int
    ) -> int:
        """Map ``count`` IOMMU pages of registered memory; what was there is replaced.

        Returns:
            0, or with the entries written so far cleared: -EINVAL (not registered, or the IOMMU page is
            larger than what backs it), -EPERM (not contained), -ENOMEM (a table level).
        """
        if self.nobody_can_disturb() and await self.build_v2_run(container, table, index, ua, count, perm):
            return 0
        shift = table.hw.it_page_shift
        for done in range(count):
            at = Ua(ua + (done << shift))
            ret = await self.tce_iommu_build_one_v2(container, table, index + done, at, perm)
            if ret:
                return await self.build_v2_failed(container, table, index, done, ret)
        await self.kill_after_run(container, table, index, count)
        return 0

    async def build_v2_failed(
        self, container: TceContainer, table: IommuTable, index: int, done: int, ret: int
    ) -> int:
        """Clear the ``done`` entries written before the one that failed; the error for the caller.

        A region that was dying when its count should have gone up (-ENXIO) is as good as not registered.
        """
        await self.tce_iommu_clear(container, table, table.hw.it_offset + index, done)
        return -EINVAL if ret == -ENXIO else ret

    async def tce_iommu_build_one_v2(
        self, container: TceContainer, table: IommuTable, index: int, ua: Ua, perm: int
    ) -> int:
        """Map one IOMMU page of registered memory; 0, -EINVAL, -EPERM, -ENXIO (dying), -ENOMEM."""
        mm, shift = await self.mm_of(container), table.hw.it_page_shift
        if mm is None:
            return -ESRCH
        async with self.regions_stay():
            there = await call(mm, MmIommuUaToHpa(ua, shift))
            if there.ret:
                return there.ret
            if not self.tce_page_is_contained(there.hpa, shift):
                return -EPERM
            ret = await call(mm, MmIommuMappedInc(there.mem))
            if ret:
                return ret
        ret, old = await self.iommu_tce_xchg(table, index, there.hpa, perm, ua)
        if ret:
            await self.undo_failed_xchg(container, table, index, there.mem)
            return ret
        if old.perm:
            await self.tce_iommu_let_go(container, table, index, old)
        return 0

    def regions_stay(self) -> AbstractAsyncContextManager[None]:
        """Keep regions from being freed between finding one and counting a TCE into it."""
        return self.world.rcu.read_lock()

    async def undo_failed_xchg(
        self, container: TceContainer, table: IommuTable, index: int, mem: str
    ) -> None:
        """The entry could not be written: the TCE that was counted does not come."""
        mm = await self.mm_of(container)
        assert mm is not None
        await call(mm, MmIommuMappedDec(mem))

    async def build_v2_run(
        self, container: TceContainer, table: IommuTable, index: int, ua: Ua, count: int, perm: int
    ) -> bool:
        """Map a whole run as one step; False, with nothing done, when it must go entry by entry."""
        mm, shift = await self.mm_of(container), table.hw.it_page_shift
        if mm is None or not count or index + count > table.hw.it_size:
            return False
        hpas = await call(mm, MmIommuMapRange(ua, count, shift))
        if hpas is None:
            return False
        if self.core.controlled:
            await point(table.sweep())
        table.check("tce_iommu_build_v2")
        before = table.hw.live_count
        table.hw.ensure_levels(index, count)
        cleared = table.hw.clear(index, count)
        table.hw.store(index, hpas, perm)
        table.hw.set_uas(index, ua, count)
        if self.core.tracing:
            self.core.trace(table.sweep(), before, table.hw.live_count)
        if len(cleared.indices):
            await self.let_go_run(container, table, index, count, cleared)
        return True

    # -- v1: pages -----------------------------------------------------------------------------

    async def tce_iommu_build(
        self, container: TceContainer, table: IommuTable, index: int, ua: Ua, count: int, perm: int
    ) -> int:
        """Map ``count`` IOMMU pages, pinning the page behind each; what was there is replaced.

        Returns:
            0, or with the entries written so far cleared: -EFAULT, -EPERM, -ENOMEM.
        """
        for done in range(count):
            at = Ua(ua + (done << table.hw.it_page_shift))
            ret = await self.tce_iommu_build_one(container, table, index + done, at, perm)
            if ret:
                await self.tce_iommu_clear(container, table, table.hw.it_offset + index, done)
                return ret
        await self.kill_after_run(container, table, index, count)
        return 0

    async def tce_iommu_build_one(
        self, container: TceContainer, table: IommuTable, index: int, ua: Ua, perm: int
    ) -> int:
        """Pin one page and map it; 0, -EFAULT, -EPERM, -ENOMEM. The page is always pinned for writing."""
        mm, shift = self.current.mm, table.hw.it_page_shift
        if mm is None:
            return -EFAULT
        pfn = await call(mm, PinUserPage(ua, table.name))
        if pfn < 0:
            return pfn
        hpa = pfn << self.memory.page_shift | ua & (self.memory.page_size - 1)
        if not self.tce_page_is_contained(hpa, shift):
            await self.world.put_pages()
            self.release_uncontained(table, pfn)
            return -EPERM
        ret, old = await self.iommu_tce_xchg(table, index, hpa, perm, None)
        if ret:
            await self.world.put_pages()
            self.memory.unpin(pfn, table.name)
            return ret
        if old.perm:
            await self.tce_iommu_let_go(container, table, index, old)
        return 0

    def release_uncontained(self, table: IommuTable, pfn: int) -> None:
        """Drop the pin of a page that turned out too small for the IOMMU page."""
        self.memory.unpin(pfn, table.name)

    # -- one entry -----------------------------------------------------------------------------

    def tce_page_is_contained(self, hpa: int, page_shift: int) -> bool:
        """Whether the page that backs ``hpa`` is at least as large as the IOMMU page."""
        if self.core.fails("tce_page_is_contained"):
            return False
        pfn = hpa >> self.memory.page_shift
        return int(self.memory.backing_shift([pfn])[0]) >= page_shift

    async def iommu_table_level(self, table: IommuTable, index: int, view: bool) -> int:
        """Have the levels that an entry needs, of the table or of its userspace view; 0 or -ENOMEM.

        Kernel: arch/powerpc/platforms/powernv/pci-ioda-tce.c, ``pnv_tce``.
        """
        if self.core.controlled:
            await point(table.levels(view, write=False))
        while depth := table.hw.missing_depth(index, view):
            if self.core.fails("pnv_alloc_tce_level.view" if view else "pnv_alloc_tce_level"):
                return -ENOMEM
            level = table.hw.new_level()
            if self.core.controlled:
                await point(table.levels(view, write=True))
            self.install_level(table, index, level, depth, view)
        return 0

    def install_level(self, table: IommuTable, index: int, level: Level, depth: int, view: bool) -> None:
        """Put a level into its slot unless somebody else has done so meanwhile; then drop ours."""
        if table.hw.missing_depth(index, view) == depth:
            install = table.hw.install_view_level if view else table.hw.install_level
            install(index, level, depth)

    def view_level_missing(self, ret: int) -> int:
        """The level of the userspace view could not be allocated: so the entry cannot be written."""
        return ret

    async def iommu_tce_xchg(
        self, table: IommuTable, index: int, hpa: int, perm: int, ua: int | None
    ) -> tuple[int, OldEntry]:
        """Replace an entry and its view slot in one step.

        Args:
            table: the table.
            index: the entry.
            hpa: real address.
            perm: permission; NONE empties the entry, and then missing levels stay missing.
            ua: userspace address for the view; None leaves the view alone (v1).

        Returns:
            0 and what was there, or -ENOMEM with nothing changed.

        Kernel: arch/powerpc/kernel/iommu.c, ``iommu_tce_xchg_no_kill``.
        """
        ret = await self.have_levels(table, index, perm, ua)
        if ret:
            return ret, NO_ENTRY
        if self.core.controlled:
            await point(table.slot(index))
        table.check("iommu_tce_xchg")
        old_ua = table.hw.ua(index) if ua is not None else 0
        old_hpa, old_perm = table.hw.xchg(index, hpa, perm)
        if ua is not None:
            self.store_view(table, index, ua if perm else 0)
        if self.core.tracing:
            self.core.trace(table.slot(index), (old_hpa, old_perm), (hpa, perm))
        return 0, OldEntry(old_hpa, old_perm, old_ua)

    async def have_levels(self, table: IommuTable, index: int, perm: int, ua: int | None) -> int:
        """Have all levels that writing an entry (and its view slot) needs; 0 or -ENOMEM."""
        if not perm or table.hw.it_indirect_levels == 0:
            return 0
        if ua is not None:
            ret = await self.iommu_table_level(table, index, view=True)
            if ret and self.view_level_missing(ret):
                return ret
        return await self.iommu_table_level(table, index, view=False)

    def store_view(self, table: IommuTable, index: int, ua: int) -> None:
        """Store a userspace address in the view.

        Raises:
            KernelOops: the view has no slot there.
        """
        if table.hw.view_level_present(index):
            table.hw.set_ua(index, ua)
        elif ua:
            raise KernelOops("NULL pointer store of a userspace address", "tce_iommu_build_v2")

    async def tce_iommu_let_go(
        self, container: TceContainer, table: IommuTable, index: int, old: OldEntry
    ) -> None:
        """Let go of what an entry pointed to, once no bridge can use it any more."""
        await self.kill_before_letting_go(container, table, index, 1)
        if old.perm & WRITE:
            self.mark_dirty(old.hpa >> self.memory.page_shift)
        if container.v2:
            await self.tce_iommu_unuse_page_v2(container, table, old.ua)
        else:
            await self.world.put_pages()
            self.memory.unpin(old.hpa >> self.memory.page_shift, table.name)

    def mark_dirty(self, pfns: int | NDArray[np.uint64]) -> None:
        """Note that a device may have written to frames, before their pins can go.

        Kernel: arch/powerpc/kernel/iommu.c, ``iommu_tce_xchg_no_kill``, ``SetPageDirty``.
        """
        self.memory.set_dirty(pfns)

    async def kill_before_letting_go(
        self, container: TceContainer, table: IommuTable, index: int, count: int
    ) -> None:
        """Make the bridges forget entries whose pages are about to be let go of."""
        await self.iommu_tce_kill(container, table, index, count)

    async def kill_after_run(
        self, container: TceContainer, table: IommuTable, index: int, count: int
    ) -> None:
        """A whole run was changed: nothing is left to forget here."""

    async def tce_iommu_unuse_page_v2(self, container: TceContainer, table: IommuTable, ua: int) -> None:
        """Count one TCE less for the region that a view slot pointed into."""
        mm = await self.mm_of(container)
        if mm is None:
            return
        async with self.regions_stay():
            there = await call(mm, MmIommuUaToHpa(Ua(ua), table.hw.it_page_shift))
        if not there.ret:
            await call(mm, MmIommuMappedDec(there.mem))

    async def iommu_tce_kill(
        self, container: TceContainer, table: IommuTable, index: int, count: int
    ) -> None:
        """Make the bridges of all groups forget ``count`` entries."""
        for group in await container.group_list.walk():
            await call(group.group, TceKill(table.hw, index, count))

    # -- clearing ------------------------------------------------------------------------------

    async def tce_iommu_clear(
        self, container: TceContainer, table: IommuTable, entry: int, count: int
    ) -> None:
        """Empty ``count`` entries from bus entry ``entry`` on.

        Absent entries cost nothing; between two present ones others may run.
        """
        index = first = entry - table.hw.it_offset
        end = index + count
        self.watch_clear(count)
        if self.nobody_can_disturb():
            if self.core.controlled:
                await point(table.sweep())
            table.check("tce_iommu_clear")
            before = table.hw.live_count
            cleared = table.hw.clear(index, count)
            if self.core.tracing:
                self.core.trace(table.sweep(), before, table.hw.live_count)
            if len(cleared.indices):
                await self.let_go_run(container, table, index, count, cleared)
            return
        while True:
            if self.core.controlled:
                await point(table.scan())
            table.check("tce_iommu_clear")
            present = table.hw.next_present(index, end)
            if present is None:
                break
            ua = 0 if container.v2 else None
            _, old = await self.iommu_tce_xchg(table, present, 0, NONE, ua)
            if old.perm:
                await self.tce_iommu_let_go(container, table, present, old)
            index = present + 1
        if end > table.hw.it_size:
            table.hw.raw(table.hw.it_size)
        await self.kill_after_run(container, table, first, count)

    def watch_clear(self, count: int) -> None:
        """Clearing ``count`` entries lets others run in between, so there is nothing to watch."""

    async def let_go_run(
        self, container: TceContainer, table: IommuTable, index: int, count: int, cleared: Cleared
    ) -> None:
        """Let go of what a whole run of entries pointed to, as :meth:`tce_iommu_let_go` does for one."""
        await self.kill_before_letting_go(container, table, index, count)
        pfns = cleared.hpas >> self.memory.page_shift
        written = cleared.perms & WRITE != 0
        self.mark_dirty(pfns[written])
        if container.v2:
            mm = await self.mm_of(container)
            if mm is not None:
                await call(mm, MmIommuUnmapRange(cleared.uas, table.hw.it_page_shift))
        else:
            await self.world.put_pages()
            self.memory.unpin(pfns, table.name)
        await self.kill_after_run(container, table, index, count)
