"""What the reference says in words, by its sections: VFIO core, the driver's requests, registration.

Where the reference is silent and the answer is Linux's own, the test says so.
"""

from __future__ import annotations

import pytest

from tests.conformance.lab import (
    EBADF,
    EBADFD,
    EBUSY,
    EFAULT,
    EINVAL,
    EIO,
    ENODEV,
    ENOENT,
    ENOMEM,
    ENOSPC,
    ENOTTY,
    EPERM,
    GIB,
    OLD,
    PRE,
    RECORDED,
    SEED,
    UPSTREAM,
    WINDOW1,
    WITH_V1,
    Lab,
)

BOUND = tuple(kernel for kernel in (*UPSTREAM, "fixed") if kernel != "v4.9")
"""Kernels that bind a container to an mm."""

kernels = pytest.mark.parametrize("kernel", [*UPSTREAM, "fixed"])
bound = pytest.mark.parametrize("kernel", BOUND)
recorded = pytest.mark.parametrize("kernel", [*RECORDED, "v4.10"])
with_v1 = pytest.mark.parametrize("kernel", WITH_V1)
MIB8 = 8 << 20


def default_pages(kernel: str) -> int:
    """What the default window costs before anything is mapped, in pages of 64K."""
    return 64 if kernel in OLD else 128


def view_pages(kernel: str) -> int:
    """What the first v2 MAP into the default window costs besides."""
    return 64 if kernel in OLD else 0


def unaligned(kernel: str) -> int:
    """The answer to a bus address that is no multiple of the IOMMU page (D.4)."""
    return 1 if kernel in ("v4.19", "v6.12") else EINVAL


# -- B.0 ----------------------------------------------------------------------------------------------------


@bound
def test_b0_a_foreign_mm_is_refused_everything_but_what_the_core_answers(kernel: str) -> None:
    lab = Lab(kernel).container().memory()
    assert lab.reg() == 0
    assert lab("fork", new_actor=1) == 0
    assert lab("chkext", 1, fd="C0", extension=7) == 1
    assert lab("chkext", 1, fd="C0", extension=1) == 0
    assert lab("api", 1, fd="C0") == 0
    assert lab("setiommu", 1, fd="C0", iommu_type=7) == EINVAL
    for nr in range(3, 41):
        assert (nr, lab("ioctl", 1, fd="C0", nr_offset=nr)) == (nr, EPERM)
    for op in ("info", "enable", "disable"):
        assert lab(op, 1, fd="C0") == EPERM
    assert lab("eeh", 1, fd="C0", eeh_op=4) == EPERM
    assert lab.create(16, 1 << 28, actor=1, bad_user_pointer=True) == EPERM


@kernels
def test_b0_every_number_on_a_container(kernel: str) -> None:
    empty = Lab(kernel)
    assert empty("open", path="/dev/vfio/vfio", fd="C0") == 0
    lab = Lab(kernel).container()
    for nr in range(41):
        want = {0: 0, 1: 0}.get(nr, EINVAL)
        assert (nr, empty("ioctl", fd="C0", nr_offset=nr)) == (nr, want)
        known = {0, 1, 2, 12, 13, 14, 17, 18, 19, 20, 21}
        if nr not in known:
            assert (nr, lab("ioctl", fd="C0", nr_offset=nr)) == (nr, ENOTTY)
    assert lab("ioctl", fd="C0", nr_offset=2) == EINVAL, "SET_IOMMU is the core's"


@with_v1
def test_b0_commands_of_the_other_type_are_unknown(kernel: str) -> None:
    one = Lab(kernel).container(2)
    for nr in (17, 18, 19, 20):
        assert one("ioctl", fd="C0", nr_offset=nr) == ENOTTY
        assert one("ioctl", fd="C0", nr_offset=nr, bad_user_pointer=True) == ENOTTY
    two = Lab(kernel).container(7)
    for nr in (15, 16):
        assert two("ioctl", fd="C0", nr_offset=nr) == ENOTTY


@kernels
def test_b0_every_number_on_a_group(kernel: str) -> None:
    lab = Lab(kernel)
    assert lab("open", path="/dev/vfio/<group>", fd="G0", group_index=0) == 0
    assert lab("opennull", fd="N0") == 0
    for nr in range(41):
        if nr not in (3, 4, 5, 6):
            assert (nr, lab("ioctl", fd="G0", nr_offset=nr)) == (nr, ENOTTY)
        assert (nr, lab("ioctl", fd="N0", nr_offset=nr)) == (nr, ENOTTY)
    assert lab("ioctl", fd="G0", nr_offset=3, bad_user_pointer=True) == EFAULT


