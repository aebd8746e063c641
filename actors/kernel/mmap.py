"""System calls on an address space: mmap, munmap, mprotect, mlock, and touching memory.

Kernel: mm/mmap.c, mm/mprotect.c, mm/mlock.c.
"""

from __future__ import annotations

from errno import EAGAIN, EEXIST, EFAULT, EINVAL, ENOMEM, EPERM

from actors.kernel.madvise import MmAdvice
from actors.kernel.mm import Vma

USER_TOP = 1 << 52
"""First address above user space (64-bit Book3S, 4 PiB)."""


MMAP_BASE = 0x7FFF_0000_0000
"""Where mappings go whose address the program leaves open."""


class MmCalls(MmAdvice):
    """An mm and what its process may ask of it."""

    def _pages(self, addr: int, size: int) -> tuple[int, int]:
        """Return first page and page behind the end of a byte range."""
        shift = self.memory.page_shift
        return addr >> shift, -(-(addr + size) >> shift)

    async def mmap(
        self, addr: int, size: int, readable: bool, writable: bool, shared: bool, shift: int, replace: bool,
        has_file: bool = False,
    ) -> int:  # fmt: skip
        """Make a mapping at ``addr`` (bytes); 0 or a negative errno.

        Args:
            addr: where; must be a multiple of the backing page.
            size: bytes; rounded up to the backing page.
            readable: PROT_READ.
            writable: PROT_WRITE.
            shared: MAP_SHARED.
            shift: log2 of the backing page, the kernel's page shift for ordinary memory.
            replace: MAP_FIXED rather than MAP_FIXED_NOREPLACE.
            has_file: pages come from a file of the user's.

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
            huge = shift > self.memory.page_shift
            if huge and self.world.hugetlb.available(shift) < size >> shift:
                return -ENOMEM
            await self._remove(first, last)
            vma = Vma(first, last, readable, writable, shared, max(shift, self.memory.page_shift), False)
            self._insert(vma._replace(has_file=has_file or shared or huge, reserves=huge))
            self.note_reserved()
        return 0

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
        if await self.may_lock_nothing():
            return -EPERM
        first, last = self._pages(addr, size)
        async with self.mmap_lock.write():
            locked = sum(v.last - v.first for v in self._inside(first, last) if v.locked)
            if self.above_limit(await self.locked_vm_now() + last - first - locked):
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

    async def touch(self, addr: int, size: int, write: bool = True) -> int:
        """Access every page of a range, as the program does; 0 or -EFAULT for a signal."""
        first, last = self._pages(addr, size)
        async with self.mmap_lock.read():
            return 0 if self.fault_in(first, last - first, write) == last - first else -EFAULT
