import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from hw import (
    BIDIRECTIONAL,
    NONE,
    WRITE,
    EntryOutsideTable,
    LevelMissing,
    MisalignedAddress,
    TceTable,
    table_geometry,
)
from hw.tce import READ
from hw.units import GIB
from tests.hw.tables import hpas, make, state

# -- one entry ----------------------------------------------------------------------------------------------


def test_fields_have_the_kernels_names() -> None:
    table = TceTable(table_geometry(4096, 16, 64 * GIB, 2), 16, 1 << 43, True, True, 4100 * 4096)
    assert (table.it_offset, table.it_size, table.it_page_shift) == (1 << 43, 1 << 20, 16)
    assert (table.it_level_size, table.it_indirect_levels) == (1024, 1)
    assert table.it_allocated_size == 4100 * 4096


@pytest.mark.parametrize(
    ("perm", "stored"), [(READ, READ), (WRITE, BIDIRECTIONAL), (BIDIRECTIONAL, BIDIRECTIONAL)]
)
def test_write_implies_read(perm: int, stored: int) -> None:
    table = make()
    assert table.xchg(5, 0x7000, perm) == (0, NONE)
    assert table.get(5) == (0x7000, stored)
    assert table.raw(5) == 0x7000 | stored
    table.store(6, hpas(9), perm)
    assert table.get(6) == (0x9000, stored)


def test_xchg_returns_what_was_there() -> None:
    table = make()
    table.xchg(5, 0x7000, READ)
    assert table.xchg(5, 0x8000, WRITE) == (0x7000, READ)
    assert table.xchg(5, 0x1234, NONE) == (0x8000, BIDIRECTIONAL)
    assert table.get(5) == (0, NONE)
    assert table.live_count == 0


def test_real_addresses_use_all_64_bits() -> None:
    table = make()
    top = (1 << 64) - 4096
    table.xchg(0, top, WRITE)
    assert table.get(0) == (top, BIDIRECTIONAL)
    assert table.clear(0, 1).hpas.tolist() == [top]


@pytest.mark.parametrize("index", [-1, 16384, 1 << 50])
def test_entries_outside_the_table(index: int) -> None:
    table = make()
    for act in (
        lambda: table.raw(index),
        lambda: table.get(index),
        lambda: table.xchg(index, 0, NONE),
        lambda: table.ua(index),
        lambda: table.set_ua(index, 1),
        lambda: table.store(index, hpas(1), READ),
        lambda: table.set_uas(index, 4096, 1),
        lambda: table.clear(index, 1),
    ):
        with pytest.raises(EntryOutsideTable):
            act()


def test_runs_over_the_end_change_nothing() -> None:
    table = make()
    for act in (
        lambda: table.store(16383, hpas(1, 2), READ),
        lambda: table.set_uas(16383, 4096, 2),
        lambda: table.clear(16383, 2),
        lambda: table.ensure_levels(16383, 2),
    ):
        with pytest.raises(EntryOutsideTable) as caught:
            act()
        assert (caught.value.index, caught.value.count, caught.value.entries) == (16383, 2, 16384)
    assert table.live_count == 0


def test_an_address_below_the_iommu_page_is_refused() -> None:
    table = make(shift=16)
    with pytest.raises(MisalignedAddress):
        table.xchg(0, 0x1000, READ)
    with pytest.raises(MisalignedAddress) as caught:
        table.store(0, hpas(16, 17), READ)
    assert (caught.value.hpa, caught.value.page_shift) == (0x11000, 16)
    assert table.live_count == 0


def test_a_run_is_not_cleared_by_storing() -> None:
    with pytest.raises(ValueError, match="clear"):
        make().store(0, hpas(1), NONE)


# -- runs ---------------------------------------------------------------------------------------------------


def test_store_over_something_returns_it() -> None:
    table = make()
    assert table.store(10, hpas(1, 2), WRITE) is None
    old = table.store(9, hpas(5, 6, 7, 8), READ)
    assert old is not None
    assert old[0].tolist() == [0, 0x1000, 0x2000, 0]
    assert old[1].tolist() == [NONE, BIDIRECTIONAL, BIDIRECTIONAL, NONE]


def test_clear_returns_only_what_was_there() -> None:
    table = make()
    table.store(10, hpas(1, 2), WRITE)
    table.set_uas(10, 0x50000, 2)
    table.xchg(13, 0x9000, READ)
    cleared = table.clear(0, 16384)
    assert cleared.indices.tolist() == [10, 11, 13]
    assert cleared.hpas.tolist() == [0x1000, 0x2000, 0x9000]
    assert cleared.perms.tolist() == [3, 3, 1]
    assert cleared.uas.tolist() == [0x50000, 0x51000, 0]
    assert [table.ua(i) for i in (10, 11)] == [0, 0]
    empty = table.clear(0, 16384)
    assert [len(each) for each in empty] == [0, 0, 0, 0]


def test_next_present() -> None:
    table = make()
    table.xchg(9000, 0, READ)
    assert table.next_present(0, 9000) is None
    assert table.next_present(0, 1 << 60) == 9000
    assert table.next_present(9001, 1 << 60) is None


