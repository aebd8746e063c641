"""An address space: ``struct mm_struct``, its mappings, its counts, what it is charged.

Kernel: include/linux/mm_types.h, mm/util.c (``account_locked_vm``), kernel/fork.c (``mmput``,
``__mmdrop``). The pages behind the mappings are in :mod:`actors.kernel.mm_pages`, the system calls in
:mod:`actors.kernel.mmap`, the regions that hang off an mm in :mod:`actors.kernel.mm_iommu`.

Left out: swapping, page cache contents, stack and text of the program.
Invariants that live here: J-M2, J-M3, J-L1, J-L3.
"""

from __future__ import annotations

from collections.abc import Coroutine, Iterator
from errno import ENOMEM
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from actors.kernel.messages import ShootLazyTlb
from actors.kernel.task import Limits, Task
from actors.runtime.actor import Actor
from actors.runtime.cells import Counter, Refcount
from actors.runtime.errors import UseAfterFree
from actors.runtime.messages import Request
from actors.runtime.ops import Op, call, point
from actors.runtime.sync import RwSem
from hw import PageTable

if TYPE_CHECKING:
    from actors.kernel.globals import KernelGlobals


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
        dontfork: VM_DONTCOPY: a forked child does not get the mapping.
        has_file: whether pages come from a file, as those of shared and hugetlb mappings do.
        reserves: whether huge pages are kept for what is not touched yet; not for a forked child.
    """

    first: int
    last: int
    readable: bool
    writable: bool
    shared: bool
    shift: int
    locked: bool
    thp: bool = False
    dontfork: bool = False
    has_file: bool = False
    reserves: bool = False


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
        kept_locked: kernel pages that were still mlocked when the mappings went; nobody gives that charge
            back.
    """

    kind = "mm"

    def __init__(self, world: KernelGlobals, comm: str, user: str) -> None:
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
        self.kept_locked = 0

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
        """Unmap everything; pages with pins stay allocated, and what was mlocked stays charged.

        Kernel: mm/mmap.c, ``exit_mmap``.
        """
        async with self.mmap_lock.write():
            await self.world.put_pages()
            for vma in self.vmas:
                self._zap(vma.first, vma.last - vma.first)
            self.kept_locked += self.mlocked()
            self.vmas = []
            self.note_reserved()

    def mlocked(self) -> int:
        """Kernel pages that the process has locked itself, by mlock."""
        return sum(vma.last - vma.first for vma in self.vmas if vma.locked)

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
            locked_vm = await self.locked_vm_now(pages > 0)
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

    async def locked_vm_now(self, limited: bool = True) -> int:
        """Read ``locked_vm``; ``limited``: the limits of the current task are looked at in the same step."""
        return await self.locked_vm.get(*(self.limits.read_op,) if limited else ())

    @property
    def limits(self) -> Limits:
        """What the current task may lock."""
        task: Task = self.core.current.task
        return task.limits

    def above_limit(self, pages: int) -> bool:
        """Whether ``pages`` exceed RLIMIT_MEMLOCK of the current task, which lacks CAP_IPC_LOCK."""
        limit = self.limits.rlimit_memlock_bytes
        return limit is not None and not self.limits.cap_ipc_lock and pages > limit >> self.memory.page_shift

    async def may_lock_nothing(self) -> bool:
        """Whether the current task may not call mlock at all. Kernel: mm/mlock.c, ``can_do_mlock``."""
        if self.core.controlled:
            await point(self.limits.read_op)
        return self.limits.rlimit_memlock_bytes == 0 and not self.limits.cap_ipc_lock

    # -- the list of mappings ------------------------------------------------------------------

    def overlapping(self, first: int, last: int) -> Iterator[Vma]:
        """The mappings that have a page in ``first .. last - 1``."""
        return (v for v in self.vmas if v.last > first and v.first < last)

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
        await self.world.put_pages()
        for vma in self._split(first, last):
            self._zap(vma.first, vma.last - vma.first)
            if vma.locked:
                await self.locked_vm.add(vma.first - vma.last)
        self.note_reserved()

    def note_reserved(self) -> None:
        """Tell the pools of huge pages what the mappings have reserved and not yet touched."""
        if not self.world.huge_shifts:
            return
        pages: dict[int, int] = {}
        for vma in self.vmas:
            if vma.reserves:
                count = vma.last - vma.first
                absent = count - int(self.page_table.present(vma.first, count).sum())
                pages[vma.shift] = pages.get(vma.shift, 0) + (absent >> vma.shift - self.memory.page_shift)
        self.world.hugetlb.reserve(self.id, pages)

    def _zap(self, first: int, count: int) -> None:
        """Take pages out of the page table and drop their references. Kernel: ``zap_page_range``."""
        self.memory.put(self.page_table.unmap(first, count))
