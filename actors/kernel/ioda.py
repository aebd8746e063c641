"""The platform's part in making tables: sizes, limits, shapes.

Kernel: arch/powerpc/platforms/powernv/pci-ioda.c, pci-ioda-tce.c.
"""

from __future__ import annotations

from errno import EINVAL, ENOMEM

from actors.kernel.tce_container import ContainerState, IommuTable
from hw import TceTable, table_geometry, table_size_bytes

MAX_ADDRESS_BITS = 55
MAX_LEVEL_SHIFT = 24
"""Log2 of the bytes of the largest level: one level is one buddy allocation."""

WINDOW_STARTS = (0, 1 << 59)
"""Bus address of each window slot on IODA2: the slot decides, not the caller."""


class Ioda(ContainerState):
    """``struct iommu_table_group_ops`` of an IODA2 group, as far as it makes tables."""

    def pnv_pci_ioda2_get_table_size(self, page_shift: int, window_size: int, levels: int) -> int:
        """Bytes to charge for a table with its userspace view; 0 when there can be none."""
        if window_size > self.largest_window():
            return 0
        return table_size_bytes(
            self.memory.page_size, page_shift, window_size, levels,
            doubled=self.view_with_table(), rounded_to_level_min=self.rounds_small_levels(),
        )  # fmt: skip

    def largest_window(self) -> int:
        """Bytes that a window may have at most."""
        return 1 << 64

    def rounds_small_levels(self) -> bool:
        """Whether each level is charged as at least what is allocated for it."""
        return True

    def pnv_pci_ioda2_create_table(
        self, num: int, page_shift: int, window_size: int, levels: int
    ) -> IommuTable | int:
        """Make the table for window slot ``num``.

        Returns:
            The table, or -EINVAL (too many address bits), -ENOMEM (a level is larger than what the page
            allocator can give).
        """
        geometry = table_geometry(self.memory.page_size, page_shift, window_size, levels)
        if geometry.address_bits >= self.max_address_bits():
            return -EINVAL
        if geometry.level_shift > MAX_LEVEL_SHIFT or self.core.fails("pnv_pci_ioda2_table_alloc_pages"):
            return -ENOMEM
        size = self.allocated_size(page_shift, window_size, levels)
        hw = TceTable(
            geometry,
            page_shift,
            WINDOW_STARTS[num] >> page_shift,
            self.levels_on_demand(),
            self.view_with_table(),
            size,
        )
        return IommuTable(self.core, hw, self.id)

    def max_address_bits(self) -> int:
        """Levels and page together must decode fewer bits than this."""
        return MAX_ADDRESS_BITS

    def allocated_size(self, page_shift: int, window_size: int, levels: int) -> int:
        """``it_allocated_size`` in bytes: what freeing the table gives back."""
        return table_size_bytes(
            self.memory.page_size, page_shift, window_size, levels,
            doubled=self.view_with_table(), rounded_to_level_min=True,
        )  # fmt: skip

    def levels_on_demand(self) -> bool:
        """Whether lower levels are allocated when something is mapped below them."""
        return True

    def view_with_table(self) -> bool:
        """Whether the userspace view comes with the table."""
        return True