# -- B.2, B.3 -----------------------------------------------------------------------------------------------


@kernels
def test_b2_extensions(kernel: str) -> None:
    lab = Lab(kernel)
    assert lab("open", path="/dev/vfio/vfio", fd="C0") == 0
    answers = {2: 1, 5: 1, 7: 1}
    for extension in (*range(13), 99, 1 << 32, (1 << 32) + 7, (1 << 64) - 1):
        assert lab("chkext", fd="C0", extension=extension) == answers.get(extension, 0)


@recorded
@pytest.mark.parametrize("argsz", [0, 1, 15, 16, 17, 24, 31, 32, 33, 4096, 0xFFFFFFFF])
def test_b3_get_info(kernel: str, argsz: int) -> None:
    lab = Lab(kernel).container()
    ret = lab("info", fd="C0", argsz=argsz, flags=0xFFFFFFFF)
    if argsz < 16:
        assert (ret, lab.out) == (EINVAL, None)
        return
    head = {"argsz": argsz, "flags": 1, "dma32_window_start": 0, "dma32_window_size": 2 * GIB}
    sizes = 0x1011000 if kernel in OLD else 0x40211000
    ddw = {"ddw.pgsizes": sizes, "ddw.max_dynamic_windows_supported": 2, "ddw.levels": 5}
    assert (ret, lab.out) == (0, head | (ddw if argsz >= 32 else {"ddw_bytes_untouched": True}))
    assert lab.locked() == 0, "no default window"
    assert lab("info", fd="C0", argsz=argsz, bad_user_pointer=True) == EFAULT
    assert lab("fork", new_actor=1) == 0
    assert lab("info", 1, fd="C0") == 0, "it binds nobody"


@with_v1
def test_b3_a_v1_container_has_no_ddw(kernel: str) -> None:
    lab = Lab(kernel).container(2)
    assert lab("info", fd="C0", argsz=16) == 0
    assert lab.out["flags"] == 0 and lab.out["ddw_bytes_untouched"]
    assert lab("info", fd="C0") == 0
    assert (lab.out["flags"], lab.out["ddw.pgsizes"], lab.out["ddw.levels"]) == (0, 0, 0)


@recorded
def test_b3_sizes_of_a_phb3(kernel: str) -> None:
    lab = Lab(kernel, platform="powernv8").container()
    assert lab("info", fd="C0") == 0
    assert lab.out["ddw.pgsizes"] == (0x1011000 if kernel in OLD else 0x11011000)


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
@pytest.mark.parametrize(("limit", "ret"), [(2 * GIB, 0), (2 * GIB - 1, ENOMEM), (2 * GIB + 65535, 0), (0, ENOMEM)])
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


# -- B.6, O.6: REGISTER -------------------------------------------------------------------------------------


@recorded
def test_b6_the_same_range_again(kernel: str) -> None:
    lab = Lab(kernel).container().memory()
    assert lab.reg() == 0
    again = 0 if kernel in PRE else EBUSY
    assert (lab.reg(), lab.locked(), lab.pinned) == (again, 16, 16)
    assert lab("munmap", addr="M0", size="16P") == 0
    assert (lab.reg(), lab.locked(), lab.pinned) == (again, 16, 16)
    lab.memory()
    assert lab.reg() == again
    for _ in range(3 if kernel in PRE else 0):
        assert (lab.unreg(), lab.locked()) == (0, 16)
    assert (lab.unreg(), lab.locked(), lab.pinned) == (0, 0, 0)
    assert lab.unreg() == ENOENT


@recorded
@pytest.mark.parametrize(("at", "pages"), [("M0", 8), ("M0", 17), ("M0+4P", 4), ("M0+15P", 2), ("M0-1P", 2), ("M0+8P", 8)])
def test_b6_overlap(kernel: str, at: str, pages: int) -> None:
    lab = Lab(kernel).container().memory(34, "M0-1P")
    assert lab.reg() == 0
    assert (lab.reg(pages, at), lab.locked(), lab.pinned) == (EINVAL, 16, 16)
    lab.limit(16 * 65536)
    assert lab.reg(pages, at) == (ENOMEM if kernel == "v6.12" else EINVAL)
    assert lab.reg(16, "M0+16P") == ENOMEM
    assert lab.unreg(pages, at) == ENOENT


