"""Physical memory: page frames are taken, referenced, pinned, written to, and given back.

The real thing is RAM under the kernel's page allocator and the pinning of user pages. A pin is a reference
that also says "a device may use this frame"; here it is counted by holder, so that a forgotten pin has a
name, and the rules that a real kernel breaks silently are checked: no more pins dropped than taken, no
reference dropped that a pin needs, no use of a free frame.

Simplified: huge pages keep references and pins for each base page instead of for the whole, so that the
same checks hold inside them; the page returns to its pool when the last of them goes. Memory is not moved,
swapped or reclaimed, and contents of frames are not kept.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from hw.errors import (
    FreeOfPinnedFrame,
    OutOfFrames,
    PinUnderflow,
    ReferenceUnderflow,
    UseOfFreedFrame,
)
from hw.frames import DIRTY, AnyPfns, Zone
from hw.ram import NO_POOLS, Ram
from hw.units import Pfn

_FEW = 24


class PhysicalMemory(Ram):
    """All memory of one machine, free at first.

    Args:
        size_bytes, page_size, hugepages, cma_bytes: as for `Ram`.

    Attributes:
        pinned_pages: sum of the pins of all frames.
        pins_by_holder: holder -> pins; a holder without pins is not in it.
        on_allocate: called with frames that are handed out, uint32, shape (n,); None when nobody asks.

    Kernel: include/linux/mm.h and mm/gup.c for references and pins, mm/hugetlb.c for the pools
    """

    __slots__ = ("on_allocate", "pinned_pages", "pins_by_holder")

    def __init__(
        self, size_bytes: int, page_size: int, hugepages: Mapping[int, int] = NO_POOLS, cma_bytes: int = 0
    ) -> None:
        super().__init__(size_bytes, page_size, hugepages, cma_bytes)
        self.pinned_pages = 0
        self.pins_by_holder: dict[str, int] = {}
        self.on_allocate: Callable[[NDArray[np.uint32]], None] | None = None

    # -- allocation ---------------------------------------------------------------------------------------

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
        pfns = (self._cma if cma else self._base).take(count, self._owner_id(owner))
        if self.on_allocate is not None:
            self.on_allocate(pfns)
        return pfns

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
        if self.on_allocate is not None:
            self.on_allocate(np.arange(pfn, pfn + pool.pages_each, dtype=np.uint32))
        return Pfn(pfn)

    # -- references and pins ------------------------------------------------------------------------------

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

    # -- use ----------------------------------------------------------------------------------------------

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

    # -- inside -------------------------------------------------------------------------------------------

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
            if zone.shift == self.page_shift:
                zone.push_one(pfn)
            else:
                self._pools[zone.shift].release([pfn])

    def _release(self, zone: Zone, freed: AnyPfns | None) -> None:
        """Make frames without references available again."""
        if freed is None:
            return
        if zone.shift == self.page_shift:
            zone.push(freed)
        else:
            self._pools[zone.shift].release(freed.tolist())

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