def test_a_mapping_of_frame_zero_is_present() -> None:
    table = make()
    table.xchg(1, 0, READ)
    assert table.live_count == 1
    assert table.clear(0, 10).perms.tolist() == [READ]


# -- both paths, and a dictionary ---------------------------------------------------------------------------

RUN = st.tuples(
    st.sampled_from(["store", "uas", "clear"]),
    st.one_of(st.integers(0, 20), st.integers(2030, 2060), st.integers(4080, 4100)),
    st.one_of(st.integers(0, 20), st.integers(2040, 4200)),
    st.sampled_from([READ, WRITE, BIDIRECTIONAL]),
)


def by_runs(table: TceTable, op: str, first: int, count: int, perm: int) -> list:
    if op == "store":
        old = table.store(first, np.arange(count, dtype=np.uint64) << np.uint64(12), perm)
        return [] if old is None else [e for e in zip(old[0].tolist(), old[1].tolist(), strict=True) if e[1]]
    if op == "uas":
        table.set_uas(first, 0x1000, count)
        return []
    found = table.clear(first, count)
    return list(zip(*(column.tolist() for column in found), strict=True))


def one_by_one(table: TceTable, op: str, first: int, count: int, perm: int) -> list:
    found: list = []
    for i in range(count):
        if op == "store":
            old = table.xchg(first + i, i << 12, perm)
            found += [old] if old[1] else []
        elif op == "uas":
            table.set_ua(first + i, 0x1000 + (i << 12))
        else:
            old = table.xchg(first + i, 0, NONE)
            if old[1]:
                found.append((first + i, *old, table.ua(first + i)))
                table.set_ua(first + i, 0)
    return found


@settings(deadline=None, derandomize=True, max_examples=40)
@given(st.lists(RUN, max_size=6), st.booleans())
def test_both_paths_end_alike(runs: list[tuple[str, int, int, int]], on_demand: bool) -> None:
    vector, scalar = (make(levels=2, on_demand=on_demand) for _ in range(2))
    for table in (vector, scalar):
        table.ensure_levels(0, table.it_size)
    for run in runs:
        assert by_runs(vector, *run) == one_by_one(scalar, *run)
        assert vector.live_count == scalar.live_count
    assert state(vector) == state(scalar)
    assert pickle.dumps(state(vector)) == pickle.dumps(state(pickle.loads(pickle.dumps(vector, 5))))
    assert all(vector.ua(i) == scalar.ua(i) for i in range(0, vector.it_size, 7))


PAGE = st.integers(0, 7).map(lambda n: n << 12)
INDEX = st.sampled_from([0, 1, 511, 512, 513, 2047, 2048, 16383])


class TableAgainstDictionary(RuleBasedStateMachine):
    """A two-level table on demand against two dictionaries and a set of levels."""

    def __init__(self) -> None:
        super().__init__()
        self.table = make(levels=2, on_demand=True)
        self.tces: dict[int, int] = {}
        self.uas: dict[int, int] = {}
        self.levels: set[int] = set()

    @rule(index=INDEX, hpa=PAGE, perm=st.integers(0, 3))
    def xchg(self, index: int, hpa: int, perm: int) -> None:
        if perm and index >> 9 not in self.levels:
            with pytest.raises(LevelMissing):
                self.table.xchg(index, hpa, perm)
            return
        old = self.tces.pop(index, 0)
        assert self.table.xchg(index, hpa, perm) == (old & ~3, old & 3)
        if perm:
            self.tces[index] = hpa | (3 if perm & 2 else 1)

    @rule(index=INDEX)
    def install(self, index: int) -> None:
        lost = [i for i in self.tces if i >> 9 == index >> 9]
        assert self.table.install_level(index, 1) == len(lost)
        for i in lost:
            del self.tces[i]
        self.levels.add(index >> 9)
        if not self.table.view_level_present(index):
            self.table.install_view_level(index, 1)

    @rule(index=INDEX, ua=PAGE)
    def set_ua(self, index: int, ua: int) -> None:
        if index >> 9 in self.levels:
            self.table.set_ua(index, ua)
            self.uas[index] = ua

    @rule(index=INDEX, count=st.integers(0, 5000))
    def clear(self, index: int, count: int) -> None:
        count = min(count, self.table.it_size - index)
        gone = sorted(i for i in self.tces if index <= i < index + count)
        found = self.table.clear(index, count)
        assert found.indices.tolist() == gone
        assert (found.hpas | found.perms).tolist() == [self.tces.pop(i) for i in gone]
        assert found.uas.tolist() == [self.uas.pop(i, 0) for i in gone]

    @rule()
    def copy(self) -> None:
        self.table = pickle.loads(pickle.dumps(self.table, 5))

    @invariant()
    def agree(self) -> None:
        assert self.table.live_count == len(self.tces)
        expected = {i: (tce, self.uas.get(i, 0)) for i, tce in self.tces.items()}
        assert state(self.table) == expected
        assert self.table.next_present(0, 1 << 40) == min(self.tces, default=None)


TestTableAgainstDictionary = TableAgainstDictionary.TestCase
TestTableAgainstDictionary.settings = settings(deadline=None, derandomize=True, max_examples=30)