@recorded
@pytest.mark.parametrize("hole", [0, 1, 5, 15])
def test_b6_holes(kernel: str, hole: int) -> None:
    lab = Lab(kernel).container().memory()
    assert lab("munmap", addr=f"M0+{hole}P", size="1P") == 0
    want = hole if kernel == "v6.12" and hole else EFAULT
    assert (lab.reg(), lab.locked(), lab.pinned) == (want, 0, 0)
    assert lab.map() == EPERM, "not enabled"
    assert lab.unreg() == ENOENT, "but bound"


@recorded
@pytest.mark.parametrize("page", [4096, 65536])
def test_b6_alignment_wrap_and_size_0(kernel: str, page: int) -> None:
    lab = Lab(kernel, page_size=page).container().memory()
    top = (1 << 64) - page
    for vaddr, size in (("M0+0x800", page), ("M0", page + 1), ("M0", page - 1), (top, page), (top, 2 * page)):
        assert lab("reg", fd="C0", vaddr=vaddr, size=size) == EINVAL
    assert lab("reg", fd="C0", vaddr="M0+0x1000", size=4096) == (0 if page == 4096 else EINVAL)
    assert lab("unreg", fd="C0", vaddr="M0+0x1000", size=4096) == (0 if page == 4096 else EINVAL)
    assert lab("reg", fd="C0", vaddr=top, size=0) == ENOMEM
    assert lab("reg", fd="C0", vaddr="M0", size=0) == ENOMEM
    assert lab.reg() == 0
    inside = ENOMEM if kernel == "v6.12" else EINVAL
    assert lab("reg", fd="C0", vaddr="M0+1P", size=0) == inside
    assert lab("reg", fd="C0", vaddr="M0", size=0) == ENOMEM
    assert lab("reg", fd="C0", vaddr="M0+16P", size=0) == ENOMEM
    assert lab("unreg", fd="C0", vaddr="M0", size=0) == ENOENT
    assert lab("unreg", fd="C0", vaddr=top, size=2 * page) == ENOENT, "no test for a wrap"
    assert lab.locked() == 16


@recorded
@pytest.mark.parametrize("cap", [True, False])
@pytest.mark.parametrize("size", [1 << 40, 1 << 44, 1 << 52, 1 << 60, 1 << 62, 1 << 63, (1 << 64) - (1 << 46)])
def test_b6_absurd_sizes(kernel: str, size: int, cap: bool) -> None:
    lab = Lab(kernel).container().memory()
    if not cap:
        lab.limit(1 << 20)
    expected = ENOMEM
    if cap and size == 1 << 40:  # 128 MiB of addresses: the array can be had, the pages cannot.
        expected = 16 if kernel == "v6.12" else EFAULT
    assert (lab("reg", fd="C0", vaddr="M0", size=size), lab.locked(), lab.pinned) == (expected, 0, 0)


@recorded
def test_b6_protection_and_places(kernel: str) -> None:
    lab = Lab(kernel).container()
    assert lab.reg(1, 0) == lab.reg(1, 0xC000000000000000) == EFAULT
    for prot, want in (("r", EFAULT), ("none", EFAULT), ("rw", 0)):
        assert lab("mmap", addr="M1", size="4P", prot=prot, mmap_flags=["force"]) == 0
        assert lab.reg(4, "M1") == want
    assert lab.unreg(4, "M1") == 0
    kinds = ({"mmap_flags": ["shared"]}, {"mmap_flags": ["memfd"]}, {"file": "/tmp/a"}, {"file": "/tmp/b", "mmap_flags": ["shared"]})
    for at, kind in enumerate(kinds):
        lab.memory(4, f"R{at}", **kind)
        assert lab.reg(4, f"R{at}") == 0
    assert (lab.locked(), lab.pinned) == (16, 16)
    assert lab("mmap", addr="R9", size="4P", prot="r", file="/tmp/c") == 0
    assert lab.reg(4, "R9") == EFAULT


@recorded
def test_b6_argument_errors_in_order(kernel: str) -> None:
    lab = Lab(kernel).container().memory()
    assert lab.unreg(bad_user_pointer=True) == lab.unreg(argsz=0) == lab.unreg(16, "M0+0x10") == EPERM
    assert lab.reg(argsz=0, bad_user_pointer=True) == EFAULT
    assert lab.unreg(argsz=0, bad_user_pointer=True) == EFAULT, "the failed REGISTER has bound the mm"
    for argsz in (0, 8, 23):
        assert lab.reg(argsz=argsz) == lab.unreg(argsz=argsz) == EINVAL
    for flags in (1, 2, 1 << 31, 0xFFFFFFFF):
        assert lab.reg(flags=flags) == lab.unreg(flags=flags) == EINVAL
    assert lab.reg(argsz=25) == 0
    assert lab.unreg(argsz=4096) == 0


