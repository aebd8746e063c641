"""Reference O.4 and D.3: what TCE_CREATE answers and charges, row by row."""

from __future__ import annotations

import pytest

from actors.kernel.catalogue import find_kernel
from actors.kernel.generations import GENERATIONS
from actors.linear.model import tables
from actors.linear.rules import rules_of
from actors.program.values import MachineSpec
from hw import table_geometry, table_size_bytes
from tests.conformance.lab import EINVAL, ENOMEM, EPERM, GIB, OLD, WINDOW1, Lab

UNITS = {"K": 10, "M": 20, "G": 30, "T": 40, "P": 50}
COLUMNS = ("old-64k", "old-4k", "419-64k", "612-64k", "612-4k")

# Page shift; windows; levels; a column each: pages charged, or the error and what it left charged; "R" is
# -EINVAL because the window is larger than RAM, "." was not recorded, "F" a refusal by the firmware.
ROWS = """
12 4K,8K,64K,128K,1M 1  1 1 2 2 2
12 256M              1  8 128 16 16 256
12 512M              1  16 256 32 32 512
12 1G                1  32 512 64 64 1024
12 2G                1  64 1024 128 128 2048
12 4G                1  128 R 256 256 4096
12 4G                2  129 R 258 258 4100
12 4G                3  130 R 260 260 4106
12 4G                5  I132 R I264 I264 I4110
12 16G               2  513 R . 1026 16392
12 64G               1  M2048 R . M4096 M65536
12 64G               3  2050 R . 4100 65666
12 1T                1  R R . M65536 M1048576
12 4P                4  R R . I268468230 4299165700
12 8P                4  R R . I536936458 I8594130952
16 64K,128K          1  1 1 2 2 2
16 64K,1M            2  1 2 4 4 4
16 64K,128K,1M       3  1 3 I6 I6 6
16 256M              1  1 8 2 2 16
16 512M              1  1 16 2 2 32
16 512M              2  2 17 4 4 34
16 1G                1  2 32 4 4 64
16 1G                2  3 33 6 6 66
16 1G                3  4 34 I8 I8 68
16 2G                1  4 64 8 8 128
16 2G                2  5 65 10 10 130
16 2G                4  I7 67 I14 I14 134
16 2G                5  I8 I68 I16 I16 I136
16 4G                1  8 R 16 16 256
16 64G               1  128 R . 256 4096
16 64G               2  129 R . 258 4100
16 64G               3  130 R . I260 4106
16 1T                2  R R . 4098 65552
16 16T               1  R R . M65536 M1048576
16 16T               2  R R . 65540 1048640
16 16T               3  R R . I65546 1049604
16 256T              2  R R . 1048592 16777472
16 256T              3  R R . I1048706 16785416
21 2M,1G             1  I I 2 2 2
21 2G                1  I I 2 2 4
21 4G                1  I I 2 2 8
21 4G                2  I I 4 4 10
21 4G                3  I I I6 I6 12
21 4G                5  I I I10 I10 I16
21 1T                1  I I . 128 2048
21 64T               1  I I . M8192 M131072
24 2G                1  F F I I I
24 4G                1  . . . I .
30 1G,2G,4G          1  I I 2 2 2
30 1T                1  I I . 2 4
12 0,1,4095,3G,257M  1  I I I I I
16 2G                0  I I I I I
16 2G                6  I I I I I
16 2G                7  I I I I I
16 2G                100  I I I I I
16 2G                4294967295  I I I I I
0 2G 1  I I I I I
1 2G 1  I I I I I
11 2G 1  I I I I I
13 2G 1  I I I I I
25 2G 1  I I I I I
28 2G 1  I I I I I
31 2G 1  I I I I I
63 2G 1  I I I I I
"""
KERNELS = {
    "old-64k": tuple((kernel, 65536) for kernel in OLD),
    "old-4k": (("v4.9.148", 4096), ("v4.9.148-preseed", 4096)),
    "419-64k": (("v4.19", 65536),),
    "612-64k": (("v6.12", 65536),),
    "612-4k": (("v6.12", 4096),),
}


def number(text: str) -> int:
    return int(text[:-1]) << UNITS[text[-1]] if text[-1] in UNITS else int(text)


def answer(cell: str) -> tuple[int, int]:
    """The return code and the pages charged."""
    if cell in ("R", "I"):
        return EINVAL, 0
    if cell == "F":
        return EPERM, 0
    if cell[0] in "IM":
        return (EINVAL if cell[0] == "I" else ENOMEM), int(cell[1:])
    return 0, int(cell)


def cases() -> list[tuple[str, int, int, int, int, str, tuple[int, int]]]:
    found = []
    for row in ROWS.strip().splitlines():
        shift, windows, levels, *cells = row.split()
        for column, cell in zip(COLUMNS, cells, strict=True):
            if cell == ".":
                continue
            for window in windows.split(","):
                for kernel, page in KERNELS[column]:
                    found.append((kernel, page, int(shift), number(window), int(levels), cell, answer(cell)))
    return found


