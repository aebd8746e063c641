"""J-D1: a page that a device could write to is dirty when its last pin goes.

Pages are remembered per region while a TCE with write permission points to them. When the region is gone
and its process still has the very same pages, each must be dirty, or what the device wrote is lost.

Simplified: judged only where no mapping of the process has changed since, because a page that went and came
back is a new one.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from actors.check.view import Driver, View, pages
from actors.check.violation import Violation
from actors.kernel.mm_iommu import Mm
from actors.kernel.regions import Region
from actors.kernel.tce_container import IommuTable
from hw import WRITE


class Dirty:
    """The judge of lost writes."""

    def __init__(self, view: View) -> None:
        self.view = view
        self._written: dict[str, tuple[Mm, Region, NDArray[np.bool_]]] = {}
        self._marks: dict[str, tuple[int, int]] = {}
        self._vmas: dict[str, list[Any]] = {}

    def judge(self, disturbed: bool) -> Iterator[Violation]:
        """Judge regions that are gone, then remember what can be written now.

        Args:
            disturbed: whether pages may have been dropped since the last time.
        """
        for name, (mm, region, written) in list(self._written.items()):
            if name not in mm.regions:
                del self._written[name]
                if not disturbed and self._vmas.get(mm.id) is mm.vmas and mm.mm_users.holders:
                    yield from self._lost(mm, region, written)
        for driver in self.view.drivers:
            if driver.data.v2 and driver.mm is not None:
                for _, table in driver.tables:
                    self._remember(driver, driver.mm, table)
        for mm in self.view.mms:
            self._vmas[mm.id] = mm.vmas

    def _remember(self, driver: Driver, mm: Mm, table: IommuTable) -> None:
        if self._marks.get(table.name) == table.hw.changes:
            return
        self._marks[table.name] = table.hw.changes
        scan = self.view.scan(table)
        uas = scan.uas[scan.perms & WRITE != 0]
        for region in mm.mem_list.items:
            inside = uas[(uas >= np.uint64(region.ua)) & (uas < np.uint64(region.end))]
            if len(inside):
                first = ((inside - np.uint64(region.ua)) >> np.uint64(self.view.page_shift)).astype(np.intp)
                written = self._written.setdefault(
                    region.name, (mm, region, np.zeros(region.entries, np.bool_))
                )[2]
                for extra in range(max(1, 1 << table.hw.it_page_shift >> self.view.page_shift)):
                    written[first + extra] = True

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
