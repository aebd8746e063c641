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
from actors.kernel.mm_iommu import Mm
from actors.kernel.regions import Region
from actors.kernel.tce_container import IommuTable


class Registered(NamedTuple):
    """The regions of one mm as arrays, one element a region in order of address.

    Attributes:
        regions: the regions themselves.
        starts: first address in bytes, uint64, shape (n,).
        ends: address behind the end, uint64, shape (n,).
        offsets: where the frames of each region begin in ``pfns``, int64, shape (n,).
        pfns: the frames of all regions, uint64.
        breaks: how often, before each of ``pfns``, a frame did not follow its neighbour.
    """

    regions: list[Region]
    starts: NDArray[np.uint64]
    ends: NDArray[np.uint64]
    offsets: NDArray[np.int64]
    pfns: NDArray[np.uint64]
    breaks: NDArray[np.int64]


def registered(regions: list[Region]) -> Registered:
    """Put regions side by side."""
    pfns = np.concatenate([np.empty(0, np.uint32), *[region.pfns for region in regions]]).astype(np.uint64)
    sizes = [0, *[region.entries for region in regions]]
    return Registered(
        list(regions),
        np.array([region.ua for region in regions], np.uint64),
        np.array([region.end for region in regions], np.uint64),
        np.cumsum(sizes[:-1] or [0]),
        pfns,
        np.concatenate(([0], np.cumsum(np.diff(pfns) != 1))),
    )


class Judged(NamedTuple):
    """What was found out about one table.

    Attributes:
        mark: the contents that were judged.
        against: the regions they were judged against.
        violations: what was wrong.
        counts: region name -> TCEs that point into it.
    """

    mark: tuple[int, int]
    against: Registered | None
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
        self._registered: dict[str, Registered] = {}
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
        v2, mm = driver.data.v2, driver.mm
        against = self._regions(mm) if v2 and mm is not None else None
        known = self._judged.get(table.name)
        if known is None or against is None or known.mark != table.hw.changes or known.against is not against:
            scan, counts = self.view.scan(table), dict[str, int]()
            if not v2:
                found = list(self._v1(driver, table, scan))
            elif mm is None or against is None:
                found = list(self._pinned(driver, table, scan))
            else:
                found = list(self._v2(driver, mm, table, scan, against, counts))
            known = self._judged[table.name] = Judged(table.hw.changes, against, found, counts)
        return known

    def _regions(self, mm: Mm) -> Registered:
        known = self._registered.get(mm.id)
        if known is None or known.regions != mm.mem_list.items:
            known = self._registered[mm.id] = registered(mm.mem_list.items)
        return known

    # -- v1 ------------------------------------------------------------------------------------

    def _v1(self, driver: Driver, table: IommuTable, scan: Scan) -> Iterator[Violation]:
        memory, shift = self.view.memory, table.hw.it_page_shift
        pins = memory.pins_by_holder.get(table.name, 0)
        if pins < len(scan.indices):
            tces = f"{counted(len(scan.indices), 'TCE')} of {table.name} ({driver.actor.id}, v1)"
            yield Violation("J-T1", f"{tces} point to pages, but only {pins:,} are pinned for the table")
        small = memory.backing_shift(scan.hpas >> np.uint64(self.view.page_shift)) < shift
        if shift > self.view.page_shift and small.any():
            where = entry(table, scan, int(small.argmax()))
            yield Violation("J-T2", f"{where} maps {1 << shift:,} bytes, more than the page behind it has")

    def _pinned(self, driver: Driver, table: IommuTable, scan: Scan) -> Iterator[Violation]:
        """All that can be said of a container that is bound to no mm: the pages are pinned."""
        pfns = (scan.hpas >> np.uint64(self.view.page_shift)).astype(np.uint32)
        loose = self.view.memory.pin_counts(pfns) == 0
        if loose.any():
            at = int(loose.argmax())
            where = f"{entry(table, scan, at)} ({driver.actor.id})"
            yield Violation("J-T1", f"{where} points to {int(scan.hpas[at]):#x}, which nobody has pinned")

    # -- v2 ------------------------------------------------------------------------------------

    def _v2(
        self, driver: Driver, mm: Mm, table: IommuTable, scan: Scan, known: Registered, counts: dict[str, int]
    ) -> Iterator[Violation]:
        size = np.uint64(1 << table.hw.it_page_shift)
        which = np.searchsorted(known.starts, scan.uas, "right") - 1
        inside = which >= 0
        if len(known.regions):
            inside &= scan.uas + size <= known.ends[which]
        each = np.bincount(which[inside], minlength=len(known.regions))
        for at in np.flatnonzero(each).tolist():
            counts[known.regions[at].name] = int(each[at])
        if not inside.all():
            yield self._stray(driver, mm, table, scan, ~inside)
        yield from self._inside(table, scan, np.flatnonzero(inside), which[inside], known)
        more = table.hw.view_count - int(np.count_nonzero(scan.uas))
        if more:
            slots = f"{counted(more, 'slot')} of the userspace view of {table.name} ({driver.actor.id})"
            yield Violation("J-T7", f"{slots} hold an address though there is no TCE")

    def _inside(
        self, table: IommuTable, scan: Scan, at: NDArray[np.intp], which: NDArray[np.intp], known: Registered
    ) -> Iterator[Violation]:
        """Hold entries whose view slots lie in regions against the frames of those."""
        page_shift, shift = self.view.page_shift, table.hw.it_page_shift
        inside = scan.uas[at] - known.starts[which]
        pages = (inside >> np.uint64(page_shift)).astype(np.int64) + known.offsets[which]
        hpas = known.pfns[pages] << np.uint64(page_shift) | inside & np.uint64((1 << page_shift) - 1)
        wrong = np.flatnonzero(hpas != scan.hpas[at])
        if len(wrong):
            first = int(at[wrong[0]])
            has = (
                f"{known.regions[int(which[wrong[0]])].name} has {int(hpas[wrong[0]]):#x} pinned for address"
            )
            where = f"{entry(table, scan, first)} points to {int(scan.hpas[first]):#x}"
            yield Violation("J-T1", f"{where}, but {has} {int(scan.uas[first]):#x}")
        elif shift > page_shift:
            torn = np.flatnonzero(known.breaks[pages + (1 << shift - page_shift) - 1] != known.breaks[pages])
            if len(torn):
                first = int(at[torn[0]])
                where = f"{entry(table, scan, first)} maps {1 << shift:,} bytes"
                name = known.regions[int(which[torn[0]])].name
                yield Violation(
                    "J-T2", f"{where} from {int(scan.hpas[first]):#x} on, but {name} is torn there"
                )

    def _stray(
        self, driver: Driver, mm: Mm, table: IommuTable, scan: Scan, stray: NDArray[np.bool_]
    ) -> Violation:
        at = int(stray.argmax())
        tces = f"{counted(int(np.count_nonzero(stray)), 'TCE')} of {table.name} ({driver.actor.id})"
        first = (
            f"{entry(table, scan, at)} points to {int(scan.hpas[at]):#x} for address {int(scan.uas[at]):#x}"
        )
        return Violation("J-T1", f"{tces} lie in no region of {self.view.name(mm)}: {first}")


def entry(table: IommuTable, scan: Scan, at: int) -> str:
    """The ``at``-th live entry of a table, for people: with its bus address."""
    index = int(scan.indices[at])
    bus = (table.hw.it_offset + index) << table.hw.it_page_shift
    return f"entry {index:#x} of {table.name} (bus {bus:#x})"
