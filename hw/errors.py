"""What the hardware model detects and a real machine would only show as corruption.

Each error means that whoever drove the hardware (the emulated kernel) broke a rule of page counting or of
table access, or asked for more than the machine has. None means that the hardware model itself is wrong.
Every error carries its numbers as attributes and in `args` (so it can be pickled and sent between tasks).
"""

from __future__ import annotations


class HardwareError(Exception):
    """A rule of the emulated hardware was broken; the subclass says which one."""


class PinUnderflow(HardwareError):
    """More pins were dropped from a frame, or by a holder, than are there.

    Attributes:
        pfn: the frame, or -1 when only the holder's count went below zero.
        pins: pins there were.
        dropped: pins that should go.
        holder: name of who drops them.
    """

    def __init__(self, pfn: int, pins: int, dropped: int, holder: str) -> None:
        super().__init__(pfn, pins, dropped, holder)
        self.pfn, self.pins, self.dropped, self.holder = pfn, pins, dropped, holder

    def __str__(self) -> str:
        """Return one line with the numbers."""
        if self.pfn < 0:
            return f"{self.holder} drops {self.dropped} pins but holds {self.pins}"
        return f"frame {self.pfn:#x} has {self.pins} pins, {self.holder} drops {self.dropped}"


class ReferenceUnderflow(HardwareError):
    """More references were dropped from a frame than it has.

    Attributes:
        pfn: the frame.
        references: references there were.
        dropped: references that should go.
    """

    def __init__(self, pfn: int, references: int, dropped: int) -> None:
        super().__init__(pfn, references, dropped)
        self.pfn, self.references, self.dropped = pfn, references, dropped

    def __str__(self) -> str:
        """Return one line with the numbers."""
        return f"frame {self.pfn:#x} has {self.references} references, {self.dropped} dropped"


class FreeOfPinnedFrame(HardwareError):
    """Dropping references would leave a frame with fewer references than pins: a pin would be freed.

    Attributes:
        pfn: the frame.
        pins: pins on it.
        left: references that would be left.
    """

    def __init__(self, pfn: int, pins: int, left: int) -> None:
        super().__init__(pfn, pins, left)
        self.pfn, self.pins, self.left = pfn, pins, left

    def __str__(self) -> str:
        """Return one line with the numbers."""
        return f"frame {self.pfn:#x} would keep {self.left} references under {self.pins} pins"


class UseOfFreedFrame(HardwareError):
    """A free frame was referenced, pinned, read or written.

    Attributes:
        pfn: the frame.
        use: what was done to it, a short verb phrase.
    """

    def __init__(self, pfn: int, use: str) -> None:
        super().__init__(pfn, use)
        self.pfn, self.use = pfn, use

    def __str__(self) -> str:
        """Return one line with the numbers."""
        return f"frame {self.pfn:#x} is free: {self.use}"


class NoSuchFrame(HardwareError):
    """A frame number that no memory of the machine answers to.

    Attributes:
        pfn: the frame number.
    """

    def __init__(self, pfn: int) -> None:
        super().__init__(pfn)
        self.pfn = pfn

    def __str__(self) -> str:
        """Return one line with the number."""
        return f"no memory at frame {self.pfn:#x}"


class OutOfFrames(HardwareError):
    """The machine, or the pool asked, has too few free frames. Nothing was allocated.

    Attributes:
        requested: frames (of the pool's page size) wanted.
        available: frames free.
    """

    def __init__(self, requested: int, available: int) -> None:
        super().__init__(requested, available)
        self.requested, self.available = requested, available

    def __str__(self) -> str:
        """Return one line with the numbers."""
        return f"{self.requested} frames requested, {self.available} free"


class PageAlreadyMapped(HardwareError):
    """A page table entry would be overwritten and the frame behind it forgotten.

    Attributes:
        page: the page number (address >> page shift).
    """

    def __init__(self, page: int) -> None:
        super().__init__(page)
        self.page = page

    def __str__(self) -> str:
        """Return one line with the number."""
        return f"page {self.page:#x} is mapped already"


class EntryOutsideTable(HardwareError):
    """A TCE index (or a run of them) beyond the table: real hardware code would corrupt foreign memory.

    Attributes:
        index: first index asked for.
        count: how many entries.
        entries: entries in the table.
    """

    def __init__(self, index: int, count: int, entries: int) -> None:
        super().__init__(index, count, entries)
        self.index, self.count, self.entries = index, count, entries

    def __str__(self) -> str:
        """Return one line with the numbers."""
        return f"entries {self.index:#x}+{self.count:#x} outside a table of {self.entries:#x}"


class LevelMissing(HardwareError):
    """A TCE (or a userspace address) cannot be stored because an indirect level is not installed.

    Attributes:
        index: the entry.
        view: True when the userspace view's level is meant, False for the hardware table's.
    """

    def __init__(self, index: int, view: bool = False) -> None:
        super().__init__(index, view)
        self.index, self.view = index, view

    def __str__(self) -> str:
        """Return one line with the number."""
        return f"no {'view' if self.view else 'table'} level for entry {self.index:#x}"


class NoView(HardwareError):
    """The table has no userspace view at this time."""

    def __str__(self) -> str:
        """Return one line."""
        return "the table has no userspace view"


class MisalignedAddress(HardwareError):
    """A real address with bits below the IOMMU page was to be put into a TCE.

    Attributes:
        hpa: the address.
        page_shift: the table's page shift.
    """

    def __init__(self, hpa: int, page_shift: int) -> None:
        super().__init__(hpa, page_shift)
        self.hpa, self.page_shift = hpa, page_shift

    def __str__(self) -> str:
        """Return one line with the numbers."""
        return f"address {self.hpa:#x} is not aligned to an IOMMU page of shift {self.page_shift}"


class BadGeometry(HardwareError):
    """No table can be laid out for this window.

    Attributes:
        window_size: bytes asked for.
        page_shift: IOMMU page shift asked for.
        levels: levels asked for.
    """

    def __init__(self, window_size: int, page_shift: int, levels: int) -> None:
        super().__init__(window_size, page_shift, levels)
        self.window_size, self.page_shift, self.levels = window_size, page_shift, levels

    def __str__(self) -> str:
        """Return one line with the numbers."""
        return f"no table: window {self.window_size:#x}, page shift {self.page_shift}, {self.levels} levels"