@pytest.mark.parametrize("kernel", sorted({case[0] for case in cases()}))
def test_o4_result_and_charge_of_every_row(kernel: str) -> None:
    wrong = []
    for name, page, shift, window, levels, cell, expected in cases():
        if name != kernel:
            continue
        recorded_with_more_ram = kernel in OLD and page == 65536 and 2 * GIB < window <= 64 * GIB
        lab = Lab(
            kernel, page_size=page, memory_bytes=(80 if recorded_with_more_ram else 2) * GIB
        ).container()
        assert lab.remove(0) == 0
        got = lab.create(shift, window, levels), lab.locked()
        if got != expected:
            wrong.append((page, shift, window, levels, cell, got))
        if got[0] == 0:
            start = 0
            assert lab.out == {"start_addr": start}
            assert lab.remove(start) == 0
            # More is allocated for small levels than was charged (G55); no more than there is goes back.
            assert lab.locked() == 0
        assert lab("close", fd="G0") == 0
        assert lab.locked() == (expected[1] if expected[0] else 0), "what a failure left charged stays (G15)"
    assert wrong == []


@pytest.mark.parametrize("kernel", [*OLD, "v4.19", "v6.12"])
def test_o4_a_pending_default_window_adds_its_charge_and_takes_slot_0(kernel: str) -> None:
    both = 65 if kernel in OLD else 130
    lab = Lab(kernel).container()
    assert (lab.create(16, 256 << 20), lab.locked()) == (0, both)
    assert lab.out == {"start_addr": WINDOW1}
    small = Lab(kernel, page_size=4096).container()
    assert (small.create(16, 256 << 20), small.locked()) == (0, 1032 if kernel in OLD else 2064)


@pytest.mark.parametrize("kernel", OLD)
def test_d3_ram_limits_windows_in_old_kernels(kernel: str) -> None:
    lab = Lab(kernel, memory_bytes=GIB).container()
    assert lab.remove(0) == 0
    assert lab.create(16, GIB) == 0
    assert lab.create(16, 2 * GIB) == EINVAL
    assert lab.locked() == 2


@pytest.mark.parametrize("kernel", ["v4.19", "v6.12"])
def test_o1_page_sizes_of_a_phb3(kernel: str) -> None:
    for shift, expected in ((12, 0), (16, 0), (24, 0), (28, 0), (20, EINVAL), (21, EINVAL), (30, EINVAL)):
        lab = Lab(kernel, platform="powernv8").container()
        assert lab.remove(0) == 0
        assert (shift, lab.create(shift, GIB)) == (shift, expected)


@pytest.mark.parametrize("kernel", OLD)
def test_d2_old_kernels_offer_16m_pages_and_a_phb3_takes_them(kernel: str) -> None:
    for platform, expected in (("powernv8", (0, 1)), ("powernv9", (EPERM, 0))):
        lab = Lab(kernel, platform=platform).container()
        assert lab.remove(0) == 0
        assert (lab.create(24, 2 * GIB), lab.locked()) == expected
        assert lab.create(28, 2 * GIB) == EINVAL


# D.3: kernel page shift, window, IOMMU page, levels; charge of old kernels, of their view, of new ones.
WORKED = [
    (16, 2 * GIB, 12, 1, 64, 64, 128),
    (16, 2 * GIB, 16, 1, 4, 4, 8),
    (16, 64 * GIB, 16, 1, 128, 128, 256),
    (16, 64 * GIB, 16, 2, 129, 128, 258),
    (16, 512 << 20, 16, 1, 1, 1, 2),
    (12, 2 * GIB, 12, 1, 1024, 1024, 2048),
    (12, 64 * GIB, 16, 2, 2050, 2048, 4100),
]


@pytest.mark.parametrize(("page_shift", "window", "shift", "levels", "old", "view", "new"), WORKED)
@pytest.mark.parametrize("kernel", ["v4.9.148", "v4.9.148-preseed", "v4.19", "v6.12"])
def test_d3_worked_numbers(
    kernel: str, page_shift: int, window: int, shift: int, levels: int, old: int, view: int, new: int
) -> None:
    lab = Lab(kernel, page_size=1 << page_shift, memory_bytes=80 * GIB).container()
    pages = (64 << 10) >> page_shift
    lab.memory(pages)
    assert lab.remove(0) == 0
    assert lab.create(shift, window, levels) == 0
    table = old if kernel in OLD else new
    assert lab.locked() == table
    assert lab.reg(pages) == 0
    ret = lab.map(size=1 << shift)
    backed = shift <= page_shift
    assert ret == (0 if backed else EPERM if kernel in OLD else EINVAL)
    assert lab.locked() == table + pages + (view if kernel in OLD else 0), "a failing MAP makes the view too"
    assert lab.remove(0) == 0
    assert lab.locked() == pages


