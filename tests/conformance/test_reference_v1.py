"""What the reference says of v1 containers (B.4, B.5, B.9, O.8).

Where the reference is silent and the answer is Linux's own, the test says so.
"""

from __future__ import annotations

import pytest

from tests.conformance.lab import (
    EBUSY,
    EFAULT,
    EINVAL,
    ENOMEM,
    EPERM,
    GIB,
    PRE,
    WITH_V1,
    Lab,
    default_pages,
)

with_v1 = pytest.mark.parametrize("kernel", WITH_V1)


# -- B.4, B.5, O.8: v1 --------------------------------------------------------------------------------------


@with_v1
@pytest.mark.parametrize("page", [4096, 65536])
def test_b4_enable_and_disable(kernel: str, page: int) -> None:
    lab = Lab(kernel, page_size=page).container(2)
    window = 2 * GIB // page
    assert (lab("disable", fd="C0"), lab.locked()) == (0, 0)
    assert (lab("enable", fd="C0"), lab.locked()) == (0, window)
    assert lab("enable", fd="C0") == EBUSY
    assert (lab("disable", fd="C0"), lab.locked()) == (0, 0)
    assert lab("disable", fd="C0") == 0
    assert (lab("enable", fd="C0"), lab.locked()) == (0, window)
    assert lab("close", fd="G0") == 0
    assert lab.locked() == 0


@with_v1
@pytest.mark.parametrize(
    ("limit", "ret"), [(2 * GIB, 0), (2 * GIB - 1, ENOMEM), (2 * GIB + 65535, 0), (0, ENOMEM)]
)
def test_b4_limit_to_the_byte(kernel: str, limit: int, ret: int) -> None:
    lab = Lab(kernel).container(2).limit(limit)
    assert (lab("enable", fd="C0"), lab.locked()) == (ret, 0 if ret else 32768)
    assert lab("fork", new_actor=1) == 0
    assert lab("info", 1, fd="C0") == EPERM, "a failed ENABLE binds too"


@with_v1
def test_b5_disable_leaves_tces_pins_and_the_default_window(kernel: str) -> None:
    lab = Lab(kernel).container(2).memory()
    assert lab("enable", fd="C0") == 0
    assert lab.map(size=65536) == 0
    assert (lab.pinned, lab.locked()) == (16, 32768 + default_pages(kernel)), "a pin a TCE, no view in v1"
    assert lab("disable", fd="C0") == 0
    assert (lab.pinned, lab.locked()) == (16, default_pages(kernel))
    assert (lab.map(), lab.unmap()) == (EPERM, EPERM)
    assert lab("enable", fd="C0") == 0
    assert lab.unmap(size=8192) == 0
    assert lab.pinned == 14
    assert lab("close", fd="G0") == 0
    assert (lab.pinned, lab.locked()) == (0, 0)


@with_v1
def test_o8_the_default_window_needs_room_of_its_own(kernel: str) -> None:
    room = default_pages(kernel) * 65536
    for extra, ret in ((room, 0), (room - 1, ENOMEM)):
        lab = Lab(kernel).container(2).memory().limit(2 * GIB + extra)
        assert lab("enable", fd="C0") == 0
        assert lab.map() == ret
        assert lab.unmap(size=0) == ret
        assert lab.locked() == 32768 + (0 if ret else default_pages(kernel))


@with_v1
def test_b9_v1_pins_are_one_a_tce_and_always_for_writing(kernel: str) -> None:
    lab = Lab(kernel).container(2).memory()
    assert lab("enable", fd="C0") == 0
    assert lab.map(0, size=4096) == lab.map(1 << 20, size=4096) == lab.map(0x3000, "M0+0x3000") == 0
    assert lab.pinned == 3
    assert lab.map(0, "M0+1P") == 0
    assert lab.pinned == 3, "the old page is let go of"
    assert lab("munmap", addr="M0", size="16P") == 0
    assert lab.pinned == 3
    assert lab("mmap", addr="M1", size="1P", prot="r") == 0
    assert lab.map(0, "M1", flags=1) == EFAULT
    assert lab.pinned == 3
    assert lab.unmap(size=2 * GIB) == 0
    assert lab.pinned == 0


@with_v1
def test_b9_a_failing_v1_map_undoes_its_prefix_and_clobbers(kernel: str) -> None:
    lab = Lab(kernel).container(2).memory(2)
    assert lab("enable", fd="C0") == 0
    assert lab.map(size=65536) == 0
    assert lab("munmap", addr="M0+1P", size="1P") == 0
    assert lab.map(0x8000, "M0+0x8000", size=65536) == EFAULT
    assert lab.pinned == 8, "entries 8 to 15 were overwritten and are empty now"


@with_v1
def test_o8_v1_and_v2_alternate_on_one_container(kernel: str) -> None:
    lab = Lab(kernel).container(2).memory()
    assert lab("enable", fd="C0") == 0
    for iommu_type in (7, 2, 7, 7):
        assert lab("unsetcont", fd="G0") == 0
        assert (lab.locked() if kernel not in PRE else 0, lab("info", fd="C0")) == (0, EINVAL)
        assert lab("setcont", fd="G0", container="C0") == 0
        assert lab("info", fd="C0") == EINVAL
        assert lab("setiommu", fd="C0", iommu_type=iommu_type) == 0
        assert lab.map() == EPERM, "it starts anew"
        assert (lab.reg() if iommu_type == 7 else lab("enable", fd="C0")) == 0
        assert lab.map() == 0


def test_o2_v4_19_refuses_v1_on_ioda2() -> None:
    lab = Lab("v4.19").container(None)
    assert lab("setiommu", fd="C0", iommu_type=2) == EPERM
    assert lab("enable", fd="C0") == EINVAL
    assert lab("eeh", fd="C0", eeh_op=4) == EINVAL
    assert lab("setiommu", fd="C0", iommu_type=7) == 0
