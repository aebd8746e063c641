import pickle

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from hw.sparse import CHUNK, SparseWords, segments

INDEX = st.one_of(st.integers(0, 3 * CHUNK), st.integers(CHUNK - 3, CHUNK + 3), st.just(1 << 45))
COUNT = st.one_of(st.integers(0, 8), st.integers(CHUNK - 2, 2 * CHUNK + 2))
STEP = st.one_of(
    st.tuples(st.just("swap"), INDEX, st.integers(0, 3)),
    st.tuples(st.just("fill"), INDEX, COUNT, st.integers(0, 2)),
    st.tuples(st.just("ramp"), INDEX, COUNT, st.integers(0, 2)),
    st.tuples(st.just("take"), INDEX, COUNT),
    st.tuples(st.just("wipe"), INDEX, COUNT),
)


def apply(words: SparseWords, model: dict[int, int], step: tuple) -> None:
    op, first, *rest = step
    if op == "swap":
        assert words.swap(first, rest[0]) == model.get(first, 0)
        new = {first: rest[0]}
    elif op == "fill":
        values = np.arange(rest[0], dtype=np.uint64) % 3 * rest[1]
        old = words.fill(first, values)
        expected = [model.get(first + i, 0) for i in range(rest[0])]
        assert (old is None and not any(expected)) or list(old) == expected
        new = {first + i: int(v) for i, v in enumerate(values)}
    elif op == "ramp":
        words.ramp(first, rest[0], rest[1], 5)
        new = {first + i: rest[1] + 5 * i for i in range(rest[0])}
    else:
        there = {i: v for i, v in model.items() if first <= i < first + rest[0]}
        if op == "take":
            found = {
                int(i): int(v) for at, ws in words.take(first, rest[0]) for i, v in zip(at, ws, strict=True)
            }
            assert found == there
        else:
            assert words.wipe(first, rest[0]) == len(there)
        new = dict.fromkeys(there, 0)
    model.update(new)
    for index in [i for i in new if not model[i]]:
        del model[index]


@settings(deadline=None, derandomize=True, max_examples=80)
@given(st.lists(STEP, max_size=12))
def test_behaves_like_a_dictionary(steps: list[tuple]) -> None:
    words, model = SparseWords(np.uint64), {}
    for step in steps:
        apply(words, model, step)
        assert words.count == len(model)
    for copy in (words, pickle.loads(pickle.dumps(words, 5))):
        assert {
            int(i): int(w) for at, ws in copy.pieces(0, 1 << 60) for i, w in zip(at, ws, strict=True)
        } == model
        assert copy._live == {key: np.count_nonzero(chunk) for key, chunk in copy._chunks.items()}
        assert all(copy._live.values())


@settings(deadline=None, derandomize=True, max_examples=50)
@given(st.sets(INDEX, max_size=6), INDEX, COUNT)
def test_next_set(there: set[int], first: int, count: int) -> None:
    words = SparseWords(np.uint32)
    for index in there:
        words.swap(index, 1)
    expected = min((i for i in there if first <= i < first + count), default=None)
    assert words.next_set(first, first + count) == expected


def test_segments_cover_a_range_once() -> None:
    found = [
        key * CHUNK + i for key, start, stop, _ in segments(CHUNK - 2, CHUNK + 5) for i in range(start, stop)
    ]
    assert found == list(range(CHUNK - 2, 2 * CHUNK + 3))


def test_filled_chunks_are_copies() -> None:
    words, values = SparseWords(np.uint64), np.ones(2 * CHUNK, np.uint64)
    words.fill(0, values)
    values[:] = 7
    assert words.get(0) == words.get(CHUNK) == 1
    assert all(words.chunk(key).base is None for key in (0, 1))


def test_ramp_wraps_like_a_register() -> None:
    words = SparseWords(np.uint64)
    words.ramp(0, 3, (1 << 64) - 4096, 4096)
    assert [words.get(i) for i in range(3)] == [(1 << 64) - 4096, 0, 4096]


def test_take_at_and_gather_of_nothing() -> None:
    words = SparseWords(np.uint64)
    at = np.array([1, 5], np.int64)
    assert words.gather(at).tolist() == words.take_at(at).tolist() == [0, 0]
    words.swap(5, 9)
    assert words.gather(at).tolist() == words.take_at(at).tolist() == [0, 9]
    assert words.count == 0 and words.chunk(0) is None