# -- windows and pages of odd sizes -------------------------------------------------------------------------

ODD_SHIFTS = (12, 16, 21, 24, 30, 64, 76, 128, 140, 144, 149, 158, 268, 0xFFFFFFFC)


@pytest.mark.parametrize("page_shift", [12, 16])
@pytest.mark.parametrize("kernel", ["v4.9.148", "v4.19", "v6.12"])
def test_two_implementations_lay_out_every_table_alike(kernel: str, page_shift: int) -> None:
    """The emulator's arithmetic and the sequential model's, which share nothing."""
    old = kernel in OLD
    spec = MachineSpec(page_size=1 << page_shift, memory_bytes=2 * GIB)
    rules = rules_of(set(GENERATIONS[kernel].slugs), spec)
    for shift in ODD_SHIFTS:
        for window in (1 << bits for bits in range(32 if old else 64)):
            for levels in range(7):
                case = shift, window, levels
                charge = tables.charge(rules, *case)
                assert charge == table_size_bytes(
                    1 << page_shift, *case, doubled=not old, rounded_to_level_min=not old
                ), case
                if charge:
                    assert made(tables.make(rules, 0, *case)) == laid_out(1 << page_shift, old, *case), case


def made(table: tables.Table | int) -> int:
    return table if isinstance(table, int) else table.size


def laid_out(page_size: int, old: bool, *case: int) -> int:
    geometry = table_geometry(page_size, *case)
    if geometry.address_bits >= (60 if old else 55):
        return EINVAL
    return ENOMEM if geometry.level_shift > 24 else geometry.entries


# Kernel page shift, IOMMU page shift, log2 of the window, levels: the answer, and the pages charged.
ODD = [
    ("v6.12", 16, 21, 20, 1, 0, 2),
    ("v6.12", 16, 21, 18, 1, 0, 2),
    ("v6.12", 16, 21, 17, 1, EINVAL, 0),
    ("v6.12", 16, 21, 20, 2, 0, 4),
    ("v6.12", 12, 21, 19, 2, EINVAL, 6),
    ("v6.12", 12, 16, 15, 4, 0, 8),
    ("v6.12", 16, 30, 27, 1, 0, 2),
    ("v6.12", 16, 30, 21, 1, EINVAL, 0),
    ("v4.9.148", 16, 16, 15, 1, 0, 1),
    ("v4.9.148", 12, 16, 13, 1, 0, 1),
    ("v4.9.148", 16, 16, 12, 1, EINVAL, 0),
    ("v4.19", 16, 76, 31, 1, EINVAL, 0),
    ("v4.19", 16, 128, 31, 1, EINVAL, 0),
    ("v4.19", 16, 140, 31, 1, EINVAL, 128),
    ("v4.9.148", 16, 140, 31, 1, EINVAL, 64),
    ("v4.9.148", 12, 144, 31, 2, EINVAL, 0),
    ("v6.12", 12, 149, 31, 1, EINVAL, 4),
    ("v6.12", 12, 158, 63, 1, EINVAL, 1 << 25),
    ("v6.12", 16, 268, 63, 1, EINVAL, 1 << 39),
    ("v4.9", 16, 140, 31, 1, EINVAL, 0),
    ("fixed", 16, 21, 20, 1, 0, 2),
    ("fixed", 16, 140, 31, 1, EINVAL, 0),
]


@pytest.mark.parametrize(("kernel", "page_shift", "shift", "log_window", "levels", "ret", "charge"), ODD)
def test_odd_windows(
    kernel: str, page_shift: int, shift: int, log_window: int, levels: int, ret: int, charge: int
) -> None:
    lab = Lab(kernel, page_size=1 << page_shift).container()
    assert lab.remove(0) == 0
    assert (lab.create(shift, 1 << log_window, levels), lab.locked()) == (ret, charge)
    if ret == 0:
        assert lab.remove(0) == 0
        assert lab.locked() == 0


def test_without_a_limit_on_address_bits_no_level_is_that_large() -> None:
    lab = Lab(find_kernel("v6.12", with_=["too-many-levels"])).container()
    assert lab.remove(0) == 0
    assert (lab.create(140, 2 * GIB), lab.locked()) == (ENOMEM, 128)


def test_a_window_without_entries_cannot_be_found_again() -> None:
    lab = Lab("v4.9.148", page_size=4096).container()
    assert lab.remove(0) == 0
    assert lab.create(12, 1 << 8, 5) == 0
    assert lab.remove(0) == EINVAL
    assert lab("close", fd="G0") == lab("close", fd="C0") == 0
    assert lab.locked() == 0
