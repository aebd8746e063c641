"""madvise as Linux has it, and huge pages that others have reserved."""

from __future__ import annotations

from typing import Any

import pytest

from actors.kernel.madvise import Advice, advice_of
from tests.conformance.lab import EACCES, EFAULT, EINVAL, ENOMEM, Lab

KERNELS = ("v4.10", "v4.19", "v6.12", "fixed")
HUGE = 1 << 24
everywhere = pytest.mark.parametrize("kernel", KERNELS)
every_advice = pytest.mark.parametrize("advice", [each.name for each in Advice])


def advise(lab: Lab, advice: str | int, at: str = "M0", size: int | str = "4P") -> int | None:
    return lab("madvise", addr=at, size=size, advice=advice)


def huge_lab(kernel: str = "v6.12", pages: int = 20) -> Lab:
    return Lab(kernel, mmu="hash", hugepages={"16M": pages})


def huge(lab: Lab, pages: int, at: str = "M0", actor: int = 0, **how: Any) -> int | None:
    flags = ["huge", *how.pop("flags", ())]
    return lab("mmap", actor, addr=at, size=pages * HUGE, prot="rw", mmap_flags=flags, hshift=24)


@pytest.mark.parametrize("word", ["dontfork", "DONTFORK", "madv_dontfork", "MADV_DONTFORK", "10", 10])
def test_words(word: str | int) -> None:
    assert advice_of(word) == Advice.DONTFORK
    assert advice_of("bogus") == advice_of("MADV_") == -1


@pytest.mark.parametrize("advice", ["bogus", 5, 26, 100, 255, -1, 0xFFFFFFFF, "MADV_HWPOISON"])
def test_unknown_advice(advice: str | int) -> None:
    lab = Lab("v6.12").memory(4)
    assert advise(lab, advice) == advise(lab, advice, size=0) == EINVAL


@every_advice
def test_ranges(advice: str) -> None:
    lab = Lab("v6.12").memory(8, mmap_flags=["shared"] if advice == "REMOVE" else [])
    if advice == "WIPEONFORK":
        assert advise(lab, advice) == 0
    assert advise(lab, advice, "M0+0x10") == EINVAL
    assert advise(lab, advice, size=(1 << 64) - 1) == EINVAL, "rounded up it is 2^64"
    assert advise(lab, advice, size=(1 << 64) - (1 << 37)) == EINVAL, "it ends before it begins"
    assert advise(lab, advice, "M7", 0) == 0
    assert advise(lab, advice, "M7") == ENOMEM
    if advice != "FREE":
        assert lab("munmap", addr="M0+1P", size="1P") == 0
        assert advise(lab, advice, size=3 * 65536 - 1) == ENOMEM


def test_what_is_behind_a_hole_is_advised_too() -> None:
    lab = Lab("v6.12").memory(4)
    assert lab("munmap", addr="M0+1P", size="1P") == 0
    assert advise(lab, "dontfork") == ENOMEM
    assert lab("fork", new_actor=1) == 0
    assert lab("touch", 1, addr="M0+2P", size="2P") == EFAULT


@pytest.mark.parametrize("advice", ["dontneed", "free", "cold", "pageout", "remove"])
def test_locked_memory_stays(advice: str) -> None:
    lab = Lab("v6.12").memory(4)
    assert lab("mlock", addr="M0+1P", size="1P") == 0
    assert advise(lab, advice) == EINVAL
    assert advise(lab, "dontneed_locked") == 0


def test_what_a_file_must_be_for() -> None:
    lab = Lab("v6.12").memory(4).memory(4, "M1", mmap_flags=["shared"]).memory(4, "M2", mmap_flags=["memfd"])
    assert [advise(lab, "remove", at) for at in ("M0", "M1", "M2")] == [EINVAL, 0, EACCES]
    assert [advise(lab, "free", at) for at in ("M0", "M1", "M2")] == [0, EINVAL, EINVAL]
    assert [advise(lab, "wipeonfork", at) for at in ("M0", "M1", "M2")] == [0, EINVAL, EINVAL]
    assert lab("mprotect", addr="M1", size="4P", prot="r") == 0
    assert advise(lab, "remove", "M1") == EACCES


