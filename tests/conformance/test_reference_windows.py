"""What the reference says of windows and of several groups (B.13 to B.17, O.4, O.5, O.10).

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
    ENOSPC,
    ENXIO,
    EPERM,
    GIB,
    OLD,
    PRE,
    RECORDED,
    WINDOW1,
    Lab,
    default_pages,
    view_pages,
)

recorded = pytest.mark.parametrize("kernel", [*RECORDED, "v4.10"])


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
    assert lab.map() == lab.unmap() == ENXIO
    assert lab.join() == 0
    assert lab.map() == lab.unmap() == ENXIO
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


@recorded
def test_o5_windows_of_a_joining_group_and_the_hosts_own_again(kernel: str) -> None:
    lab = Lab(kernel).container().memory()
    groups = [lab.core.actors[name] for name in lab.machine.world.group_ids]
    assert lab.reg() == lab.map() == lab.create(16, 1 << 28) == lab.join() == 0
    first, second = (group.pe for group in groups)
    assert None not in first.windows
    programmed = kernel not in ("v4.10-parent", "v4.10-seed", "v4.10")
    assert second.windows == (first.windows if programmed else [None, None])
    assert lab.remove(0) == 0
    assert (first.windows[0], second.windows[0], first.bypass) == (None, None, False)
    assert lab("close", fd="G1") == lab("close", fd="G0") == 0
    for group in groups:
        assert group.pe.windows == [group.host_table, None]
        assert group.pe.bypass
