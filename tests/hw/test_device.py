import numpy as np
import pytest

from hw import (
    NONE,
    WINDOW1_START,
    WRITE,
    Device,
    DmaHit,
    DmaReport,
    Pe,
    Phb,
    PhysicalMemory,
    TceTable,
    table_geometry,
)
from hw.tce import READ
from hw.units import GIB


class Rig:
    """A device with eight owned frames mapped from bus address 0 on."""

    def __init__(self, page_size: int = 65536, shift: int = 16, perm: int = WRITE) -> None:
        self.memory = PhysicalMemory(GIB, page_size)
        self.table = TceTable(table_geometry(page_size, shift, 2 * GIB, 1), shift, 0, False, True, 0)
        self.pe = Pe(1, Phb(0, "PHB4"), self.memory)
        self.pe.set_window(0, self.table)
        self.nic = Device(self.pe)
        self.pfns = self.memory.allocate(8, "mm:0").tolist()
        for i, pfn in enumerate(self.pfns if shift >= self.memory.page_shift else []):
            self.table.xchg(i, pfn << self.memory.page_shift, perm)

    def dma(self, ioba: int, size: int, write: bool) -> DmaReport:
        """Make a whole access, up to the first fault."""
        report = DmaReport(0, False, None, [])
        while report.fault is None and report.completed < size:
            report = self.nic.go_on(report, ioba, size, write)
        return report


def test_an_access_goes_page_by_page() -> None:
    rig = Rig()
    rig.memory.pin(rig.pfns[1], "region:0")
    report = rig.dma(0xFFF0, 0x10020, True)
    assert (report.completed, report.frozen, report.fault) == (0x10020, False, None)
    a, b, c = rig.pfns[:3]
    assert report.hits == [
        DmaHit(a, 0xFFF0, True, "mm:0", 0, False, False),
        DmaHit(b, 0x10000, True, "mm:0", 1, False, False),
        DmaHit(c, 0x20000, True, "mm:0", 0, False, False),
    ]


def test_small_iommu_pages_inside_one_kernel_page() -> None:
    rig = Rig(shift=12)
    base = rig.pfns[0] << 16
    rig.table.store(0, np.array([base + 0x3000, base], np.uint64), READ)
    report = rig.dma(0x800, 0x1000, False)
    assert [(hit.pfn, hit.ioba) for hit in report.hits] == [(rig.pfns[0], 0x800), (rig.pfns[0], 0x1000)]
    assert report.completed == 0x1000


def test_small_kernel_pages_inside_one_iommu_page() -> None:
    rig = Rig(page_size=4096, shift=16, perm=NONE)
    rig.memory.allocate(1000, "mm:1")
    rig.table.xchg(0, 0x110 << 12, READ)
    report = rig.dma(0x1800, 0x1000, False)
    assert [hit.pfn for hit in report.hits] == [0x111, 0x112]
    assert rig.dma(0, 0, True).hits == []


def test_a_fault_freezes_and_a_frozen_pe_is_silent() -> None:
    rig = Rig()
    report = rig.dma(7 << 16, 0x20000, True)
    assert (report.completed, report.frozen, report.fault, len(report.hits)) == (0x10000, True, "no TCE", 1)
    assert rig.pe.eeh(4) == 2
    again = rig.dma(0, 8, False)
    assert again == (0, True, "frozen", [])
    rig.pe.eeh(6)
    rig.pe.eeh(5)
    assert rig.dma(0, 8, False).completed == 8


def test_writing_through_a_readable_entry() -> None:
    rig = Rig(perm=READ)
    assert rig.dma(0, 8, False).fault is None
    assert rig.dma(0, 8, True).fault == "no permission"


def test_nothing_behind_an_address() -> None:
    rig = Rig()
    rig.table.xchg(0, 1 << 60, WRITE)
    assert rig.dma(0, 8, True).fault == "no memory"
    rig = Rig()
    rig.pe.bypass = True
    assert rig.dma(WINDOW1_START, 8, True).fault == "no memory"
    rig.pe.eeh(6)
    rig.pe.eeh(5)
    good = WINDOW1_START + (rig.pfns[0] << 16)
    assert rig.dma(good, 8, True).hits[0].pfn == rig.pfns[0]


def test_data_in_a_freed_frame_is_reported() -> None:
    rig = Rig()
    rig.memory.put(rig.pfns[0])
    report = rig.dma(0, 8, True)
    assert (report.hits[0].freed, report.hits[0].owner, report.fault) == (True, None, None)


@pytest.mark.parametrize("kill_first", [False, True])
def test_the_harm_of_dropping_a_page_before_the_kill(kill_first: bool) -> None:
    rig = Rig()
    rig.dma(0, 8, True)
    rig.table.xchg(0, 0, NONE)
    if kill_first:
        rig.pe.kill(rig.table, 0, 1)
    rig.memory.put(rig.pfns[0])
    foreign = int(rig.memory.allocate(1, "mm:1")[0])
    assert foreign == rig.pfns[0]
    report = rig.dma(0, 8, True)
    if kill_first:
        assert report.fault == "no TCE"
        assert report.hits == []
    else:
        assert report.hits == [DmaHit(foreign, 0, True, "mm:1", 0, True, False)]
