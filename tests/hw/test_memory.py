import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hw import (
    FreeOfPinnedFrame,
    NoSuchFrame,
    OutOfFrames,
    PhysicalMemory,
    PinUnderflow,
    ReferenceUnderflow,
    UseOfFreedFrame,
)
from hw.units import GIB
from tests.hw.tables import MIB

FAR = 5000


def small(frames: int = 1024) -> PhysicalMemory:
    return PhysicalMemory(frames * 4096, 4096)


def array(*pfns: int) -> np.ndarray:
    return np.array(pfns, np.uint32)


# -- allocation ---------------------------------------------------------------------------------------------


def test_allocation_counts_and_owns() -> None:
    memory = small()
    pfns = memory.allocate(10, "mm:0")
    assert pfns.dtype == np.uint32 and len(set(pfns.tolist())) == 10
    assert memory.free_bytes == 1014 * 4096
    assert {memory.owner(p) for p in pfns.tolist()} == {"mm:0"}
    assert {memory.references(p) for p in pfns.tolist()} == {1}
    assert memory.pinned_pages == 0
    memory.put(pfns)
    assert memory.free_bytes == memory.size_bytes
    assert memory.is_free(int(pfns[0])) and memory.owner(int(pfns[0])) is None


def test_all_of_memory_can_be_allocated_and_no_more() -> None:
    memory = small(1000)
    pfns = memory.allocate(1000, "a")
    assert len(set(pfns.tolist())) == 1000
    with pytest.raises(OutOfFrames) as caught:
        memory.allocate(1, "b")
    assert (caught.value.requested, caught.value.available) == (1, 0)
    memory.put(pfns[:3])
    with pytest.raises(OutOfFrames):
        memory.allocate(4, "b")
    assert sorted(memory.allocate(3, "b").tolist()) == sorted(pfns[:3].tolist())


def test_allocating_nothing() -> None:
    memory = small()
    assert len(memory.allocate(0, "a")) == 0
    for act in (memory.get, memory.put, memory.set_dirty):
        act(array())
    memory.pin(array(), "h")
    memory.unpin(array(), "h")
    assert memory.pins_by_holder == {}


@pytest.mark.parametrize("count", [1, 5, 40])
def test_last_freed_is_reused_first(count: int) -> None:
    memory = small()
    early, late = memory.allocate(count, "a"), memory.allocate(1, "a")
    memory.put(early)
    memory.put(late)
    assert memory.allocate(1, "b").tolist() == late.tolist()
    assert memory.allocate(1, "b")[0] == early[-1]


@settings(deadline=None, derandomize=True, max_examples=60)
@given(st.lists(st.tuples(st.integers(1, 300), st.integers(0, 5)), max_size=12))
def test_no_allocation_is_physically_contiguous(steps: list[tuple[int, int]]) -> None:
    memory = small(4096)
    held: list[np.ndarray] = []
    for count, drop in steps:
        pfns = memory.allocate(count, "a").astype(np.int64)
        assert not (np.diff(pfns) == 1).any()
        held.append(pfns.astype(np.uint32))
        if drop < len(held):
            memory.put(np.sort(held.pop(drop)))
    assert memory.free_bytes == (4096 - sum(map(len, held))) * 4096


def test_two_copies_go_on_alike() -> None:
    memory = small()
    pfns = memory.allocate(300, "a")
    memory.pin(pfns[:9], "h")
    memory.put(pfns[50:80])
    copy = pickle.loads(pickle.dumps(memory, 5))
    for each in (memory, copy):
        each.unpin(pfns[:4], "h")
        each.put(pfns[:2])
    assert memory.allocate(60, "b").tolist() == copy.allocate(60, "b").tolist()
    assert (memory.pins_by_holder, memory.free_bytes) == (copy.pins_by_holder, copy.free_bytes)


# -- huge pages and CMA -------------------------------------------------------------------------------------


def test_whoever_asks_is_told_what_is_handed_out() -> None:
    memory, told = PhysicalMemory(64 * MIB, 4096, {21: 2}, cma_bytes=MIB), []
    memory.allocate(3, "mm:0")
    memory.on_allocate = told.append
    pfns, movable = memory.allocate(5, "mm:0"), memory.allocate(2, "mm:0", cma=True)
    huge = memory.allocate_huge(21, "mm:0")
    assert [frames.tolist() for frames in told[:2]] == [pfns.tolist(), movable.tolist()]
    assert told[2].dtype == np.uint32 and told[2].tolist() == list(range(huge, huge + 512))


