"""What the reference says of REGISTER and UNREGISTER (B.6, B.7, C.3, O.6).

Where the reference is silent and the answer is Linux's own, the test says so.
"""

from __future__ import annotations

import pytest

from tests.conformance.lab import (
    EBUSY,
    EFAULT,
    EINVAL,
    ENOENT,
    ENOMEM,
    EPERM,
    PRE,
    RECORDED,
    Lab,
)

recorded = pytest.mark.parametrize("kernel", [*RECORDED, "v4.10"])


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
@pytest.mark.parametrize(
    ("at", "pages"), [("M0", 8), ("M0", 17), ("M0+4P", 4), ("M0+15P", 2), ("M0-1P", 2), ("M0+8P", 8)]
)
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
@pytest.mark.parametrize(
    "size", [1 << 40, 1 << 44, 1 << 52, 1 << 60, 1 << 62, 1 << 63, (1 << 64) - (1 << 46)]
)
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
    kinds = (
        {"mmap_flags": ["shared"]},
        {"mmap_flags": ["memfd"]},
        {"file": "/tmp/a"},
        {"file": "/tmp/b", "mmap_flags": ["shared"]},
    )
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
