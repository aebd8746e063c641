"""Reference A.3, C.7, F, N and O.9: processes, what they hold, and what is left when they go."""

from __future__ import annotations

import pytest

from tests.conformance.lab import (
    EBUSY,
    EFAULT,
    EINVAL,
    ENOMEM,
    EPERM,
    PRE,
    RECORDED,
    WITH_V1,
    Lab,
    ready,
)

recorded = pytest.mark.parametrize("kernel", [*RECORDED, "v4.10"])
everywhere = pytest.mark.parametrize("kernel", [*RECORDED, "v4.10", "fixed"])
with_v1 = pytest.mark.parametrize("kernel", WITH_V1)


def left(kernel: str) -> int:
    """Pins of 16 registered pages after the release, while their process lives."""
    return 16 if kernel in PRE else 0


# -- exit, SIGKILL, exec ------------------------------------------------------------------------------------


@everywhere
@pytest.mark.parametrize("end", ["exit", "abort"])
def test_o9_sole_owner_ends_with_everything_open(kernel: str, end: str) -> None:
    lab = ready(kernel)
    assert lab("devfd", fd="G0", newfd="D0") == lab("dup", fd="C0", newfd="X0") == 0
    assert lab.join() == lab("mlock", addr="M0", size="2P") == 0
    assert lab(end) == 0
    assert lab.pinned == 0
    assert lab.machine.world.memory.pins_by_holder == {}


@everywhere
@pytest.mark.parametrize("end", ["exit", "abort"])
def test_o9_a_child_holds_the_descriptors(kernel: str, end: str) -> None:
    lab = ready(kernel)
    assert lab("fork", new_actor=1) == 0
    assert (lab.locked(1), lab.pinned) == (0, 16)
    assert lab(end, 0) == 0
    assert lab.pinned == 16
    assert lab.reg(actor=1) == lab.map(actor=1) == lab.unreg(actor=1) == lab("info", 1, fd="C0") == EPERM
    assert lab("close", 1, fd="C0") == 0
    assert lab.pinned == 16
    assert lab("close", 1, fd="G0") == 0
    assert (lab.pinned, lab.locked(1)) == (0, 0)


@everywhere
@pytest.mark.parametrize("end", ["exit", "abort"])
def test_o9_a_child_ends_and_changes_nothing(kernel: str, end: str) -> None:
    lab = ready(kernel)
    assert lab("fork", new_actor=1) == 0
    before = lab.locked(), lab.pinned
    assert lab(end, 1) == 0
    assert (lab.locked(), lab.pinned) == before
    assert lab.unmap() == lab.unreg() == 0


@everywhere
def test_f4_grandchildren_hold_descriptors(kernel: str) -> None:
    lab = ready(kernel)
    assert lab("fork", new_actor=1) == lab("fork", 1, new_actor=2) == lab("fork", 2, new_actor=3) == 0
    for actor in (0, 2, 1):
        assert lab("abort", actor) == 0
        assert lab.pinned == 16
    assert lab("open", 3, path="/dev/vfio/<group>", fd="X", group_index=0) == -16
    assert lab("status", 3, fd="G0") == 0
    assert lab.out == {"flags": 3}
    assert lab("unsetcont", 3, fd="G0") == 0
    assert lab.pinned == 0
    assert lab("setcont", 3, fd="G0", container="C0") == lab("setiommu", 3, fd="C0", iommu_type=7) == 0
    assert lab.memory(4, "M5", actor=3).reg(4, "M5", actor=3) == 0
    assert lab("exit", 3) == 0
    assert lab.pinned == 0


@everywhere
@pytest.mark.parametrize("end", ["exit", "abort"])
def test_f6_processes_that_share_an_mm(kernel: str, end: str) -> None:
    lab = ready(kernel)
    assert lab("clonevm", new_actor=1) == 0
    assert lab.locked(1) == lab.locked(0)
    assert lab.map(0x1000, "M0+0x1000", actor=1) == 0
    assert lab(end, 0) == 0
    assert lab.pinned == 16
    assert lab.unmap(0, 8192, actor=1) == lab.unreg(actor=1) == 0
    assert lab.reg(actor=1) == lab.map(actor=1) == 0
    assert lab(end, 1) == 0
    assert lab.pinned == 0