@recorded
@pytest.mark.parametrize("page", [4096, 65536])
@pytest.mark.parametrize(("spare", "ret"), [(0, 0), (-1, ENOMEM), (4095, 0)])
def test_b6_limit_exactly_and_a_byte_short(kernel: str, page: int, spare: int, ret: int) -> None:
    lab = Lab(kernel, page_size=page).container().memory().limit(16 * page + spare)
    assert (lab.reg(), lab.locked()) == (ret, 0 if ret else 16)
    assert lab.map() == (EPERM if ret else ENOMEM), "no room for the default window"
    assert lab.locked() == (0 if ret else 16)


@recorded
def test_o6_a_lower_limit_does_not_disturb_what_is_there(kernel: str) -> None:
    lab = Lab(kernel).container().memory(32).limit(1 << 30)
    assert lab.reg() == 0
    assert lab.map() == 0
    assert lab("rlimit", limit=0) == 0
    assert lab.map(0x1000, "M0+0x1000") == lab.unmap(0, 8192) == 0
    assert lab.reg(16, "M0+16P") == ENOMEM
    assert lab.remove(0) == lab.unreg() == 0
    assert (lab.locked(), lab.pinned) == (0, 0)
    assert lab("rlimit", limit="RLIM_INFINITY") == 0
    assert lab.reg() == 0


@recorded
def test_o6_other_containers_of_the_mm(kernel: str) -> None:
    lab = Lab(kernel).container().container(7, 1).memory(32)
    assert lab.unreg(fd="C1") == EPERM
    assert lab.reg() == 0
    assert lab.unreg(fd="C1") == EPERM
    assert (lab.reg(fd="C1"), lab.locked(), lab.pinned) == (0, 16, 16)
    assert lab.reg(8, "M0+4P", fd="C1") == EINVAL
    assert lab.unreg(fd="C0") == 0
    assert lab.unreg(fd="C0") == (0 if kernel in PRE else ENOENT), "before the patch it takes the other's"
    assert lab.locked() == (0 if kernel in PRE else 16)
    assert lab.unreg(fd="C1") == (ENOENT if kernel in PRE else 0)
    assert (lab.locked(), lab.pinned) == (0, 0)


@recorded
def test_b7_unregister_while_mapped(kernel: str) -> None:
    lab = Lab(kernel).container().memory()
    assert lab.reg() == lab.map() == 0
    swallowed = kernel == "v6.12"
    assert lab.unreg() == (0 if swallowed else EBUSY)
    assert lab.pinned == 16
    assert lab.map(0x1000, "M0+0x1000") == 0, "the region is there"
    assert lab.unmap(0, 8192) == 0
    assert lab.unreg() == (ENOENT if swallowed else 0)
    assert lab.pinned == (16 if swallowed else 0)
    if swallowed:
        assert lab.reg(8) == EINVAL, "it overlaps the region that leaked"
        assert lab.reg() == 0, "which an equal request finds and lists"
        assert lab.unreg() == 0
        assert lab.pinned == 16
    assert lab("exit") == 0
    assert lab.pinned == (16 if swallowed else 0)


@recorded
def test_o6_mlock_and_register_share_the_limit_and_are_charged_apart(kernel: str) -> None:
    lab = Lab(kernel).container().memory(32).limit(32 * 65536)
    assert lab("mlock", addr="M0", size="16P") == 0
    assert (lab.reg(), lab.locked()) == (0, 32)
    assert lab("mlock", addr="M0+16P", size="1P") == ENOMEM
    assert lab("munmap", addr="M0", size="8P") == 0
    assert (lab.locked(), lab.pinned) == (24, 16)
    assert lab.unreg() == 0
    assert lab.locked() == 8
    assert lab("munlock", addr="M0+8P", size="8P") == 0
    assert lab.locked() == 0


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
    assert lab.map(2 * GIB, "M0+1", 5, flags=0) == -6
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
    assert lab.map(2 * GIB) == -6
    assert lab.unmap(2 * GIB) == lab.unmap((1 << 64) - 4096) == lab.unmap(WINDOW1) == -6
    assert lab.create(16, 1 << 28) == 0
    assert lab.out == {"start_addr": WINDOW1}
    rounded = 512 << 20  # 8192 IOMMU pages at least (D.3)
    assert lab.map(WINDOW1 + rounded - 65536, "M0", 65536) == 0
    assert lab.map(WINDOW1 + rounded, "M0", 65536) == -6
    assert lab.map(WINDOW1 - 65536, "M0", 65536) == -6
    assert lab.unmap(WINDOW1, rounded) == lab.unmap(0, 2 * GIB) == lab.unreg() == 0


