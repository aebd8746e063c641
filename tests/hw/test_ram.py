"""What frames there are, and what is known about each."""

from typing import Any

import numpy as np
import pytest

from hw import OutOfFrames, PhysicalMemory
from hw.units import GIB
from tests.hw.tables import MIB


def test_cma_is_a_part_of_memory() -> None:
    memory = PhysicalMemory(64 * MIB, 65536, cma_bytes=16 * MIB)
    assert memory.free_bytes == 64 * MIB
    inside, outside = memory.allocate(10, "a", cma=True), memory.allocate(10, "a")
    assert memory.in_cma(inside).all() and not memory.in_cma(outside).any()
    assert memory.free_bytes == 64 * MIB - 20 * 65536
    with pytest.raises(OutOfFrames):
        memory.allocate(256, "a", cma=True)
    both = np.concatenate((inside, outside, inside))
    memory.pin(both, "h")
    assert memory.pins(int(inside[0])) == 2 and memory.pins(int(outside[0])) == 1
    assert memory.pin_counts(both).tolist() == [2] * 10 + [1] * 10 + [2] * 10
    memory.unpin(both, "h")
    memory.put(both[:20])
    assert memory.free_bytes == 64 * MIB


def test_backing_of_a_mixture() -> None:
    memory = PhysicalMemory(64 * MIB, 4096, {24: 1})
    huge, base = memory.allocate_huge(24, "a"), int(memory.allocate(1, "a")[0])
    assert memory.backing_shift(np.array([huge, base, huge + 4095])).tolist() == [24, 12, 24]
    memory.put(np.concatenate((np.arange(huge, huge + 4096, dtype=np.uint32), np.array([base], np.uint32))))
    assert (memory.huge_free(24), memory.free_bytes) == (1, 48 * MIB)


@pytest.mark.parametrize("kwargs", [
    {"page_size": 3}, {"page_size": 1024}, {"hugepages": {21: 600}}, {"hugepages": {12: 1}},
    {"hugepages": {21: -1}}, {"cma_bytes": 2 * GIB}, {"size_bytes": 1 << 60},
])  # fmt: skip
def test_impossible_memories(kwargs: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"page|frame"):
        PhysicalMemory(**{"size_bytes": GIB, "page_size": 4096, **kwargs})


def test_where_memory_is() -> None:
    memory = PhysicalMemory(64 * MIB, 4096, {21: 1})
    pfn = memory.allocate_huge(21, "a")
    assert [memory.has_frame(p) for p in (0, 255, 256, pfn, pfn + 511, pfn + 512)] == [0, 0, 1, 1, 1, 0]


def test_too_many_owners() -> None:
    memory = PhysicalMemory(1024 * 4096, 4096)
    with pytest.raises(ValueError, match="owners"):
        for number in range(40_000):
            memory.put(int(memory.allocate(1, f"mm:{number}")[0]))


def test_clean_is_in_use_and_not_dirty() -> None:
    memory = PhysicalMemory(64 << 20, 65536)
    pfns = memory.allocate(4, "mm:0")
    memory.set_dirty(pfns[:1])
    memory.put(pfns[3:])
    assert memory.clean(pfns).tolist() == [False, True, True, False]