@everywhere
def test_f5_exec_keeps_descriptors_and_loses_the_mm(kernel: str) -> None:
    lab = ready(kernel)
    assert lab("exec") == 0
    assert (lab.locked(), lab.pinned) == (0, 16)
    assert lab("chkext", fd="C0", extension=7) == 1
    assert lab("info", fd="C0") == lab.unmap() == lab.reg() == EPERM
    assert lab("close", fd="G0") == 0
    assert (lab.locked(), lab.pinned) == (0, 0)


@everywhere
@pytest.mark.parametrize("marked", ["C0", "G0", "CG"])
def test_f5_close_on_exec(kernel: str, marked: str) -> None:
    lab = ready(kernel)
    for fd in ("C0", "G0") if marked == "CG" else (marked,):
        assert lab("cloexec", fd=fd) == 0
    assert lab("cloexec", fd="X9") == -9
    assert lab("exec") == 0
    released = marked != "C0"
    assert (lab.pinned, lab.locked()) == (0 if released else 16, 0)
    if marked == "G0":
        assert lab("info", fd="C0") == EINVAL
        assert lab("open", path="/dev/vfio/<group>", fd="G0", group_index=0) == 0
        assert lab("setcont", fd="G0", container="C0") == lab("setiommu", fd="C0", iommu_type=7) == 0
        assert lab.memory().reg() == 0
    assert lab("close", fd="C0") == (-9 if marked != "G0" else 0)
    assert lab("exit") == 0
    assert lab.pinned == 0


@everywhere
def test_f5_a_duplicate_is_not_closed_on_exec_and_a_child_keeps_the_mark(kernel: str) -> None:
    lab = ready(kernel)
    assert lab("cloexec", fd="G0") == lab("dup", fd="G0", newfd="X0") == lab("fork", new_actor=1) == 0
    assert lab("exec", 0) == lab("exec", 1) == 0
    assert lab.pinned == 16
    assert lab("close", 0, fd="G0") == -9
    assert lab("close", 0, fd="X0") == 0
    assert lab.pinned == 16
    assert lab("close", 1, fd="G0") == -9
    assert lab("close", 1, fd="X0") == 0
    assert lab.pinned == 0


@everywhere
def test_f5_exec_of_one_that_shares_the_mm(kernel: str) -> None:
    lab = ready(kernel)
    assert lab("clonevm", new_actor=1) == lab("exec", 0) == 0
    assert (lab.locked(0), lab.pinned) == (0, 16)
    assert lab.unmap(actor=0) == EPERM
    assert lab.unmap(actor=1) == lab.unreg(actor=1) == 0


# -- binding ------------------------------------------------------------------------------------------------


@recorded
@pytest.mark.parametrize("binder", ["reg", "bad reg", "create", "remove", "bad remove"])
def test_a3_who_binds_first_wins(kernel: str, binder: str) -> None:
    lab = Lab(kernel).container().memory()
    assert lab("fork", new_actor=1) == lab("info", 0, fd="C0") == 0
    assert lab.map(actor=0) == lab.unmap(actor=0) == lab.unreg(actor=0) == EPERM, "not enabled, nothing bound"
    got = {
        "reg": lambda: lab.reg(actor=1),
        "bad reg": lambda: lab.reg(actor=1, bad_user_pointer=True),
        "create": lambda: lab.create(16, 1 << 28, actor=1),
        "remove": lambda: lab.remove(0, actor=1),
        "bad remove": lambda: lab.remove(5, actor=1),
    }[binder]()
    assert got == {"bad reg": EFAULT, "bad remove": EINVAL}.get(binder, 0)
    assert lab.reg() == lab("info", fd="C0") == EPERM
    assert lab.locked(0) == 0
    assert lab("exit", 1) == 0
    assert lab.reg() == EPERM
    assert lab.pinned == (16 if binder == "reg" else 0)
    assert lab("unsetcont", fd="G0") == 0
    assert lab.pinned == 0
    assert lab("setcont", fd="G0", container="C0") == lab("setiommu", fd="C0", iommu_type=7) == lab.reg() == 0


@with_v1
def test_a3_enable_binds(kernel: str) -> None:
    lab = Lab(kernel).container(2)
    assert lab("fork", new_actor=1) == lab("disable", 1, fd="C0") == lab("enable", 1, fd="C0") == 0
    assert (lab.locked(0), lab.locked(1)) == (0, 32768)
    assert lab("enable", fd="C0") == lab("disable", fd="C0") == EPERM
    assert lab("abort", 1) == 0
    assert lab("enable", fd="C0") == EPERM
    assert lab("close", fd="G0") == 0


