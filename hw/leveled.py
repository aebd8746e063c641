"""A table of one to five levels, of which lower ones may be missing, with a userspace view beside it.

The real thing is a tree of pages that the bridge walks. The kernel's userspace view has the same shape, and
one userspace address for each entry.
"""

from __future__ import annotations

import numpy as np

from hw.errors import EntryOutsideTable, LevelMissing, NoView
from hw.geometry import TableGeometry
from hw.levels import LevelMap
from hw.sparse import SparseWords


class LeveledTable:
    """The shape of one table, its words, and its userspace view; every word is 0 at first.

    Args:
        geometry: its shape.
        page_shift: log2 of the IOMMU page.
        on_demand: lower levels are installed one by one (`install_level`); otherwise all are there.
        with_view: a userspace view of the same shape comes with the table.

    Attributes:
        it_size: entries.
        it_page_shift: log2 of the IOMMU page.
        it_level_size: entries of one level.
        it_indirect_levels: levels above the lowest.
    """

    __slots__ = (
        "_levels", "_tces", "_view", "_view_levels", "geometry", "it_indirect_levels", "it_level_size",
        "it_page_shift", "it_size", "on_demand",
    )  # fmt: skip

    def __init__(self, geometry: TableGeometry, page_shift: int, on_demand: bool, with_view: bool) -> None:
        self.geometry = geometry
        self.it_page_shift = page_shift
        self.it_size = geometry.entries
        self.it_level_size = geometry.level_entries
        self.it_indirect_levels = geometry.levels - 1
        self.on_demand = on_demand and geometry.levels > 1
        self._tces = SparseWords(np.uint64)
        self._levels = self._new_level_map()
        self._view: SparseWords | None = None
        self._view_levels: LevelMap | None = None
        if with_view:
            self.allocate_view()

    # -- the table itself ---------------------------------------------------------------------------------

    def check_run(self, index: int, count: int) -> None:
        """Have the hardware notice a run of entries that is not all inside the table.

        Raises:
            EntryOutsideTable: the run begins before the table, or ends behind it.
        """
        if index < 0 or count < 0 or index + count > self.it_size:
            raise EntryOutsideTable(index, count, self.it_size)

    # -- the userspace view -------------------------------------------------------------------------------

    @property
    def has_view(self) -> bool:
        """Whether there is a userspace view."""
        return self._view is not None

    def allocate_view(self) -> None:
        """Give the table an empty userspace view, dropping an older one with its contents."""
        self._view = SparseWords(np.uint64)
        self._view_levels = self._new_level_map()

    def drop_view(self) -> None:
        """Take the userspace view away with its contents."""
        self._view = self._view_levels = None

    def ua(self, index: int) -> int:
        """Return the userspace address kept for an entry, 0 when none is (or its view level is missing).

        Raises:
            EntryOutsideTable: the index is beyond the table.
            NoView: the table has no view.
        """
        if not 0 <= index < self.it_size:
            raise EntryOutsideTable(index, 1, self.it_size)
        if self._view is None:
            raise NoView
        return self._view.get(index)

    def set_ua(self, index: int, ua: int) -> None:
        """Keep a userspace address for an entry; 0 forgets it.

        Raises:
            EntryOutsideTable: the index is beyond the table.
            LevelMissing: the view's level is missing.
            NoView: the table has no view.
        """
        if not 0 <= index < self.it_size:
            raise EntryOutsideTable(index, 1, self.it_size)
        if self._view is None:
            raise NoView
        levels = self._view_levels
        if levels is not None and index >> levels.bits not in levels.leaves:
            raise LevelMissing(index, view=True)
        self._view.swap(index, ua)

    def set_uas(self, index: int, first_ua: int, count: int) -> None:
        """Keep consecutive userspace addresses, one IOMMU page apart, for a run of entries.

        Raises:
            EntryOutsideTable, LevelMissing, NoView: as `set_ua`; nothing changed.
        """
        self.check_run(index, count)
        if self._view is None:
            raise NoView
        self._check_levels(self._view_levels, index, count, view=True)
        self._view.ramp(index, count, first_ua, 1 << self.it_page_shift)

    @property
    def view_count(self) -> int:
        """Userspace addresses that are kept and not 0."""
        return 0 if self._view is None else self._view.count

    # -- levels -------------------------------------------------------------------------------------------

    def view_level_present(self, index: int) -> bool:
        """Tell whether every level of the view on the walk to an entry is installed."""
        return self._view_levels is None or index >> self._view_levels.bits in self._view_levels.leaves

    def missing_depth(self, index: int, view: bool = False) -> int:
        """Return the depth of the first missing level on the walk to an entry, 0 when none is.

        Depth 1 is just below the top level; the lowest level has depth `it_indirect_levels`.
        """
        levels = self._view_levels if view else self._levels
        return 0 if levels is None else levels.missing_depth(index)

    def install_level(self, index: int, depth: int) -> int:
        """Store a fresh, empty level into the walk to an entry, over whatever is there.

        Args:
            index: an entry below the level.
            depth: where. A CPU that saw the slot empty, and was overtaken, passes the depth it saw.

        Returns:
            How many TCEs were lost with the level that had been there.

        Kernel: arch/powerpc/platforms/powernv/pci-ioda-tce.c, pnv_tce
        """
        if self._levels is None:
            raise ValueError("all levels of this table are there from the start")
        return self._tces.wipe(*self._levels.install(index, depth))

    def install_view_level(self, index: int, depth: int) -> int:
        """Store a fresh level into the view; as `install_level`, returns how many addresses were lost."""
        if self._view is None:
            raise NoView
        if self._view_levels is None:
            raise ValueError("all levels of this view are there from the start")
        return self._view.wipe(*self._view_levels.install(index, depth))

    def ensure_levels(self, index: int, count: int) -> int:
        """Install every missing level, of the table and of its view, under a run of entries.

        Returns:
            How many levels were installed, so that the caller can account for their memory.

        Raises:
            EntryOutsideTable: the run goes beyond the table; nothing changed.
        """
        self.check_run(index, count)
        both = (self._levels, self._view_levels)
        return sum(levels.ensure(index, count) for levels in both if levels is not None) if count else 0

    # -- inside -------------------------------------------------------------------------------------------

    def _new_level_map(self) -> LevelMap | None:
        if not self.on_demand:
            return None
        return LevelMap(self.it_level_size.bit_length() - 1, self.it_indirect_levels + 1)

    @staticmethod
    def _check_levels(levels: LevelMap | None, index: int, count: int, view: bool) -> None:
        if levels is not None and count:
            missing = levels.first_missing(index, count)
            if missing is not None:
                raise LevelMissing(missing, view)
