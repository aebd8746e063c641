"""What the reference says of MAP and UNMAP (B.8, B.10 to B.12, D.4, O.7).

Where the reference is silent and the answer is Linux's own, the test says so.
"""

from __future__ import annotations

import pytest

from tests.conformance.lab import (
    EBUSY,
    EFAULT,
    EINVAL,
    ENOMEM,
    ENXIO,
    EPERM,
    GIB,
    OLD,
    RECORDED,
    WINDOW1,
    Lab,
    default_pages,
    unaligned,
    view_pages,
)

recorded = pytest.mark.parametrize("kernel", [*RECORDED, "v4.10"])


# -- B.8, B.10, B.12, O.7: MAP and UNMAP -------------------------------------------------------------------


@recorded
def test_o7_precedence_of_map(kernel: str) -> None:
    lab = Lab(kernel).container().memory()
    bad = {"argsz": 0, "flags": 9, "bad_user_pointer": True}
    assert lab.map(**bad) == lab.unmap(**bad) == EPERM
    assert lab.reg() == 0
    assert lab.map(**bad) == lab.unmap(**bad) == EFAULT
    for wrong in ({"argsz": 31}, {"flags": 4}, {"flags": 0x80000001}, {"argsz": 0, "flags": 3}):
        assert lab.map(**wrong) == EINVAL
    assert lab.unmap(argsz=23) == lab.unmap(flags=1) == EINVAL
    assert lab.locked() == 16, "none of these makes the default window"
    assert lab.map(2 * GIB, "M0+1", 5, flags=0) == ENXIO
    assert lab.locked() == 16 + default_pages(kernel)
    assert lab.map(123, "M0+1", 5, flags=0) == EINVAL
    assert lab.map(123, flags=0) == EINVAL
    assert lab.map(123) == lab.map(123, size=0) == lab.map(123, "M9") == unaligned(kernel)
    assert lab.map(123, "M0+123") == lab.map(123, size=100) == EINVAL
    assert lab.unmap(123) == unaligned(kernel)
    assert lab.unmap(123, 100) == EINVAL
    assert lab.unmap(123, 0) == unaligned(kernel)
    assert lab.locked() == 16 + default_pages(kernel), "none of these makes the view"
    assert lab.map(size=0, at="M9") == 0
    assert lab.locked() == 16 + default_pages(kernel) + view_pages(kernel)
    assert lab.unmap(0, 2 * GIB) == 0


@recorded
def test_b10_the_view_stays_when_the_loop_fails(kernel: str) -> None:
    lab = Lab(kernel).container().memory()
    assert lab.reg() == 0
    assert lab.unmap() == 0
    assert lab.locked() == 16 + default_pages(kernel)
    assert lab.map(at="M9") == EINVAL
    assert lab.locked() == 16 + default_pages(kernel) + view_pages(kernel)


@recorded
def test_b10_limits_for_window_and_view(kernel: str) -> None:
    table, view = default_pages(kernel), view_pages(kernel)
    for pages, window_made, ret in (
        (16 + table + view, True, 0),
        (16 + table + view - 1, view > 0, ENOMEM),
        (16 + table, True, ENOMEM if view else 0),
        (16 + table - 1, False, ENOMEM),
    ):
        lab = Lab(kernel).container().memory().limit(pages * 65536)
        assert lab.reg() == 0
        assert lab.map() == ret
        assert lab.locked() == 16 + (table if window_made else 0) + (view if not ret else 0)
        assert lab.unmap() == (0 if window_made else ENOMEM)


@recorded
def test_o7_v2_ranges(kernel: str) -> None:
    lab = Lab(kernel).container().memory(32)
    assert lab.reg(8) == lab.reg(8, "M0+8P") == 0
    assert lab.map(0, "M0", 16 * 65536) == 0, "two adjacent regions"
    assert lab.unreg(8) == (0 if kernel == "v6.12" else EBUSY)
    assert lab.unmap(0, 16 * 65536) == 0
    assert lab.map(0, "M0+15P", 2 * 65536) == EINVAL
    assert lab.unreg(8, "M0+8P") == 0, "the prefix was undone"
    assert lab.map(0, "M0-1P", 4096) == EINVAL