@everywhere
def test_f4_a_child_releases_what_the_parent_registered(kernel: str) -> None:
    lab = ready(kernel)
    assert lab("fork", new_actor=1) == lab("unsetcont", 1, fd="G0") == 0
    assert (lab.pinned, lab.locked()) == (left(kernel), left(kernel))
    assert lab("info", fd="C0") == EINVAL
    assert lab("setcont", fd="G0", container="C0") == lab("setiommu", fd="C0", iommu_type=7) == 0
    assert lab.reg() == 0
    assert (lab.pinned, lab.locked()) == (16, 16)


@everywhere
def test_c7_a_child_registers_for_itself(kernel: str) -> None:
    lab = ready(kernel)
    assert lab("mlock", addr="M0", size="4P") == lab("fork", new_actor=1) == 0
    assert lab.locked(1) == 0
    lab.container(7, 1, actor=1)
    assert lab.reg(actor=1, fd="C1") == lab.map(fd="C1", actor=1) == 0
    assert lab.pinned == 32
    assert lab("exit", 0) == 0
    assert lab.pinned == 32, "the child has the first group too"
    assert lab("close", 1, fd="G0") == 0
    assert lab.pinned == 16
    assert lab("exit", 1) == 0
    assert lab.pinned == 0


@recorded
def test_o6_limits_are_inherited(kernel: str) -> None:
    lab = Lab(kernel).container().memory().limit(8 * 65536)
    assert lab("fork", new_actor=1) == 0
    assert lab.reg(actor=1) == ENOMEM
    assert lab("rlimit", 0, limit="RLIM_INFINITY") == 0
    assert lab.reg(actor=1) == ENOMEM
    assert lab.reg(actor=0) == EPERM, "the child has bound it"


# -- mappings of the process change underneath --------------------------------------------------------------


@everywhere
def test_o6_what_munmap_and_madvise_leave_alone(kernel: str) -> None:
    lab = ready(kernel)
    charged = lab.locked()
    assert lab("madvise", addr="M0", size="16P", advice="dontneed") == 0
    assert (lab.pinned, lab.locked()) == (16, charged)
    assert lab("touch", addr="M0", size="16P") == lab.map(0x1000, "M0+1P") == 0
    assert lab("munmap", addr="M0", size="16P") == 0
    assert (lab.pinned, lab.locked()) == (16, charged)
    assert lab.map(0x2000, "M0+2P") == lab.unmap(0, 1 << 20) == lab.unreg() == 0
    assert lab.pinned == 0
    assert lab.reg() == EFAULT


@everywhere
@pytest.mark.parametrize(("prot", "ret"), [("none", EFAULT), ("r", EFAULT), ("w", 0), ("rw", 0)])
def test_b6_mprotect_before_register(kernel: str, prot: str, ret: int) -> None:
    lab = Lab(kernel).container().memory()
    assert lab("mprotect", addr="M0", size="16P", prot=prot) == 0
    assert (lab.reg(), lab.pinned) == (ret, 0 if ret else 16)
    assert lab("mprotect", addr="M0", size="16P", prot="rw") == 0
    assert lab.reg() == (0 if ret or kernel in PRE else EBUSY)
    assert lab.map() == lab("touch", addr="M0", size="16P") == 0


@recorded
def test_b6_mprotect_of_a_part_is_a_hole_for_register(kernel: str) -> None:
    lab = Lab(kernel).container().memory()
    assert lab("mprotect", addr="M0+5P", size="1P", prot="r") == 0
    assert (lab.reg(), lab.locked()) == (5 if kernel == "v6.12" else EFAULT, 0)
    assert lab.reg(5) == lab.reg(10, "M0+6P") == 0


@everywhere
@pytest.mark.parametrize("prot", ["none", "r"])
def test_o6_mprotect_after_register(kernel: str, prot: str) -> None:
    lab = ready(kernel)
    assert lab("mprotect", addr="M0", size="16P", prot=prot) == 0
    assert lab.map(0x1000, "M0+0x1000") == 0, "v2 looks at the region only"
    assert lab.unmap(0, 8192) == lab.unreg() == 0
    assert lab.reg() == EFAULT


@with_v1
def test_b9_mprotect_and_madvise_under_v1(kernel: str) -> None:
    lab = Lab(kernel).container(2).memory()
    assert lab("enable", fd="C0") == lab.map() == 0
    assert lab("mprotect", addr="M0", size="1P", prot="r") == 0
    assert (lab.map(0x1000), lab.pinned) == (EFAULT, 1)
    assert lab("mprotect", addr="M0", size="1P", prot="rw") == lab.map(0x1000) == 0
    assert lab("madvise", addr="M0", size="1P", advice="dontneed") == 0
    assert lab.map(0x2000) == 0
    assert lab.pinned == 3
    assert lab("abort") == 0
    assert lab.pinned == 0


