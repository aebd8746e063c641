"""One zone of page frames: who owns each, its references and pins, and which are free.

The real thing is the kernel's array of struct page and the free lists of a memory zone, as far as counting
goes. State of a frame: references (4 bytes), pins (4 bytes), owner and dirty bit (2 bytes), in arrays that
grow with the highest frame used, since frames are handed out from the bottom. Left out: buddy orders,
per-CPU lists, reclaim, migration.

Fresh frames come in a fixed scattered order within blocks of 256, because a kernel that has been up for a
while hands out base pages that are not physically adjacent, and code that assumes they are must fail here.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hw.errors import (
    FreeOfPinnedFrame,
    OutOfFrames,
    PinUnderflow,
    ReferenceUnderflow,
    UseOfFreedFrame,
)

BLOCK = 256
DIRTY = 0x8000
OWNER = 0x7FFF

Pfns = NDArray[np.uint32]
AnyPfns = NDArray[np.integer[Any]]

# Bit reversal keeps neighbours apart; the palindrome 0x42 keeps it its own inverse and parts the neighbours
# across the middle and across blocks, where reversal alone would not.
_SCATTER = np.array([int(f"{i:08b}"[::-1], 2) ^ 0x42 for i in range(BLOCK)], np.uint32)


def scattered(first: int, count: int) -> Pfns:
    """Return the frame offsets for positions first..first+count-1 of the scattered order, uint32 (count,)."""
    low = first & -BLOCK
    blocks = np.arange(low, first + count, BLOCK, dtype=np.uint32)
    run = np.add.outer(blocks, _SCATTER).ravel()
    return run[first - low : first - low + count]


def parted(pfns: Pfns) -> Pfns:
    """Return the same frames reordered, if need be, so that none is followed by its physical neighbour."""
    if len(pfns) > 1 and bool((pfns[1:] == pfns[:-1] + np.uint32(1)).any()):
        ordered = np.sort(pfns)
        return np.concatenate((ordered[1::2], ordered[0::2]))
    return pfns


class Tally:
    """How often each frame occurs in one batch: `slots` selects the state, `counts` is how often.

    Attributes:
        slots: a slice of the zone's arrays when the frames lie close together, else their positions.
        counts: int32 of the same length (zeros inside a slice are frames that do not occur), or 1 when
            every frame of the slice occurs once.
        first: position of the first slot when `slots` is a slice.
    """

    __slots__ = ("counts", "first", "slots")

    def __init__(self, positions: NDArray[np.intp]) -> None:
        self.first = int(positions.min())
        span = int(positions.max()) - self.first + 1
        self.slots: Any
        self.counts: Any
        if span > 8 * len(positions) + 64:
            self.slots, counts = np.unique(positions, return_counts=True)
            self.counts = counts.astype(np.int32)
            return
        self.slots = slice(self.first, self.first + span)
        if self.first or span != len(positions):
            positions = positions - self.first
        counts = np.bincount(positions, minlength=span)
        self.counts = 1 if span == len(positions) == np.count_nonzero(counts) else counts.astype(np.int32)

    def position(self, at: int) -> int:
        """Return the zone position of the `at`-th slot."""
        return self.first + at if isinstance(self.slots, slice) else int(self.slots[at])

    def count(self, at: int) -> int:
        """Return how often the `at`-th slot occurs."""
        return 1 if isinstance(self.counts, int) else int(self.counts[at])


class Zone:
    """A run of equal frames from which base pages are handed out, or which backs huge pages.

    Attributes:
        start: first frame number.
        stop: frame number behind the last one.
        shift: log2 of the page size that backs these frames.
        cma: whether the frames belong to the contiguous memory allocator.
        free_count: frames that can still be handed out.
        references: int32 by position (frame number minus start), as far as used.
        pins: int32 by position.
        tags: uint16 by position: owner number and DIRTY.
        borrowed: whether a copy shares the arrays, so that :meth:`own` comes before writing to them.
    """

    __slots__ = (
        "_freed", "_freed_count", "_fresh", "borrowed", "cma", "free_count", "pins", "references", "shift",
        "start", "stop", "tags",
    )  # fmt: skip

    def __init__(self, start: int, count: int, shift: int, cma: bool = False) -> None:
        self.start = start
        self.stop = start + (count + BLOCK - 1 & -BLOCK)
        self.shift = shift
        self.cma = cma
        self.free_count = count
        self.references = np.zeros(0, np.int32)
        self.pins = np.zeros(0, np.int32)
        self.tags = np.zeros(0, np.uint16)
        self._fresh = 0
        self._freed = np.zeros(0, np.uint32)
        self._freed_count = 0
        self.borrowed = False

    def own(self) -> None:
        """Have arrays that nobody shares and that can be written to."""
        if self.borrowed:
            self.borrowed = False
            self.references, self.pins = self.references.copy(), self.pins.copy()
            self.tags, self._freed = self.tags.copy(), self._freed.copy()

    def take(self, count: int, owner: int) -> Pfns:
        """Hand out `count` frames with one reference each, last freed first, then fresh ones.

        Raises:
            OutOfFrames: fewer are free; nothing was handed out.
        """
        if count > self.free_count:
            raise OutOfFrames(count, self.free_count)
        self.own()
        self.free_count -= count
        reused = min(count, self._freed_count)
        if not reused:
            return self._take_fresh(count, owner)
        self._freed_count -= reused
        back = self._freed[self._freed_count : self._freed_count + reused][::-1].copy()
        at = back - np.uint32(self.start)
        self.references[at] = 1
        self.tags[at] = owner
        if reused < count:
            back = np.concatenate((back, self._take_fresh(count - reused, owner)))
        return parted(back)

    def occupy(self, pfn: int, count: int, owner: int) -> None:
        """Give a run of free frames one reference each and an owner: a huge page is handed out."""
        self.own()
        at = slice(pfn - self.start, pfn - self.start + count)
        self.reach(at.stop)
        self.references[at] = 1
        self.tags[at] = owner

    def tally(self, pfns: AnyPfns) -> Tally:
        """Count how often each of `pfns` (all in this zone) occurs; their state can be changed then."""
        self.own()
        positions = pfns.astype(np.intp)
        if self.start:
            positions -= self.start
        tally = Tally(positions)
        self.reach(tally.slots.stop if isinstance(tally.slots, slice) else int(tally.slots[-1]) + 1)
        return tally

    def reach(self, stop: int) -> None:
        """Make the state of positions below `stop` exist."""
        have = len(self.references)
        if stop <= have:
            return
        want = min(max(stop, have + have // 4, BLOCK), self.stop - self.start)
        for name in ("references", "pins", "tags"):
            old = getattr(self, name)
            new = np.zeros(want, old.dtype)
            new[:have] = old
            setattr(self, name, new)

    def add_references(self, tally: Tally, use: str) -> None:
        """Add references; a free frame among them raises UseOfFreedFrame before anything changes."""
        references = self.references[tally.slots]
        free = references == 0
        if free.any():
            free &= np.asarray(tally.counts) > 0
            if free.any():
                raise UseOfFreedFrame(self.start + tally.position(int(free.argmax())), use)
        self.references[tally.slots] += tally.counts

    def add_pins(self, tally: Tally) -> None:
        """Add pins; the frames are referenced."""
        self.pins[tally.slots] += tally.counts

    def drop_pins(self, tally: Tally, holder: str) -> None:
        """Drop pins; too few on any frame raises PinUnderflow before anything changes."""
        pins = self.pins[tally.slots]
        left = pins - tally.counts
        if int(left.min()) < 0:
            at = int((left < 0).argmax())
            raise PinUnderflow(self.start + tally.position(at), int(pins[at]), tally.count(at), holder)
        self.pins[tally.slots] = left

    def drop_references(self, tally: Tally, pfns: AnyPfns) -> AnyPfns | None:
        """Drop references; return the frames that became free in the order of `pfns`, if all did.

        When only some became free they come in ascending order.

        Raises:
            ReferenceUnderflow, FreeOfPinnedFrame: before anything changes.
        """
        references = self.references[tally.slots]
        left = references - tally.counts
        short = left < self.pins[tally.slots]
        if short.any():
            at = int(short.argmax())
            pfn = self.start + tally.position(at)
            if left[at] < 0:
                raise ReferenceUnderflow(pfn, int(references[at]), tally.count(at))
            raise FreeOfPinnedFrame(pfn, int(self.pins[tally.slots][at]), int(left[at]))
        self.references[tally.slots] = left
        gone = left == 0
        if not isinstance(tally.counts, int):
            gone &= tally.counts > 0
        freed = int(np.count_nonzero(gone))
        if freed == len(pfns):
            return pfns
        if not freed:
            return None
        at_slots = np.flatnonzero(gone)
        positions = at_slots + tally.first if isinstance(tally.slots, slice) else tally.slots[at_slots]
        return (positions + self.start).astype(np.uint32)

    def push(self, pfns: AnyPfns) -> None:
        """Put free frames on the stack that `take` takes from."""
        count, have = len(pfns), self._freed_count
        if have + count > len(self._freed):
            grown = np.empty(max(have + count, 2 * have, 64), np.uint32)
            grown[:have] = self._freed[:have]
            self._freed = grown
        self._freed[have : have + count] = pfns
        self._freed_count = have + count
        self.free_count += count

    def push_one(self, pfn: int) -> None:
        """Put one free frame on the stack."""
        have = self._freed_count
        if have < len(self._freed):
            self._freed[have] = pfn
            self._freed_count = have + 1
            self.free_count += 1
        else:
            self.push(np.array([pfn], np.uint32))

    def position(self, pfn: int) -> int:
        """Return the position of a frame of this zone, -1 when its state was never used (it is free)."""
        at = pfn - self.start
        return at if at < len(self.references) else -1

    def __getstate__(self) -> tuple[Any, ...]:
        """Return the state for a copy, which shares the arrays until either side writes to them.

        The stack is trimmed: a snapshot carries no slack.
        """
        self.borrowed = True
        for array in (self.references, self.pins, self.tags, self._freed):
            array.setflags(write=False)
        freed = self._freed[: self._freed_count]
        return (self.start, self.stop, self.shift, self.cma, self.free_count, self.references, self.pins,
                self.tags, self._fresh, freed)  # fmt: skip

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        (self.start, self.stop, self.shift, self.cma, self.free_count, self.references, self.pins,
         self.tags, self._fresh, self._freed) = state  # fmt: skip
        self._freed_count = len(self._freed)
        self.borrowed = True

    def _take_fresh(self, count: int, owner: int) -> Pfns:
        """Hand out frames never used before; whole blocks are marked as slices."""
        first, stop = self._fresh, self._fresh + count
        self._fresh = stop
        self.reach(stop + BLOCK - 1 & -BLOCK)
        pfns = scattered(first, count)
        low = min(first + BLOCK - 1 & -BLOCK, stop)
        high = max(low, stop & -BLOCK)
        for at in (pfns[: low - first], slice(low, high), pfns[high - first :]):
            self.references[at] = 1
            self.tags[at] = owner
        pfns += np.uint32(self.start)
        return pfns