def test_huge_pages_are_contiguous_aligned_and_set_aside() -> None:
    memory = PhysicalMemory(GIB, 4096, {21: 4, 16: 3})
    assert memory.free_bytes == GIB - 4 * 2 * MIB - 3 * 65536
    assert (memory.huge_free(21), memory.huge_free(16), memory.huge_free(30)) == (4, 3, 0)
    pfn = memory.allocate_huge(21, "mm:0")
    assert pfn % 512 == 0
    assert memory.huge_free(21) == 3
    assert memory.free_bytes == GIB - 4 * 2 * MIB - 3 * 65536
    whole = np.arange(pfn, pfn + 512, dtype=np.uint32)
    assert set(memory.backing_shift(whole).tolist()) == {21}
    assert memory.owner(pfn + 511) == "mm:0"


def test_a_huge_page_returns_when_its_last_frame_does() -> None:
    memory = PhysicalMemory(64 * MIB, 4096, {21: 1})
    pfn = memory.allocate_huge(21, "mm:0")
    whole = np.arange(pfn, pfn + 512, dtype=np.uint32)
    memory.pin(pfn + 7, "region:0")
    memory.put(whole)
    assert memory.huge_free(21) == 0
    assert memory.is_free(pfn) and not memory.is_free(pfn + 7)
    with pytest.raises(OutOfFrames):
        memory.allocate_huge(21, "mm:1")
    memory.unpin(pfn + 7, "region:0")
    assert memory.huge_free(21) == 1
    assert memory.allocate_huge(21, "mm:1") == pfn


# -- references and pins ------------------------------------------------------------------------------------


@pytest.mark.parametrize("many", [1, 2, 30])
def test_pins_hold_a_frame_after_its_owner_left(many: int) -> None:
    memory = small()
    pfns = memory.allocate(many, "mm:0")
    memory.pin(pfns, "region:0")
    memory.put(pfns)
    assert memory.pinned_pages == many and memory.pins_by_holder == {"region:0": many}
    assert memory.free_bytes == memory.size_bytes - many * 4096
    memory.unpin(pfns, "region:0")
    assert memory.pinned_pages == 0 and memory.pins_by_holder == {}
    assert memory.free_bytes == memory.size_bytes


def far_apart(memory: PhysicalMemory) -> np.ndarray:
    pfns = memory.allocate(FAR + 1, "a")
    return pfns[[0, FAR, 3, FAR - 1, 0]]


@pytest.mark.parametrize("scalar", [True, False])
class TestMisuse:
    """Every rule fires on both paths: one frame, and an array (long enough not to be split up)."""

    def arrange(self, scalar: bool) -> tuple[PhysicalMemory, int | np.ndarray, int]:
        memory = small(8192)
        pfns = memory.allocate(40, "a")
        return memory, int(pfns[20]) if scalar else pfns, int(pfns[20])

    def test_pin_underflow(self, scalar: bool) -> None:
        memory, frames, one = self.arrange(scalar)
        memory.pin(frames, "h")
        memory.unpin(one, "h")
        memory.pin(int(memory.allocate(1, "a")[0]), "h")
        with pytest.raises(PinUnderflow) as caught:
            memory.unpin(frames, "h")
        assert (caught.value.pfn, caught.value.pins, caught.value.holder) == (one, 0, "h")

    def test_unpin_for_a_holder_that_never_pinned(self, scalar: bool) -> None:
        memory, frames, one = self.arrange(scalar)
        memory.pin(frames, "h")
        with pytest.raises(PinUnderflow, match="thief drops"):
            memory.unpin(frames, "thief")
        assert memory.pins(one) == 1

    def test_reference_underflow(self, scalar: bool) -> None:
        memory, frames, one = self.arrange(scalar)
        memory.put(one)
        with pytest.raises(ReferenceUnderflow) as caught:
            memory.put(frames)
        assert (caught.value.pfn, caught.value.references, caught.value.dropped) == (one, 0, 1)

    def test_free_of_pinned_frame(self, scalar: bool) -> None:
        memory, frames, one = self.arrange(scalar)
        memory.pin(one, "h")
        memory.put(one)
        with pytest.raises(FreeOfPinnedFrame) as caught:
            memory.put(frames)
        assert (caught.value.pfn, caught.value.pins, caught.value.left) == (one, 1, 0)

    @pytest.mark.parametrize("act", ["get", "pin", "dirty"])
    def test_use_of_freed_frame(self, scalar: bool, act: str) -> None:
        memory, frames, one = self.arrange(scalar)
        memory.put(one)
        acts = {"get": memory.get, "pin": lambda f: memory.pin(f, "h"), "dirty": memory.set_dirty}
        with pytest.raises(UseOfFreedFrame) as caught:
            acts[act](frames)
        assert caught.value.pfn == one
        assert memory.pinned_pages == 0

    def test_frames_that_were_never_handed_out(self, scalar: bool) -> None:
        memory = small(8192)
        frames: int | np.ndarray = 4000 if scalar else np.arange(4000, 4064, dtype=np.uint32)
        with pytest.raises(UseOfFreedFrame):
            memory.get(frames)
        with pytest.raises(ReferenceUnderflow):
            memory.put(frames)
        with pytest.raises(PinUnderflow):
            memory.unpin(frames, "h")
        assert memory.is_free(4000) and memory.pins(4000) == 0

    def test_no_such_frame(self, scalar: bool) -> None:
        memory, _, _ = self.arrange(scalar)
        for pfn in (0, 255, 1 << 28):
            with pytest.raises(NoSuchFrame):
                memory.get(pfn if scalar else np.full(30, pfn, np.uint32))


