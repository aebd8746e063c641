"""Pre-registered memory: how the regions of an mm are used, and how they end.

Kernel: arch/powerpc/mm/book3s64/iommu_api.c. ``used`` counts registrations and changes under
``mem_list_mutex`` only; ``mapped`` is 1 plus the number of TCEs that point in, and 0 while the region
dies. How regions come to be is in :mod:`actors.kernel.mm_regions`.

Invariants that live here: J-R2, J-R3, J-P1, J-K2.
"""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from errno import EBUSY, EFAULT, EINVAL, ENOENT, ENXIO

import numpy as np
from numpy.typing import NDArray

from actors.kernel.messages import MmIommuFree, Translated
from actors.kernel.mm_regions import MmRegions
from actors.kernel.regions import Region
from actors.runtime.cells import free
from hw import Ua


class Mm(MmRegions):
    """An mm with its regions, and what becomes of them."""

    # -- end of life ---------------------------------------------------------------------------

    async def mm_iommu_put(self, mem: str) -> int:
        """Drop one registration; the last one unlinks the region, and its pins go after a grace period.

        Returns:
            0; -ENOENT when nobody has it registered; -EBUSY, and nothing changed, while TCEs point in.

        Context: takes ``mem_list_mutex``, then ``mmap_lock``; may sleep. Kernel: ``mm_iommu_put``.
        """
        region = self.region(mem)
        async with self.mem_list_mutex:
            if await region.used.get() == 0:
                return -ENOENT
            if await region.used.add(-1) > 0:
                return 0
            if not await region.mapped.compare_exchange(1, 0):
                await region.used.add(1)
                return -EBUSY
            await self.mm_iommu_release(region)
        await self.uncharge_released(region)
        return 0

    async def mm_iommu_forsake(self, mem: str) -> int:
        """Drop one registration whether or not TCEs point in; with TCEs the last of them frees the region.

        The container that registered is going away, but another container of the same mm may map the
        region still. Its pins must outlive those TCEs and no longer.

        Context: takes ``mem_list_mutex``, then ``mmap_lock``; may sleep.
        """
        region = self.region(mem)
        async with self.mem_list_mutex:
            last = await region.used.add(-1) == 0
            if not last or not await region.mapped.compare_exchange(1, 0):
                return 0
            await self.mm_iommu_release(region)
        await self.uncharge_released(region)
        return 0

    async def mm_iommu_release(self, region: Region) -> None:
        """Unlink a region and have its pins dropped after a grace period.

        Context: ``mem_list_mutex`` held. Kernel: ``mm_iommu_release``.
        """
        await self.mem_list.delete(region)
        await self.world.rcu.call_rcu(self.id, MmIommuFree(region.name))

    async def uncharge_released(self, region: Region) -> None:
        """Give the charge of an unlinked region back. Context: takes ``mmap_lock``, no mutex held."""
        await self.account_locked_vm(-region.entries)

    async def mm_iommu_free(self, mem: str) -> None:
        """Drop the pins of an unlinked region and free it. Kernel: ``mm_iommu_free``."""
        region = self.region(mem)
        await self.world.put_pages()
        self.mm_iommu_unpin(region)
        await free(region.name, region.used, region.mapped)
        del self.regions[mem]

    def mm_iommu_unpin(self, region: Region) -> None:
        """Drop the pins of a region. Kernel: ``mm_iommu_unpin``."""
        if region.mapped.value > 1:
            self.mark_still_mapped(region)
        self.memory.unpin(region.pfns, f"{self.id}.regions")

    def mark_still_mapped(self, region: Region) -> None:
        """Note that a device may have written to a region before the pins go: no exchange has come to do so.

        Simplified: all of its pages are marked; the kernel keeps a bit for each, which real mode sets.
        Kernel: ``mm_iommu_unpin``, ``MM_IOMMU_TABLE_GROUP_PAGE_DIRTY``.
        """
        self.memory.set_dirty(region.pfns)

    async def destroy_context(self) -> None:
        """Free the struct. Regions that are still listed are lost with it, pinned and charged.

        Kernel: arch/powerpc/mm/book3s64/mmu_context.c, ``destroy_context``.
        """
        if await self.mem_list.walk():
            self.world.warn(f"{self.name}: regions are left", "destroy_context")
        await super().destroy_context()

    # -- use -----------------------------------------------------------------------------------

    async def mm_iommu_lookup(self, ua: Ua, size: int) -> Region | None:
        """Return the region that contains the byte range and is registered by somebody, or None.

        Context: inside an RCU read section; takes no reference. Kernel: ``mm_iommu_lookup``.
        """
        async with self.list_stays():
            await self.mem_list.read()
            return self.mem_list.containing(ua, size)

    def list_stays(self) -> AbstractAsyncContextManager[None]:
        """Keep the elements of the region list from being freed during a walk."""
        return self.world.rcu.read_lock()

    async def tce_iommu_prereg_ua_to_hpa(self, ua: Ua, page_shift: int) -> Translated:
        """Find the region that holds the IOMMU page at ``ua`` and translate the address.

        Returns:
            0, the region and the real address; -EINVAL when the page is not registered as a whole or
            the region's pages are smaller than the IOMMU page.

        Context: inside an RCU read section.
        Kernel: drivers/vfio/vfio_iommu_spapr_tce.c, ``tce_iommu_prereg_ua_to_hpa``.
        """
        region = await self.mm_iommu_lookup(ua, 1 << page_shift)
        if region is None:
            return Translated(-EINVAL, "", 0)
        ret, hpa = self.mm_iommu_ua_to_hpa(region, ua, page_shift)
        return Translated(-EINVAL, "", 0) if ret else Translated(0, region.name, hpa)

    def mm_iommu_ua_to_hpa(self, region: Region, ua: Ua, page_shift: int) -> tuple[int, int]:
        """Return 0 and the real address of ``ua``, or -EFAULT. Kernel: ``mm_iommu_ua_to_hpa``."""
        entry = (ua - region.ua) >> self.memory.page_shift
        if entry >= region.entries or page_shift > region.pageshift:
            return -EFAULT, 0
        offset = ua & (self.memory.page_size - 1)
        return 0, int(region.pfns[entry]) << self.memory.page_shift | offset

    async def mm_iommu_mapped_inc(self, mem: str) -> int:
        """Count one TCE more; -ENXIO when the region is dying. Kernel: ``mm_iommu_mapped_inc``."""
        region = self.region(mem)
        return 0 if await region.mapped.add_unless(1, 0) else -ENXIO

    async def mm_iommu_mapped_dec(self, mem: str) -> None:
        """Count one TCE less; the last TCE into a forsaken region frees it.

        The TCE itself keeps the region, but no longer than until it is counted down; from there on a read
        section does.

        Context: may sleep, so not inside an RCU read section. Kernel: ``mm_iommu_mapped_dec``.
        """
        region = self.region(mem)
        async with self.world.rcu.read_lock():
            if not await region.mapped.add_unless(-1, 1):
                self.world.misuse("J-R3", f"{mem}: a TCE less than none", "mm_iommu_mapped_dec")
                return
            forsaken = await region.used.get() == 0
        if forsaken:
            await self.mm_iommu_reap(region)

    async def mm_iommu_reap(self, region: Region) -> None:
        """Free a region that nobody registers and no TCE points into, unless somebody else has done so."""
        async with self.mem_list_mutex:
            await self.mem_list.read()
            if not self.mem_list.holds(region):
                return
            if await region.used.get() or not await region.mapped.compare_exchange(1, 0):
                return
            await self.mm_iommu_release(region)
        await self.uncharge_released(region)

    # -- whole runs at once --------------------------------------------------------------------

    async def mm_iommu_map_range(self, ua: Ua, count: int, page_shift: int) -> NDArray[np.uint64] | None:
        """Translate and count ``count`` IOMMU pages from ``ua`` on, for a caller whom nobody can disturb.

        Returns:
            The real addresses, shape (count,), or None when not every page could be mapped one by one.
        """
        async with self.list_stays():
            await self.mem_list.read()
        spans: list[tuple[Region, int, int]] = []
        at, end = int(ua), ua + (count << page_shift)
        while at < end:
            region = self.mem_list.containing(at, 1 << page_shift)
            if region is None or page_shift > region.pageshift or not self._backed_by(region, page_shift):
                return None
            stop = min(end, at + ((region.end - at) >> page_shift << page_shift))
            spans.append((region, at, (stop - at) >> page_shift))
            at = stop
        for region, _, pages in spans:
            await region.mapped.add(pages)
        parts = [self._addresses(region, start, pages, page_shift) for region, start, pages in spans]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _backed_by(self, region: Region, page_shift: int) -> bool:
        """Whether every page of a region is at least as large as the IOMMU page."""
        if page_shift <= self.memory.page_shift:
            return True
        return int(self.memory.backing_shift(region.pfns).min()) >= page_shift

    def _addresses(self, region: Region, ua: int, count: int, page_shift: int) -> NDArray[np.uint64]:
        """Real addresses of ``count`` IOMMU pages from ``ua`` on, all inside ``region``."""
        shift = self.memory.page_shift
        first = (ua - region.ua) >> shift
        if page_shift == shift:
            hpas = region.pfns[first : first + count].astype(np.uint64)
            hpas <<= np.uint64(shift)
            return hpas
        offsets = np.arange(count, dtype=np.uint64) << np.uint64(page_shift)
        offsets += np.uint64(ua - region.ua)
        pages = region.pfns[(offsets >> np.uint64(shift)).astype(np.int64)].astype(np.uint64)
        return (pages << np.uint64(shift)) | (offsets & np.uint64((1 << shift) - 1))

    async def mm_iommu_unmap_range(self, uas: NDArray[np.uint64], page_shift: int) -> None:
        """Count TCEs less, given the addresses in their view slots, shape (n,)."""
        async with self.list_stays():
            await self.mem_list.read()
        left = uas
        while len(left):
            region = self.mem_list.containing(int(left[0]), 1)
            if region is None:
                left = left[1:]
                continue
            if len(left) == 1:
                left, count = left[1:], 1
            else:
                inside = (left >= np.uint64(region.ua)) & (left < np.uint64(region.end))
                left, count = left[~inside], int(inside.sum())
            there = region.mapped.value - 1
            self.note_excess(region, count - there)
            await region.mapped.add(-min(count, there))
            if await region.used.get() == 0 and region.mapped.value == 1:
                await self.mm_iommu_reap(region)

    def note_excess(self, region: Region, count: int) -> None:
        """Note each of ``count`` TCEs that go though none of the region is counted, as one by one."""
        for _ in range(count):
            self.world.misuse("J-R3", f"{region.name}: a TCE less than none", "mm_iommu_mapped_dec")
