"""A process's page table: which frame a userspace page is in, and what may be done to it.

The real thing is the radix tree or hash table that the MMU walks for one address space. Pages are named by
number (userspace address >> page shift). An entry packs frame number, READABLE, WRITABLE and PRESENT into 32
bits. Left out: accessed bits, translation caches, intermediate directories, and huge entries (a huge page is
a run of base entries; `PhysicalMemory.backing_shift` tells).

The table takes no references, its owner does, except that `pin` pins what it finds.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from hw.errors import PageAlreadyMapped
from hw.frames import Pfns
from hw.memory import PhysicalMemory
from hw.sparse import SparseWords, segments
from hw.units import Pfn

PRESENT = 1
WRITABLE = 2
READABLE = 4
_FLAGS = np.uint32(7)
_PFN_SHIFT = np.uint32(3)


class PageTable:
    """One address space, empty at first.

    Args:
        memory: the machine's memory, where `pin` pins.
    """

    __slots__ = ("_entries", "_memory")

    def __init__(self, memory: PhysicalMemory) -> None:
        self._memory = memory
        self._entries = SparseWords(np.uint32)

    def map(self, first_page: int, pfns: Pfns, writable: bool) -> None:
        """Put frames behind a run of pages, readable, in order.

        Raises:
            PageAlreadyMapped: a page has a frame already; nothing changed.
        """
        taken = self._entries.next_set(first_page, first_page + len(pfns))
        if taken is not None:
            raise PageAlreadyMapped(taken)
        flags = PRESENT | READABLE | (WRITABLE if writable else 0)
        self._entries.fill(first_page, np.left_shift(pfns, _PFN_SHIFT, dtype=np.uint32), flags)

    def unmap(self, first_page: int, count: int) -> Pfns:
        """Empty a run of pages; return the frames that were there, ascending by page, uint32."""
        found = [words >> _PFN_SHIFT for _, words in self._entries.take(first_page, count)]
        return np.concatenate(found) if found else np.empty(0, np.uint32)

    def protect(self, first_page: int, count: int, readable: bool, writable: bool) -> None:
        """Set what may be done to the pages of a run that have a frame."""
        flags = np.uint32(PRESENT | (READABLE if readable else 0) | (WRITABLE if writable else 0))
        for pages, words in self._entries.pieces(first_page, count):
            changed = words & ~_FLAGS | flags
            if int(pages[-1] - pages[0]) + 1 == len(pages):
                self._entries.fill(int(pages[0]), changed)
                continue
            for page, word in zip(pages.tolist(), changed.tolist(), strict=True):
                self._entries.swap(page, word)

    def present(self, first_page: int, count: int) -> NDArray[np.bool_]:
        """Tell for each page of a run whether it has a frame, bool, shape (count,)."""
        found = np.zeros(count, np.bool_)
        for pages, _ in self._entries.pieces(first_page, count):
            found[pages - first_page] = True
        return found

    def lookup(self, page: int) -> tuple[Pfn, bool] | None:
        """Return `(frame, writable)` behind a page; None when there is none or it may not be read."""
        entry = self._entries.get(page)
        if not entry & READABLE:
            return None
        return Pfn(entry >> 3), bool(entry & WRITABLE)

    def absent_runs(self, first_page: int, count: int) -> Iterator[tuple[int, int]]:
        """Yield `(first page, pages)` of every longest run without frames, ascending.

        Costs what is mapped in the range, not `count`. The table may be filled behind the iterator.
        """
        page, end = first_page, first_page + count
        for pages, _ in self._entries.pieces(first_page, count):
            if pages[0] > page:
                yield page, int(pages[0]) - page
            gaps = np.diff(pages) - 1
            for at in np.flatnonzero(gaps).tolist():
                yield int(pages[at]) + 1, int(gaps[at])
            page = int(pages[-1]) + 1
        if page < end:
            yield page, end - page

    def pin(self, first_page: int, count: int, write: bool, holder: str) -> Pfns:
        """Pin the frames behind a run of pages, up to the first page that cannot be.

        Args:
            first_page: number of the first page.
            count: pages.
            write: the pages must be writable.
            holder: who pins.

        Returns:
            The frames, now pinned for `holder`, uint32, shape (n,): those of the pages before the first one
            that could not be, because nothing is there, or it may not be read or (with `write`) written.
        """
        if count == 1:
            return self._pin_one(first_page, write, holder)
        need = np.uint32(PRESENT | READABLE | (WRITABLE if write else 0))
        found: list[Pfns] = []
        for key, start, stop, _ in segments(first_page, count):
            chunk = self._entries.chunk(key)
            if chunk is None:
                break
            part = chunk[start:stop]
            good = part & need == need
            if good.all():
                found.append(part >> _PFN_SHIFT)
                continue
            found.append(part[: int(good.argmin())] >> _PFN_SHIFT)
            break
        pfns = np.concatenate(found) if found else np.empty(0, np.uint32)
        self._memory.pin(pfns, holder)
        return pfns

    def runs(self, first_page: int, count: int) -> Iterator[tuple[int, Pfns, NDArray[np.bool_]]]:
        """Yield `(first page, frames, writable)` of the mapped pages of a range, ascending.

        Each is a run of consecutive pages, though not always the longest. Frames are uint32 and writable
        flags bool, both of shape (n,). Pages that may not be read are among them and look read-only. The
        table must not change meanwhile.
        """
        for pages, words in self._entries.pieces(first_page, count):
            edges = np.flatnonzero(np.diff(pages) != 1) + 1
            for run, part in zip(np.split(pages, edges), np.split(words, edges), strict=True):
                yield int(run[0]), part >> _PFN_SHIFT, part & np.uint32(WRITABLE) != 0

    def _pin_one(self, page: int, write: bool, holder: str) -> Pfns:
        entry = self._entries.get(page)
        if not entry & READABLE or (write and not entry & WRITABLE):
            return np.empty(0, np.uint32)
        self._memory.pin(entry >> 3, holder)
        return np.array([entry >> 3], np.uint32)