# -- B.13 to B.15, O.5: windows -----------------------------------------------------------------------------


@recorded
def test_o5_slots(kernel: str) -> None:
    lab = Lab(kernel).container().memory()
    assert lab.create(16, 1 << 28) == 0
    assert lab.out == {"start_addr": WINDOW1}
    assert lab.create(16, 1 << 28, start_addr_in=4660) == ENOSPC
    assert (lab.create(13, 1 << 28), lab.create(16, 3)) == (ENOSPC, ENOSPC)
    assert lab.out is None
    assert lab.remove(0x7FFFFFFF) == 0, "any address inside"
    assert lab.remove(0) == EINVAL
    assert lab.create(16, 1 << 29) == 0
    assert lab.out == {"start_addr": 0}
    assert lab.remove(WINDOW1 + 12345) == 0
    assert lab.remove(WINDOW1) == EINVAL
    assert lab.remove((1 << 64) - 1) == EINVAL
    assert lab.remove(1) == 0
    assert lab.locked() == 0


@recorded
def test_o5_what_makes_the_pending_default(kernel: str) -> None:
    charge = default_pages(kernel)
    for op, fields, ret in (
        ("create", {"page_shift": 13, "window_size": 1 << 28, "levels": 1}, EINVAL),
        ("create", {"page_shift": 16, "window_size": 5, "levels": 1}, EINVAL),
        ("create", {"page_shift": 16, "window_size": 1 << 28, "levels": 0}, EINVAL),
    ):
        lab = Lab(kernel).container()
        assert (lab(op, fd="C0", **fields), lab.locked()) == (ret, charge)
        assert lab.remove(0) == 0
        assert lab.locked() == 0
    for fields in ({"argsz": 39}, {"flags": 1}, {"bad_user_pointer": True}):
        lab = Lab(kernel).container()
        assert lab.create(16, 1 << 28, **fields) == (EFAULT if "bad_user_pointer" in fields else EINVAL)
        assert lab.locked() == 0
        assert lab.remove(1) == lab.remove(0x1000) == lab.remove(WINDOW1) == EINVAL
        assert lab.remove(0) == 0
        assert lab.remove(0) == EINVAL


@recorded
def test_o5_a_cancelled_default_does_not_come_back(kernel: str) -> None:
    lab = Lab(kernel).container().memory()
    assert lab.remove(0) == lab.reg() == 0
    assert lab.map() == lab.unmap() == -6
    assert lab.join() == 0
    assert lab.map() == lab.unmap() == -6
    assert lab.locked() == 16


@recorded
def test_b15_remove_binds_and_checks_in_order(kernel: str) -> None:
    lab = Lab(kernel).container()
    assert lab.unreg() == EPERM
    assert lab.remove(0, bad_user_pointer=True, argsz=0) == EFAULT
    assert lab.unreg() == ENOENT, "bound by a REMOVE that failed"
    assert lab.remove(0, argsz=15) == lab.remove(0, flags=1) == EINVAL
    assert lab.remove(0, argsz=17) == 0


@recorded
def test_o4_a_failed_create_keeps_its_charge_until_the_process_ends(kernel: str) -> None:
    lab = Lab(kernel, memory_bytes=80 * GIB).container()
    assert lab.remove(0) == 0
    assert lab.create(12, 64 * GIB) == ENOMEM
    kept = 2048 if kernel in OLD else 4096
    assert lab.locked() == kept
    assert lab.create(12, 64 * GIB) == ENOMEM
    assert lab.locked() == 2 * kept
    assert lab("close", fd="G0") == 0
    assert lab.locked() == 2 * kept


@recorded
def test_b14_limit_for_a_window(kernel: str) -> None:
    pages = 1 if kernel in OLD else 2
    for spare, ret in ((0, 0), (-1, ENOMEM)):
        lab = Lab(kernel).container().limit(pages * 65536 + spare)
        assert lab.remove(0) == 0
        assert (lab.create(16, 1 << 28), lab.locked()) == (ret, 0 if ret else pages)
        assert lab.create(16, 1 << 28) == ENOMEM


