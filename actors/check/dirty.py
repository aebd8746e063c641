"""J-D1: a page that a device could write to is dirty when its last pin goes.

Pages are remembered per region while a TCE with write permission points to them. When the region is gone
and its process still has the very same pages, each must be dirty, or what the device wrote is lost.

Simplified: judged only where the process had these pages when it was last looked and no mapping of it has
changed since, because a page that went and came back is a new one.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from actors.check.view import View, pages
from actors.check.violation import Violation
from actors.kernel.mm_iommu import Mm
from actors.kernel.regions import Region
from actors.kernel.tce_container import IommuTable
from hw import WRITE


class Written:
    """The pages of a region that a device could write to.

    Attributes:
        pages: which, bool, one for each page of the region.
        in_place: whether the process had these very pages behind its addresses when that was last looked at.
        stale: whether that is to be looked at again.
    """

    def __init__(self, mm: Mm, region: Region) -> None:
        self.mm = mm
        self.region = region
        self.pages = np.zeros(region.entries, np.bool_)
        self.in_place = False
        self.stale = True

    def is_in_place(self) -> bool:
        """Look whether the process has these very pages behind its addresses."""
        first = self.region.ua >> self.mm.memory.page_shift
        behind = np.zeros_like(self.region.pfns)
        for page, pfns, _ in self.mm.page_table.runs(first, self.region.entries):
            behind[page - first : page - first + len(pfns)] = pfns
        return bool(np.array_equal(behind[self.pages], self.region.pfns[self.pages]))


class Dirty:
    """The judge of lost writes."""

    def __init__(self, view: View) -> None:
        self.view = view
        self._written: dict[str, Written] = {}
        self._marks: dict[str, tuple[int, int]] = {}
        self._vmas: dict[str, list[Any]] = {}

    def judge(self, disturbed: bool) -> Iterator[Violation]:
        """Judge regions that are gone, then remember what can be written now.

        Args:
            disturbed: whether pages may have been dropped since the last time.
        """
        for name, written in list(self._written.items()):
            mm = written.mm
            moved = disturbed or self._vmas.get(mm.id) is not mm.vmas
            if name in mm.regions:
                written.stale |= moved
            else:
                del self._written[name]
                if not moved and mm.mm_users.holders and written.in_place and written.is_in_place():
                    yield from self._lost(mm, written.region, written.pages)
        for driver in self.view.drivers:
            if driver.data.v2 and driver.mm is not None:
                for _, table in driver.tables:
                    self._remember(driver.mm, table)
        for written in self._written.values():
            if written.stale:
                written.in_place, written.stale = written.is_in_place(), False
        for mm in self.view.mms:
            self._vmas[mm.id] = mm.vmas

    def _remember(self, mm: Mm, table: IommuTable) -> None:
        if self._marks.get(table.name) == table.hw.changes:
            return
        self._marks[table.name] = table.hw.changes
        scan = self.view.scan(table)
        uas = scan.uas[scan.perms & WRITE != 0]
        for region in mm.mem_list.items:
            inside = uas[(uas >= np.uint64(region.ua)) & (uas < np.uint64(region.end))]
            if len(inside):
                first = ((inside - np.uint64(region.ua)) >> np.uint64(self.view.page_shift)).astype(np.intp)
                written = self._written.setdefault(region.name, Written(mm, region))
                for extra in range(max(1, 1 << table.hw.it_page_shift >> self.view.page_shift)):
                    if not written.pages[first + extra].all():
                        written.pages[first + extra] = written.stale = True

    def _lost(self, mm: Mm, region: Region, written: NDArray[np.bool_]) -> Iterator[Violation]:
        pfns = region.pfns[written]
        lost = self._clean(pfns[self.view.memory.clean(pfns)])
        if len(lost):
            which = f"{pages(len(lost))} of {region.name} ({self.view.name(mm)}) were unpinned clean"
            frame = f"the first is frame {int(lost[0]):#x}"
            yield Violation("J-D1", f"{which} although a device could write to them; {frame}")

    def _clean(self, pfns: NDArray[np.uint32]) -> NDArray[np.uint32]:
        """Those of clean frames whose whole page is clean: a huge page is dirty as one."""
        memory = self.view.memory
        bits = memory.backing_shift(pfns) - np.uint8(self.view.page_shift)
        if not bits.any():
            return pfns
        heads = pfns >> bits << bits
        dirty = [
            head
            for head, size in {(int(head), 1 << int(bit)) for head, bit in zip(heads, bits, strict=True)}
            if not memory.clean(np.arange(head, head + size, dtype=np.uint32)).all()
        ]
        return pfns[~np.isin(heads, np.array(dirty, np.uint32))]
