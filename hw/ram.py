"""What frames a machine has, and what is known about each: zones, huge page pools, CMA.

Frame numbers start at 256 (the block below holds the kernel itself): base pages first, then CMA, then
the huge page pools, each naturally aligned.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hw.errors import NoSuchFrame, UseOfFreedFrame
from hw.frames import DIRTY, OWNER, AnyPfns, Zone
from hw.hugepages import HugePool
from hw.units import align_up, is_power_of_two

MAX_PFN_BITS = 29
"""Frame numbers fit a packed page table entry beside its three flag bits."""

_BATCH = 1 << 16
NO_POOLS: Mapping[int, int] = MappingProxyType({})


class Ram:
    """The frames of one machine, free at first.

    Args:
        size_bytes: RAM, pools and CMA included.
        page_size: base page in bytes, a power of two.
        hugepages: page shift -> huge pages set aside in that pool.
        cma_bytes: part of RAM that belongs to the contiguous memory allocator.

    Attributes:
        page_size: base page in bytes.
        page_shift: log2 of it.
        size_bytes: RAM.

    Raises:
        ValueError: sizes that do not fit together.
    """

    __slots__ = (
        "_base", "_base_stop", "_cma", "_owner_ids", "_owners", "_pools", "_zones", "page_shift",
        "page_size", "size_bytes",
    )  # fmt: skip

    def __init__(
        self, size_bytes: int, page_size: int, hugepages: Mapping[int, int] = NO_POOLS, cma_bytes: int = 0
    ) -> None:
        if not is_power_of_two(page_size) or page_size < 4096:
            raise ValueError(f"page size {page_size} is not a power of two of at least 4096")
        self.page_size = page_size
        self.page_shift = page_size.bit_length() - 1
        self.size_bytes = size_bytes
        self._owners: list[str | None] = [None]
        self._owner_ids: dict[str, int] = {}
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

    def _add_pool(self, shift: int, count: int) -> None:
        each = 1 << (shift - self.page_shift)
        zone = Zone(align_up(self._zones[-1].stop, each), count * each, shift)
        self._zones.append(zone)
        self._pools[shift] = HugePool(zone, count, each)

    # -- what there is ------------------------------------------------------------------------------------

    @property
    def free_bytes(self) -> int:
        """Bytes of base pages that can be allocated, CMA included, huge page pools not: MemFree."""
        return self._base.free_count + self._cma.free_count << self.page_shift

    def huge_free(self, shift: int) -> int:
        """Return how many huge pages of that size are free in their pool."""
        pool = self._pools.get(shift)
        return 0 if pool is None else len(pool.free)

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

    # -- what is known about a frame ----------------------------------------------------------------------

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

    def is_free(self, pfn: int) -> bool:
        """Tell whether a frame has no references."""
        return self.references(pfn) == 0

    def owner(self, pfn: int) -> str | None:
        """Return who allocated a frame, None when it is free."""
        zone = self._zone(pfn)
        at = zone.position(pfn)
        return self._owners[zone.tags[at] & OWNER] if at >= 0 and zone.references[at] else None

    def clean(self, pfns: AnyPfns) -> NDArray[np.bool_]:
        """Tell for each frame whether it is in use and was not marked dirty, bool, shape as `pfns`."""
        clean = np.zeros(len(pfns), np.bool_)
        for zone in self._zones:
            inside = (pfns >= zone.start) & (pfns < zone.start + len(zone.tags))
            at = pfns[inside].astype(np.intp) - zone.start
            clean[inside] = (zone.references[at] > 0) & (zone.tags[at] & DIRTY == 0)
        return clean

    # -- inside -------------------------------------------------------------------------------------------

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