def test_o9_the_lock_is_kept_when_the_default_window_fails() -> None:
    for kernel in (*RECORDED, "v4.10"):
        lab = Lab(kernel, budget=200_000).container().limit(65536)
        assert lab.create(16, 1 << 28) == ENOMEM
        assert lab.remove(0) == 0
        leaks = kernel in ("v4.10-parent", "v4.10-seed")
        verdict = lab.dies("create", fd="C0", page_shift=16, window_size=1 << 28, levels=1)
        if leaks:
            assert verdict == "deadlock"
        elif kernel in OLD:
            assert verdict == "returned 0"
        else:
            assert verdict == f"returned {ENOMEM}", "two pages do not fit"


# -- E, O.2: VFIO core --------------------------------------------------------------------------------------


@recorded
def test_o2_set_iommu(kernel: str) -> None:
    lab = Lab(kernel)
    assert lab("open", path="/dev/vfio/vfio", fd="C0") == 0
    for iommu_type in (0, 1, 2, 3, 5, 7, 99, 1 << 40):
        assert lab("setiommu", fd="C0", iommu_type=iommu_type) == EINVAL
    lab = Lab(kernel).container(None)
    for iommu_type in (0, 1, 3, 4, 6, 8, 9, 99, (1 << 32) + 7):
        assert lab("setiommu", fd="C0", iommu_type=iommu_type) == ENODEV
    assert lab("setiommu", fd="C0", iommu_type=5) == EINVAL
    assert lab("setiommu", fd="C0", iommu_type=7) == 0
    for iommu_type in (2, 7, 5, 99):
        assert lab("setiommu", fd="C0", iommu_type=iommu_type) == EINVAL


@recorded
def test_o2_two_groups(kernel: str) -> None:
    two = Lab(kernel).container(7)
    assert two.join() == 0
    before = Lab(kernel).container(None)
    assert before.join() == 0
    v1 = {"v4.19": EPERM, "v6.12": EBUSY}.get(kernel, 0)
    assert before("setiommu", fd="C0", iommu_type=2) == v1
    if v1:
        assert before("setiommu", fd="C0", iommu_type=7) == 0
    if kernel != "v4.19":
        late = Lab(kernel).container(2)
        assert late.join() == (0 if kernel in OLD else EBUSY)
        assert late("status", fd="G1") == 0
        assert late.out == {"flags": 3 if kernel in OLD else 1}


@recorded
def test_o2_set_container_with_odd_descriptors(kernel: str) -> None:
    old = kernel != "v6.12"
    lab = Lab(kernel).container(7).memory()
    assert lab("devfd", fd="G0", newfd="D0") == 0
    assert lab("open", path="/dev/vfio/<group>", fd="G1", group_index=1) == 0
    assert lab("opennull", fd="N0") == 0
    assert lab("setcont", fd="G1", container="C0", bad_user_pointer=True) == EFAULT
    assert lab("setcont", fd="G1", container="-1") == (EINVAL if old else EBADF)
    assert lab("setcont", fd="G1", container="C7") == (EINVAL if old else EBADF)
    for name in ("N0", "G0", "G1", "D0"):
        assert (name, lab("setcont", fd="G1", container=name)) == (name, EINVAL if old else EBADFD)
    assert lab("setcont", fd="G0", container="C0") == EINVAL
    assert lab("setcont", fd="G0", container="N0") == EINVAL
    assert lab("setcont", fd="N0", container="C0") == lab("setcont", fd="C0", container="C0") == ENOTTY
    assert lab("setcont", fd="C7", container="C0") == EBADF
    assert lab("unsetcont", fd="G1") == EINVAL


@recorded
def test_o2_get_device_fd(kernel: str) -> None:
    other = "0000:ff:00.0"
    lab = Lab(kernel)
    assert lab("open", path="/dev/vfio/<group>", fd="G0", group_index=0) == 0
    assert lab("devfd", fd="G0", newfd="D0") == EINVAL
    # Not in the reference, from Linux: which of two errors is seen first changed with vfio_device_open.
    assert lab("devfd", fd="G0", newfd="D0", device=other) == (ENODEV if kernel == "v6.12" else EINVAL)
    assert lab("devfd", fd="G0", newfd="D0", bad_user_pointer=True) == EFAULT
    assert lab("open", path="/dev/vfio/vfio", fd="C0") == 0
    assert lab("setcont", fd="G0", container="C0") == 0
    assert lab("devfd", fd="G0", newfd="D0") == EINVAL, "no IOMMU yet"
    assert lab("setiommu", fd="C0", iommu_type=7) == 0
    assert lab("devfd", fd="G0", newfd="D0", device=other) == ENODEV
    assert lab("devfd", fd="G0", newfd="D0") == lab("devfd", fd="G0", newfd="D1") == 0
    assert lab("unsetcont", fd="G0") == EBUSY
    assert lab("close", fd="D0") == 0
    assert lab("unsetcont", fd="G0") == EBUSY
    assert lab("dup", fd="D1", newfd="D2") == lab("close", fd="D1") == 0
    assert lab("unsetcont", fd="G0") == EBUSY
    assert lab("close", fd="D2") == 0
    assert lab("unsetcont", fd="G0") == 0
    assert lab("devfd", fd="G0", newfd="D0") == EINVAL


