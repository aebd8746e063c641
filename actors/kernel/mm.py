"""An address space: ``struct mm_struct``, its mappings, its counts, what it is charged.

Kernel: include/linux/mm_types.h, mm/mmap.c, mm/mlock.c, mm/util.c (``account_locked_vm``), mm/gup.c,
kernel/fork.c (``dup_mm``, ``mmput``, ``__mmdrop``). The regions that hang off an mm are in
:mod:`actors.kernel.mm_iommu`.

Left out: swapping, transparent huge pages, page cache contents, stack and text of the program.
Invariants that live here: J-M2, J-M3, J-L1, J-L3, J-P2.
"""

from __future__ import annotations

from collections.abc import Coroutine, Iterator
from errno import EAGAIN, EEXIST, EFAULT, EINVAL, ENOMEM, EPERM
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from actors.kernel.messages import ShootLazyTlb
from actors.kernel.task import Task
from actors.runtime.actor import Actor
from actors.runtime.cells import Counter, Refcount
from actors.runtime.errors import UseAfterFree
from actors.runtime.messages import Request
from actors.runtime.ops import Op, call, point
from actors.runtime.sync import RwSem
from hw import OutOfFrames, PageTable, Ua

if TYPE_CHECKING:
    from actors.kernel.globals import KernelGlobals

USER_TOP = 1 << 52
"""First address above user space (64-bit Book3S, 4 PiB)."""


MMAP_BASE = 0x7FFF_0000_0000
"""Where mappings go whose address the program leaves open."""


class Vma(NamedTuple):
    """``struct vm_area_struct``: pages ``first .. last - 1`` with one set of properties.

    Attributes:
        first: number of the first kernel page.
        last: number of the page behind the end.
        readable: PROT_READ.
        writable: PROT_WRITE.
        shared: MAP_SHARED; a private mapping is copied on write after fork.
        shift: log2 of the backing page; above the kernel's for hugetlb.
        locked: VM_LOCKED, so its pages are in ``locked_vm``.
        thp: VM_HUGEPAGE: pages may come as transparent huge pages, which can be split again.
    """

    first: int
    last: int
    readable: bool
    writable: bool
    shared: bool
    shift: int
    locked: bool
    thp: bool = False


class MmImage(NamedTuple):
    """What a forked child takes over: the mappings, and runs of ``(first page, frames)``."""

    vmas: tuple[Vma, ...]
    pages: tuple[tuple[int, NDArray[np.uint32]], ...]


