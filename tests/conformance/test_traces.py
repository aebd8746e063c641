"""Reference N: the worked traces, on the kernel of every column."""

from __future__ import annotations

import pytest

from tests.conformance.lab import (
    EBUSY,
    ENOENT,
    EPERM,
    OLD,
    PRE,
    SEED,
    Lab,
    ready,
)

# -- N: worked traces ---------------------------------------------------------------------------------------

NORMAL = {  # N.1: locked pages after each step, answer of UNREGISTER while mapped
    "v4.9": (128, 144, 144, EBUSY, 128),
    "old": (0, 16, 144, EBUSY, 128),
    "v4.19": (0, 16, 144, EBUSY, 128),
    "v6.12": (0, 16, 144, 0, 144),
    "fixed": (0, 16, 144, EBUSY, 128),
}


@pytest.mark.parametrize("kernel", ["v4.9", *OLD, "v4.19", "v6.12", "fixed"])
def test_n1_normal_life(kernel: str) -> None:
    attached, registered, mapped, unregister, after = NORMAL["old" if kernel in OLD else kernel]
    lab = Lab(kernel).container().memory()
    assert lab.locked() == attached
    assert (lab.reg(), lab.locked()) == (0, registered)
    assert (lab.map(), lab.locked()) == (0, mapped)
    assert lab.unreg() == unregister
    assert lab.unmap() == 0
    assert lab.unreg() == (ENOENT if kernel == "v6.12" else 0)
    assert lab.locked() == after
    assert lab.pinned == (16 if kernel == "v6.12" else 0)
    assert lab.reg() == 0
    assert lab("exit") == 0
    assert lab.pinned == (16 if kernel == "v6.12" else 0)


@pytest.mark.parametrize("kernel", ["v4.9", *OLD, "v4.19", "v6.12", "fixed"])
def test_n2_the_seed(kernel: str) -> None:
    lab = Lab(kernel, cpus=2).container().memory()
    assert lab.reg() == 0
    assert lab("run", cpu=1, task="actor:0") == lab("run", cpu=1, task="kthread:k") == 0
    assert lab("exit") == 0
    held = 16 if kernel in ("v4.9", *PRE) else 0
    assert lab.pinned == held
    assert lab("run", cpu=1, task="idle") == 0
    assert lab.pinned == held, "from kernel task to kernel task the loan is passed on"
    lab._run(lab.execution.start(9))
    assert lab("run", cpu=1, task="actor:9") == 0
    assert lab.pinned == 0


@pytest.mark.parametrize("kernel", ["v4.9", *OLD, "v4.19", "v6.12", "fixed"])
def test_n3_two_containers_of_one_mm(kernel: str) -> None:
    before = kernel in ("v4.9", *PRE)
    lab = Lab(kernel).container().container(7, 1).memory()
    window = lab.locked()
    assert lab.reg() == lab.reg(fd="C1") == 0
    assert lab.locked() == window + 16
    assert lab.reg() == (0 if before else EBUSY)
    assert [lab.unreg(), lab.unreg()] == ([0, 0] if before else [0, ENOENT])
    assert lab.map(fd="C1") == 0
    assert lab.pinned == 16
    assert lab("close", fd="G1") == 0
    assert lab.pinned == (16 if before else 0)


@pytest.mark.parametrize("kernel", ["v4.9", *OLD, "v4.19", "v6.12", "fixed"])
def test_n4_the_legal_hang_of_the_seed(kernel: str) -> None:
    lab = Lab(kernel, budget=100_000).container().container(7, 1).memory(32)
    assert lab.reg() == lab.reg(16, "M0+16P", fd="C1") == lab.map(fd="C1") == 0
    if kernel in SEED:
        assert lab.dies("close", fd="G0") == "livelock"
        return
    assert lab("close", fd="G0") == lab.unmap(fd="C1") == lab("close", fd="G1") == 0
    leaked = kernel in ("v4.19", "v6.12")
    assert lab.pinned == (32 if kernel in ("v4.9", *PRE) else 16 if leaked else 0)
    assert lab("exit") == 0
    assert lab.pinned == (16 if leaked else 0)


@pytest.mark.parametrize("kernel", ["v4.9", *OLD, "v4.19", "v6.12", "fixed"])
def test_n5_the_parent_dies_first(kernel: str) -> None:
    lab = ready(kernel)
    assert lab("fork", new_actor=1) == lab("exit", 0) == 0
    if kernel == "v4.9":
        assert lab.pinned == 0, "though the TCE is live: J-T1"
        assert lab.dies("exit", 1) == "oops", "the page that is marked dirty is free"
        return
    assert lab.pinned == 16
    assert lab.map(actor=1) == EPERM
    assert lab("close", 1, fd="G0") == 0
    assert lab.pinned == 0
