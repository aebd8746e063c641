"""The PCI host bridge: partitionable endpoints, their windows, their TCE cache and their EEH state.

The real thing is a PHB3 (POWER8) or PHB4 (POWER9) as firmware presents it. A PE has two windows: window 0 at
bus address 0, window 1 at 1 << 59 (the second one shares its place with bypass, where bus addresses above
1 << 59 are real addresses). Translations are cached when a device uses them, and a cached one is used until
it is killed, whatever the table says meanwhile: this is how a wrong order of "change entry, drop page, kill"
shows.

Simplified: the cache never evicts, so staleness lasts as long as it can. Absence is not cached. One PE is one
requester. Left out: MSIs, MMIO, P7IOC, error logs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

from hw.eeh import EINVAL, TRANSITIONS, PeState, freeze_state
from hw.memory import PhysicalMemory
from hw.tce import BIDIRECTIONAL, READ, WRITE, TceTable
from hw.units import GIB

WINDOW1_START = 1 << 59
"""Bus address of window 1, and of bypass."""

OPAL_SUCCESS = 0
OPAL_PARAMETER = -1

Generation = Literal["PHB3", "PHB4"]

PAGE_SHIFTS: dict[Generation, tuple[int, ...]] = {"PHB3": (12, 16, 24, 28), "PHB4": (12, 16, 21, 30)}
"""IOMMU page shifts that the bridge's firmware accepts."""


@dataclass(frozen=True, slots=True)
class Phb:
    """One host bridge.

    Attributes:
        index: its number in the machine.
        generation: which hardware.
    """

    index: int
    generation: Generation

    @property
    def page_shifts(self) -> tuple[int, ...]:
        """IOMMU page shifts that the firmware accepts, ascending."""
        return PAGE_SHIFTS[self.generation]


class Translation(NamedTuple):
    """A bus address that translates.

    Attributes:
        hpa: the real address.
        tce: the entry used, as cached; 0 in bypass.
        stale: the table has another entry by now: somebody changed it and has not killed the cache.
    """

    hpa: int
    tce: int
    stale: bool


class Fault(NamedTuple):
    """A bus address that does not translate, or not for this access.

    Attributes:
        ioba: the bus address.
        reason: `frozen`, `no window`, `beyond window`, `no TCE`, `no permission` or `no memory`.
    """

    ioba: int
    reason: str


class Pe:
    """One partitionable endpoint: what the bridge isolates, and what becomes an IOMMU group.

    Args:
        number: PE number.
        phb: its bridge.
        memory: the machine's memory.
        dma32_size: bus bytes below the 32-bit MMIO area, what window 0 may span.

    Attributes:
        windows: the table of each window, None when it is not set.
        bypass: whether bus addresses from 1 << 59 on are real addresses.
        state: EEH state, see `hw.eeh`.

    Kernel: arch/powerpc/platforms/powernv/pci.h, struct pnv_ioda_pe
    """

    __slots__ = ("_cache", "bypass", "dma32_size", "memory", "number", "phb", "state", "windows")

    def __init__(self, number: int, phb: Phb, memory: PhysicalMemory, dma32_size: int = 2 * GIB) -> None:
        self.number = number
        self.phb = phb
        self.memory = memory
        self.dma32_size = dma32_size
        self.windows: list[TceTable | None] = [None, None]
        self.bypass = False
        self.state = PeState.NORMAL
        # One dictionary a window: entry index -> TCE as the device saw it.
        self._cache: tuple[dict[int, int], dict[int, int]] = ({}, {})

    def window_start(self, num: int) -> int:
        """Return the bus address at which a window begins; the slot decides it, not the caller."""
        return WINDOW1_START if num else 0

    def set_window(self, num: int, table: TceTable) -> int:
        """Point a window at a table and invalidate the PE.

        Returns:
            0, or -1 (OPAL_PARAMETER) when the bridge refuses the table's page size; then nothing changed.

        Kernel: arch/powerpc/platforms/powernv/pci-ioda.c, pnv_pci_ioda2_set_window
        """
        if table.it_page_shift not in self.phb.page_shifts:
            return OPAL_PARAMETER
        self.windows[num] = table
        self.kill_all()
        return OPAL_SUCCESS

    def unset_window(self, num: int) -> int:
        """Take a window away, set or not, and invalidate the PE; returns 0.

        Kernel: arch/powerpc/platforms/powernv/pci-ioda.c, pnv_pci_ioda2_unset_window
        """
        self.windows[num] = None
        self.kill_all()
        return OPAL_SUCCESS

    def kill(self, table: TceTable, index: int, count: int) -> None:
        """Forget cached translations of entries index..index+count-1 of a table, in any window it is in."""
        for window, cache in zip(self.windows, self._cache, strict=True):
            if window is not table or not cache:
                continue
            if count > len(cache):
                for entry in [entry for entry in cache if index <= entry < index + count]:
                    del cache[entry]
            else:
                for entry in range(index, index + count):
                    cache.pop(entry, None)

    def kill_all(self) -> None:
        """Forget every cached translation of the PE."""
        for cache in self._cache:
            cache.clear()

    @property
    def cached(self) -> list[tuple[int, int, int]]:
        """Return `(window, entry index, TCE)` of every cached translation, oldest first in each window."""
        return [(num, *item) for num, cache in enumerate(self._cache) for item in cache.items()]

    def entry_of(self, ioba: int) -> tuple[TceTable, int] | None:
        """Return table and index of the entry that translates a bus address, None without one."""
        num = 1 if ioba >= WINDOW1_START else 0
        table = self.windows[num]
        if table is None or (num and self.bypass):
            return None
        index = (ioba - self.window_start(num)) >> table.it_page_shift
        return (table, index) if 0 <= index < table.it_size else None

    def translate(self, ioba: int, write: bool) -> Translation | Fault:
        """Translate a bus address for one access and cache the entry used.

        Args:
            ioba: bus address.
            write: the device writes memory; otherwise it reads.

        Returns:
            The real address, or why there is none. A fault does not freeze the PE here: the device's access
            does (`hw.device`).
        """
        if self.state is not PeState.NORMAL:
            return Fault(ioba, "frozen")
        num = 1 if ioba >= WINDOW1_START else 0
        if num and self.bypass:
            return Translation(ioba - WINDOW1_START, 0, False)
        table = self.windows[num]
        if table is None:
            return Fault(ioba, "no window")
        index = (ioba - self.window_start(num)) >> table.it_page_shift
        if not 0 <= index < table.it_size:
            return Fault(ioba, "beyond window")
        now = table.raw(index)
        tce = self._cache[num].get(index, now)
        if not tce & BIDIRECTIONAL:
            return Fault(ioba, "no TCE")
        if not tce & (WRITE if write else READ):
            return Fault(ioba, "no permission")
        self._cache[num][index] = tce
        offset = ioba & ((1 << table.it_page_shift) - 1)
        return Translation((tce & ~BIDIRECTIONAL) + offset, tce, tce != now)

    def freeze(self) -> None:
        """Isolate the PE after a fault: no DMA and no MMIO until it is recovered."""
        self.state = freeze_state(self.state)

    def eeh(self, op: int) -> int:
        """Do one EEH operation.

        Args:
            op: VFIO_EEH_PE_* number, any integer.

        Returns:
            0, the state number for GET_STATE, -EIO for error injection, -EINVAL for an unknown operation.
        """
        step = TRANSITIONS[self.state].get(op)
        if step is None:
            return -EINVAL
        self.state, result = step
        return result