class MmState(Actor):
    """The state of an mm and the mappings of its process.

    Attributes:
        mm_users: who uses the address space (tasks).
        mm_count: who holds the struct; all users together hold one, named ``users``.
        locked_vm: kernel pages charged against RLIMIT_MEMLOCK.
        mmap_lock: protects the mappings and the charge.
        destroyed: True once ``destroy_context`` has run.
    """

    kind = "mm"

    def __init__(self, world: KernelGlobals, comm: str, user: str, image: MmImage | None = None) -> None:
        super().__init__(world.core, comm)
        core = world.core
        self.world = world
        self.memory = world.memory
        self.page_table = PageTable(world.memory)
        self.vmas: list[Vma] = []
        self.may_share_pages = False
        self.mmap_lock = RwSem(core, f"{self.id}.mmap_lock")
        self.mm_users = Refcount(core, f"{self.id}.mm_users", user)
        self.mm_count = Refcount(core, f"{self.id}.mm_count", "users")
        self.locked_vm = Counter(core, f"{self.id}.locked_vm")
        self.destroyed = False
        if image is not None:
            self._load(image)

    def serve(self, request: Request[Any]) -> Coroutine[Any, Any, Any]:
        """Start a handler; a struct that was freed serves nobody.

        Raises:
            UseAfterFree: the last holder has dropped this mm (J-K2, J-M1).
        """
        # The RCU callback of a region works on the region alone, which may outlive the mm by a grace period.
        if self.destroyed and request.serves != "mm_iommu_free":
            raise UseAfterFree(self.id, request.serves)
        return super().serve(request)

    # -- lifetime ------------------------------------------------------------------------------

    async def mmget(self, holder: str) -> None:
        """One more user of the address space. Kernel: ``mmget``."""
        await self.mm_users.take(holder)

    async def mmput(self, holder: str) -> None:
        """One user less; the last unmaps everything and drops the users' ``mm_count``.

        Kernel: kernel/fork.c, ``mmput``, ``__mmput``.
        """
        if await self.mm_users.drop(holder):
            await self.exit_mmap()
            await self.mmdrop("users")

    async def mmgrab(self, holder: str) -> None:
        """One more holder of the struct. Kernel: ``mmgrab``."""
        await self.mm_count.take(holder)

    async def mmdrop(self, holder: str) -> None:
        """One holder of the struct less; the last destroys it. Kernel: kernel/fork.c, ``__mmdrop``."""
        if await self.mm_count.drop(holder):
            await self.shoot_lazy_users()
            await self.destroy_context()

    async def shoot_lazy_users(self) -> None:
        """Make CPUs that borrow this mm without a reference let go of it.

        Kernel: kernel/fork.c, ``cleanup_lazy_tlbs``, by inter-processor interrupt.
        """
        for cpu in self.world.cpus:
            await call(cpu, ShootLazyTlb(self.id))

    async def destroy_context(self) -> None:
        """Free the struct. Kernel: arch/powerpc/mm/book3s64/mmu_context.c, ``destroy_context``."""
        if self.core.controlled:
            await point(Op("lifetime", self.id, True))
        self.destroyed = True

    async def exit_mmap(self) -> None:
        """Unmap everything; pages with pins stay allocated. Kernel: mm/mmap.c, ``exit_mmap``."""
        async with self.mmap_lock.write():
            for vma in self.vmas:
                self._zap(vma.first, vma.last - vma.first)
            self.vmas = []

    # -- accounting ----------------------------------------------------------------------------

    async def account_locked_vm(self, pages: int) -> int:
        """Charge ``pages`` kernel pages to this mm, or give back when negative.

        Returns:
            0, or -ENOMEM when the limit of the *current* task would be exceeded without CAP_IPC_LOCK.

        Context: takes ``mmap_lock`` for write; may sleep.
        Kernel: mm/util.c, ``account_locked_vm``.
        """
        if pages == 0:
            return 0
        if pages > 0 and self.core.fails("account_locked_vm"):
            return -ENOMEM
        async with self.mmap_lock.write():
            locked_vm = await self.locked_vm.get()
            if pages > 0:
                if self.above_limit(locked_vm + pages):
                    return -ENOMEM
            else:
                pages = await self.checked_decrease(locked_vm, pages)
            await self.locked_vm.add(pages)
        return 0

    async def checked_decrease(self, locked_vm: int, pages: int) -> int:
        """Return how much really may be given back: never more than there is."""
        if -pages > locked_vm:
            self.world.warn(
                f"locked_vm of {self.name} would go below zero by {-pages - locked_vm}", "account_locked_vm"
            )
            return -locked_vm
        return pages

    def above_limit(self, pages: int) -> bool:
        """Whether ``pages`` exceed RLIMIT_MEMLOCK of the current task, which lacks CAP_IPC_LOCK."""
        task: Task = self.core.current.task
        limit = task.rlimit_memlock_bytes
        return limit is not None and not task.cap_ipc_lock and pages > limit >> self.memory.page_shift

    def may_lock_nothing(self) -> bool:
        """Whether the current task may not call mlock at all. Kernel: mm/mlock.c, ``can_do_mlock``."""
        task: Task = self.core.current.task
        return task.rlimit_memlock_bytes == 0 and not task.cap_ipc_lock

    # -- system calls on mappings --------------------------------------------------------------

    def _pages(self, addr: int, size: int) -> tuple[int, int]:
        """Return first page and page behind the end of a byte range."""
        shift = self.memory.page_shift
        return addr >> shift, -(-(addr + size) >> shift)

    async def mmap(
        self, addr: int, size: int, readable: bool, writable: bool, shared: bool, shift: int, replace: bool
    ) -> int:
        """Make a mapping at ``addr`` (bytes); 0 or a negative errno.

        Args:
            addr: where; must be a multiple of the backing page.
            size: bytes; rounded up to the backing page.
            readable: PROT_READ.
            writable: PROT_WRITE.
            shared: MAP_SHARED.
            shift: log2 of the backing page, the kernel's page shift for ordinary memory.
            replace: MAP_FIXED rather than MAP_FIXED_NOREPLACE.

        Context: takes ``mmap_lock`` for write. Kernel: mm/mmap.c, ``do_mmap``.
        """
        backing = 1 << max(shift, self.memory.page_shift)
        if size <= 0 or addr % backing or addr < 0:
            return -EINVAL
        size = -(-size // backing) * backing
        if addr + size > USER_TOP:
            return -ENOMEM
        first, last = self._pages(addr, size)
        async with self.mmap_lock.write():
            if not replace and any(v.first < last and first < v.last for v in self.vmas):
                return -EEXIST
            if self._cuts_huge_page(first, last):
                return -EINVAL
            if shift > self.memory.page_shift and self._hugepages_free(shift) < size >> shift:
                return -ENOMEM
            await self._remove(first, last)
            self._insert(
                Vma(first, last, readable, writable, shared, max(shift, self.memory.page_shift), False)
            )
        return 0

    def _hugepages_free(self, shift: int) -> int:
        """Huge pages of the pool that no mapping of this mm has reserved and not yet touched."""
        per_page = shift - self.memory.page_shift
        reserved = 0
        for vma in self.vmas:
            if vma.shift == shift:
                present = self.page_table.present(vma.first, vma.last - vma.first)
                reserved += (vma.last - vma.first - int(present.sum())) >> per_page
        return self.memory.huge_free(shift) - reserved

    async def mmap_anywhere(self, size: int, shift: int) -> int:
        """Make a private read-write mapping above all others; its address or a negative errno."""
        page = max(shift, self.memory.page_shift)
        top = max([v.last << self.memory.page_shift for v in self.vmas] + [MMAP_BASE])
        addr = -(-top >> page) << page
        ret = await self.mmap(addr, size, True, True, False, shift, False)
        return ret or addr

    async def munmap(self, addr: int, size: int) -> int:
        """Remove mappings; what they had locked is given back. Kernel: mm/mmap.c, ``do_munmap``."""
        if size <= 0 or addr % self.memory.page_size or addr + size > USER_TOP:
            return -EINVAL
        first, last = self._pages(addr, size)
        async with self.mmap_lock.write():
            if self._cuts_huge_page(first, last):
                return -EINVAL
            await self._remove(first, last)
        return 0

    async def mprotect(self, addr: int, size: int, readable: bool, writable: bool) -> int:
        """Change the protection of a range, up to its first hole. Kernel: mm/mprotect.c."""
        if addr % self.memory.page_size:
            return -EINVAL
        first, last = self._pages(addr, size)
        async with self.mmap_lock.write():
            end = self._mapped_until(first, last)
            if self._cuts_huge_page(first, end):
                return -EINVAL
            for vma in self._split(first, end):
                self._insert(vma._replace(readable=readable, writable=writable))
                self._set_protection(vma, readable, writable)
        return 0 if end == last else -ENOMEM

    def _set_protection(self, vma: Vma, readable: bool, writable: bool) -> None:
        """Tell the MMU; a private page that others have too stays read-only until it is written."""
        self.may_share_pages = True
        self.page_table.protect(vma.first, vma.last - vma.first, readable, writable and vma.shared)

    async def mlock(self, addr: int, size: int) -> int:
        """Lock a range in memory, up to its first hole, and charge what was not locked yet.

        Returns:
            0; -EPERM when nothing may be locked; -ENOMEM (limit, hole, pages without access); -EAGAIN.

        Kernel: mm/mlock.c, ``do_mlock``. Huge pages are neither locked nor charged.
        """
        if self.may_lock_nothing():
            return -EPERM
        first, last = self._pages(addr, size)
        async with self.mmap_lock.write():
            locked = sum(v.last - v.first for v in self._inside(first, last) if v.locked)
            if self.above_limit(await self.locked_vm.get() + last - first - locked):
                return -ENOMEM
            end = self._mapped_until(first, last)
            await self._set_locked(first, end, True)
            if end < last:
                return -ENOMEM
            if self.fault_in(first, last - first, write=False) < last - first:
                return -EAGAIN if all(v.readable for v in self._inside(first, last)) else -ENOMEM
        return 0

    async def munlock(self, addr: int, size: int) -> int:
        """Undo :meth:`mlock`, up to the first hole: 0 or -ENOMEM. Kernel: mm/mlock.c."""
        first, last = self._pages(addr, size)
        async with self.mmap_lock.write():
            end = self._mapped_until(first, last)
            await self._set_locked(first, end, False)
        return 0 if end == last else -ENOMEM

    async def _set_locked(self, first: int, last: int, locked: bool) -> None:
        """Set or clear VM_LOCKED of ordinary mappings and charge the difference."""
        change = 0
        for vma in self._split(first, last):
            now = locked and vma.shift == self.memory.page_shift
            change += (now - vma.locked) * (vma.last - vma.first)
            self._insert(vma._replace(locked=now))
        await self.locked_vm.add(change)

    async def madvise_dontneed(self, addr: int, size: int) -> int:
        """Drop the pages of a range; the next touch brings fresh ones.

        Returns:
            0; -EINVAL at the first locked mapping or part of a huge page; -ENOMEM when there are holes.

        Kernel: mm/madvise.c, ``madvise_dontneed_free``.
        """
        if addr % self.memory.page_size:
            return -EINVAL
        first, last = self._pages(addr, size)
        async with self.mmap_lock.read():
            for vma in self._inside(first, last):
                per_page = 1 << (vma.shift - self.memory.page_shift)
                if vma.locked or vma.first % per_page or (per_page > 1 and self.huge_pages_stay()):
                    return -EINVAL
                self._zap(vma.first, (vma.last - vma.first) // per_page * per_page)
            return 0 if self._covered(first, last) else -ENOMEM

    def huge_pages_stay(self) -> bool:
        """Whether MADV_DONTNEED refuses hugetlb mappings."""
        return False

    async def madvise_hugepage(self, addr: int, size: int) -> int:
        """Let a range be backed by transparent huge pages from now on. Kernel: mm/khugepaged.c."""
        first, last = self._pages(addr, size)
        async with self.mmap_lock.write():
            for vma in self._split(first, last):
                self._insert(vma._replace(thp=True))
            return 0 if self._covered(first, last) else -ENOMEM

    async def touch(self, addr: int, size: int, write: bool = True) -> int:
        """Access every page of a range, as the program does; 0 or -EFAULT for a signal."""
        first, last = self._pages(addr, size)
        async with self.mmap_lock.read():
            return 0 if self.fault_in(first, last - first, write) == last - first else -EFAULT

    # -- pages ---------------------------------------------------------------------------------

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

    def overlapping(self, first: int, last: int) -> Iterator[Vma]:
        """The mappings that have a page in ``first .. last - 1``."""
        return (v for v in self.vmas if v.last > first and v.first < last)

    def _populate(self, vma: Vma, first: int, last: int) -> None:
        if vma.shift > self.memory.page_shift:
            self._populate_huge(vma, first, last, vma.shift)
            return
        if vma.thp:
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
        for page in range(first // per_page * per_page, last, per_page):
            if self.page_table.lookup(page) is None:
                pfn = self.memory.allocate_huge(shift, self.id)
                self.page_table.map(page, np.arange(pfn, pfn + per_page, dtype=np.uint32), vma.writable)

    def _populate_thp(self, vma: Vma, first: int, last: int) -> None:
        """Back whole aligned parts of a mapping by huge pages, as long as there are any.

        Simplified: they come from the hugetlb pools, since the memory model keeps base pages scattered.
        """
        for shift in self.world.huge_shifts:
            per_page = 1 << (shift - self.memory.page_shift)
            start, end = -(-max(first, vma.first) // per_page) * per_page, min(last, vma.last)
            whole = (end - start) // per_page * per_page
            if whole > 0 and self.memory.huge_free(shift) >= whole // per_page:
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
        copy = self.memory.allocate_huge(shift, self.id)
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
        pinned = self.page_table.pin(first, usable, True, holder)
        return pinned.pfns

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

        The child starts with nothing charged and no regions. Pages stay shared until one side writes;
        a page that is pinned is copied for the child at once, so that the device keeps the parent's.

        Kernel: kernel/fork.c, ``dup_mm``; mm/memory.c, ``copy_present_page``.
        """
        async with self.mmap_lock.write():
            for vma in self.vmas:
                if not vma.shared:
                    self.page_table.protect(vma.first, vma.last - vma.first, vma.readable, False)
            self.may_share_pages = True
            return self.world.new_mm(comm, holder, self._image()).id

    def _image(self) -> MmImage:
        pages = tuple(
            (page, pfns)
            for vma in self.vmas
            for page, pfns, _ in self.page_table.runs(vma.first, vma.last - vma.first)
        )
        return MmImage(tuple(vma._replace(locked=False) for vma in self.vmas), pages)

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
        """Copy those pages of a run that are pinned; as long as there is memory, the rest stays shared."""
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

    # -- the list of mappings ------------------------------------------------------------------

    def _inside(self, first: int, last: int) -> list[Vma]:
        """The parts of mappings that lie in a page range."""
        return [
            v._replace(first=max(v.first, first), last=min(v.last, last))
            for v in self.overlapping(first, last)
        ]

    def _mapped_until(self, first: int, last: int) -> int:
        """The first page of a range that no mapping has, or the range's end."""
        for vma in self.overlapping(first, last):
            if vma.first > first:
                break
            first = min(vma.last, last)
        return first

    def _cuts_huge_page(self, first: int, last: int) -> bool:
        """Whether an edge of a page range lies inside a huge page."""
        return any(
            vma.first < edge < vma.last and edge % (1 << (vma.shift - self.memory.page_shift))
            for edge in (first, last)
            for vma in self.vmas
        )

    def _covered(self, first: int, last: int) -> bool:
        return sum(v.last - v.first for v in self._inside(first, last)) == last - first

    def _split(self, first: int, last: int) -> list[Vma]:
        """Cut a page range out of the mappings and return the parts."""
        parts = self._inside(first, last)
        left = []
        for vma in self.vmas:
            if vma.last <= first or vma.first >= last:
                left.append(vma)
                continue
            if vma.first < first:
                left.append(vma._replace(last=first))
            if vma.last > last:
                left.append(vma._replace(first=last))
        self.vmas = sorted(left)
        return parts

    def _insert(self, vma: Vma) -> None:
        self.vmas = sorted([*self.vmas, vma])

    async def _remove(self, first: int, last: int) -> None:
        for vma in self._split(first, last):
            self._zap(vma.first, vma.last - vma.first)
            if vma.locked:
                await self.locked_vm.add(vma.first - vma.last)

    def _zap(self, first: int, count: int) -> None:
        """Take pages out of the page table and drop their references. Kernel: ``zap_page_range``."""
        self.memory.put(self.page_table.unmap(first, count))