@recorded
@pytest.mark.parametrize("order", ["CGD", "CDG", "GCD", "GDC", "DCG", "DGC"])
def test_e3_release_comes_with_the_last_of_group_and_device(kernel: str, order: str) -> None:
    lab = Lab(kernel).container().memory()
    assert lab("devfd", fd="G0", newfd="D0") == 0
    assert lab.reg() == lab.map() == 0
    for count, each in enumerate(order):
        held = {"G", "D"} & set(order[count:])
        assert (lab.pinned, bool(held)) == (16 if held or kernel in PRE else 0, bool(held))
        assert lab("close", fd=f"{each}0") == 0
    assert lab.pinned == (16 if kernel in PRE else 0)
    assert lab.locked() == (16 if kernel in PRE else 0)
    assert lab("open", path="/dev/vfio/<group>", fd="G0", group_index=0) == 0
    assert lab("exit") == 0
    assert lab.pinned == 0


@recorded
@pytest.mark.parametrize("kind", ["C0", "G0", "D0"])
def test_e2_duplicates_hold_like_the_original(kernel: str, kind: str) -> None:
    lab = Lab(kernel).container().memory()
    assert lab("devfd", fd="G0", newfd="D0") == 0
    assert lab.reg() == lab.map() == 0
    assert lab("dup", fd=kind, newfd="X0") == 0
    for fd in ("C0", "G0", "D0"):
        assert lab("close", fd=fd) == 0
    assert lab.pinned == (0 if kind == "C0" and kernel not in PRE else 16)
    if kind == "C0":
        assert lab("info", fd="X0") == EINVAL
    else:
        assert lab("open", path="/dev/vfio/<group>", fd="G0", group_index=0) == EBUSY
    assert lab("close", fd="X0") == 0
    assert lab.pinned == (16 if kernel in PRE else 0)
    assert lab("close", fd="X0") == EBADF


@recorded
def test_o2_status(kernel: str) -> None:
    lab = Lab(kernel)
    assert lab("open", path="/dev/vfio/<group>", fd="G0", group_index=0) == 0
    for argsz in (0, 7):
        assert lab("status", fd="G0", argsz=argsz) == EINVAL
    for argsz, flags in ((8, 0), (9, 1), (4096, 0xFFFFFFFF)):
        assert lab("status", fd="G0", argsz=argsz, flags=flags) == 0
        assert lab.out == {"flags": 1}
    assert lab("open", path="/dev/vfio/vfio", fd="C0") == 0
    assert lab("setcont", fd="G0", container="C0") == lab("close", fd="C0") == lab("status", fd="G0") == 0
    assert lab.out == {"flags": 3}
    assert lab("unsetcont", fd="G0") == lab("status", fd="G0") == 0
    assert lab.out == {"flags": 1}
    assert lab("unsetcont", fd="G0") == EINVAL


# -- O.10: several groups -----------------------------------------------------------------------------------


@recorded
@pytest.mark.parametrize("leaves", ["G0", "G1"])
def test_o10_one_of_two_groups_leaves(kernel: str, leaves: str) -> None:
    lab = Lab(kernel).container().memory()
    assert lab.join() == lab.reg() == lab.map() == 0
    charged = lab.locked()
    assert charged == 16 + default_pages(kernel) + view_pages(kernel), "once, not per group"
    assert lab.create(16, 1 << 28) == 0
    assert lab("close", fd=leaves) == 0
    assert lab("info", fd="C0") == 0
    assert lab.create(16, 1 << 28) == ENOSPC
    assert lab.unreg() == (0 if kernel == "v6.12" else EBUSY)
    assert lab.remove(WINDOW1) == 0
    assert lab.locked() == charged - (16 if kernel == "v6.12" else 0)
    assert lab("unsetcont", fd="G1" if leaves == "G0" else "G0") == 0
    assert lab.locked() == (16 if kernel in PRE else 0)