@recorded
def test_o7_overwriting_moves_the_count(kernel: str) -> None:
    lab = Lab(kernel).container().container(7, 1).memory(48)
    assert lab.reg() == lab.reg(16, "M0+16P") == lab.reg(16, "M0+32P", fd="C1") == 0
    assert lab.map(0) == lab.map(0, "M0+16P") == 0
    assert lab.unreg() == 0
    assert lab.map(0, "M0+32P") == 0, "a region that only the other container lists"
    assert lab.unreg(16, "M0+16P") == 0
    assert lab.unreg(16, "M0+32P", fd="C1") == (0 if kernel == "v6.12" else EBUSY)
    assert lab.unmap(0) == 0


@recorded
def test_b10_large_iommu_pages_over_small_ones(kernel: str) -> None:
    lab = Lab(kernel, page_size=4096).container().memory(64)
    assert lab.reg(64) == lab.remove(0) == lab.create(16, 1 << 28) == 0
    assert lab.map(0, "M0", 65536) == (EPERM if kernel in OLD else EINVAL)
    assert lab.unreg(64) == 0


@pytest.mark.parametrize("shift", [12, 16, 21, 24, 28, 30])
def test_b10_hugetlb_backs_windows_up_to_its_own_size(shift: int) -> None:
    for mmu, pools, huge, platform in (
        ("hash", {"16M": 8}, 24, "powernv8"),
        ("hash", {"16M": 8}, 24, "powernv9"),
        ("radix", {"2M": 64}, 21, "powernv9"),
        ("radix", {"1G": 1}, 30, "powernv9"),
    ):
        offered = (12, 16, 24, 28) if platform == "powernv8" else (12, 16, 21, 30)
        if shift not in offered:
            continue
        lab = Lab("v6.12", mmu=mmu, hugepages=pools, platform=platform).container()
        size = max(1 << huge, 64 << 20)
        assert lab("mmap", addr="M0", size=size, prot="rw", mmap_flags=["huge"], hshift=huge) == 0
        assert lab("reg", fd="C0", vaddr="M0", size=size) == 0
        assert (lab.locked(), lab.pinned) == (size >> 16, size >> 16)
        assert lab.remove(0) == lab.create(shift, GIB) == 0
        whole = max(1 << shift, 1 << 20)
        assert lab.map(0, "M0", whole) == (0 if shift <= huge else EINVAL)
        assert lab.unmap(0, whole) == lab("unreg", fd="C0", vaddr="M0", size=size) == 0
        assert lab.pinned == 0
        # Half a huge page: what the region's start and size allow.
        assert lab("reg", fd="C0", vaddr="M0", size=1 << (huge - 1)) == 0
        assert lab.map(0, "M0", 1 << shift) == (0 if shift < huge else EINVAL)


@recorded
def test_o7_the_very_end_of_windows(kernel: str) -> None:
    lab = Lab(kernel).container().memory()
    assert lab.reg() == 0
    assert lab.map(2 * GIB - 4096) == lab.map(0) == 0
    assert lab.map(2 * GIB) == ENXIO
    assert lab.unmap(2 * GIB) == lab.unmap((1 << 64) - 4096) == lab.unmap(WINDOW1) == ENXIO
    assert lab.create(16, 1 << 28) == 0
    assert lab.out == {"start_addr": WINDOW1}
    rounded = 512 << 20  # 8192 IOMMU pages at least (D.3)
    assert lab.map(WINDOW1 + rounded - 65536, "M0", 65536) == 0
    assert lab.map(WINDOW1 + rounded, "M0", 65536) == ENXIO
    assert lab.map(WINDOW1 - 65536, "M0", 65536) == ENXIO
    assert lab.unmap(WINDOW1, rounded) == lab.unmap(0, 2 * GIB) == lab.unreg() == 0
