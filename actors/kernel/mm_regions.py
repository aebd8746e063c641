"""The regions of an mm, and how they come to be.

Kernel: arch/powerpc/mm/book3s64/iommu_api.c, ``mm_iommu_do_alloc``. A region pins every page of a range of
user memory and is charged to the mm.

Left out: device memory (``mm_iommu_newdev``).
Invariants that live here: J-R1, J-P3, J-L1.
"""

from __future__ import annotations

from errno import EFAULT, EINVAL, ENOMEM
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from actors.kernel.messages import NewRegion
from actors.kernel.mmap import MmCalls
from actors.kernel.regions import Region, RegionList
from actors.runtime.errors import UseAfterFree
from hw import Ua, low_bit_shift

if TYPE_CHECKING:
    from actors.kernel.globals import KernelGlobals
    from actors.kernel.mm import MmImage

ENTRY_BYTES = 8


class MmRegions(MmCalls):
    """An mm with its regions.

    Attributes:
        regions: all regions whose pins are not returned yet, by name: listed ones and dying ones.
        mem_list: those that are listed, ``context.iommu_group_mem_list``.
        mem_list_mutex: one for the whole kernel.
    """

    def __init__(self, world: KernelGlobals, comm: str, user: str, image: MmImage | None = None) -> None:
        super().__init__(world, comm, user, image)
        self.mem_list_mutex = world.mem_list_mutex
        self.mem_list = RegionList(world.core, f"{self.id}.iommu_group_mem_list")
        self.regions: dict[str, Region] = {}

    def region(self, mem: str) -> Region:
        """Follow a pointer to a region.

        Raises:
            UseAfterFree: the region's memory was freed.
        """
        region = self.regions.get(mem)
        if region is None:
            raise UseAfterFree(mem, self.core.current.place())
        return region

    # -- creation ------------------------------------------------------------------------------

    async def mm_iommu_get(self, ua: Ua, entries: int) -> str | None:
        """Find the region with exactly this range, count one registration more, and return its name.

        Context: takes ``mem_list_mutex``; may sleep. Kernel: ``mm_iommu_get``.
        """
        async with self.mem_list_mutex:
            await self.mem_list.read()
            region = self.mem_list.exact(ua, entries)
            if region is not None:
                await region.used.add(1)
                return region.name
        return None

    async def mm_iommu_find(self, ua: Ua, entries: int) -> str | None:
        """Find the region with exactly this range; its name is good for comparing unless it is held already.

        Context: takes ``mem_list_mutex``; may sleep. Kernel: ``mm_iommu_find``, of old.
        """
        async with self.mem_list_mutex:
            await self.mem_list.read()
            region = self.mem_list.exact(ua, entries)
            return None if region is None else region.name

    async def mm_iommu_new(self, ua: Ua, entries: int) -> NewRegion:
        """Charge, pin and publish a region of ``entries`` kernel pages.

        A range that somebody else registered meanwhile is shared, as if it had been there before.

        Returns:
            0 and the region, or -ENOMEM (limit, array), -EFAULT (a page cannot be pinned), -EINVAL
            (overlaps another region); then nothing is left behind.

        Context: takes ``mmap_lock`` and then, separately, ``mem_list_mutex``; may sleep.
        Kernel: ``mm_iommu_do_alloc``.
        """
        ret = await self.account_locked_vm(entries)
        if ret:
            return NewRegion(ret, "")
        ret, pfns = await self.mm_iommu_pin(ua, entries)
        if not ret:
            region = self.new_region(ua, pfns)
            reply = await self.mm_iommu_publish(region)
            if reply.ret == 0 and reply.mem == region.name:
                return reply
            await self.world.put_pages()
            self.undo_pins(pfns)
            await self.account_locked_vm(-entries)
            return reply
        await self.account_locked_vm(-entries)
        return NewRegion(ret, "")

    def new_region(self, ua: Ua, pfns: NDArray[np.uint32]) -> Region:
        """Make a region; at first its alignment alone limits ``pageshift``."""
        page_shift = self.memory.page_shift
        aligned = ua | len(pfns) << page_shift
        return Region(self.core, ua, pfns, page_shift, low_bit_shift(aligned) if aligned else page_shift)

    def undo_pins(self, pfns: NDArray[np.uint32]) -> None:
        """Drop the pins of a region that could not be published."""
        self.memory.unpin(pfns, f"{self.id}.regions")

    async def mm_iommu_pin(self, ua: Ua, entries: int) -> tuple[int, NDArray[np.uint32]]:
        """Allocate the array of addresses and pin every page of the range, in chunks.

        Returns:
            0 and the frames, or -ENOMEM, -EFAULT with nothing left pinned.
        """
        nothing = np.empty(0, np.uint32)
        if not self.array_fits(entries) or self.core.fails("mm_iommu_do_alloc.array"):
            return -ENOMEM, nothing
        parts: list[NDArray[np.uint32]] = [nothing]
        first, chunk = ua >> self.memory.page_shift, self.pin_chunk_pages()
        async with self.mmap_lock.read():
            for at in range(0, entries, chunk):
                count = min(chunk, entries - at)
                parts.append(self.pin_user_pages(first + at, count, f"{self.id}.regions"))
                if len(parts[-1]) < count:
                    break
        pfns = parts[1] if len(parts) == 2 else np.concatenate(parts)
        if len(pfns) == entries:
            return 0, pfns
        await self.world.put_pages()
        self.memory.unpin(pfns, f"{self.id}.regions")
        return self.short_pin(entries, [len(part) for part in parts[1:]]), nothing

    def pin_chunk_pages(self) -> int:
        """How many pages one call of GUP pins: its array is one buddy allocation of at most 16 MiB."""
        return (16 << 20) // ENTRY_BYTES

    def short_pin(self, entries: int, chunks: list[int]) -> int:
        """The error for a range of which only a part could be pinned."""
        return -EFAULT

    def array_fits(self, entries: int) -> bool:
        """Whether an array of ``entries`` addresses can be allocated.

        A vmalloc of 0 bytes cannot, nor one of all RAM: the kernel itself lies there too.
        """
        return 0 < entries * ENTRY_BYTES < self.memory.size_bytes

    async def mm_iommu_publish(self, region: Region) -> NewRegion:
        """Put a new region on the list unless it overlaps another one.

        Context: takes ``mem_list_mutex``.
        """
        async with self.mem_list_mutex:
            await self.mem_list.read()
            same = self.mem_list.exact(region.ua, region.entries)
            if same is not None:
                return await self.mm_iommu_lost_race(same)
            if self.mem_list.overlapping(region.ua, region.end) is not None:
                return NewRegion(-EINVAL, "")
            self.mm_iommu_page_shift(region)
            await self.mem_list.add(region)
            self.regions[region.name] = region
        return NewRegion(0, region.name)

    async def mm_iommu_lost_race(self, other: Region) -> NewRegion:
        """Somebody else published the very same range first: share it."""
        await other.used.add(1)
        return NewRegion(0, other.name)

    def mm_iommu_page_shift(self, region: Region) -> None:
        """Limit ``pageshift`` by the backing of each page; only hugetlb backing is there to stay."""
        first = region.ua >> self.memory.page_shift
        backing = [vma.shift for vma in self.overlapping(first, first + region.entries)]
        region.pageshift = min([region.pageshift, *backing])