def test_underflow_among_repeats_far_apart() -> None:
    memory = small(8192)
    pfns = np.tile(far_apart(memory), 6)
    memory.pin(pfns, "h")
    assert memory.pins(int(pfns[0])) == 12 and memory.pins(int(pfns[1])) == 6
    memory.unpin(int(pfns[1]), "h")
    with pytest.raises(PinUnderflow) as caught:
        memory.unpin(pfns, "h")
    assert memory.pinned_pages == 29
    memory.pin(int(pfns[1]), "h")
    with pytest.raises(PinUnderflow) as caught:
        memory.unpin(np.concatenate((pfns, pfns[1:2])), "h")
    assert caught.value.pfn == -1
    memory.unpin(pfns, "h")
    assert memory.pins_by_holder == {}


FRAME = st.integers(0, 40)
ACT = st.tuples(
    st.sampled_from(["get", "put", "pin", "unpin"]),
    st.one_of(FRAME, st.lists(FRAME, max_size=60), st.just([*range(41)])),
)


@settings(deadline=None, derandomize=True, max_examples=150)
@given(st.lists(ACT, max_size=15), st.booleans())
def test_counts_agree_with_a_model(acts: list, wide: bool) -> None:
    memory = small(1 << 15)
    frames = memory.allocate(20_000 if wide else 41, "a")[:: 480 if wide else 1][:41]
    references, pins = [1] * 41, [0] * 41
    for name, which in acts:
        for at in [which] if isinstance(which, int) else which:
            if name in ("get", "pin") and references[at]:
                references[at] += 1
                pins[at] += name == "pin"
            elif name == "unpin" and pins[at]:
                references[at] -= 1
                pins[at] -= 1
            elif name == "put" and references[at] > pins[at]:
                references[at] -= 1
            else:
                return  # a misuse: TestMisuse has them
        chosen = int(frames[which]) if isinstance(which, int) else frames[np.array(which, int)]
        getattr(memory, name)(chosen, *(["h"] if "pin" in name else []))
        assert [memory.references(p) for p in frames.tolist()] == references
        assert memory.pin_counts(frames).tolist() == pins == [memory.pins(p) for p in frames.tolist()]
        assert memory.pinned_pages == sum(pins) == memory.pins_by_holder.get("h", 0)
        others = 20_000 - 41 if wide else 0
        assert memory.free_bytes == memory.size_bytes - (others + sum(map(bool, references))) * 4096


# -- dirt ----------------------------------------------------------------------------------------------------


def test_dirty_until_freed() -> None:
    memory = small()
    pfns = memory.allocate(3, "a")
    memory.set_dirty(pfns[:2])
    memory.set_dirty(int(pfns[2]))
    assert not memory.clean(pfns).any()
    assert memory.owner(int(pfns[0])) == "a"
    memory.put(pfns)
    assert memory.clean(memory.allocate(3, "b")).all()
