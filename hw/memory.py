"""Physical memory: page frames with references and pins, huge page pools, CMA, and who wrote last.

The real thing is RAM under the kernel's page allocator and the pinning of user pages. A pin is a reference
that also says "a device may use this frame"; here it is counted by holder, so that a forgotten pin has a
name, and the rules that a real kernel breaks silently are checked: no more pins dropped than taken, no
reference dropped that a pin needs, no use of a free frame.

Simplified: huge pages keep references and pins for each base page instead of for the whole, so that the
same checks hold inside them; the page returns to its pool when the last of them goes. Memory is not moved,
swapped or reclaimed, and contents of frames are not kept, only who wrote last.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hw.errors import (
    FreeOfPinnedFrame,
    NoSuchFrame,
    OutOfFrames,
    PinUnderflow,
    ReferenceUnderflow,
    UseOfFreedFrame,
)
from hw.frames import DIRTY, OWNER, AnyPfns, Zone
from hw.hugepages import HugePool
from hw.units import Pfn, align_up, is_power_of_two

MAX_PFN_BITS = 29
"""Frame numbers fit a packed page table entry beside its three flag bits."""

_BATCH = 1 << 16
_FEW = 24
_NO_POOLS: Mapping[int, int] = MappingProxyType({})


class PhysicalMemory:
    """All memory of one machine, free at first.

    Frame numbers start at 256 (the block below holds the kernel itself): base pages first, then CMA, then
    the huge page pools, each naturally aligned.

    Args:
        size_bytes: RAM, pools and CMA included.
        page_size: base page in bytes, a power of two.
        hugepages: page shift -> huge pages set aside in that pool.
        cma_bytes: part of RAM that belongs to the contiguous memory allocator.

    Attributes:
        page_size: base page in bytes.
        page_shift: log2 of it.
        size_bytes: RAM.
        pinned_pages: sum of the pins of all frames.
        pins_by_holder: holder -> pins; a holder without pins is not in it.

    Raises:
        ValueError: sizes that do not fit together.

    Kernel: include/linux/mm.h and mm/gup.c for references and pins, mm/hugetlb.c for the pools
    """

    __slots__ = (
        "_base", "_base_stop", "_cma", "_owner_ids", "_owners", "_pools", "_writers", "_zones", "page_shift",
        "page_size", "pinned_pages", "pins_by_holder", "size_bytes",
    )  # fmt: skip

    def __init__(
        self, size_bytes: int, page_size: int, hugepages: Mapping[int, int] = _NO_POOLS, cma_bytes: int = 0
    ) -> None:
        if not is_power_of_two(page_size) or page_size < 4096:
            raise ValueError(f"page size {page_size} is not a power of two of at least 4096")
        self.page_size = page_size
        self.page_shift = page_size.bit_length() - 1
        self.size_bytes = size_bytes
        self.pinned_pages = 0
        self.pins_by_holder: dict[str, int] = {}
        self._owners: list[str | None] = [None]
        self._owner_ids: dict[str, int] = {}
        self._writers: dict[int, str] = {}
        cma_frames = cma_bytes >> self.page_shift
        huge_bytes = sum(count << shift for shift, count in hugepages.items())
        base_frames = (size_bytes - huge_bytes >> self.page_shift) - cma_frames
        if base_frames < 0 or any(shift <= self.page_shift or n < 0 for shift, n in hugepages.items()):
            raise ValueError("huge pages and CMA do not fit into memory of this size and page size")
        self._base = Zone(256, base_frames, self.page_shift)
        self._base_stop = self._base.stop
        self._cma = Zone(self._base.stop, cma_frames, self.page_shift, cma=True)
        self._pools: dict[int, HugePool] = {}
        self._zones = [self._base, self._cma]
        for shift in sorted(hugepages):
            self._add_pool(shift, hugepages[shift])
        if self._zones[-1].stop >> MAX_PFN_BITS:
            raise ValueError(f"memory needs frame numbers of more than {MAX_PFN_BITS} bits")

    # -- allocation -----------------------------------------------------------------------------------------

    @property
    def free_bytes(self) -> int:
        """Bytes of base pages that can be allocated, CMA included, huge page pools not: MemFree."""
        return self._base.free_count + self._cma.free_count << self.page_shift

    def allocate(self, count: int, owner: str, cma: bool = False) -> NDArray[np.uint32]:
        """Take base pages, one reference each; never are two consecutive ones physically adjacent.

        Args:
            count: pages.
            owner: who has them, a name such as `mm:0`.
            cma: take them from CMA, as movable user pages may be.

        Returns:
            Frame numbers, uint32, shape (count,): freed ones first, the last freed first of all.

        Raises:
            OutOfFrames: fewer are free there; nothing was taken.
        """
        return (self._cma if cma else self._base).take(count, self._owner_id(owner))

    def allocate_huge(self, shift: int, owner: str) -> Pfn:
        """Take one huge page, one reference on each of its base pages; it is contiguous and aligned.

        Returns:
            Its first frame number.

        Raises:
            OutOfFrames: the pool of that size is empty, or there is none.
        """
        pool = self._pools.get(shift)
        if pool is None or not pool.free:
            raise OutOfFrames(1, 0)
        pfn = pool.free.pop()
        pool.zone.occupy(pfn, pool.pages_each, self._owner_id(owner))
        pool.alive[pfn] = pool.pages_each
        return Pfn(pfn)

    def huge_free(self, shift: int) -> int:
        """Return how many huge pages of that size are free in their pool."""
        pool = self._pools.get(shift)
        return 0 if pool is None else len(pool.free)

    # -- references and pins --------------------------------------------------------------------------------

    def get(self, pfns: int | AnyPfns) -> None:
        """Add one reference for every occurrence of a frame.

        Raises:
            UseOfFreedFrame: a frame is free. Of an array, frames before it may be done.
        """
        if isinstance(pfns, int):
            zone, at = self._used(pfns, "reference taken")
            zone.references[at] += 1
            return
        if len(pfns) <= _FEW:
            for pfn in pfns.tolist():
                self.get(pfn)
            return
        for zone, part in self._batches(pfns):
            zone.add_references(zone.tally(part), "reference taken")

    def put(self, pfns: int | AnyPfns) -> None:
        """Drop one reference for every occurrence of a frame; a frame without references is free.

        Raises:
            ReferenceUnderflow: more dropped than there were.
            FreeOfPinnedFrame: fewer references than pins would be left. Of an array, frames before it may
                be done.
        """
        if isinstance(pfns, int):
            zone = self._zone(pfns)
            self._put_one(zone, pfns, zone.position(pfns))
            return
        if len(pfns) <= _FEW:
            for pfn in pfns.tolist():
                self.put(pfn)
            return
        for zone, part in self._batches(pfns):
            self._release(zone, zone.drop_references(zone.tally(part), part))

    def pin(self, pfns: int | AnyPfns, holder: str) -> None:
        """Add one reference and one pin for every occurrence of a frame.

        Args:
            pfns: frame number or uint32 array of them.
            holder: who pins, a name such as `region:3`.

        Raises:
            UseOfFreedFrame: a frame is free. Of an array, frames before it may be done.
        """
        if isinstance(pfns, int):
            zone, at = self._used(pfns, "pinned")
            zone.references[at] += 1
            zone.pins[at] += 1
            self._count_pins(1, holder)
            return
        if len(pfns) <= _FEW:
            for pfn in pfns.tolist():
                self.pin(pfn, holder)
            return
        for zone, part in self._batches(pfns):
            tally = zone.tally(part)
            zone.add_references(tally, "pinned")
            zone.add_pins(tally)
            self._count_pins(len(part), holder)

    def unpin(self, pfns: int | AnyPfns, holder: str) -> None:
        """Drop one pin and its reference for every occurrence of a frame.

        Raises:
            PinUnderflow: a frame has too few pins, or the holder has. Of an array, frames before it may
                be done.
        """
        if isinstance(pfns, int):
            zone = self._zone(pfns)
            at = zone.position(pfns)
            pins = zone.pins.item(at) if at >= 0 else 0
            if not pins:
                raise PinUnderflow(pfns, pins, 1, holder)
            zone.own()
            self._count_pins(-1, holder)
            zone.pins[at] = pins - 1
            self._put_one(zone, pfns, at)
            return
        if len(pfns) <= _FEW:
            for pfn in pfns.tolist():
                self.unpin(pfn, holder)
            return
        for zone, part in self._batches(pfns):
            tally = zone.tally(part)
            self._check_held(len(part), holder)
            zone.drop_pins(tally, holder)
            self._count_pins(-len(part), holder)
            self._release(zone, zone.drop_references(tally, part))

    # -- what is known about a frame ------------------------------------------------------------------------

    def set_dirty(self, pfns: int | AnyPfns) -> None:
        """Mark frames dirty: their contents differ from what is on disk.

        Raises:
            UseOfFreedFrame: a frame is free. Of an array, frames before it may be done.
        """
        if isinstance(pfns, int):
            zone, at = self._used(pfns, "marked dirty")
            zone.tags[at] |= DIRTY
            return
        if len(pfns) <= _FEW:
            for pfn in pfns.tolist():
                self.set_dirty(pfn)
            return
        for zone, part in self._batches(pfns):
            at_all = part.astype(np.intp) - zone.start
            zone.own()
            zone.reach(int(at_all.max()) + 1)
            free = zone.references[at_all] == 0
            if free.any():
                raise UseOfFreedFrame(int(part[int(free.argmax())]), "marked dirty")
            zone.tags[at_all] |= np.uint16(DIRTY)

    def is_dirty(self, pfn: int) -> bool:
        """Tell whether a frame was marked dirty since it was allocated."""
        return bool(self._tag(pfn) & DIRTY)

    def clean(self, pfns: AnyPfns) -> NDArray[np.bool_]:
        """Tell for each frame whether it is in use and was not marked dirty, bool, shape as `pfns`."""
        clean = np.zeros(len(pfns), np.bool_)
        for zone in self._zones:
            inside = (pfns >= zone.start) & (pfns < zone.start + len(zone.tags))
            at = pfns[inside].astype(np.intp) - zone.start
            clean[inside] = (zone.references[at] > 0) & (zone.tags[at] & DIRTY == 0)
        return clean

    def references(self, pfn: int) -> int:
        """Return the references of a frame, pins included; 0 when it is free."""
        zone = self._zone(pfn)
        at = zone.position(pfn)
        return int(zone.references[at]) if at >= 0 else 0

    def pins(self, pfn: int) -> int:
        """Return the pins of a frame."""
        zone = self._zone(pfn)
        at = zone.position(pfn)
        return int(zone.pins[at]) if at >= 0 else 0

    def pin_counts(self, pfns: AnyPfns) -> NDArray[np.int32]:
        """Return the pins of each frame, int32, shape (n,), in the order of `pfns`."""
        counts = np.zeros(len(pfns), np.int32)
        for zone in self._zones:
            inside = (pfns >= zone.start) & (pfns < zone.start + len(zone.pins))
            counts[inside] = zone.pins[pfns[inside].astype(np.intp) - zone.start]
        return counts

    def owner(self, pfn: int) -> str | None:
        """Return who allocated a frame, None when it is free."""
        return self._owners[self._tag(pfn) & OWNER]

    def is_free(self, pfn: int) -> bool:
        """Tell whether a frame has no references."""
        return self.references(pfn) == 0

    def has_frame(self, pfn: int) -> bool:
        """Tell whether there is memory at this frame number."""
        return any(zone.start <= pfn < zone.stop for zone in self._zones)

    def backing_shift(self, pfns: AnyPfns | Sequence[int]) -> NDArray[np.uint8]:
        """Return log2 of the page size behind each frame, uint8, shape as `pfns`: base or huge."""
        frames = np.asarray(pfns)
        shifts = np.full(frames.shape, self.page_shift, np.uint8)
        for pool in self._pools.values():
            shifts[(frames >= pool.zone.start) & (frames < pool.zone.stop)] = pool.zone.shift
        return shifts

    def in_cma(self, pfns: AnyPfns) -> NDArray[np.bool_]:
        """Tell for each frame whether it belongs to CMA, bool, shape as `pfns`."""
        inside: NDArray[np.bool_] = (pfns >= self._cma.start) & (pfns < self._cma.stop)
        return inside

    def touch(self, pfn: int, write: bool, by: str) -> None:
        """Let a device or CPU access a frame; a write is remembered for `last_writer`.

        Raises:
            UseOfFreedFrame: the frame is free.
            NoSuchFrame: there is no memory there.
        """
        self._used(pfn, f"{'written' if write else 'read'} by {by}")
        if write:
            self._writers[pfn] = by

    def last_writer(self, pfn: int) -> str | None:
        """Return who wrote a frame last since it was allocated, None when nobody did."""
        return self._writers.get(pfn)

    # -- inside ---------------------------------------------------------------------------------------------

    def _add_pool(self, shift: int, count: int) -> None:
        each = 1 << (shift - self.page_shift)
        zone = Zone(align_up(self._zones[-1].stop, each), count * each, shift)
        self._zones.append(zone)
        self._pools[shift] = HugePool(zone, count, each)

    def _owner_id(self, owner: str) -> int:
        number = self._owner_ids.get(owner)
        if number is None:
            number = self._owner_ids[owner] = len(self._owners)
            if number > OWNER:
                raise ValueError(f"more than {OWNER} different owners of frames")
            self._owners.append(owner)
        return number

    def _zone(self, pfn: int) -> Zone:
        if 256 <= pfn < self._base_stop:
            return self._base
        for zone in self._zones:
            if zone.start <= pfn < zone.stop:
                return zone
        raise NoSuchFrame(pfn)

    def _used(self, pfn: int, use: str) -> tuple[Zone, int]:
        """Return the zone and position of a frame that is in use, ready to be changed."""
        zone = self._zone(pfn)
        at = zone.position(pfn)
        if at < 0 or not zone.references[at]:
            raise UseOfFreedFrame(pfn, use)
        if zone.borrowed:
            zone.own()
        return zone, at

    def _tag(self, pfn: int) -> int:
        """Return owner number and dirty bit of a frame, 0 when it is free."""
        zone = self._zone(pfn)
        at = zone.position(pfn)
        return int(zone.tags[at]) if at >= 0 and zone.references[at] else 0

    def _put_one(self, zone: Zone, pfn: int, at: int) -> None:
        references = zone.references.item(at) if at >= 0 else 0
        if not references:
            raise ReferenceUnderflow(pfn, 0, 1)
        if references <= zone.pins[at]:
            raise FreeOfPinnedFrame(pfn, int(zone.pins[at]), references - 1)
        if zone.borrowed:
            zone.own()
        zone.references[at] = references - 1
        if references == 1:
            self._writers.pop(pfn, None)
            if zone.shift == self.page_shift:
                zone.push_one(pfn)
            else:
                self._pools[zone.shift].release([pfn])

    def _release(self, zone: Zone, freed: AnyPfns | None) -> None:
        """Make frames without references available again."""
        if freed is None:
            return
        if self._writers:
            self._forget_writers(freed)
        if zone.shift == self.page_shift:
            zone.push(freed)
        else:
            self._pools[zone.shift].release(freed.tolist())

    def _forget_writers(self, freed: AnyPfns) -> None:
        if len(freed) < len(self._writers):
            for pfn in freed.tolist():
                self._writers.pop(pfn, None)
            return
        for pfn in [pfn for pfn in self._writers if self.is_free(pfn)]:
            del self._writers[pfn]

    def _check_held(self, count: int, holder: str) -> None:
        held = self.pins_by_holder.get(holder, 0)
        if held < count:
            raise PinUnderflow(-1, held, count, holder)

    def _count_pins(self, change: int, holder: str) -> None:
        if change < 0:
            self._check_held(-change, holder)
        held = self.pins_by_holder.get(holder, 0) + change
        self.pinned_pages += change
        if held:
            self.pins_by_holder[holder] = held
        else:
            del self.pins_by_holder[holder]

    def _batches(self, pfns: Any) -> Iterator[tuple[Zone, AnyPfns]]:
        """Cut an array into batches that each lie in one zone, to bound temporary memory."""
        for at in range(0, len(pfns), _BATCH):
            batch = pfns[at : at + _BATCH]
            low, high = int(batch.min()), int(batch.max())
            zone = self._zone(low)
            if high < zone.stop:
                yield zone, batch
                continue
            self._zone(high)
            for each in self._zones:
                part = batch[(batch >= each.start) & (batch < each.stop)]
                if len(part):
                    yield each, part
