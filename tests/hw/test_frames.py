import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from hw.frames import BLOCK, Tally, parted, scattered


def test_scatter_is_an_involution_inside_blocks() -> None:
    order = scattered(0, BLOCK)
    assert sorted(order.tolist()) == list(range(BLOCK))
    assert order[order].tolist() == list(range(BLOCK))
    assert scattered(BLOCK, BLOCK).tolist() == (order + BLOCK).tolist()


@settings(deadline=None, derandomize=True)
@given(st.integers(0, 2000), st.integers(0, 2000))
def test_scattered_neighbours_are_never_adjacent(first: int, count: int) -> None:
    run = scattered(first, count).astype(np.int64)
    assert len(run) == count
    assert not (np.abs(np.diff(run)) == 1).any()


@settings(deadline=None, derandomize=True)
@given(st.lists(st.integers(0, 60), unique=True))
def test_parted_keeps_frames_and_parts_neighbours(frames: list[int]) -> None:
    run = parted(np.array(frames, np.uint32)).astype(np.int64)
    assert sorted(run.tolist()) == sorted(frames)
    assert not (np.diff(run) == 1).any()


@settings(deadline=None, derandomize=True)
@given(st.lists(st.one_of(st.integers(0, 30), st.integers(0, 100_000)), min_size=1, max_size=40))
def test_tally_counts_occurrences(positions: list[int]) -> None:
    tally = Tally(np.array(positions, np.intp))
    state = np.zeros(100_001, np.int32)
    state[tally.slots] += tally.counts
    expected = np.zeros(100_001, np.int32)
    np.add.at(expected, positions, 1)
    assert (state == expected).all()
    size = len(state[tally.slots])
    assert all(tally.count(i) == expected[tally.position(i)] for i in range(min(size, 50)))