# What follows is Linux's, not the reference's: system calls on memory that a recorder may use.


@everywhere
def test_linux_mlock(kernel: str) -> None:
    lab = Lab(kernel).memory(8)
    assert lab("munmap", addr="M0+4P", size="1P") == 0
    assert (lab("mlock", addr="M0", size="8P"), lab.locked()) == (ENOMEM, 4), "up to the hole"
    assert (lab("munlock", addr="M0+4P", size="4P"), lab.locked()) == (ENOMEM, 4)
    assert (lab("munlock", addr="M0", size="8P"), lab.locked()) == (ENOMEM, 0)
    assert lab("mlock", addr="M0", size=1) == 0
    assert lab("mlock", addr="M0+0x1000", size=65536) == 0
    assert lab.locked() == 2
    assert lab("mlock", addr="M0", size=0) == 0
    assert lab("mmap", addr="M1", size="2P", prot="none") == 0
    assert (lab("mlock", addr="M1", size="2P"), lab.locked()) == (ENOMEM, 4)
    lab.limit(4 * 65536)
    assert lab("mlock", addr="M0", size="2P") == 0, "nothing new"
    assert lab("mlock", addr="M0", size="3P") == ENOMEM
    assert lab("madvise", addr="M0", size="2P", advice="dontneed") == EINVAL
    assert lab("rlimit", limit=0) == 0
    assert lab("mlock", addr="M0", size="1P") == EPERM


@everywhere
def test_linux_mprotect_munmap_madvise(kernel: str) -> None:
    lab = Lab(kernel).memory(8)
    assert lab("munmap", addr="M0+4P", size="1P") == 0
    assert lab("mprotect", addr="M0", size="8P", prot="r") == ENOMEM
    assert lab("mprotect", addr="M0+0x10", size="1P", prot="r") == EINVAL
    assert lab("madvise", addr="M0", size="8P", advice="dontneed") == ENOMEM
    assert lab("madvise", addr="M0+1", size="1P", advice="dontneed") == EINVAL
    assert lab("munmap", addr="M0", size=0) == lab("munmap", addr="M0+1", size="1P") == EINVAL
    assert lab("munmap", addr="M7", size="1P") == 0
    lab.container()
    assert lab.reg(4) == EFAULT, "the part before the hole is read-only now"
    assert lab.reg(3, "M0+5P") == 0


def test_linux_huge_pages_are_not_cut() -> None:
    lab = Lab("v6.12", hugepages={"16M": 4}).container()
    huge = 1 << 24
    assert lab("mmap", addr="M0", size=2 * huge, prot="rw", mmap_flags=["huge"], hshift=24) == 0
    assert lab("munmap", addr="M0", size="1P") == lab("mprotect", addr="M0+1P", size="1P", prot="r") == EINVAL
    assert (lab("mlock", addr="M0", size=huge), lab.locked()) == (0, 0)
    assert lab("reg", fd="C0", vaddr="M0", size=huge) == 0
    assert lab("fork", new_actor=1) == 0
    assert lab("touch", 0, addr="M0", size=huge) == lab("touch", 1, addr="M0", size=huge) == 0
    assert lab("reg", 0, fd="C0", vaddr=f"M0+{huge}", size=huge) == 0
    assert lab.remove(0) == lab.create(21, 1 << 30) == 0
    assert lab.map(0, f"M0+{huge}", 1 << 21) == lab.map(1 << 21, "M0", 1 << 21) == 0
    assert lab("madvise", addr="M0", size=huge, advice="dontneed") == 0
    assert lab.pinned == 512


@pytest.mark.parametrize("kernel", [*RECORDED, "v4.10", "fixed"])
@pytest.mark.parametrize("end", ["exit", "abort", "exec"])
def test_e5_what_was_opened_last_is_released_first(kernel: str, end: str) -> None:
    """The second container maps what the first one registered: only this order has nobody hang or leak."""
    lab = Lab(kernel, budget=100_000).container().container(7, 1).memory(32)
    assert lab.reg() == lab.reg(16, "M0+16P", fd="C1") == lab.map(fd="C1") == 0
    for fd in ("G0", "C0", "C1", "G1"):
        assert lab("cloexec", fd=fd) == 0
    assert lab.dies(end) == "returned 0"
    assert lab.pinned == 0
