"""The pools of huge pages: what mappings have reserved of them.

Kernel: mm/hugetlb.c, ``struct hstate``. The pages themselves are the machine's memory; a pool belongs to
the whole kernel, so what one process has reserved no other gets.
"""

from __future__ import annotations

from hw import PhysicalMemory


class Hugetlb:
    """Huge pages that mappings may still need.

    Attributes:
        memory: the machine's RAM, which has the pools.
        resv_huge_pages: mm -> log2 of the page -> pages that are reserved and not yet touched.
    """

    def __init__(self, memory: PhysicalMemory) -> None:
        self.memory = memory
        self.resv_huge_pages: dict[str, dict[int, int]] = {}

    def reserve(self, mm: str, pages: dict[int, int]) -> None:
        """Note what the mappings of an mm have reserved now: log2 of the page -> pages."""
        self.resv_huge_pages.pop(mm, None)
        if pages:
            self.resv_huge_pages[mm] = pages

    def available(self, shift: int) -> int:
        """Huge pages of a pool that are free and that nobody has reserved."""
        reserved = sum(pages.get(shift, 0) for pages in self.resv_huge_pages.values())
        return self.memory.huge_free(shift) - reserved
