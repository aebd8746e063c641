"""J-D1: a page that a device could write to is dirty when its last pin goes.

Pages are remembered while a TCE with write permission points to them, whoever pins them. When the last pin
of one is gone and somebody still has it in an address space, it must be dirty, or what the device wrote is
lost. A page whose frame was handed out anew meanwhile is another page.

Simplified: looked at when nothing is in the middle, so a TCE that came and went before is not seen, nor is
a page that was marked only after its last pin had gone.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from actors.check.view import View, pages
from actors.check.violation import Violation
from actors.kernel.tce_container import IommuTable
from hw import WRITE

Pfns = NDArray[np.uint32]
NONE = np.empty(0, np.uint32)


class Dirty:
    """The judge of lost writes."""

    def __init__(self, view: View) -> None:
        self.view = view
        self._written = NONE
        self._fresh: list[Pfns] = []
        self._marks: dict[str, tuple[int, int]] = {}
        self._now: dict[str, Pfns] = {}

    def allocated(self, pfns: Pfns) -> None:
        """Frames were handed out; whatever was in them before is gone."""
        self._fresh.append(pfns)

    def judge(self) -> Iterator[Violation]:
        """Judge pages whose last pin is gone, then remember what can be written now."""
        memory = self.view.memory
        if self._fresh and len(self._written):
            self._written = np.setdiff1d(self._written, np.concatenate(self._fresh))
        self._fresh.clear()
        for driver in self.view.drivers:
            for _, table in driver.tables:
                self._remember(table)
        unpinned = memory.pin_counts(self._written) == 0
        if unpinned.any():
            gone, self._written = self._written[unpinned], self._written[~unpinned]
            yield from self._lost(self._clean(gone[memory.clean(gone)]))

    def _remember(self, table: IommuTable) -> None:
        """Remember the pinned pages that a device can write to by a table."""
        if self._marks.get(table.name) == table.hw.changes:
            return
        self._marks[table.name] = table.hw.changes
        scan, shift = self.view.scan(table), np.uint64(self.view.page_shift)
        first = (scan.hpas[scan.perms & WRITE != 0] >> shift).astype(np.uint32)
        # Neighbours share a page where the window's pages are small: that leaves little to sort.
        first = first[np.diff(first, prepend=first[:1] + 1) != 0]
        size = max(1, 1 << table.hw.it_page_shift >> self.view.page_shift)
        now = np.unique(np.add.outer(first, np.arange(size, dtype=np.uint32)))
        self._now[table.name] = now
        pinned = now[self.view.memory.pin_counts(now) > 0]
        self._written = np.union1d(self._written, pinned)

    def _lost(self, lost: Pfns) -> Iterator[Violation]:
        if len(lost):
            memory, actors = self.view.memory, {mm.id: self.view.name(mm) for mm in self.view.mms}
            owner = memory.owner(int(lost[0])) or ""
            which = f"{pages(len(lost))} of {actors.get(owner, owner)} were unpinned clean"
            frame = f"the first is frame {int(lost[0]):#x}"
            told = f"{which} although a device could write to them; {frame}"
            yield Violation("J-D1", told, recorded=self._still_mapped(lost))

    def _still_mapped(self, lost: Pfns) -> bool:
        """Whether TCEs point to these pages yet: then J-T1 says more, and ends the run."""
        tables = [table.name for driver in self.view.drivers for _, table in driver.tables]
        return any(np.isin(lost, self._now[name]).any() for name in tables)

    def _clean(self, pfns: Pfns) -> Pfns:
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