# -- I, O.3: EEH --------------------------------------------------------------------------------------------


@recorded
@pytest.mark.parametrize("iommu_type", [2, 7])
def test_i_eeh_on_a_healthy_pe(kernel: str, iommu_type: int) -> None:
    if kernel == "v4.19" and iommu_type == 2:
        return
    lab = Lab(kernel).container(iommu_type)
    for argsz in (12, 40, 4096):
        for op, want in ((0, 0), (1, 0), (2, 0), (3, 0), (4, 0), (8, 0), (10, EINVAL), (11, EINVAL), (99, EINVAL)):
            assert (op, lab("eeh", fd="C0", eeh_op=op, argsz=argsz)) == (op, want)
        assert lab("eeh", fd="C0", eeh_op=9, argsz=argsz) == (EINVAL if argsz < 40 else EIO)
    for argsz in (0, 11):
        assert lab("eeh", fd="C0", eeh_op=4, argsz=argsz) == EINVAL
    assert lab("eeh", fd="C0", eeh_op=4, flags=1) == EINVAL
    assert lab("eeh", fd="C0", eeh_op=4, argsz=0, bad_user_pointer=True) == EFAULT


@recorded
@pytest.mark.parametrize("reset", [6, 7])
def test_i_eeh_reset(kernel: str, reset: int) -> None:
    lab = Lab(kernel).container()

    def eeh(op: int) -> int | None:
        return lab("eeh", fd="C0", eeh_op=op)

    assert (eeh(5), eeh(4)) == (0, 0)
    assert (eeh(reset), eeh(4)) == (0, 1)
    assert [eeh(op) for op in (8, 0, 1, 4, reset, 4)] == [0, 0, 0, 1, 0, 1]
    assert (eeh(9), eeh(4)) == (EIO, 1)
    assert (eeh(5), eeh(4)) == (0, 0)
    assert lab.join() == 0
    assert (eeh(reset), eeh(4), eeh(5), eeh(4)) == (0, 1, 0, 0)


@recorded
def test_i_recovery_of_a_frozen_pe(kernel: str) -> None:
    lab = Lab(kernel).container()
    lab("dma", group=0, iova=0, size=4096)
    got = [lab("eeh", fd="C0", eeh_op=op) for op in (4, 4, 4, 2, 4, 8, 6, 5, 4, 8, 1)]
    assert got == [2, 2, 2, 0, 4, 0, 0, 0, 0, 0, 0]


# -- release: O.9 and the seed ------------------------------------------------------------------------------


def test_o9_the_only_lister_goes_while_another_maps() -> None:
    for kernel in (*RECORDED, "v4.10", "fixed"):
        lab = Lab(kernel, budget=100_000).container().container(7, 1).memory().memory(1, "M1")
        assert lab.reg() == lab.reg(1, "M1", fd="C1") == lab.map(fd="C1") == 0
        verdict = lab.dies("close", fd="G0")
        if kernel in SEED:
            assert verdict == "livelock"
            continue
        assert verdict == "returned 0"
        assert lab.pinned == 17
        assert lab.map(0x1000, "M0+0x1000", fd="C1") == 0
        assert lab("close", fd="G1") == 0
        leaked = kernel in ("v4.19", "v6.12")
        assert lab.pinned == (17 if kernel in PRE else 16 if leaked else 0)
        assert lab("exit") == 0
        assert lab.pinned == (16 if leaked else 0)


@recorded
def test_e3_two_listers_both_mapped(kernel: str) -> None:
    lab = Lab(kernel).container().container(7, 1).memory()
    assert lab.reg() == lab.reg(fd="C1") == lab.map() == lab.map(fd="C1") == 0
    assert lab("close", fd="G0") == 0
    assert lab.pinned == 16
    assert lab("close", fd="G1") == 0
    assert lab.pinned == (16 if kernel in PRE else 0)


@recorded
def test_o9_a_mapped_region_registered_again_in_the_other_container(kernel: str) -> None:
    lab = Lab(kernel).container().container(7, 1).memory()
    assert lab.reg() == lab.reg(fd="C1") == lab.map(fd="C1") == 0
    assert lab.unreg(fd="C1") == 0, "the other lists it"
    assert lab.unreg() == (0 if kernel == "v6.12" else EBUSY)
    assert lab.unmap(fd="C1") == 0
    assert lab.unreg() == (ENOENT if kernel == "v6.12" else 0)
