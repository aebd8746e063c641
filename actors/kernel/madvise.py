"""madvise: what a process says of its memory.

Kernel: mm/madvise.c. Left out: swapping and the merging of equal pages, so that advice which is about
these alone only has its range looked at.
"""

from __future__ import annotations

from enum import IntEnum
from errno import EACCES, EFAULT, EINVAL, ENOMEM

from actors.kernel.mm import Vma
from actors.kernel.mm_pages import MmPages

ADDRESSES = 1 << 64


class Advice(IntEnum):
    """The kinds of advice, by Linux's numbers. Kernel: include/uapi/asm-generic/mman-common.h."""

    NORMAL = 0
    RANDOM = 1
    SEQUENTIAL = 2
    WILLNEED = 3
    DONTNEED = 4
    FREE = 8
    REMOVE = 9
    DONTFORK = 10
    DOFORK = 11
    MERGEABLE = 12
    UNMERGEABLE = 13
    HUGEPAGE = 14
    NOHUGEPAGE = 15
    DONTDUMP = 16
    DODUMP = 17
    WIPEONFORK = 18
    KEEPONFORK = 19
    COLD = 20
    PAGEOUT = 21
    POPULATE_READ = 22
    POPULATE_WRITE = 23
    DONTNEED_LOCKED = 24
    COLLAPSE = 25


FLAGS: dict[int, dict[str, bool]] = {
    Advice.DONTFORK: {"dontfork": True},
    Advice.DOFORK: {"dontfork": False},
    Advice.HUGEPAGE: {"thp": True},
    Advice.NOHUGEPAGE: {"thp": False},
}
"""What becomes of the properties of a mapping."""

KNOWN = frozenset(Advice)
DROPPING = (Advice.DONTNEED, Advice.DONTNEED_LOCKED, Advice.FREE, Advice.REMOVE)
POPULATING = (Advice.POPULATE_READ, Advice.POPULATE_WRITE)


def advice_of(word: str | int) -> int:
    """The number of a kind of advice, named with or without ``MADV_`` in any case; -1 for none."""
    if isinstance(word, int):
        return word
    name = word.upper().removeprefix("MADV_")
    found = Advice.__members__.get(name)
    return int(name) if name.isdecimal() else -1 if found is None else found


class MmAdvice(MmPages):
    """An mm that takes advice."""

    async def madvise(self, addr: int, size: int, advice: int) -> int:
        """Take advice on a range of bytes, as far as it is mapped.

        Returns:
            0; -EINVAL for unknown advice, a misaligned address, a range that wraps, or a mapping that does
            not take this advice; -EACCES when a file's pages may not be removed; -ENOMEM when there are
            holes; -EFAULT when a page could not be brought.

        Context: takes ``mmap_lock``, for write when properties of mappings change.
        Kernel: mm/madvise.c, ``do_madvise``.
        """
        page = self.memory.page_size
        length = -(-size // page) * page
        if not self.madvise_behavior_valid(advice) or addr % page:
            return -EINVAL
        if length and addr + length >= ADDRESSES:
            return -EINVAL
        first = addr >> self.memory.page_shift
        last = first + (length >> self.memory.page_shift)
        if first == last:
            return 0
        async with self.mmap_lock.write() if advice in FLAGS else self.mmap_lock.read():
            if advice in POPULATING:
                return self.madvise_populate(first, last, advice == Advice.POPULATE_WRITE)
            if advice in DROPPING:
                await self.world.put_pages()
            return self.madvise_walk_vmas(first, last, advice)

    def madvise_behavior_valid(self, advice: int) -> bool:
        """Whether the kernel knows this advice.

        Simplified: old kernels know what was added after them too.
        """
        return advice in KNOWN

    def madvise_walk_vmas(self, first: int, last: int, advice: int) -> int:
        """Take advice on each mapping of a range of pages; holes are told of at the end."""
        for vma in self._inside(first, last):
            ret = self.madvise_vma_behavior(vma, advice)
            if ret:
                return ret
        return 0 if self._covered(first, last) else -ENOMEM

    def madvise_vma_behavior(self, vma: Vma, advice: int) -> int:
        """Take advice on (a part of) one mapping: 0, -EINVAL or -EACCES."""
        if advice in FLAGS:
            return self.madvise_update_vma(vma, FLAGS[advice])
        if advice == Advice.REMOVE:
            return self.madvise_remove(vma)
        if advice in DROPPING:
            return self.madvise_dontneed_free(vma, advice)
        if advice in (Advice.COLD, Advice.PAGEOUT):
            return -EINVAL if vma.locked or vma.shift > self.memory.page_shift else 0
        return -EINVAL if advice == Advice.WIPEONFORK and vma.has_file else 0

    def madvise_update_vma(self, vma: Vma, flags: dict[str, bool]) -> int:
        """Change properties of a mapping: 0, or -EINVAL when that would cut a huge page."""
        changed = vma._replace(**flags)
        if changed == vma:
            return 0
        if self._cuts_huge_page(vma.first, vma.last):
            return -EINVAL
        self._split(vma.first, vma.last)
        self._insert(changed)
        return 0

    def madvise_dontneed_free(self, vma: Vma, advice: int) -> int:
        """Drop the pages of a mapping; the next touch brings fresh ones.

        Returns:
            0; -EINVAL for locked mappings, for what does not begin with a huge page, and from MADV_FREE for
            mappings of files.

        Simplified: MADV_FREE drops pages at once rather than when memory gets short, as the kernel may.
        """
        per_page = 1 << (vma.shift - self.memory.page_shift)
        if vma.locked and advice != Advice.DONTNEED_LOCKED:
            return -EINVAL
        if advice == Advice.FREE and vma.has_file:
            return -EINVAL
        if vma.first % per_page or (per_page > 1 and self.huge_pages_stay()):
            return -EINVAL
        self._zap(vma.first, (vma.last - vma.first) // per_page * per_page)
        self.note_reserved()
        return 0

    def huge_pages_stay(self) -> bool:
        """Whether MADV_DONTNEED refuses hugetlb mappings."""
        return False

    def madvise_remove(self, vma: Vma) -> int:
        """Remove the pages of a shared mapping from its file.

        Returns:
            0; -EINVAL for locked mappings and those without a file; -EACCES for private ones and for those
            that may not be written.

        Simplified: other address spaces keep their pages, since files have no pages of their own here.
        """
        if vma.locked or not vma.has_file:
            return -EINVAL
        if not (vma.shared and vma.writable):
            return -EACCES
        per_page = 1 << (vma.shift - self.memory.page_shift)
        first = -(-vma.first // per_page) * per_page
        self._zap(first, max(vma.last // per_page * per_page - first, 0))
        self.note_reserved()
        return 0

    def madvise_populate(self, first: int, last: int, write: bool) -> int:
        """Bring the pages of a range, up to the first that cannot be had.

        Returns:
            0; -ENOMEM at a hole or without memory; -EINVAL where access is not allowed; -EFAULT without a
            huge page.
        """
        usable = self.fault_in(first, last - first, write)
        if usable == last - first:
            return 0
        vma = next(self.overlapping(first + usable, first + usable + 1), None)
        if vma is None:
            return -ENOMEM
        if not (vma.writable if write else vma.readable):
            return -EINVAL
        return -EFAULT if vma.shift > self.memory.page_shift else -ENOMEM
