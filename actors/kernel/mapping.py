"""MAP_DMA and UNMAP_DMA: writing and clearing TCEs.

Kernel: drivers/vfio/vfio_iommu_spapr_tce.c, arch/powerpc/kernel/iommu.c. Neither takes
``container.lock``: two MAPs of one container run at the same time. An entry and its slot of the
userspace view change together, and a bridge forgets an entry before what it pointed to is let go.

Invariants that live here: J-R3, J-T1 to J-T7, J-A1, J-A2, J-D1.
"""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from errno import EFAULT, EINVAL, ENOMEM, ENXIO, EPERM

from actors.kernel.messages import (
    MmIommuMapRange,
    MmIommuMappedDec,
    MmIommuMappedInc,
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
from actors.runtime.ops import call, point
from hw import NONE, WRITE, Cleared, Ua

PERM_MASK = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE


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
            return await self.tce_iommu_map(container, param)

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

    async def tce_iommu_find_table(
        self, container: TceContainer, ioba: int
    ) -> tuple[int, IommuTable | None]:
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
                await self.tce_iommu_clear(container, table, table.hw.it_offset + index, done)
                return ret
        return 0

    async def tce_iommu_build_one_v2(
        self, container: TceContainer, table: IommuTable, index: int, ua: Ua, perm: int
    ) -> int:
        """Map one IOMMU page of registered memory."""
        mm, shift = await container.mm.get(), table.hw.it_page_shift
        assert mm is not None
        ret = await self.iommu_table_level(table, index)
        if ret:
            return ret
        async with self.world.rcu.read_lock():
            there = await call(mm, MmIommuUaToHpa(ua, shift))
            if there.ret:
                return there.ret
            if not self.tce_page_is_contained(there.hpa, shift):
                return -EPERM
            if await call(mm, MmIommuMappedInc(there.mem)):
                return -EINVAL
        old_hpa, old_perm, old_ua = await self.iommu_tce_xchg(table, index, there.hpa, perm, ua)
        if old_perm:
            await self.tce_iommu_let_go(container, table, index, old_hpa, old_perm, old_ua)
        return 0

    async def build_v2_run(
        self, container: TceContainer, table: IommuTable, index: int, ua: Ua, count: int, perm: int
    ) -> bool:
        """Map a whole run as one step; False, with nothing done, when it must go entry by entry."""
        mm, shift = await container.mm.get(), table.hw.it_page_shift
        if mm is None or not count or index + count > table.hw.it_size:
            return False
        hpas = await call(mm, MmIommuMapRange(ua, count, shift))
        if hpas is None:
            return False
        table.hw.ensure_levels(index, count)
        cleared = table.hw.clear(index, count)
        table.hw.store(index, hpas, perm)
        table.hw.set_uas(index, ua, count)
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
        return 0

    async def tce_iommu_build_one(
        self, container: TceContainer, table: IommuTable, index: int, ua: Ua, perm: int
    ) -> int:
        """Pin one page and map it. The page is always pinned for writing."""
        mm, shift = self.current.mm, table.hw.it_page_shift
        if mm is None:
            return -EFAULT
        pfn = await call(mm, PinUserPage(ua, table.name))
        if pfn < 0:
            return pfn
        hpa = pfn << self.memory.page_shift | ua & (self.memory.page_size - 1)
        if not self.tce_page_is_contained(hpa, shift):
            self.release_uncontained(table, pfn)
            return -EPERM
        ret = await self.iommu_table_level(table, index)
        if ret:
            self.memory.unpin(pfn, table.name)
            return ret
        old_hpa, old_perm, old_ua = await self.iommu_tce_xchg(table, index, hpa, perm, 0)
        if old_perm:
            await self.tce_iommu_let_go(container, table, index, old_hpa, old_perm, old_ua)
        return 0

    def release_uncontained(self, table: IommuTable, pfn: int) -> None:
        """Drop the pin of a page that turned out too small for the IOMMU page."""
        self.memory.unpin(pfn, table.name)

    # -- one entry -----------------------------------------------------------------------------

    def tce_page_is_contained(self, hpa: int, page_shift: int) -> bool:
        """Whether the page that backs ``hpa`` is at least as large as the IOMMU page."""
        pfn = hpa >> self.memory.page_shift
        return int(self.memory.backing_shift([pfn])[0]) >= page_shift

    async def iommu_table_level(self, table: IommuTable, index: int) -> int:
        """Have the levels that an entry and its view slot need; 0 or -ENOMEM.

        Whoever comes second finds the level there and drops its own.
        Kernel: arch/powerpc/platforms/powernv/pci-ioda-tce.c, ``pnv_tce``.
        """
        if table.hw.level_present(index) and table.hw.view_level_present(index):
            return 0
        if self.core.fails("pnv_alloc_tce_level"):
            return -ENOMEM
        if self.core.controlled:
            await point(table.slot(index))
        table.hw.ensure_levels(index, 1)
        return 0

    async def iommu_tce_xchg(
        self, table: IommuTable, index: int, hpa: int, perm: int, ua: int
    ) -> tuple[int, int, int]:
        """Replace an entry and its view slot in one step; return what was there.

        Returns:
            Old real address, old permission (0: empty), old userspace address.

        Kernel: arch/powerpc/kernel/iommu.c, ``iommu_tce_xchg_no_kill``.
        """
        if self.core.controlled:
            await point(table.slot(index))
        old_ua = table.hw.ua(index) if table.hw.has_view else 0
        old_hpa, old_perm = table.hw.xchg(index, hpa, perm)
        if table.hw.has_view and table.hw.view_level_present(index):
            table.hw.set_ua(index, ua if perm else 0)
        if self.core.tracing:
            self.core.trace(table.slot(index), (old_hpa, old_perm), (hpa, perm))
        return old_hpa, old_perm, old_ua

    async def tce_iommu_let_go(
        self, container: TceContainer, table: IommuTable, index: int, hpa: int, perm: int, ua: int
    ) -> None:
        """Let go of what an entry pointed to, once no bridge can use it any more."""
        await self.iommu_tce_kill(container, table, index, 1)
        if perm & WRITE:
            self.memory.set_dirty(hpa >> self.memory.page_shift)
        if container.v2:
            await self.tce_iommu_unuse_page_v2(container, table, ua)
        else:
            self.memory.unpin(hpa >> self.memory.page_shift, table.name)

    async def tce_iommu_unuse_page_v2(self, container: TceContainer, table: IommuTable, ua: int) -> None:
        """Count one TCE less for the region that a view slot pointed into."""
        mm = await container.mm.get()
        assert mm is not None
        async with self.world.rcu.read_lock():
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
        index = entry - table.hw.it_offset
        end = index + count
        if self.nobody_can_disturb():
            cleared = table.hw.clear(index, count)
            if len(cleared.indices):
                await self.let_go_run(container, table, index, count, cleared)
            return
        while True:
            if self.core.controlled:
                await point(table.scan())
            present = table.hw.next_present(index, end)
            if present is None:
                return
            hpa, perm, ua = await self.iommu_tce_xchg(table, present, 0, NONE, 0)
            if perm:
                await self.tce_iommu_let_go(container, table, present, hpa, perm, ua)
            index = present + 1

    async def let_go_run(self, container: TceContainer, table: IommuTable, index: int, count: int, cleared: Cleared) -> None:
        """Let go of what a whole run of entries pointed to, as :meth:`tce_iommu_let_go` does for one."""
        await self.iommu_tce_kill(container, table, index, count)
        pfns = cleared.hpas >> self.memory.page_shift
        written = cleared.perms & WRITE != 0
        self.memory.set_dirty(pfns[written])
        if container.v2:
            mm = await container.mm.get()
            assert mm is not None
            await call(mm, MmIommuUnmapRange(cleared.uas, table.hw.it_page_shift))
        else:
            self.memory.unpin(pfns, table.name)
