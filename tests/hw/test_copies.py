"""A copy shares its arrays with the original until either of them writes."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hw import PageTable, PhysicalMemory
from hw.sparse import CHUNK, SparseWords

indices = st.integers(0, 3 * CHUNK - 1)
counts = st.integers(1, CHUNK + 7)
words = st.one_of(
    st.tuples(st.just("swap"), indices, st.integers(0, 5)),
    st.tuples(st.just("fill"), indices, counts),
    st.tuples(st.just("ramp"), indices, counts),
    st.tuples(st.just("take"), indices, counts),
    st.tuples(st.just("take_at"), st.integers(0, 2), counts),
    st.tuples(st.just("wipe"), indices, counts),
)


def change(table: SparseWords, op: str, a: int, b: int) -> Any:
    if op == "swap":
        return table.swap(a, b)
    if op == "fill":
        old = table.fill(a, np.arange(1, b + 1, dtype=np.uint64))
        return None if old is None else old.tolist()
    if op == "ramp":
        return table.ramp(a, b, 7, 3)
    if op == "take":
        taken = list(table.take(a, b))
        for _, values in taken:
            np.add(values, 1, out=values)  # they are the caller's
        return [(at.tolist(), values.tolist()) for at, values in taken]
    if op == "take_at":
        return table.take_at(np.arange(a * CHUNK, a * CHUNK + min(b, CHUNK))).tolist()
    return table.wipe(a, b)


def contents(table: SparseWords) -> Any:
    return [(at.tolist(), values.tolist()) for at, values in table.pieces(0, 4 * CHUNK)], table.count


@settings(max_examples=120, deadline=None, derandomize=True)
@given(st.lists(words, max_size=5), st.lists(st.tuples(st.booleans(), words), max_size=10))
def test_words_of_a_copy_are_its_own(before: list[Any], after: list[tuple[bool, Any]]) -> None:
    original, model = SparseWords(np.uint64), SparseWords(np.uint64)
    for op in before:
        change(original, *op)
        change(model, *op)
    copy = pickle.loads(pickle.dumps(original, 5))
    copy_model = SparseWords(np.uint64)
    for op in before:
        change(copy_model, *op)
    for on_copy, op in after:
        mine, reference = (copy, copy_model) if on_copy else (original, model)
        assert change(mine, *op) == change(reference, *op)
    assert contents(original) == contents(model)
    assert contents(copy) == contents(copy_model)


CHANGES: dict[str, Callable[[PhysicalMemory, Any], object]] = {
    "pin one": lambda memory, pfns: memory.pin(int(pfns[0]), "h"),
    "pin many": lambda memory, pfns: memory.pin(pfns, "h"),
    "unpin one": lambda memory, pfns: memory.unpin(int(pfns[0]), "region:0"),
    "unpin many": lambda memory, pfns: memory.unpin(pfns, "region:0"),
    "get one": lambda memory, pfns: memory.get(int(pfns[0])),
    "get many": lambda memory, pfns: memory.get(pfns),
    "dirty one": lambda memory, pfns: memory.set_dirty(int(pfns[0])),
    "dirty many": lambda memory, pfns: memory.set_dirty(pfns),
    "allocate": lambda memory, pfns: memory.allocate(300, "x"),
    "allocate huge": lambda memory, pfns: memory.allocate_huge(24, "x"),
    "release": lambda memory, pfns: (memory.unpin(pfns, "region:0"), memory.put(pfns)),
}


def facts(memory: PhysicalMemory) -> Any:
    frames = range(256, 256 + 512)
    return (
        [(memory.references(f), memory.pins(f), memory.owner(f)) for f in frames],
        memory.clean(np.array(frames)).tolist(),
        memory.free_bytes, memory.pinned_pages, dict(memory.pins_by_holder), memory.huge_free(24),
    )  # fmt: skip


@pytest.mark.parametrize("what", CHANGES)
@pytest.mark.parametrize("on_copy", [True, False])
def test_frames_of_a_copy_are_its_own(what: str, on_copy: bool) -> None:
    memory = PhysicalMemory(256 << 20, 65536, {24: 2})
    spare = memory.allocate(40, "mm:1")
    table = PageTable(memory)
    pfns = memory.allocate(64, "mm:0")
    table.map(0, pfns, True)
    table.pin(0, 64, True, "region:0")
    memory.put(spare)
    before = facts(memory)
    copy, copied_table = pickle.loads(pickle.dumps((memory, table), 5))
    assert facts(copy) == before
    CHANGES[what](copy if on_copy else memory, pfns)
    assert facts(memory if on_copy else copy) == before
    assert facts(copy if on_copy else memory) != before
    assert copied_table.lookup(3) == table.lookup(3)
