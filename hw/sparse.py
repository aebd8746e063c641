"""A huge array of words of which few are set: the storage under page tables and TCE tables.

Real tables are trees of pages in RAM; this is one dictionary of fixed chunks, made when a word of the chunk
is first set and dropped when its last word is zeroed, so that memory follows what is set and a snapshot
carries nothing else. Zero means empty, as in a radix tree's entry or a TCE. Left out: the tree itself (see
`hw.levels` for the levels of a TCE table).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

CHUNK_BITS = 11
CHUNK = 1 << CHUNK_BITS
_MASK = CHUNK - 1

Words = NDArray[Any]
Indices = NDArray[np.int64]


def segments(first: int, count: int) -> Iterator[tuple[int, int, int, int]]:
    """Cut the range into pieces that each lie in one chunk.

    Yields:
        `(key, start, stop, offset)`: the chunk's key, the words start..stop-1 inside it, and how many words
        of the range came before.
    """
    offset = 0
    while offset < count:
        at = first + offset
        start = at & _MASK
        stop = min(CHUNK, start + count - offset)
        yield at >> CHUNK_BITS, start, stop, offset
        offset += stop - start


class SparseWords:
    """Words numbered from 0 without end, all zero until set.

    Attributes:
        count: words that are not zero.
        changes: grows with every write, so that a watcher can skip what has not changed.
    """

    __slots__ = ("_borrowed", "_chunks", "_dtype", "_live", "changes", "count")

    def __init__(self, dtype: DTypeLike) -> None:
        self._dtype = np.dtype(dtype)
        self._chunks: dict[int, Words] = {}
        self._live: dict[int, int] = {}
        self._borrowed: set[int] = set()
        self.count = 0
        self.changes = 0

    def get(self, index: int) -> int:
        """Return the word at `index`, 0 if never set."""
        chunk = self._chunks.get(index >> CHUNK_BITS)
        if chunk is None:
            return 0
        word: int = chunk.item(index & _MASK)
        return word

    def swap(self, index: int, word: int) -> int:
        """Set the word at `index` and return what was there."""
        self.changes += 1
        key = index >> CHUNK_BITS
        chunk = self._chunks.get(key)
        if chunk is None:
            if word:
                self._fresh(key)[index & _MASK] = word
                self._live[key] = 1
                self.count += 1
            return 0
        if key in self._borrowed:
            chunk = self._own(key)
        slot = index & _MASK
        old: int = chunk.item(slot)
        chunk[slot] = word
        if (old == 0) != (word == 0):
            self._note(key, 1 if word else -1)
        return old

    def chunk(self, key: int) -> Words | None:
        """Return the chunk with this key (a live view, not to be written), None when all of it is zero."""
        return self._chunks.get(key)

    def fill(self, first: int, words: Words, bits: int = 0) -> Words | None:
        """Set a run of words to `words | bits`, first word at `first`.

        Args:
            first: index of the first word.
            words: new words, shape (count,), cast to the array's type.
            bits: or-ed into every word.

        Returns:
            The old words, shape (count,), or None when all of them were zero.
        """
        old: Words | None = None
        extra = self._dtype.type(bits)
        for key, start, stop, offset in segments(first, len(words)):
            piece = words[offset : offset + stop - start].astype(self._dtype)
            if bits:
                np.bitwise_or(piece, extra, out=piece)
            was = self._place(key, start, stop, piece)
            if was is not None:
                if old is None:
                    old = np.zeros(len(words), self._dtype)
                old[offset : offset + stop - start] = was
        return old

    def ramp(self, first: int, count: int, start: int, step: int) -> None:
        """Set a run of words to start, start + step, ... (modulo the word size)."""
        one = np.arange(min(count, CHUNK), dtype=self._dtype) * self._dtype.type(step)
        modulus = 1 << 8 * self._dtype.itemsize
        for key, a, b, offset in segments(first, count):
            self._place(key, a, b, one[: b - a] + self._dtype.type((start + offset * step) % modulus))

    def take(self, first: int, count: int) -> Iterator[tuple[Indices, Words]]:
        """Zero a range and yield what was in it.

        Yields:
            `(indices, words)` of the words that were not zero, ascending, at most one chunk at a time; the
            range is zeroed as far as the iterator has been advanced. Both arrays belong to the caller.
        """
        self.changes += 1
        for key, start, stop in self._held(first, count):
            chunk = self._own(key) if key in self._borrowed else self._chunks[key]
            if self._live[key] == stop - start == CHUNK:
                self._drop(key)
                yield np.arange(key << CHUNK_BITS, (key + 1) << CHUNK_BITS, dtype=np.int64), chunk
                continue
            slots = np.flatnonzero(chunk[start:stop]) + start
            if len(slots):
                words = chunk[slots]
                chunk[slots] = 0
                self._note(key, -len(slots))
                yield slots + (key << CHUNK_BITS), words

    def take_at(self, indices: Indices) -> Words:
        """Zero the words at `indices` (distinct, all in one chunk) and return what was there."""
        self.changes += 1
        key = int(indices[0]) >> CHUNK_BITS
        chunk = self._chunks.get(key)
        if chunk is None:
            return np.zeros(len(indices), self._dtype)
        if key in self._borrowed:
            chunk = self._own(key)
        if len(indices) == CHUNK:
            self._drop(key)
            return chunk
        slots = indices & _MASK
        words: Words = chunk[slots]
        gone = int(np.count_nonzero(words))
        chunk[slots] = 0
        if gone:
            self._note(key, -gone)
        return words

    def gather(self, indices: Indices) -> Words:
        """Return the words at `indices` (all in one chunk) without changing them."""
        chunk = self._chunks.get(int(indices[0]) >> CHUNK_BITS)
        if chunk is None:
            return np.zeros(len(indices), self._dtype)
        words: Words = chunk[indices & _MASK]
        return words

    def pieces(self, first: int, count: int) -> Iterator[tuple[Indices, Words]]:
        """Yield `(indices, words)` of the words of a range that are not zero, ascending, chunk by chunk."""
        for key, start, stop in self._held(first, count):
            part = self._chunks[key][start:stop]
            slots = np.flatnonzero(part)
            if len(slots):
                yield slots + ((key << CHUNK_BITS) + start), part[slots]

    def next_set(self, index: int, end: int) -> int | None:
        """Return the index of the first word in index..end-1 that is not zero, None when there is none."""
        for key, start, stop in self._held(index, end - index):
            part = self._chunks[key][start:stop] != 0
            at = int(part.argmax())
            if part[at]:
                return (key << CHUNK_BITS) + start + at
        return None

    def wipe(self, first: int, count: int) -> int:
        """Zero a range; return how many words that were not zero went."""
        return sum(len(words) for _, words in self.take(first, count))

    def _place(self, key: int, start: int, stop: int, piece: Words) -> Words | None:
        """Put `piece` (owned by the array from now on) into one chunk; return old words if any was set."""
        self.changes += 1
        live = int(np.count_nonzero(piece))
        chunk = self._chunks.get(key)
        if chunk is None:
            if live:
                if stop - start == CHUNK:
                    self._chunks[key] = piece
                else:
                    self._fresh(key)[start:stop] = piece
                self._live[key] = live
                self.count += live
            return None
        if key in self._borrowed:
            chunk = self._own(key)
        old = chunk[start:stop].copy()
        was = int(np.count_nonzero(old))
        chunk[start:stop] = piece
        if live != was:
            self._note(key, live - was)
        return old if was else None

    def _held(self, first: int, count: int) -> Iterator[tuple[int, int, int]]:
        """Yield `(key, start, stop)` for the existing chunks of a range, ascending, whatever its length."""
        if count <= 0:
            return
        low, high = first >> CHUNK_BITS, (first + count - 1) >> CHUNK_BITS
        keys: Any = range(low, high + 1)
        if len(keys) > len(self._chunks):
            keys = sorted(key for key in self._chunks if low <= key <= high)
        for key in keys:
            if key in self._chunks:
                base = key << CHUNK_BITS
                yield key, max(first - base, 0), min(first + count - base, CHUNK)

    def __getstate__(self) -> tuple[Any, ...]:
        """Return the state for a copy, which shares the chunks until either side writes to one."""
        for key in self._chunks.keys() - self._borrowed:
            self._chunks[key].setflags(write=False)
        self._borrowed = set(self._chunks)
        return self._dtype, self._chunks, self._live, self.count, self.changes

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self._dtype, self._chunks, self._live, self.count, self.changes = state
        self._borrowed = set(self._chunks)

    def _own(self, key: int) -> Words:
        """Replace a chunk that copies share by one that can be written to."""
        self._borrowed.discard(key)
        chunk = self._chunks[key] = self._chunks[key].copy()
        return chunk

    def _fresh(self, key: int) -> Words:
        chunk = self._chunks[key] = np.zeros(CHUNK, self._dtype)
        return chunk

    def _note(self, key: int, change: int) -> None:
        self.count += change
        left = self._live[key] + change
        if left:
            self._live[key] = left
        else:
            del self._live[key], self._chunks[key]
            self._borrowed.discard(key)

    def _drop(self, key: int) -> None:
        self.count -= self._live.pop(key)
        del self._chunks[key]
        self._borrowed.discard(key)
