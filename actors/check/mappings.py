"""J-T1, J-T2, J-T7: what TCEs point to. Counts, on the way, the TCEs into each region for J-R3.

A table is looked at again only when it, or the regions it can point into, have changed. All work over
entries is done by numpy.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from actors.check.view import Driver, Scan, View, counted
from actors.check.violation import Violation
from actors.kernel.mm_iommu import Mm, Region
from actors.kernel.tce_container import IommuTable


class Judged(NamedTuple):
    """What was found out about one table.

    Attributes:
        mark: the contents that were judged.
        regions: the regions they were judged against.
        violations: what was wrong.
        counts: region name -> TCEs that point into it.
    """

    mark: tuple[int, int]
    regions: list[Region]
    violations: list[Violation]
    counts: dict[str, int]


class Mappings:
    """The judge of TCEs.

    Attributes:
        counts: region name -> TCEs of all containers that point into it, as of the last :meth:`judge`.
    """

    def __init__(self, view: View) -> None:
        self.view = view
        self.counts: dict[str, int] = {}
        self._judged: dict[str, Judged] = {}

    def judge(self) -> list[Violation]:
        """Judge every table of every container that has an IOMMU."""
        self.counts.clear()
        found: list[Violation] = []
        for driver in self.view.drivers:
            for _, table in driver.tables:
                if table.hw.live_count or table.hw.view_count:
                    judged = self._table(driver, table)
                    found += judged.violations
                    for name, count in judged.counts.items():
                        self.counts[name] = self.counts.get(name, 0) + count
        return found

    def _table(self, driver: Driver, table: IommuTable) -> Judged:
        regions = driver.mm.mem_list.items if driver.mm is not None and driver.data.v2 else []
        known = self._judged.get(table.name)
        if known is None or not driver.data.v2 or known.mark != table.hw.changes or known.regions != regions:
            scan, counts = self.view.scan(table), dict[str, int]()
            found = list(self._v2(driver, table, scan, counts) if driver.data.v2 else self._v1(driver, table, scan))
            known = self._judged[table.name] = Judged(table.hw.changes, list(regions), found, counts)
        return known

    # -- v1 ------------------------------------------------------------------------------------

    def _v1(self, driver: Driver, table: IommuTable, scan: Scan) -> Iterator[Violation]:
        memory, shift = self.view.memory, table.hw.it_page_shift
        pins = memory.pins_by_holder.get(table.name, 0)
        if pins < len(scan.indices):
            yield Violation(
                "J-T1",
                f"{counted(len(scan.indices), 'TCE')} of {table.name} ({driver.actor.id}, v1) point to pages, "
                f"but only {pins:,} are pinned for the table",
            )
        pfns = scan.hpas >> np.uint64(self.view.page_shift)
        small = memory.backing_shift(pfns) < shift
        if shift > self.view.page_shift and small.any():
            at = int(small.argmax())
            yield Violation("J-T2", f"{entry(table, scan, at)} maps {1 << shift:,} bytes, more than the page behind it has")

    # -- v2 ------------------------------------------------------------------------------------

    def _v2(self, driver: Driver, table: IommuTable, scan: Scan, counts: dict[str, int]) -> Iterator[Violation]:
        if driver.mm is None:
            yield from self._pinned(driver, table, scan)
            return
        left = np.ones(len(scan.indices), np.bool_)
        size = 1 << table.hw.it_page_shift
        for region in driver.mm.mem_list.items:
            start, end = region.ua, driver.mm.end_of(region)
            inside = left & (scan.uas >= np.uint64(start)) & (scan.uas + np.uint64(size) <= np.uint64(end))
            count = int(np.count_nonzero(inside))
            if count:
                counts[region.name] = count
                left &= ~inside
                yield from self._inside(table, scan, inside, region)
        if left.any():
            yield self._stray(driver, driver.mm, table, scan, left)
        if table.hw.view_count != np.count_nonzero(scan.uas):
            more = table.hw.view_count - int(np.count_nonzero(scan.uas))
            yield Violation("J-T7", f"{counted(more, 'slot')} of the userspace view of {table.name} ({driver.actor.id}) "
                                    f"hold an address though there is no TCE")  # fmt: skip

    def _inside(self, table: IommuTable, scan: Scan, inside: NDArray[np.bool_], region: Region) -> Iterator[Violation]:
        """Hold the entries whose view slots lie in ``region`` against its frames."""
        page_shift, shift = self.view.page_shift, table.hw.it_page_shift
        offsets = scan.uas[inside] - np.uint64(region.ua)
        pages = (offsets >> np.uint64(page_shift)).astype(np.intp)
        within = offsets & np.uint64((1 << page_shift) - 1)
        hpas = (region.pfns[pages].astype(np.uint64) << np.uint64(page_shift)) | within
        wrong = hpas != scan.hpas[inside]
        if wrong.any():
            at = int(np.flatnonzero(inside)[int(wrong.argmax())])
            right = int(hpas[int(wrong.argmax())])
            yield Violation("J-T1", f"{entry(table, scan, at)} points to {int(scan.hpas[at]):#x}, but {region.name} "
                                    f"has {right:#x} pinned for address {int(scan.uas[at]):#x}")  # fmt: skip
        elif shift > page_shift:
            each = 1 << (shift - page_shift)
            breaks = np.concatenate(([0], np.cumsum(np.diff(region.pfns.astype(np.int64)) != 1)))
            torn = breaks[pages + each - 1] != breaks[pages]
            if torn.any():
                at = int(np.flatnonzero(inside)[int(torn.argmax())])
                yield Violation("J-T2", f"{entry(table, scan, at)} maps {1 << shift:,} bytes from {int(scan.hpas[at]):#x} on, "
                                        f"but the pages of {region.name} there are not contiguous")  # fmt: skip

    def _stray(self, driver: Driver, mm: Mm, table: IommuTable, scan: Scan, left: NDArray[np.bool_]) -> Violation:
        at, count = int(left.argmax()), int(np.count_nonzero(left))
        return Violation(
            "J-T1",
            f"{counted(count, 'TCE')} of {table.name} ({driver.actor.id}) lie in no region of {self.view.name(mm)}; "
            f"the first is {entry(table, scan, at)}, which points to {int(scan.hpas[at]):#x} "
            f"for address {int(scan.uas[at]):#x}",
        )

    def _pinned(self, driver: Driver, table: IommuTable, scan: Scan) -> Iterator[Violation]:
        """All that can be said of a container that is bound to no mm: the pages are pinned."""
        loose = self.view.memory.pin_counts((scan.hpas >> np.uint64(self.view.page_shift)).astype(np.uint32)) == 0
        if loose.any():
            at = int(loose.argmax())
            yield Violation("J-T1", f"{entry(table, scan, at)} ({driver.actor.id}) points to {int(scan.hpas[at]):#x}, "
                                    f"which nobody has pinned")  # fmt: skip


def entry(table: IommuTable, scan: Scan, at: int) -> str:
    """The ``at``-th live entry of a table, for people: with its bus address."""
    index = int(scan.indices[at])
    bus = (table.hw.it_offset + index) << table.hw.it_page_shift
    return f"entry {index:#x} of {table.name} (bus {bus:#x})"
