"""MAP_DMA and UNMAP_DMA.

Kernel: drivers/vfio/vfio_iommu_spapr_tce.c. Neither takes ``container.lock``: two MAPs of one container
run at the same time. What they do to an entry is in :mod:`actors.kernel.entries`.

Invariants that live here: J-R3, J-T1, J-T2, J-T3, J-A1, J-A2.
"""

from __future__ import annotations

from errno import EFAULT, EINVAL, ENXIO, EPERM, ESRCH

from actors.kernel.messages import (
    MmIommuMappedDec,
    MmIommuMappedInc,
    MmIommuMapRange,
    MmIommuUaToHpa,
    PinUserPage,
)
from actors.kernel.tce_container import IommuTable, TceContainer
from actors.kernel.uapi import (
    DMA_MAP,
    DMA_UNMAP,
    VFIO_DMA_MAP_FLAG_READ,
    VFIO_DMA_MAP_FLAG_WRITE,
    DmaMap,
    DmaUnmap,
    UserPointer,
)
from actors.kernel.windows import Windows
from actors.runtime.ops import call, point
from hw import Ua

PERM_MASK = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE


class Mapping(Windows):
    """The mapping part of a container."""

    # -- the two ioctls ----------------------------------------------------------------------------

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

    # -- parameter checks --------------------------------------------------------------------------

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

    def tce_page_is_contained(self, hpa: int, page_shift: int) -> bool:
        """Whether the page that backs ``hpa`` is at least as large as the IOMMU page."""
        if self.core.fails("tce_page_is_contained"):
            return False
        pfn = hpa >> self.memory.page_shift
        return int(self.memory.backing_shift([pfn])[0]) >= page_shift

    # -- v2: regions -------------------------------------------------------------------------------

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

    # -- v1: pages ---------------------------------------------------------------------------------

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
