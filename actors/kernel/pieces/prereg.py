"""Defects of pre-registration (section G.2): regions, their counts and their accounting."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager, nullcontext
from errno import EINVAL

import numpy as np
from numpy.typing import NDArray

from actors.kernel.composition import Piece
from actors.kernel.container import Container
from actors.kernel.messages import NewRegion
from actors.kernel.mm_iommu import Mm
from actors.kernel.regions import Region
from actors.kernel.tce_container import TceContainer
from actors.runtime.errors import KernelOops
from hw import Ua


class PartialPinPositive(Piece):
    slug = "partial-pin-positive"
    number = "20"
    title = "REGISTER of a range with a hole returns the number of pages before the hole"
    commit = 'latent since 7a3a4d763837 "powerpc/mm_iommu: Allow pinning large regions"'
    versions = "v5.1 and later"
    symptom = "REGISTER_MEMORY returns a positive number; nothing is registered"
    trigger = "register a range whose tail is not mapped"
    remedy = "a range of which only a part could be pinned is -EFAULT"
    invariants = ("J-A1",)

    class mm(Mm):
        def short_pin(self, entries: int, chunks: list[int]) -> int:
            return chunks[-1] or super().short_pin(entries, chunks)


class UnregisterBorrowsReference(Piece):
    slug = "unregister-borrows-reference"
    title = "the reference that UNREGISTER takes to look can become the last one of a region"
    commit = (
        'latent since "powerpc/mm/iommu/vfio_spapr_tce: Change mm_iommu_get to reference a region" (v5.0),'
        " found by this emulator"
    )
    versions = "v5.0 and later"
    symptom = "UNREGISTER is refused with -ENOENT, and yet the region stays pinned and charged for ever"
    trigger = "UNREGISTER on a container of what only another one had registered, while TCEs point in"
    remedy = "UNREGISTER compares with its own list and takes no reference"
    invariants = ("J-R2", "J-Q1", "J-Q2")

    class container(Container):
        async def find_registration(
            self, container: TceContainer, mm: str, vaddr: Ua, entries: int
        ) -> str | None:
            mem = await self.find_region(mm, vaddr, entries)
            if mem is None or await self.registered_here(container, mem):
                return mem
            await self.put_back(mm, mem)
            return None

        async def drop_registration(self, container: TceContainer, mm: str, mem: str) -> int:
            await self.put_back(mm, mem)
            return await super().drop_registration(container, mm, mem)


class UnregisterBusySwallowed(Piece):
    slug = "unregister-busy-swallowed"
    number = "22"
    title = "UNREGISTER of a region that is still mapped returns 0 and leaks it"
    commit = 'latent since "powerpc/mm/iommu/vfio_spapr_tce: Change mm_iommu_get to reference a region", v5.0'
    versions = "v5.0 and later"
    symptom = "UNREGISTER_MEMORY succeeds, the pages stay pinned and charged for ever"
    trigger = "unregister a region while a TCE points into it"
    remedy = (
        "the extra reference of the lookup is dropped first, so that -EBUSY of the last one is the answer"
    )
    invariants = ("J-R2", "J-Q1", "J-Q2")

    class container(UnregisterBorrowsReference.container):
        async def drop_registration(self, container: TceContainer, mm: str, mem: str) -> int:
            # The list's reference first, the lookup's own after it: the wrong way round.
            borrows = UnregisterBorrowsReference.container
            ret = await super(borrows, self).drop_registration(container, mm, mem)
            await self.put_back(mm, mem)
            return ret


class OverlapRaceEinval(Piece):
    slug = "overlap-race-einval"
    number = "23"
    title = "the loser of two concurrent first registrations of one range gets -EINVAL"
    commit = 'by design of eb9d7a62c386 "powerpc/mm_iommu: Fix potential deadlock"'
    versions = "v5.1 and later"
    symptom = "REGISTER_MEMORY fails although, one after the other, both would share the region"
    trigger = "two containers of one mm register the same new range at the same time"
    remedy = "the loser shares what the winner published"
    invariants = ("expectation",)

    class mm(Mm):
        async def mm_iommu_lost_race(self, other: Region) -> NewRegion:
            return NewRegion(-EINVAL, "")


class LookupUaf(Piece):
    slug = "lookup-uaf"
    number = "31"
    title = "MAP uses a region that was freed between finding it and counting the TCE"
    commit = "latent, no fix known"
    versions = "all"
    symptom = "use after free of the region"
    trigger = "MAP in one thread, UNREGISTER and the end of a grace period in between"
    remedy = "one RCU read section covers the lookup and the count"
    invariants = ("J-K2",)

    class container(Container):
        def regions_stay(self) -> AbstractAsyncContextManager[None]:
            return nullcontext()


class RcuReadersUnprotected(Piece):
    slug = "rcu-readers-unprotected"
    number = "30"
    title = "lookups walk the RCU list of regions outside any read section"
    commit = '"powerpc/mm/book3s64/iommu: fix some RCU-list locks", v5.8'
    versions = "up to v5.7"
    symptom = "use after free of a list element"
    trigger = "a lookup while another thread unregisters, and the end of a grace period in between"
    remedy = "the walk is inside an RCU read section"
    invariants = ("J-K2",)
    container = LookupUaf.container

    class mm(Mm):
        async def mm_iommu_lookup(self, ua: int, size: int) -> Region | None:
            if not (self.core.controlled or self.core.tracing):
                return self.mem_list.containing(ua, size)
            for region in await self.mem_list.walk():
                await region.mapped.get()
                if region.ua <= ua and ua + size <= region.end:
                    return region
            return None


class AccountUnderflowWrap(Piece):
    slug = "account-underflow-wrap"
    number = "32"
    title = "giving back more than was charged wraps locked_vm to a huge number"
    commit = "79eb597cba06, v5.3"
    versions = "v5.3 and later"
    symptom = "VmLck is astronomical and every later lock fails"
    trigger = "any charge that is given back twice"
    remedy = "no more is given back than there is"
    invariants = ("J-L3",)

    class mm(Mm):
        async def checked_decrease(self, locked_vm: int, pages: int) -> int:
            kept = await super().checked_decrease(locked_vm, pages)
            return pages if kept == pages else pages + (1 << 64)


class CmaPinned(Piece):
    # Simplified: the modelled CMA area holds base pages only, so what Linux did to compound pages
    # stands here for every page.
    slug = "cma-pinned"
    number = "27"
    title = "pages in CMA areas are pinned where they are"
    commit = '678e174c4c16 "powerpc/mm/iommu: allow migration of cma allocated pages", v5.1'
    versions = "before v4.9; compound pages up to v5.0"
    symptom = "later contiguous allocations fail because a region pins pages inside CMA"
    trigger = "register memory that lies in CMA"
    remedy = "pages are moved out of CMA before they are pinned"
    invariants = ("J-P3",)
    failpoints = ("alloc_pages.cma",)

    class mm(Mm):
        def migrate_out_of_cma(self, first: int, count: int) -> None:
            return None


class HugetlbOnly(Piece):
    slug = "hugetlb-only"
    number = "26"
    title = "transparent huge pages count as large backing, though they can be split"
    commit = '7f1882517420 "powerpc/mm/iommu: allow large IOMMU page size only for hugetlb backing", v5.1'
    versions = "v4.18 to v5.0"
    symptom = "a large IOMMU page over memory whose backing may change"
    trigger = "register memory advised to be huge, MAP it with large IOMMU pages"
    remedy = "only hugetlb backing counts"
    invariants = ("expectation", "J-T2")

    class mm(Mm):
        def mm_iommu_page_shift(self, region: Region) -> None:
            region.pageshift = min(region.pageshift, int(self.memory.backing_shift(region.pfns).min()))


class ThpPageshift(Piece):
    slug = "thp-pageshift"
    number = "25"
    title = "a region with large pages is taken for one with small pages"
    commit = '"KVM: PPC: Book3S: Fix guest DMA when guest partially backed by THP pages", v4.19'
    versions = "v4.18"
    symptom = "MAP with large IOMMU pages over hugetlb memory is refused"
    trigger = "register hugetlb memory, MAP it with IOMMU pages of that size"
    remedy = "the backing of each page decides"
    invariants = ("expectation",)

    class mm(Mm):
        def mm_iommu_page_shift(self, region: Region) -> None:
            region.pageshift = self.memory.page_shift


class DoAllocPutHpa(Piece):
    slug = "do-alloc-put-hpa"
    number = "18"
    title = "the undo of an overlapping REGISTER takes physical addresses for page pointers"
    commit = 'c4b78169e366 "powerpc/book3s64: Fix error handling in mm_iommu_do_alloc()", v5.6'
    versions = "v5.1 to v5.5"
    symptom = "oops in mm_iommu_do_alloc"
    trigger = "register a range, then one that overlaps it"
    remedy = "addresses are converted after the last point of failure"
    invariants = ("J-P1",)

    class mm(Mm):
        def undo_pins(self, pfns: NDArray[np.uint32]) -> None:
            raise KernelOops("unpin of a physical address", "mm_iommu_do_alloc", "J-P1")


class LargeRegionPin(Piece):
    slug = "large-region-pin"
    number = "19"
    title = "a region whose array of pages exceeds one buddy allocation cannot be registered"
    commit = '7a3a4d763837 "powerpc/mm_iommu: Allow pinning large regions", v5.1'
    versions = "v5.1-rc"
    symptom = "REGISTER of a large guest fails with -ENOMEM"
    trigger = "register more than 2 Mi pages at once"
    remedy = "pages are pinned in chunks"
    invariants = ("expectation",)

    class mm(Mm):
        def array_fits(self, entries: int) -> bool:
            return super().array_fits(entries) and entries <= self.pin_chunk_pages()


class ZeroSizeRegister(Piece):
    slug = "zero-size-register"
    number = "33"
    title = "a range of no pages becomes a region"
    commit = "an oddity of the checks: vmalloc of 0 bytes is what refuses it"
    versions = "none: recorded kernels answer -ENOMEM"
    symptom = "an empty region on the list"
    trigger = "REGISTER with size 0"
    remedy = "-ENOMEM, as recorded"
    invariants = ("J-R1",)

    class mm(Mm):
        def array_fits(self, entries: int) -> bool:
            return entries == 0 or super().array_fits(entries)

        def mm_iommu_page_shift(self, region: Region) -> None:
            if region.entries:
                super().mm_iommu_page_shift(region)


PIECES: tuple[type[Piece], ...] = (
    PartialPinPositive,
    UnregisterBorrowsReference,
    UnregisterBusySwallowed,
    OverlapRaceEinval,
    RcuReadersUnprotected,
    LookupUaf,
    AccountUnderflowWrap,
    CmaPinned,
    HugetlbOnly,
    ThpPageshift,
    DoAllocPutHpa,
    LargeRegionPin,
    ZeroSizeRegister,
)
