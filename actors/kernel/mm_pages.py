"""The pages of an address space: faults, copies on write, pins, fork.

Kernel: mm/memory.c, mm/gup.c, mm/hugetlb.c, kernel/fork.c (``dup_mm``).

Left out: transparent huge pages that nobody has asked for.
Invariants that live here: J-P2, J-P3.
"""

from __future__ import annotations

from errno import EFAULT
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from actors.kernel.mm import MmImage, MmState, Vma
from hw import OutOfFrames, Ua

if TYPE_CHECKING:
    from actors.kernel.globals import KernelGlobals


class MmPages(MmState):
    """An mm with the pages behind its mappings."""

    def __init__(self, world: KernelGlobals, comm: str, user: str, image: MmImage | None = None) -> None:
        super().__init__(world, comm, user)
        if image is not None:
            self._load(image)

    def fault_in(self, first: int, count: int, write: bool) -> int:
        """Make pages present (and, for ``write``, private copies writable) up to the first bad one.

        Returns:
            How many pages from ``first`` on are usable.
        """
        end = first + count
        for vma in self.overlapping(first, end):
            if vma.first > first or not (vma.writable if write else vma.readable):
                return count - (end - first)
            last = min(end, vma.last)
            try:
                self._populate(vma, first, last)
                if write and self.may_share_pages and not vma.shared:
                    self._break_copy_on_write(first, last, vma.shift)
            except OutOfFrames:
                return count - (end - first)
            first = last
            if first == end:
                return count
        return count - (end - first)

    def _populate(self, vma: Vma, first: int, last: int) -> None:
        if vma.shift > self.memory.page_shift:
            self._populate_huge(vma, first, last, vma.shift)
            return
        if vma.thp and self.world.transparent_hugepages:
            self._populate_thp(vma, first, last)
        for page, count in list(self.page_table.absent_runs(first, last - first)):
            self.page_table.map(page, self.allocate(count), vma.writable)

    def allocate(self, count: int) -> NDArray[np.uint32]:
        """Allocate frames for user pages; they are movable, so they may come from a CMA area."""
        if self.core.fails("alloc_pages.cma"):
            self.world.cma_used = True
            return self.memory.allocate(count, self.id, cma=True)
        try:
            return self.memory.allocate(count, self.id)
        except OutOfFrames as short:
            return self._allocate_from_both(count, short.available)

    def _allocate_from_both(self, count: int, ordinary: int) -> NDArray[np.uint32]:
        """Take what there is of ordinary frames and the rest from the CMA area.

        Raises:
            OutOfFrames: there are not enough of both; nothing was taken.
        """
        pfns = self.memory.allocate(ordinary, self.id)
        try:
            rest = self.memory.allocate(count - ordinary, self.id, cma=True)
        except OutOfFrames:
            self.memory.put(pfns)
            raise
        self.world.cma_used = True
        return np.concatenate([pfns, rest])

    def _populate_huge(self, vma: Vma, first: int, last: int, shift: int) -> None:
        per_page = 1 << (shift - self.memory.page_shift)
        try:
            for page in range(first // per_page * per_page, last, per_page):
                if self.page_table.lookup(page) is None:
                    pfn = self.alloc_hugetlb_folio(shift, vma.reserves or vma.shared)
                    self.page_table.map(page, np.arange(pfn, pfn + per_page, dtype=np.uint32), vma.writable)
        finally:
            self.note_reserved()

    def alloc_hugetlb_folio(self, shift: int, reserved: bool) -> int:
        """Take a huge page that was ``reserved``, or one that nobody has reserved; its first frame.

        Raises:
            OutOfFrames: there is none.
        """
        if not reserved and self.world.hugetlb.available(shift) <= 0:
            raise OutOfFrames(1, 0)
        return self.memory.allocate_huge(shift, self.id)

    def _populate_thp(self, vma: Vma, first: int, last: int) -> None:
        """Back whole aligned parts of a mapping by huge pages, as long as there are any.

        Simplified: they come from the hugetlb pools, since the memory model keeps base pages scattered.
        """
        for shift in self.world.huge_shifts:
            per_page = 1 << (shift - self.memory.page_shift)
            start, end = -(-max(first, vma.first) // per_page) * per_page, min(last, vma.last)
            whole = (end - start) // per_page * per_page
            if whole > 0 and self.world.hugetlb.available(shift) >= whole // per_page:
                self._populate_huge(vma, start, start + whole, shift)
                return

    def _break_copy_on_write(self, first: int, last: int, shift: int) -> None:
        """Give this mm its own copy of pages that it shares since a fork."""
        if shift > self.memory.page_shift:
            self._break_huge(first, last, shift)
            return
        for page, pfns, writable in list(self.page_table.runs(first, last - first)):
            for offset in np.flatnonzero(~writable).tolist():
                pfn = int(pfns[offset])
                others = self.memory.references(pfn) - self.memory.pins(pfn) > 1
                self._break_one(page + offset, pfn, others)

    def _break_huge(self, first: int, last: int, shift: int) -> None:
        """Give this mm its own copies of the huge pages that it shares since a fork."""
        per_page = 1 << (shift - self.memory.page_shift)
        for page in range(first // per_page * per_page, last, per_page):
            entry = self.page_table.lookup(page)
            if entry is None or entry[1]:
                continue
            if self.memory.references(entry[0]) - self.memory.pins(entry[0]) > 1:
                self._copy_huge(page, shift)
            else:
                self.page_table.protect(page, per_page, True, True)

    def _copy_huge(self, page: int, shift: int) -> None:
        """Put a fresh huge page in the place of one."""
        per_page = 1 << (shift - self.memory.page_shift)
        copy = self.alloc_hugetlb_folio(shift, False)
        self.memory.put(self.page_table.unmap(page, per_page))
        self.page_table.map(page, np.arange(copy, copy + per_page, dtype=np.uint32), True)

    def _break_one(self, page: int, pfn: int, others: bool) -> None:
        if others:
            copy = self.memory.allocate(1, self.id)
            self.memory.put(self.page_table.unmap(page, 1))
            self.page_table.map(page, copy, True)
        else:
            self.page_table.protect(page, 1, True, True)

    def pin_user_pages(self, first: int, count: int, holder: str) -> NDArray[np.uint32]:
        """Pin writable pages from page ``first`` on; the frames of the prefix that could be pinned.

        Context: the caller holds ``mmap_lock`` for read.
        Kernel: mm/gup.c, ``pin_user_pages`` with FOLL_WRITE | FOLL_LONGTERM.
        """
        usable = self.fault_in(first, count, write=True)
        if self.world.cma_used:
            self.migrate_out_of_cma(first, usable)
        if self.core.fails("pin_user_pages"):
            usable = self.core.choose("pin_user_pages", usable) if usable else 0
        return self.page_table.pin(first, usable, True, holder)

    def migrate_out_of_cma(self, first: int, count: int) -> None:
        """Move pages out of CMA areas before they are pinned for long. Kernel: mm/gup.c."""
        for page, pfns, _ in list(self.page_table.runs(first, count)):
            for offset in np.flatnonzero(self.memory.in_cma(pfns)).tolist():
                self._break_one(page + offset, int(pfns[offset]), True)

    async def pin_user_page_fast(self, ua: Ua, holder: str) -> int:
        """Pin the page at ``ua`` for writing on behalf of ``holder``; its frame or -EFAULT.

        Kernel: mm/gup.c, ``pin_user_pages_fast``; drivers/vfio/vfio_iommu_spapr_tce.c,
        ``tce_iommu_use_page``.
        """
        async with self.mmap_lock.read():
            pfns = self.pin_user_pages(ua >> self.memory.page_shift, 1, holder)
        return int(pfns[0]) if len(pfns) else -EFAULT

    async def dup_mm(self, holder: str, comm: str) -> str:
        """Copy the address space for a forked child and return the new mm's id.

        The child starts with nothing charged and no regions, and without mappings that it is not to get.
        Pages stay shared until one side writes; a page that is pinned is copied for the child at once, so
        that the device keeps the parent's.

        Kernel: kernel/fork.c, ``dup_mm``; mm/memory.c, ``copy_present_page``.
        """
        async with self.mmap_lock.write():
            for vma in self.vmas:
                if not vma.shared and not vma.dontfork:
                    self.page_table.protect(vma.first, vma.last - vma.first, vma.readable, False)
            self.may_share_pages = True
            return self.world.new_mm(comm, holder, self._image()).id

    def _image(self) -> MmImage:
        vmas = [vma for vma in self.vmas if not vma.dontfork]
        pages = tuple(
            (page, pfns)
            for vma in vmas
            for page, pfns, _ in self.page_table.runs(vma.first, vma.last - vma.first)
        )
        return MmImage(tuple(vma._replace(locked=False, reserves=False) for vma in vmas), pages)

    def _load(self, image: MmImage) -> None:
        """Take over the parent's mappings; what is pinned and private becomes this mm's own copy."""
        self.may_share_pages = True
        self.vmas = list(image.vmas)
        runs = [(page, pfns, next(self.overlapping(page, page + 1))) for page, pfns in image.pages]
        for page, pfns, vma in runs:
            self.memory.get(pfns)
            self.page_table.map(page, pfns, vma.writable and vma.shared)
        for page, pfns, vma in runs:
            if not vma.shared and self.fork_copies_pinned_pages():
                self._copy_pinned(page, pfns, vma.shift)

    def fork_copies_pinned_pages(self) -> bool:
        """Whether a forked child gets its own copy of a pinned page at once."""
        return True

    def _copy_pinned(self, page: int, pfns: NDArray[np.uint32], shift: int) -> None:
        """Copy those pages of a run that are pinned, as long as there is memory.

        Simplified: where memory is short the rest stays shared and fork goes on; Linux's fails with -ENOMEM.
        """
        per_page = 1 << (shift - self.memory.page_shift)
        pinned = np.flatnonzero(self.memory.pin_counts(pfns)).tolist()
        try:
            for at in dict.fromkeys((page + offset) // per_page * per_page for offset in pinned):
                entry = self.page_table.lookup(at)
                if per_page == 1:
                    self._break_one(at, int(pfns[at - page]), True)
                elif entry is not None and not entry[1]:
                    self._copy_huge(at, shift)
        except OutOfFrames:
            return
