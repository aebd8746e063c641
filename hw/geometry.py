"""How large a TCE table is: entries, levels, and the bytes that creating it costs.

The real thing is arithmetic in the platform code that lays TCE tables out in memory for IODA2 (POWER8 and
later). Left out, because they are decisions of a kernel and not of the layout: the limit on address bits,
the limit on one contiguous allocation, and the comparison of a window with the size of RAM. `TableGeometry`
has the numbers those decisions need.

Logarithms have 32 bits and sizes 64, both unsigned, as there, so that windows smaller than one IOMMU page
come out as there: what is smaller by little has the smallest table, the rest depends on the number of levels.
"""

from __future__ import annotations

from dataclasses import dataclass

from hw.errors import BadGeometry
from hw.units import U64, align_up, is_power_of_two

MAX_LEVELS = 5
"""Most levels the hardware walks: POWERNV_IOMMU_MAX_LEVELS."""

TCE_BYTES = 8
TCE_SHIFT = 3
_SMALLEST_TABLE_BYTES = 4096
_U32 = (1 << 32) - 1
_COUNT = 127


@dataclass(frozen=True, slots=True)
class TableGeometry:
    """Shape of one TCE table.

    Attributes:
        entries: TCEs in the table (the kernel's it_size); follows the allocation, so never below one kernel
            page of TCEs even when the window is smaller. 0 where the size of the table overflows.
        levels: 1 (direct) to 5.
        level_shift: log2 of the bytes of one level, the largest physically contiguous piece; up to 32 bits.
        page_shift: log2 of the IOMMU page.
        address_bits: bus address bits that the levels and the page decode together.
    """

    entries: int
    levels: int
    level_shift: int
    page_shift: int
    address_bits: int

    @property
    def level_entries(self) -> int:
        """Entries of one level (it_level_size), a power of two.

        Only for a level that can be allocated: the number has as many bits as `level_shift` says.
        """
        return 1 << (self.level_shift - TCE_SHIFT)


def shift_left(value: int, count: int) -> int:
    """Shift a 64-bit register left: the processor uses seven bits of the count, and 64 or more leave nothing.

    Source: Power ISA, Shift Left Doubleword
    """
    count &= _COUNT
    return value << count & U64 if count < 64 else 0


def is_valid_table(window_size: int, levels: int) -> bool:
    """Tell whether a window of `window_size` bytes can have a table at all."""
    return 1 <= levels <= MAX_LEVELS and is_power_of_two(window_size)


def _shifts(page_size: int, page_shift: int, window_size: int, levels: int) -> tuple[int, int, int]:
    """Return log2 of a kernel page, of the bytes of all TCEs, and of an even share for each level.

    The last two are not raised to the kernel page yet.
    """
    entries_shift = window_size.bit_length() - 1 - page_shift & _U32
    share = (entries_shift + levels - 1 & _U32) // levels
    return page_size.bit_length() - 1, entries_shift + TCE_SHIFT & _U32, share + TCE_SHIFT & _U32


def table_geometry(page_size: int, page_shift: int, window_size: int, levels: int) -> TableGeometry:
    """Lay out a table.

    Args:
        page_size: kernel page in bytes, the smallest piece a level can be.
        page_shift: log2 of the IOMMU page, any 32-bit number.
        window_size: bus bytes to translate, a power of two.
        levels: 1 to 5.

    Returns:
        The shape; nothing is allocated.

    Raises:
        BadGeometry: levels 0 or above 5, or a window that is no power of two.

    Kernel: arch/powerpc/platforms/powernv/pci-ioda-tce.c, pnv_pci_ioda2_table_alloc_pages
    """
    if not is_valid_table(window_size, levels):
        raise BadGeometry(window_size, page_shift, levels)
    smallest, table_shift, level_shift = _shifts(page_size, page_shift, window_size, levels)
    level_shift = max(level_shift, smallest)
    return TableGeometry(
        entries=shift_left(1, max(table_shift, smallest)) // TCE_BYTES,
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
        page_shift: log2 of the IOMMU page, any 32-bit number.
        window_size: bus bytes to translate.
        levels: 1 to 5.
        doubled: count the userspace view as well (v4.19 and later); it has the table's shape.
        rounded_to_level_min: every level takes at least one level's bytes (v4.19 and later). Without it
            levels above a table smaller than one level cost nothing, though they are allocated.

    Returns:
        Bytes, a multiple of `page_size` for windows of one IOMMU page or more; 0 for levels 0 or above 5, for
        a window that is no power of two, and where the size of a level or the sum overflows. With `doubled`
        False and `rounded_to_level_min` True it is what allocating all levels up front really takes.

    Kernel: arch/powerpc/platforms/powernv/pci-ioda-tce.c, pnv_pci_ioda2_get_table_size
    """
    if not is_valid_table(window_size, levels):
        return 0
    smallest, table_shift, level_shift = _shifts(page_size, page_shift, window_size, levels)
    level_bytes = shift_left(1, max(level_shift, smallest))
    if not level_bytes:
        return 0  # Rounding up to it makes 0 of everything.
    table_bytes = max(_SMALLEST_TABLE_BYTES, shift_left(1, table_shift))
    total = 0
    for _ in range(levels):
        total += align_up(table_bytes, level_bytes) & U64
        table_bytes = table_bytes // level_bytes * TCE_BYTES & U64
        if rounded_to_level_min:
            table_bytes = max(table_bytes, level_bytes)
        else:
            table_bytes = align_up(table_bytes, level_bytes) & U64
    return total * (2 if doubled else 1) & U64
