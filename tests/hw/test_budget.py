"""What the hardware model costs: memory follows what is used, and runs are done as runs."""

import gc
import pickle
import time
import tracemalloc
from collections.abc import Callable

import numpy as np

from hw import WRITE, PageTable, PhysicalMemory, TceTable, table_geometry
from hw.tce import READ
from hw.units import GIB
from tests.hw.tables import MIB

PAGES = 1 << 18


def bytes_kept(make: Callable[[], object]) -> int:
    """Return the bytes that stay allocated for what `make` returns."""
    gc.collect()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    kept = make()
    after = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert kept is not None
    return after - before


def test_a_huge_window_costs_what_is_mapped() -> None:
    def make() -> TceTable:
        table = TceTable(table_geometry(4096, 12, 1 << 52, 4), 12, 0, True, True, 0)
        for index in (0, 1 << 30, (1 << 40) - 1):
            table.ensure_levels(index, 1)
            table.xchg(index, 0x1000, READ)
            table.set_ua(index, 0x2000)
        assert len(table.clear(0, 1 << 39).indices) == 2
        return table

    assert bytes_kept(make) < 150_000


def test_a_big_machine_costs_what_is_used() -> None:
    def make() -> PhysicalMemory:
        memory = PhysicalMemory(1024 * GIB, 4096, {21: 1024})
        memory.allocate(100, "a")
        memory.allocate_huge(21, "a")
        return memory

    assert bytes_kept(make) < 100_000


def test_state_of_a_frame() -> None:
    def make() -> PhysicalMemory:
        memory = PhysicalMemory(8 * GIB, 4096)
        memory.allocate(PAGES, "a")
        return memory

    assert bytes_kept(make) < 10.2 * PAGES


def test_everything_about_a_guest_page_but_its_region() -> None:
    def make() -> tuple[object, ...]:
        memory, table = (
            PhysicalMemory(8 * GIB, 4096),
            TceTable(table_geometry(4096, 12, 8 * GIB, 2), 12, 0, True, True, 0),
        )
        space = PageTable(memory)
        space.map(0, memory.allocate(PAGES, "a"), True)
        hpas = space.pin(0, PAGES, True, "r").astype(np.uint64) << np.uint64(12)
        table.ensure_levels(0, PAGES)
        table.store(0, hpas, WRITE)
        table.set_uas(0, 1 << 32, PAGES)
        return memory, space, table

    assert bytes_kept(make) < 32 * PAGES


def test_a_small_machine_is_a_small_snapshot() -> None:
    memory = PhysicalMemory(2 * GIB, 65536)
    table = TceTable(table_geometry(65536, 16, 2 * GIB, 1), 16, 0, False, True, 0)
    space = PageTable(memory)
    space.map(0x1000, memory.allocate(64, "a"), True)
    table.store(0, space.pin(0x1000, 64, True, "r").astype(np.uint64) << np.uint64(16), WRITE)
    table.set_uas(0, 1 << 28, 64)
    assert len(pickle.dumps((memory, space, table), 5)) < 60_000


def test_what_was_emptied_is_gone_from_the_snapshot() -> None:
    table = TceTable(table_geometry(4096, 12, 512 * MIB, 1), 12, 0, False, True, 0)
    before = len(pickle.dumps(table, 5))
    for index in range(5000):
        table.xchg(index, 0x1000, READ)
        table.set_ua(index, 0x1000)
    table.clear(0, 4000)
    for index in range(4000, 5000):
        table.xchg(index, 0, 0)
        table.set_ua(index, 0)
    assert len(pickle.dumps(table, 5)) < before + 16  # no entry, only how often it changed


def test_runs_are_far_cheaper_than_steps() -> None:
    memory = PhysicalMemory(8 * GIB, 4096)
    pfns = memory.allocate(PAGES, "a")
    start = time.process_time()
    memory.pin(pfns, "r")
    memory.unpin(pfns, "r")
    assert time.process_time() - start < 0.5e-6 * PAGES
