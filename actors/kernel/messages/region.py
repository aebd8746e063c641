"""To an address space: its registered regions, and pages for v1."""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple

from actors.runtime.messages import Request
from hw import Ua


class MmIommuGet(Request[str | None], frozen=True, gc=False):
    """Find the region with exactly this range and take a reference; its name or None."""

    serves: ClassVar[str] = "mm_iommu_get"
    ua: Ua
    entries: int


class MmIommuFind(Request[str | None], frozen=True, gc=False):
    """Find the region with exactly this range without holding it; its name or None."""

    serves: ClassVar[str] = "mm_iommu_find"
    ua: Ua
    entries: int


class MmIommuNew(Request["NewRegion"], frozen=True, gc=False):
    """Charge, pin and publish a new region; ``ret`` and its name."""

    serves: ClassVar[str] = "mm_iommu_new"
    ua: Ua
    entries: int


class NewRegion(NamedTuple):
    """Reply to :class:`MmIommuNew`: 0 and the region's name, or a negative errno and ""."""

    ret: int
    mem: str


class MmIommuPut(Request[int], frozen=True, gc=False):
    """Drop one registration; 0, -ENOENT, or -EBUSY while TCEs point in."""

    serves: ClassVar[str] = "mm_iommu_put"
    mem: str


class MmIommuForsake(Request[int], frozen=True, gc=False):
    """Drop one registration for good; while TCEs of others point in, the last of them frees the region."""

    serves: ClassVar[str] = "mm_iommu_forsake"
    mem: str


class MmIommuFree(Request[None], frozen=True, gc=False):
    """After a grace period: drop the pins of an unlinked region."""

    serves: ClassVar[str] = "mm_iommu_free"
    mem: str


class Translated(NamedTuple):
    """Reply to :class:`MmIommuUaToHpa`: 0, the region and the real address, or a negative errno."""

    ret: int
    mem: str
    hpa: int


class MmIommuUaToHpa(Request[Translated], frozen=True, gc=False):
    """Find the region that contains an IOMMU page and translate its address."""

    serves: ClassVar[str] = "tce_iommu_prereg_ua_to_hpa"
    ua: Ua
    page_shift: int


class MmIommuMappedInc(Request[int], frozen=True, gc=False):
    """Count one more TCE into a region; 0, or -ENXIO when it is dying."""

    serves: ClassVar[str] = "mm_iommu_mapped_inc"
    mem: str


class MmIommuMappedDec(Request[None], frozen=True, gc=False):
    """Count one TCE less."""

    serves: ClassVar[str] = "mm_iommu_mapped_dec"
    mem: str


class MmIommuMapRange(Request[Any], frozen=True, gc=False):
    """Translate and count a whole run of IOMMU pages at once; an array of real addresses or None."""

    serves: ClassVar[str] = "mm_iommu_map_range"
    ua: Ua
    count: int
    page_shift: int


class MmIommuUnmapRange(Request[None], frozen=True, gc=False):
    """Count TCEs less, by the userspace addresses that their view slots held."""

    serves: ClassVar[str] = "mm_iommu_unmap_range"
    uas: Any
    page_shift: int


class PinUserPage(Request[int], frozen=True, gc=False):
    """Pin the page at an address for a v1 TCE; its frame number or a negative errno."""

    serves: ClassVar[str] = "pin_user_page_fast"
    ua: Ua
    holder: str
