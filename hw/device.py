"""A PCI device that reads and writes memory by bus address, at any moment, through its PE.

The real thing is a network card or an accelerator under the control of a guest, which a kernel cannot trust
to be quiet. What its accesses meet is reported, not raised: data that lands in a freed frame, or in one that
belongs to someone else by now, is what a wrong teardown order does to a real machine.

Simplified: one access is one requester and happens page by page in ascending order; no data is carried.
"""

from __future__ import annotations

from typing import NamedTuple

from hw.bridge import Fault, Pe, Translation


class DmaHit(NamedTuple):
    """One page's share of an access.

    Attributes:
        pfn: frame that was read or written.
        ioba: bus address of the first byte there.
        write: the device wrote.
        owner: who owns the frame now, None when it is free.
        pins: pins on the frame now; without one nothing keeps it in place.
        stale: a cached translation was used that the table no longer has.
        freed: the frame is free.
    """

    pfn: int
    ioba: int
    write: bool
    owner: str | None
    pins: int
    stale: bool
    freed: bool


class DmaReport(NamedTuple):
    """What became of one access.

    Attributes:
        completed: bytes moved before the first fault.
        frozen: the PE is frozen now.
        fault: why it stopped (see `Fault.reason`), None when all bytes moved.
        hits: one for every page touched, in order.
    """

    completed: int
    frozen: bool
    fault: str | None
    hits: list[DmaHit]


class Device:
    """One function behind a PE.

    Args:
        pe: the PE it belongs to.
    """

    __slots__ = ("pe",)

    def __init__(self, pe: Pe) -> None:
        self.pe = pe

    def go_on(self, report: DmaReport, ioba: int, size: int, write: bool) -> DmaReport:
        """Make the next page's share of an access: its translation and the transfer, which nothing divides.

        The first fault ends the access and freezes the PE; a frozen PE moves nothing.

        Args:
            report: what became of the access so far; not completed, and without a fault. Its list of hits
                grows.
            ioba: bus address of the first byte of the whole access.
            size: bytes of the whole access.
            write: memory is written; otherwise read.
        """
        at = ioba + report.completed
        there = self.pe.translate(at, write)
        if isinstance(there, Translation) and not self.pe.memory.has_frame(self._pfn(there)):
            there = Fault(at, "no memory")
        if isinstance(there, Fault):
            self.pe.freeze()
            return DmaReport(report.completed, True, there.reason, report.hits)
        report.hits.append(self._hit(there, at, write))
        moved = min(self._left_in_page(there, at), size - report.completed)
        return report._replace(completed=report.completed + moved)

    def _pfn(self, there: Translation) -> int:
        return there.hpa >> self.pe.memory.page_shift

    def _left_in_page(self, there: Translation, ioba: int) -> int:
        """Return the bytes up to the end of the kernel page or the IOMMU page, whichever comes first."""
        left = self.pe.memory.page_size - (there.hpa & (self.pe.memory.page_size - 1))
        table = self.pe.windows[1 if ioba >= self.pe.window_start(1) else 0]
        if there.tce and table is not None:
            iommu_page = 1 << table.it_page_shift
            left = min(left, iommu_page - (ioba & (iommu_page - 1)))
        return left

    def _hit(self, there: Translation, ioba: int, write: bool) -> DmaHit:
        memory, pfn = self.pe.memory, self._pfn(there)
        owner, pins, freed = memory.owner(pfn), memory.pins(pfn), memory.is_free(pfn)
        return DmaHit(pfn, ioba, write, owner, pins, there.stale, freed)
