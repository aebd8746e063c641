"""Regions of pre-registered memory, the list of those that an mm has, and that of a container.

Kernel: arch/powerpc/mm/book3s64/iommu_api.c.

Simplified: the list is kept in order of address, so that a lookup among many regions is quick; the
kernel's is in order of creation. Regions do not overlap, so no answer depends on it.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from operator import attrgetter

import numpy as np
from numpy.typing import NDArray

from actors.runtime.cells import Counter, KList
from actors.runtime.core import Core
from hw import Ua

BY_ADDRESS = attrgetter("ua")
SPARE = 64
"""Gaps that a :class:`PreregList` may always have: a dict is walked past the entries it no longer has."""


class Region:
    """``struct mm_iommu_table_group_mem_t``.

    Attributes:
        name: ``region:3``.
        ua: start address in bytes.
        entries: length in kernel pages.
        page_shift: log2 of the kernel page.
        pfns: the pinned frame of each page, shape (entries,).
        pageshift: log2 of the largest IOMMU page that may be mapped from here.
        used: registrations.
        mapped: 1 + TCEs; 0 while dying.
    """

    __slots__ = ("entries", "mapped", "name", "page_shift", "pageshift", "pfns", "ua", "used")

    def __init__(self, core: Core, ua: Ua, pfns: NDArray[np.uint32], page_shift: int, pageshift: int) -> None:
        self.name = core.number("region")
        self.ua = ua
        self.entries = len(pfns)
        self.page_shift = page_shift
        self.pfns = pfns
        self.pageshift = pageshift
        self.used = Counter(core, f"{self.name}.used", 1)
        self.mapped = Counter(core, f"{self.name}.mapped", 1)

    @property
    def end(self) -> int:
        """The address behind the region in bytes."""
        return self.ua + (self.entries << self.page_shift)

    def __repr__(self) -> str:
        return f"<{self.name} {self.ua:#x}+{self.entries} used={self.used.value} mapped={self.mapped.value}>"


class RegionList(KList[Region]):
    """``context.iommu_group_mem_list``, in order of address.

    The questions are plain; whoever asks one declares the look with :meth:`KList.read` before.
    """

    __slots__ = ()

    def put(self, item: Region) -> None:
        """Place a region in order."""
        insort(self.items, item, key=BY_ADDRESS)

    def take(self, item: Region) -> None:
        """Take a region out, found by its address.

        Raises:
            ValueError: it is not there.
        """
        at = bisect_left(self.items, item.ua, key=BY_ADDRESS)
        del self.items[self.items.index(item, at)]

    def exact(self, ua: int, entries: int) -> Region | None:
        """The region of exactly this range, or None."""
        items, at = self.items, bisect_left(self.items, ua, key=BY_ADDRESS)
        while at < len(items) and items[at].ua == ua:
            if items[at].entries == entries:
                return items[at]
            at += 1
        return None

    def containing(self, ua: int, size: int) -> Region | None:
        """The region that contains ``size`` bytes from ``ua`` on, or None."""
        items, at = self.items, bisect_right(self.items, ua, key=BY_ADDRESS) - 1
        while at >= 0:
            if ua + size <= items[at].end:
                return items[at]
            if items[at].entries:
                return None
            at -= 1
        return None

    def overlapping(self, ua: int, end: int) -> Region | None:
        """A region that shares a byte with ``ua .. end - 1``, or has ``ua == end`` strictly inside."""
        items, at = self.items, max(0, bisect_right(self.items, ua, key=BY_ADDRESS) - 1)
        while at < len(items) and items[at].ua < end:
            if ua < items[at].end:
                return items[at]
            at += 1
        return None


class PreregList(KList[str]):
    """``container->prereg_list``: names of registered regions, the most recent first.

    An element is found by its name at once, where the kernel goes through the list; which of them is
    found, and in what order a walk meets them, is the same.
    """

    __slots__ = ("elements", "next", "places")

    @property
    def items(self) -> list[str]:
        """The names, first to last; a list of its own for whoever asks."""
        return list(reversed(self.elements.values()))

    @items.setter
    def items(self, names: list[str]) -> None:
        self.next = 0
        self.elements: dict[int, str] = {}
        self.places: dict[str, list[int]] = {}
        for name in reversed(names):
            self.put(name)

    @property
    def first(self) -> str | None:
        """The most recent name; None when there is none."""
        return next(reversed(self.elements.values()), None)

    def put(self, item: str) -> None:
        """Place a name at the head."""
        self.elements[self.next] = item
        self.places.setdefault(item, []).append(self.next)
        self.next += 1

    def take(self, item: str) -> None:
        """Take out the first element of a name.

        Raises:
            ValueError: there is none.
        """
        places = self.places.get(item)
        if not places:
            raise ValueError(item)
        del self.elements[places.pop()]
        if not places:
            del self.places[item]
        if self.next > 2 * len(self.elements) + SPARE:
            self.items = self.items

    def holds(self, item: str) -> bool:
        """Whether a name is there."""
        return item in self.places
