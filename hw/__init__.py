"""The hardware of an emulated powerpc machine: memory, page tables, TCE tables, bridges, devices.

Plain synchronous Python and numpy. Nothing here knows of tasks, chance, clocks or logs, and nothing decides
what only a kernel decides: it stores, counts, translates, and says when a rule of the hardware is broken.

From the bottom up:

- `hw.units`: address types and sizes; `hw.errors`: what the hardware detects.
- `hw.sparse`: words of which few are set, the storage of page tables and TCE tables.
- `hw.frames`: a zone of page frames; `hw.hugepages`: pools; `hw.memory`: `PhysicalMemory` over them all.
- `hw.pagetable`: `PageTable`, one address space.
- `hw.geometry`: sizes of TCE tables; `hw.levels`: their indirect levels; `hw.tce`: `TceTable`.
- `hw.eeh`: recovery states as data; `hw.bridge`: `Phb` and `Pe`, windows and the TCE cache.
- `hw.device`: `Device`, which shows the harm that a wrong order does.

Everything pickles, and a copy goes on exactly as the original does.
"""

from __future__ import annotations

from hw.bridge import WINDOW1_START, Pe, Phb
from hw.device import Device, DmaHit, DmaReport
from hw.errors import (
    BadGeometry,
    EntryOutsideTable,
    FreeOfPinnedFrame,
    HardwareError,
    LevelMissing,
    MisalignedAddress,
    NoSuchFrame,
    NoView,
    OutOfFrames,
    PageAlreadyMapped,
    PinUnderflow,
    ReferenceUnderflow,
    UseOfFreedFrame,
)
from hw.geometry import shift_left, table_geometry, table_size_bytes
from hw.memory import PhysicalMemory
from hw.pagetable import PageTable
from hw.tce import BIDIRECTIONAL, NONE, WRITE, Cleared, TceTable
from hw.units import Ua, low_bit_shift

__all__ = [
    "BIDIRECTIONAL",
    "NONE",
    "WINDOW1_START",
    "WRITE",
    "BadGeometry",
    "Cleared",
    "Device",
    "DmaHit",
    "DmaReport",
    "EntryOutsideTable",
    "FreeOfPinnedFrame",
    "HardwareError",
    "LevelMissing",
    "MisalignedAddress",
    "NoSuchFrame",
    "NoView",
    "OutOfFrames",
    "PageAlreadyMapped",
    "PageTable",
    "Pe",
    "Phb",
    "PhysicalMemory",
    "PinUnderflow",
    "ReferenceUnderflow",
    "TceTable",
    "Ua",
    "UseOfFreedFrame",
    "low_bit_shift",
    "shift_left",
    "table_geometry",
    "table_size_bytes",
]
