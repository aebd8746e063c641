"""What the reference says of any request, of GET_INFO and of EEH (B.0, B.2, B.3, I, O.1, O.3).

Where the reference is silent and the answer is Linux's own, the test says so.
"""

from __future__ import annotations

import pytest

from tests.conformance.lab import (
    BOUND,
    EFAULT,
    EINVAL,
    EIO,
    ENOTTY,
    EPERM,
    GIB,
    OLD,
    RECORDED,
    UPSTREAM,
    WITH_V1,
    Lab,
)

bound = pytest.mark.parametrize("kernel", BOUND)
kernels = pytest.mark.parametrize("kernel", [*UPSTREAM, "fixed"])
recorded = pytest.mark.parametrize("kernel", [*RECORDED, "v4.10"])
with_v1 = pytest.mark.parametrize("kernel", WITH_V1)


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


# -- I, O.3: EEH --------------------------------------------------------------------------------------------


@recorded
@pytest.mark.parametrize("iommu_type", [2, 7])
def test_i_eeh_on_a_healthy_pe(kernel: str, iommu_type: int) -> None:
    if kernel == "v4.19" and iommu_type == 2:
        return
    lab = Lab(kernel).container(iommu_type)
    for argsz in (12, 40, 4096):
        for op, want in (
            (0, 0),
            (1, 0),
            (2, 0),
            (3, 0),
            (4, 0),
            (8, 0),
            (10, EINVAL),
            (11, EINVAL),
            (99, EINVAL),
        ):
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
