"""Which indirect levels of a TCE table exist: the tree that the bridge walks, without its leaves.

The real thing is a radix tree of pages whose upper entries hold the address of the next level with both
permission bits set. Here a level is only present or not; the TCEs themselves are in `hw.sparse`. Kernels
from v4.19 on install levels when a TCE is first stored below them; how two CPUs race to do so is the
kernel's matter, this module only does what the last store into the upper entry does.
"""

from __future__ import annotations


class LevelMap:
    """The levels below the top of one table, none present at first.

    Levels are named by depth: 1 is just below the top, `levels - 1` holds the TCEs.

    Attributes:
        bits: address bits that one level decodes.
        leaves: numbers (index >> bits) of the lowest levels present; for membership tests only.
    """

    __slots__ = ("_present", "bits", "leaves")

    def __init__(self, bits: int, levels: int) -> None:
        self.bits = bits
        self._present: list[set[int]] = [set() for _ in range(levels - 1)]
        self.leaves: set[int] = self._present[-1]

    def missing_depth(self, index: int) -> int:
        """Return the depth of the first level missing on the walk to `index`, 0 when none is."""
        for depth, present in enumerate(self._present, 1):
            if index >> self._shift(depth) not in present:
                return depth
        return 0

    def install(self, index: int, depth: int) -> tuple[int, int]:
        """Put an empty level at `depth` on the walk to `index`, in place of what is there.

        Returns:
            `(first, count)`: the run of entries that the level covers; what was stored in them through an
            earlier level, and all levels below it, are lost.
        """
        shift = self._shift(depth)
        self._present[depth - 1].add(index >> shift)
        for below in range(depth + 1, len(self._present) + 1):
            rest = shift - self._shift(below)
            lost = [key for key in self._present[below - 1] if key >> rest == index >> shift]
            self._present[below - 1].difference_update(lost)
        return index >> shift << shift, 1 << shift

    def ensure(self, first: int, count: int) -> int:
        """Install every level that entries first..first+count-1 need; return how many were missing."""
        added = 0
        for depth, present in enumerate(self._present, 1):
            shift = self._shift(depth)
            before = len(present)
            present.update(range(first >> shift, ((first + count - 1) >> shift) + 1))
            added += len(present) - before
        return added

    def first_missing(self, first: int, count: int) -> int | None:
        """Return the first entry of a run that has no lowest level, None when all have."""
        for key in range(first >> self.bits, ((first + count - 1) >> self.bits) + 1):
            if key not in self.leaves:
                return max(first, key << self.bits)
        return None

    def _shift(self, depth: int) -> int:
        return self.bits * (len(self._present) + 1 - depth)
