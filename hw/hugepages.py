"""Pools of huge pages, set aside when the machine starts.

The real thing is hugetlb: physically contiguous, naturally aligned pages that only go back to their pool.
Left out: surplus pages, reservations, per-node pools.
"""

from __future__ import annotations

from hw.frames import Zone


class HugePool:
    """Huge pages of one size: which are free, and how many base frames of each used one are alive.

    Attributes:
        zone: the frames behind the pool.
        free: first frames of free huge pages; the last one is handed out next.
        alive: first frame of a used huge page -> base frames with references.
    """

    __slots__ = ("alive", "free", "pages_each", "zone")

    def __init__(self, zone: Zone, count: int, pages_each: int) -> None:
        self.zone = zone
        self.pages_each = pages_each
        self.free = [zone.start + i * pages_each for i in reversed(range(count))]
        self.alive: dict[int, int] = {}

    def release(self, pfns: list[int]) -> None:
        """Note that base frames lost their last reference; whole huge pages go back to the pool."""
        for pfn in pfns:
            head = pfn & -self.pages_each
            left = self.alive[head] - 1
            if left:
                self.alive[head] = left
            else:
                del self.alive[head]
                self.free.append(head)
