"""TCE tables: what the bridge reads to turn a bus address into a real address.

The real thing is one to five levels of pages full of 64-bit big-endian entries in RAM: bit 0 lets a device
read, bit 1 lets it write, the rest is the real address of one IOMMU page; zero means no access. Beside it
lies the kernel's userspace view, one userspace address for each entry.

Every entry argument is an index inside the table, 0 to it_size - 1; the kernel's absolute entry number is
`it_offset` more. There is a scalar path (`get`, `xchg`, `ua`, `set_ua`) for kernels that act entry by entry
and a vector path (`store`, `set_uas`, `clear`) that ends in the same state.

Simplified: an entry changes in one step, so torn and reordered stores are not shown; the bridge's cache,
where staleness is visible, is in `hw.bridge`. The byte order of entries and of the view is not modelled:
nothing reads them as bytes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hw.errors import EntryOutsideTable, LevelMissing, MisalignedAddress
from hw.geometry import TableGeometry
from hw.leveled import LeveledTable

TCE_PCI_READ = 1
TCE_PCI_WRITE = 2

NONE = 0
READ = TCE_PCI_READ
WRITE = TCE_PCI_WRITE
BIDIRECTIONAL = READ | WRITE

_PERM = np.uint64(BIDIRECTIONAL)
_ADDRESS = np.uint64(~BIDIRECTIONAL & ((1 << 64) - 1))


class Cleared(NamedTuple):
    """What `TceTable.clear` took out, only entries that were there, ascending.

    Attributes:
        indices: int64, shape (n,).
        hpas: real addresses, uint64, shape (n,).
        perms: permissions as read back, uint8, shape (n,).
        uas: userspace addresses, uint64, shape (n,); zeros when the table has no view.
    """

    indices: NDArray[np.int64]
    hpas: NDArray[np.uint64]
    perms: NDArray[np.uint8]
    uas: NDArray[np.uint64]


_NOTHING = Cleared(
    np.empty(0, np.int64), np.empty(0, np.uint64), np.empty(0, np.uint8), np.empty(0, np.uint64)
)


class LiveEntries(NamedTuple):
    """A piece of a table's live entries, ascending.

    Attributes:
        indices: int64, shape (n,).
        tces: raw entries, uint64, shape (n,).
        uas: userspace addresses, uint64, shape (n,); zeros where there is no view.
    """

    indices: NDArray[np.int64]
    tces: NDArray[np.uint64]
    uas: NDArray[np.uint64]


def tce_bits(perm: int) -> int:
    """Return the low bits that a permission is stored with: the hardware wants READ beside WRITE."""
    return BIDIRECTIONAL if perm & WRITE else perm & READ


class TceTable(LeveledTable):
    """One table, empty at first.

    Args:
        geometry, page_shift, on_demand, with_view: as for `LeveledTable`.
        bus_offset: first IOMMU page number on the bus.
        allocated_bytes: what the table was charged with, kept for the kernel.

    Attributes:
        it_offset: first IOMMU page number on the bus.
        it_allocated_size: bytes, as given.
        name: how whoever made it calls it; "" for a table without a name.

    Kernel: arch/powerpc/include/asm/iommu.h, struct iommu_table
    """

    __slots__ = ("_page_mask", "it_allocated_size", "it_offset", "name")

    def __init__(
        self,
        geometry: TableGeometry,
        page_shift: int,
        bus_offset: int,
        on_demand: bool,
        with_view: bool,
        allocated_bytes: int,
    ) -> None:
        super().__init__(geometry, page_shift, on_demand, with_view)
        self.name = ""
        self.it_offset = bus_offset
        self.it_allocated_size = allocated_bytes
        self._page_mask = (1 << page_shift) - 1

    # -- one entry ----------------------------------------------------------------------------------------

    def raw(self, index: int) -> int:
        """Return the entry as the bridge reads it: address and permission bits, 0 when empty.

        Raises:
            EntryOutsideTable: the index is beyond the table.
        """
        if not 0 <= index < self.it_size:
            raise EntryOutsideTable(index, 1, self.it_size)
        return self._tces.get(index)

    def get(self, index: int) -> tuple[int, int]:
        """Return `(hpa, perm)` of an entry, `(0, NONE)` when it is empty or its level is missing.

        Raises:
            EntryOutsideTable: the index is beyond the table.
        """
        tce = self.raw(index)
        return tce & ~BIDIRECTIONAL, tce & BIDIRECTIONAL

    def xchg(self, index: int, hpa: int, perm: int) -> tuple[int, int]:
        """Replace an entry and return the old `(hpa, perm)`.

        WRITE is stored with READ and so reads back as BIDIRECTIONAL; NONE stores zero whatever `hpa` is.
        Clearing below a missing level changes nothing and returns `(0, NONE)`. No cache is killed.

        Raises:
            EntryOutsideTable: the index is beyond the table.
            LevelMissing: a permission was to be stored below a missing level; nothing changed.
            MisalignedAddress: `hpa` has bits below the IOMMU page; nothing changed.

        Kernel: arch/powerpc/platforms/powernv/pci-ioda-tce.c, pnv_tce_xchg
        """
        if not 0 <= index < self.it_size:
            raise EntryOutsideTable(index, 1, self.it_size)
        tce = 0
        if perm:
            if hpa & self._page_mask:
                raise MisalignedAddress(hpa, self.it_page_shift)
            levels = self._levels
            if levels is not None and index >> levels.bits not in levels.leaves:
                raise LevelMissing(index)
            tce = hpa | (BIDIRECTIONAL if perm & WRITE else READ)
        old = self._tces.swap(index, tce)
        return old & ~BIDIRECTIONAL, old & BIDIRECTIONAL

    # -- runs of entries ----------------------------------------------------------------------------------

    def store(
        self, index: int, hpas: NDArray[np.uint64], perm: int
    ) -> tuple[NDArray[np.uint64], NDArray[np.uint8]] | None:
        """Store a run of entries, as `xchg` one by one would.

        Args:
            index: the first entry.
            hpas: real addresses, uint64, shape (n,).
            perm: permission of all of them, not NONE.

        Returns:
            None when every old entry was empty, the usual case; else old `(hpas, perms)`, each shape (n,).

        Raises:
            EntryOutsideTable, LevelMissing, MisalignedAddress: as `xchg`; nothing changed.
            ValueError: `perm` is NONE; clearing is `clear`.
        """
        count = len(hpas)
        self.check_run(index, count)
        if not perm:
            raise ValueError("a run is cleared with clear()")
        if count and int(np.bitwise_or.reduce(hpas)) & self._page_mask:
            bad = (hpas & np.uint64(self._page_mask)) != 0
            raise MisalignedAddress(int(hpas[int(bad.argmax())]), self.it_page_shift)
        self._check_levels(self._levels, index, count, view=False)
        old = self._tces.fill(index, hpas, tce_bits(perm))
        if old is None:
            return None
        return old & _ADDRESS, (old & _PERM).astype(np.uint8)

    def clear(self, index: int, count: int) -> Cleared:
        """Empty a run of entries and their userspace addresses; costs what is mapped, not `count`.

        Returns:
            What was there. A userspace address without a TCE is left alone.

        Raises:
            EntryOutsideTable: the run goes beyond the table; nothing changed.
        """
        self.check_run(index, count)
        if count == 1:
            return self._clear_one(index)
        indices: list[NDArray[Any]] = [np.empty(0, np.int64)]
        tces: list[NDArray[Any]] = [np.empty(0, np.uint64)]
        uas: list[NDArray[Any]] = [np.empty(0, np.uint64)]
        for at, words in self._tces.take(index, count):
            indices.append(at)
            tces.append(words)
            if self._view is not None:
                uas.append(self._view.take_at(at))
        taken = np.concatenate(tces)
        perms = (taken & _PERM).astype(np.uint8)
        np.bitwise_and(taken, _ADDRESS, out=taken)
        views = np.zeros(len(taken), np.uint64) if self._view is None else np.concatenate(uas)
        return Cleared(np.concatenate(indices), taken, perms, views)

    def _clear_one(self, index: int) -> Cleared:
        """Empty one entry: what most calls ask for, and cheaper without arrays in between."""
        tce = self._tces.get(index)
        if not tce:
            return _NOTHING
        self._tces.swap(index, 0)
        ua = 0 if self._view is None else self._view.swap(index, 0)
        return Cleared(
            np.array([index]), np.array([tce & ~BIDIRECTIONAL], np.uint64),
            np.array([tce & BIDIRECTIONAL], np.uint8), np.array([ua], np.uint64),
        )  # fmt: skip

    def next_present(self, index: int, end: int) -> int | None:
        """Return the first entry in index..end-1 that is not empty, None when there is none."""
        return self._tces.next_set(index, min(end, self.it_size))

    @property
    def live_count(self) -> int:
        """Entries that are not empty."""
        return self._tces.count

    @property
    def changes(self) -> tuple[int, int]:
        """A mark of the contents: the same mark, the same entries and userspace addresses."""
        return self._tces.changes, -1 if self._view is None else self._view.changes

    def live(self) -> Iterator[LiveEntries]:
        """Yield the entries that are not empty, ascending, in pieces; the table must not change meanwhile."""
        for indices, tces in self._tces.pieces(0, self.it_size):
            view = self._view
            uas = np.zeros(len(tces), np.uint64) if view is None else view.gather(indices)
            yield LiveEntries(indices, tces, uas)
