"""How large a TCE table is: entries, levels, and the bytes that creating it costs.

The real thing is arithmetic in the platform code that lays TCE tables out in memory for IODA2 (POWER8 and
later). Left out, because they are decisions of a kernel and not of the layout: the limit on address bits,
the limit on one contiguous allocation, and the comparison of a window with the size of RAM. `TableGeometry`
has the numbers those decisions need.
"""

from __future__ import annotations

from dataclasses import dataclass

from hw.errors import BadGeometry
from hw.units import align_up, is_power_of_two

MAX_LEVELS = 5
"""Most levels the hardware walks: POWERNV_IOMMU_MAX_LEVELS."""

TCE_BYTES = 8
TCE_SHIFT = 3
_SMALLEST_TABLE_BYTES = 4096


@dataclass(frozen=True, slots=True)
class TableGeometry:
    """Shape of one TCE table.

    Attributes:
        entries: TCEs in the table (the kernel's it_size); follows the allocation, so never below one kernel
            page of TCEs even when the window is smaller.
        level_entries: entries of one level (it_level_size), a power of two.
        levels: 1 (direct) to 5.
        level_shift: log2 of the bytes of one level.
        page_shift: log2 of the IOMMU page.
        address_bits: bus address bits that the levels and the page decode together.
    """

    entries: int
    level_entries: int
    levels: int
    level_shift: int
    page_shift: int
    address_bits: int

    @property
    def largest_level_bytes(self) -> int:
        """Bytes of the largest physically contiguous piece: one level."""
        return 1 << self.level_shift


def is_valid_table(page_shift: int, window_size: int, levels: int) -> bool:
    """Tell whether a window of `window_size` bytes can have a table at all."""
    if not 1 <= levels <= MAX_LEVELS or page_shift < 0:
        return False
    return is_power_of_two(window_size) and window_size >> page_shift > 0


def _level_shift(page_size: int, entries_shift: int, levels: int) -> int:
    """Return log2 of the bytes of one level: entries shared evenly, at least one kernel page."""
    share = (entries_shift + levels - 1) // levels
    return max(share + TCE_SHIFT, page_size.bit_length() - 1)


def table_geometry(page_size: int, page_shift: int, window_size: int, levels: int) -> TableGeometry:
    """Lay out a table.

    Args:
        page_size: kernel page in bytes, the smallest piece a level can be.
        page_shift: log2 of the IOMMU page.
        window_size: bus bytes to translate, a power of two.
        levels: 1 to 5.

    Returns:
        The shape; nothing is allocated.

    Raises:
        BadGeometry: levels 0 or above 5, or a window that is no power of two or below one IOMMU page.

    Kernel: arch/powerpc/platforms/powernv/pci-ioda-tce.c, pnv_pci_ioda2_table_alloc_pages
    """
    if not is_valid_table(page_shift, window_size, levels):
        raise BadGeometry(window_size, page_shift, levels)
    entries_shift = window_size.bit_length() - 1 - page_shift
    level_shift = _level_shift(page_size, entries_shift, levels)
    return TableGeometry(
        entries=max(1 << entries_shift, page_size // TCE_BYTES),
        level_entries=1 << (level_shift - TCE_SHIFT),
        levels=levels,
        level_shift=level_shift,
        page_shift=page_shift,
        address_bits=(level_shift - TCE_SHIFT) * levels + page_shift,
    )


def table_size_bytes(
    page_size: int,
    page_shift: int,
    window_size: int,
    levels: int,
    *,
    doubled: bool,
    rounded_to_level_min: bool,
) -> int:
    """Return the bytes that a table is charged with, 0 when there can be no such table.

    Args:
        page_size: kernel page in bytes.
        page_shift: log2 of the IOMMU page.
        window_size: bus bytes to translate.
        levels: 1 to 5.
        doubled: count the userspace view as well (v4.19 and later); it has the table's shape.
        rounded_to_level_min: every level takes at least one level's bytes (v4.19 and later). Without it
            levels above a table smaller than one level cost nothing, though they are allocated.

    Returns:
        Bytes, a multiple of `page_size`; 0 for levels 0 or above 5, a window that is no power of two or
        below one IOMMU page. With `doubled` False and `rounded_to_level_min` True it is what allocating all
        levels up front really takes.

    Kernel: arch/powerpc/platforms/powernv/pci-ioda-tce.c, pnv_pci_ioda2_get_table_size
    """
    if not is_valid_table(page_shift, window_size, levels):
        return 0
    entries_shift = window_size.bit_length() - 1 - page_shift
    level_bytes = 1 << _level_shift(page_size, entries_shift, levels)
    table_bytes = max(_SMALLEST_TABLE_BYTES, TCE_BYTES << entries_shift)
    total = 0
    for _ in range(levels):
        total += align_up(table_bytes, level_bytes)
        table_bytes = table_bytes // level_bytes * TCE_BYTES
        if rounded_to_level_min:
            table_bytes = max(table_bytes, level_bytes)
        else:
            table_bytes = align_up(table_bytes, level_bytes)
    return total * 2 if doubled else total
