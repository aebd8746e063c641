from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hw import PageAlreadyMapped, PageTable, PhysicalMemory
from tests.hw.tables import MIB

HIGH = (0xC000_0000_0000_0000) >> 12


def make(count: int, at: int = 100, writable: bool = True) -> tuple[PhysicalMemory, PageTable, np.ndarray]:
    memory = PhysicalMemory(64 * MIB, 4096)
    table = PageTable(memory)
    pfns = memory.allocate(count, "mm:0")
    table.map(at, pfns, writable)
    return memory, table, pfns


def test_map_lookup_unmap() -> None:
    _, table, pfns = make(10, HIGH)
    assert table.lookup(HIGH + 3) == (pfns[3], True)
    assert table.lookup(HIGH - 1) is None
    assert table.unmap(HIGH - 5, 8).tolist() == pfns[:3].tolist()
    assert table.unmap(HIGH - 5, 8).tolist() == []
    assert table.present(HIGH, 10).sum() == 7


def test_a_frame_cannot_be_forgotten() -> None:
    _, table, pfns = make(10)
    with pytest.raises(PageAlreadyMapped) as caught:
        table.map(95, pfns, True)
    assert caught.value.page == 100
    assert table.present(0, 1000).sum() == 10


def test_protect() -> None:
    _, table, pfns = make(10)
    table.unmap(104, 1)
    table.protect(0, 106, readable=True, writable=False)
    assert table.lookup(105) == (pfns[5], False)
    assert table.lookup(106) == (pfns[6], True)
    table.protect(105, 1, readable=False, writable=False)
    assert table.lookup(105) is None
    assert table.present(105, 1).tolist() == [True]
    assert table.unmap(105, 1).tolist() == [pfns[5]]


@pytest.mark.parametrize("count", [1, 12])
def test_pin_stops_where_it_must(count: int) -> None:
    memory, table, pfns = make(20)
    found = table.pin(100, count, True, "h")
    assert found.tolist() == pfns[:count].tolist()
    assert memory.pins_by_holder == {"h": count}
    memory.unpin(found, "h")
    table.protect(100 + count - 1, 1, True, False)
    found = table.pin(100, count, True, "h")
    assert found.tolist() == pfns[: count - 1].tolist()
    memory.unpin(found, "h")
    assert len(table.pin(100, count, False, "h")) == count
    memory.unpin(pfns[:count], "h")
    table.protect(100 + count - 1, 1, False, False)
    assert len(table.pin(100 + count - 1, count, False, "h")) == 0
    table.unmap(100 + count - 1, 1)
    found = table.pin(100, count, False, "h")
    assert found.tolist() == pfns[: count - 1].tolist()
    assert memory.pinned_pages == count - 1


def test_pin_across_chunks_and_into_nothing() -> None:
    memory, table, pfns = make(6000, 2000)
    found = table.pin(2000, 1 << 50, True, "h")
    assert found.tolist() == pfns.tolist() and memory.pinned_pages == 6000


PAGES = st.sets(st.one_of(st.integers(0, 30), st.integers(2040, 2056), st.integers(8190, 8200)), max_size=20)


@settings(deadline=None, derandomize=True, max_examples=80)
@given(PAGES, st.integers(0, 2060), st.integers(0, 9000))
def test_runs_and_holes_tile_a_range(pages: set[int], first: int, count: int) -> None:
    memory = PhysicalMemory(4 * MIB, 4096)
    table = PageTable(memory)
    frames = {}
    for page in sorted(pages):
        frames[page] = memory.allocate(1, "a")
        table.map(page, frames[page], page % 2 == 0)
    holes = list(table.absent_runs(first, count))
    absent = [page for start, length in holes for page in range(start, start + length)]
    assert absent == [page for page in range(first, first + count) if page not in pages]
    assert all(a + n < b for (a, n), (b, _) in pairwise(holes))
    found = {
        start + i: (int(pfn), bool(w))
        for start, pfns, writable in table.runs(first, count)
        for i, (pfn, w) in enumerate(zip(pfns, writable, strict=True))
    }
    expected = {p: (int(f[0]), p % 2 == 0) for p, f in frames.items() if first <= p < first + count}
    assert found == expected
    assert table.present(first, count).tolist() == [page in pages for page in range(first, first + count)]


def test_nothing_costs_nothing_however_long() -> None:
    _, table, _ = make(3, 1 << 40)
    assert list(table.absent_runs(0, 1 << 52)) == [(0, 1 << 40), ((1 << 40) + 3, (1 << 52) - (1 << 40) - 3)]
    assert len(table.unmap(0, 1 << 52)) == 3
    assert list(table.runs(0, 1 << 64)) == []


def test_runs_of_everything() -> None:
    _, table, pfns = make(5, 2046)
    table.protect(2047, 1, True, False)
    copy = [(page, list(map(int, p)), w.tolist()) for page, p, w in table.runs(0, 1 << 64)]
    assert copy == [
        (2046, pfns[:2].tolist(), [True, False]),
        (2048, pfns[2:].tolist(), [True, True, True]),
    ]
