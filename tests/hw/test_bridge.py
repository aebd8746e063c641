import pickle

import pytest

from hw import NONE, WINDOW1_START, WRITE, Pe, Phb, PhysicalMemory, TceTable, table_geometry
from hw.bridge import Fault, Translation
from hw.tce import READ
from hw.units import GIB
from tests.hw.tables import MIB


def make_table(shift: int = 16, offset: int = 0, window: int = 2 * GIB) -> TceTable:
    return TceTable(table_geometry(65536, shift, window, 1), shift, offset, True, True, 0)


def make_pe() -> tuple[Pe, TceTable]:
    pe, table = Pe(1, Phb(0, "PHB4"), PhysicalMemory(GIB, 65536)), make_table()
    assert pe.set_window(0, table) == 0
    return pe, table


@pytest.mark.parametrize(
    ("generation", "good", "bad"),
    [("PHB3", (12, 16, 24, 28), (20, 21, 30, 34)), ("PHB4", (12, 16, 21, 30), (13, 20, 24, 25, 28, 31))],
)
def test_page_sizes_of_a_bridge(generation: str, good: tuple[int, ...], bad: tuple[int, ...]) -> None:
    pe = Pe(1, Phb(0, generation), PhysicalMemory(GIB, 65536))
    assert [pe.set_window(0, make_table(shift, window=64 * GIB)) for shift in good] == [0] * len(good)
    kept = pe.windows[0]
    assert [pe.set_window(0, make_table(shift, window=64 * GIB)) for shift in bad] == [-1] * len(bad)
    assert pe.windows[0] is kept
    assert Phb(0, generation).page_shifts == good


def test_windows_begin_where_the_slot_says() -> None:
    pe, table = make_pe()
    second = make_table(offset=WINDOW1_START >> 16)
    pe.set_window(1, second)
    assert [pe.window_start(n) for n in (0, 1)] == [0, 1 << 59]
    second.xchg(2, 0x70000, READ)
    table.xchg(2, 0x90000, READ)
    assert pe.translate(WINDOW1_START + 0x20123, False) == Translation(0x70123, 0x70001, False)
    assert pe.translate(0x20123, False) == Translation(0x90123, 0x90001, False)
    assert pe.unset_window(1) == pe.unset_window(1) == 0
    assert pe.translate(WINDOW1_START + 0x20123, False) == Fault(WINDOW1_START + 0x20123, "no window")


def test_faults() -> None:
    pe, table = make_pe()
    table.xchg(1, 0x70000, READ)
    reasons = {
        pe.translate(at, write).reason
        for at, write in [(0x10000, True), (0, False), (2 * GIB, False), (-1, False), (WINDOW1_START, False)]
    }
    assert reasons == {"no permission", "no TCE", "beyond window", "no window"}
    assert pe.cached == []
    pe.freeze()
    assert pe.translate(0x10000, False) == Fault(0x10000, "frozen")


def test_bypass_shares_the_place_of_window_one() -> None:
    pe, _ = make_pe()
    pe.bypass = True
    assert pe.translate(WINDOW1_START + 0x1234, True) == Translation(0x1234, 0, False)
    assert pe.translate(0x1234, True) == Fault(0x1234, "no TCE")


def test_a_translation_is_stale_until_killed() -> None:
    pe, table = make_pe()
    table.xchg(1, 0x70000, WRITE)
    assert pe.translate(0x10000, True) == Translation(0x70000, 0x70003, False)
    table.xchg(1, 0, NONE)
    assert pe.translate(0x10000, True) == Translation(0x70000, 0x70003, True)
    assert pe.cached == [(0, 1, 0x70003)]
    pe.kill(table, 2, 5)
    pe.kill(make_table(), 0, 100)
    assert pe.translate(0x10000, True).stale
    pe.kill(table, 1, 1)
    assert pe.translate(0x10000, True) == Fault(0x10000, "no TCE")


def test_a_stale_entry_keeps_its_old_permission() -> None:
    pe, table = make_pe()
    table.xchg(1, 0x70000, READ)
    pe.translate(0x10000, False)
    table.xchg(1, 0x70000, WRITE)
    assert pe.translate(0x10000, True) == Fault(0x10000, "no permission")
    pe.kill_all()
    assert pe.translate(0x10000, True).hpa == 0x70000


@pytest.mark.parametrize("count", [2, 1 << 40])
def test_kills_of_few_and_of_many(count: int) -> None:
    pe, table = make_pe()
    for index in range(4):
        table.xchg(index, index << 16, READ)
        pe.translate(index << 16, False)
    pe.kill(table, 1, count)
    assert [entry for _, entry, _ in pe.cached] == ([0, 3] if count == 2 else [0])


@pytest.mark.parametrize("act", ["set", "unset", "set other"])
def test_programming_a_window_invalidates_the_pe(act: str) -> None:
    pe, table = make_pe()
    table.xchg(1, 0x70000, READ)
    pe.translate(0x10000, False)
    if act == "unset":
        pe.unset_window(0)
    else:
        pe.set_window(1 if act == "set other" else 0, make_table())
    assert pe.cached == []


def test_a_table_shared_by_two_pes_survives_pickling() -> None:
    pe, table = make_pe()
    other = Pe(2, pe.phb, pe.memory, dma32_size=256 * MIB)
    other.set_window(0, table)
    table.xchg(1, 0x70000, READ)
    other.translate(0x10000, False)
    pe2, other2 = pickle.loads(pickle.dumps((pe, other), 5))
    assert pe2.windows[0] is other2.windows[0] and pe2.memory is other2.memory
    assert other2.cached == [(0, 1, 0x70001)] and other2.dma32_size == 256 * MIB