def test_populating() -> None:
    lab = Lab("v6.12")
    assert lab("mmap", addr="M0", size="4P", prot="r") == 0
    table = lab._mm(0).page_table
    first = lab.execution.bases["M0"] >> 16
    assert (advise(lab, "populate_write"), table.present(first, 4).sum()) == (EINVAL, 0)
    assert (advise(lab, "populate_read"), table.present(first, 4).sum()) == (0, 4)
    assert lab("mmap", addr="M0+4P", size="4P", prot="rw") == 0
    assert (advise(lab, "populate_write", "M0+4P", "8P"), table.present(first, 8).sum()) == (ENOMEM, 8)


@everywhere
def test_a_forked_child_does_not_get_what_is_not_to_be_inherited(kernel: str) -> None:
    lab = Lab(kernel).memory(16)
    assert advise(lab, "dontfork", "M0+5P", "2P") == 0
    assert advise(lab, "dofork", "M0+6P", "1P") == 0
    assert lab("fork", new_actor=1) == 0
    assert lab("touch", 1, addr="M0+5P", size="1P") == EFAULT
    assert lab("touch", 0, addr="M0", size="16P") == lab("touch", 1, addr="M0+6P", size="10P") == 0
    lab.container(actor=1)
    assert lab.reg(actor=1) == (5 if kernel == "v6.12" else EFAULT)
    assert lab.reg(16, "M0+5P", actor=1) == EFAULT
    assert (lab.pinned, lab.reg(5, actor=1)) == (0, 0)


def test_transparent_huge_pages_can_be_switched_off() -> None:
    for there in (True, False):
        lab = huge_lab(pages=4)
        lab.machine.world.transparent_hugepages = there
        assert lab("mmap", addr="M0", size=2 * HUGE, prot="rw") == 0
        assert advise(lab, "hugepage", size=2 * HUGE) == 0
        assert lab("touch", addr="M0", size=2 * HUGE) == 0
        assert lab.machine.memory.huge_free(24) == (2 if there else 4)
    assert advise(lab, "nohugepage", size=2 * HUGE) == 0


def test_advice_does_not_cut_huge_pages() -> None:
    lab = huge_lab()
    assert huge(lab, 2) == 0
    assert advise(lab, "dontfork", size="1P") == EINVAL
    assert advise(lab, "dofork", size="1P") == 0, "nothing changes"
    assert advise(lab, "dontfork", size=HUGE) == 0


def test_the_pool_is_everybodys() -> None:
    lab = huge_lab()
    assert lab("fork", new_actor=1) == 0
    assert huge(lab, 15) == 0
    assert huge(lab, 10, "M1", 1) == ENOMEM
    assert huge(lab, 5, "M1", 1) == 0
    assert huge(lab, 1, "M2") == ENOMEM
    assert lab("touch", addr="M0", size=15 * HUGE) == lab("touch", 1, addr="M1", size=5 * HUGE) == 0
    assert lab("exit", 1) == 0
    assert huge(lab, 6, "M2") == ENOMEM
    assert huge(lab, 5, "M2") == 0
    assert lab("munmap", addr="M2", size=4 * HUGE) == 0
    assert huge(lab, 4, "M3") == 0


def test_what_a_child_inherits_reserves_nothing_for_it() -> None:
    lab = huge_lab()
    assert huge(lab, 10) == 0
    assert lab("touch", addr="M0", size=4 * HUGE) == lab("fork", new_actor=1) == 0
    assert huge(lab, 10, "M1") == 0, "the child's copies are not counted"
    assert lab("touch", 1, addr="M0", size=HUGE) == EFAULT, "what is free is the parent's"
    assert lab("touch", addr="M0+0x4000000", size=6 * HUGE) == lab("touch", addr="M1", size=10 * HUGE) == 0
    assert lab.machine.memory.huge_free(24) == 0


def test_dropped_huge_pages_can_be_had_again() -> None:
    lab = huge_lab(pages=2)
    assert huge(lab, 2) == lab("touch", addr="M0", size=2 * HUGE) == 0
    assert advise(lab, "dontneed", size=2 * HUGE) == 0
    assert huge(lab, 1, "M1") == ENOMEM
    assert lab("touch", addr="M0", size=2 * HUGE) == 0
