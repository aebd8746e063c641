import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hw import BadGeometry, shift_left, table_geometry, table_size_bytes
from hw.geometry import MAX_LEVELS
from hw.units import GIB
from tests.hw.tables import MIB, TIB

UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40, "P": 1 << 50}

# Pages charged, as recorded or derived: page shift, windows, levels, then v4.9/v4.10 on 64K and 4K kernels,
# v4.19/v6.12 on 64K and v6.12 on 4K kernels. Dots are not known or not reached.
CHARGES = """
12 4K       1    1     1    2          2
12 1M       1    1     1    2          2
12 256M     1    8   128   16        256
12 512M     1   16   256   32        512
12 1G       1   32   512   64       1024
12 2G       1   64  1024  128       2048
12 4G       1  128     .  256       4096
12 4G       2  129     .  258       4100
12 4G       3  130     .  260       4106
12 4G       5  132     .  264       4110
12 16G      2  513     .    .      16392
12 16G      2    .     . 1026      16392
12 64G      1 2048     . 4096      65536
12 64G      3 2050     . 4100      65666
12 1T       1    .     . 65536   1048576
12 4P       4    .     . 268468230 4299165700
12 8P       4    .     . 536936458 8594130952
16 64K      1    1     1    2          2
16 128K     1    1     1    2          2
16 64K      2    1     2    4          4
16 1M       2    1     2    4          4
16 64K      3    1     3    6          6
16 128K     3    1     3    6          6
16 1M       3    1     3    6          6
16 256M     1    1     8    2         16
16 512M     1    1    16    2         32
16 512M     2    2    17    4         34
16 1G       1    2    32    4         64
16 1G       2    3    33    6         66
16 1G       3    4    34    8         68
16 2G       1    4    64    8        128
16 2G       2    5    65   10        130
16 2G       4    7    67   14        134
16 2G       5    8    68   16        136
16 4G       1    8     .   16        256
16 64G      1  128     .  256       4096
16 64G      2  129  2050  258       4100
16 64G      3  130     .  260       4106
16 1T       2    .     . 4098      65552
16 1T       3 2050 32833 4100      65666
16 16T      1    .     . 65536   1048576
16 16T      2    .     . 65540   1048640
16 16T      3    .     . 65546   1049604
16 256T     2    .     . 1048592 16777472
16 256T     3    .     . 1048706 16785416
21 2M       1    .     .    2          2
21 1G       1    .     .    2          2
21 2G       1    .     .    2          4
21 4G       1    .     .    2          8
21 4G       2    .     .    4         10
21 4G       3    .     .    6         12
21 4G       5    .     .   10         16
21 1T       1    .     .  128       2048
21 64T      1    .     . 8192     131072
24 64G      1    1     .    2          .
24 4G       1    .     .    2          .
30 1G       1    .     .    2          2
30 4G       1    .     .    2          2
30 1T       1    .     .    2          4
"""


def size(text: str) -> int:
    return int(text.rstrip("KMGTP")) * UNITS[text.lstrip("0123456789")]


def cases() -> list[tuple[int, int, int, int, bool, int]]:
    found = []
    for line in CHARGES.strip().splitlines():
        shift, window, levels, *columns = line.split()
        for pages, (page_shift, new) in zip(
            columns, [(16, False), (12, False), (16, True), (12, True)], strict=True
        ):
            if pages != ".":
                found.append((page_shift, int(shift), size(window), int(levels), new, int(pages)))
    return found


@pytest.mark.parametrize(("kernel_shift", "shift", "window", "levels", "new", "pages"), cases())
def test_charge(kernel_shift: int, shift: int, window: int, levels: int, new: bool, pages: int) -> None:
    found = table_size_bytes(1 << kernel_shift, shift, window, levels, doubled=new, rounded_to_level_min=new)
    assert found == pages << kernel_shift


@pytest.mark.parametrize(
    ("kernel_shift", "window", "shift", "levels", "level_entries"),
    [
        (16, 2 * GIB, 12, 1, 524288),
        (16, 2 * GIB, 16, 1, 32768),
        (16, 64 * GIB, 16, 1, 1048576),
        (16, 64 * GIB, 16, 2, 8192),
        (16, 64 * GIB, 24, 1, 8192),
        (16, TIB, 16, 3, 8192),
        (12, 2 * GIB, 12, 1, 524288),
        (12, 64 * GIB, 16, 2, 1024),
        (12, TIB, 16, 3, 512),
    ],
)
def test_level_size(kernel_shift: int, window: int, shift: int, levels: int, level_entries: int) -> None:
    geometry = table_geometry(1 << kernel_shift, shift, window, levels)
    assert geometry.level_entries == level_entries
    assert 1 << geometry.level_shift == 8 * level_entries
    assert geometry.entries == max(window >> shift, (1 << kernel_shift) // 8)


@pytest.mark.parametrize(("kernel_page", "extent"), [(65536, 512 << 20), (4096, 32 << 20)])
def test_small_windows_are_as_long_as_a_page_of_entries(kernel_page: int, extent: int) -> None:
    assert table_geometry(kernel_page, 16, 65536, 1).entries << 16 == extent


@pytest.mark.parametrize(
    ("kernel_page", "shift", "levels", "bits"),
    [(65536, 16, 3, 55), (65536, 16, 4, 68), (4096, 16, 4, 52), (4096, 12, 5, 57), (4096, 16, 5, 61)],
)
def test_address_bits(kernel_page: int, shift: int, levels: int, bits: int) -> None:
    assert table_geometry(kernel_page, shift, 2 * GIB, levels).address_bits == bits


@pytest.mark.parametrize(
    ("shift", "window", "levels"),
    [(16, 2 * GIB, n) for n in (0, 6, 0xFFFFFFFF)] + [(16, 3 * GIB, 1), (12, 0, 1), (12, 4095, 1)],
)
def test_no_table(shift: int, window: int, levels: int) -> None:
    assert table_size_bytes(4096, shift, window, levels, doubled=True, rounded_to_level_min=True) == 0
    with pytest.raises(BadGeometry):
        table_geometry(4096, shift, window, levels)


def new_charge(shift: int, window: int, levels: int) -> int:
    return table_size_bytes(4096, shift, window, levels, doubled=True, rounded_to_level_min=True)


def test_a_shift_uses_seven_bits_of_its_count() -> None:
    assert [shift_left(1, count) for count in (0, 63, 64, 127, 128, 140)] == [1, 1 << 63, 0, 0, 1, 4096]
    assert shift_left(3, 63) == 1 << 63
    assert shift_left(1, (1 << 32) - 1) == 0


@pytest.mark.parametrize(
    ("levels", "smallest"), [(1, MIB // 4), (2, MIB), (3, MIB // 2), (4, MIB // 4), (5, MIB // 8)]
)
def test_a_window_a_little_smaller_than_its_page_has_the_smallest_table(levels: int, smallest: int) -> None:
    for window in (smallest, MIB):
        assert new_charge(21, window, levels) == 2 * levels * 4096
        geometry = table_geometry(4096, 21, window, levels)
        assert (geometry.level_shift, geometry.address_bits) == (12, 9 * levels + 21)
        # With five levels the share of each is 0 already where the bits of the whole table are negative.
        assert geometry.entries == (512 if window >= MIB // 4 else 0)
    below = table_geometry(4096, 21, smallest // 2, levels)
    assert below.address_bits > 1 << 31, "the levels' share has wrapped around"


def test_smaller_ones_cost_nothing_or_what_is_left_of_a_shift() -> None:
    assert new_charge(21, MIB // 8, 1) == new_charge(30, 2 * MIB, 1) == new_charge(12, 1, 1) == 0
    assert new_charge(21, MIB // 2, 2) == 2 * (4096 + 8192), "levels of 1 << 0x80000002 bytes, which is 4"
    assert new_charge(140, 2 * GIB, 1) == 2 << 22, "one level of 1 << 22 bytes, by seven bits of the count"


def test_sizes_wrap_at_64_bits() -> None:
    three = table_size_bytes(4096, 140, 1 << 62, 3, doubled=False, rounded_to_level_min=True)
    assert three == 1 << 63, "three levels of 1 << 63"
    assert new_charge(140, 1 << 62, 3) == 0


@settings(deadline=None, derandomize=True)
@given(
    st.sampled_from([12, 16]),
    st.sampled_from([12, 16, 21, 24, 30]),
    st.integers(0, 24),
    st.integers(1, MAX_LEVELS),
)
def test_the_levels_hold_the_entries(kernel_shift: int, shift: int, log_entries: int, levels: int) -> None:
    window = 1 << shift + log_entries
    geometry = table_geometry(1 << kernel_shift, shift, window, levels)
    assert geometry.level_entries**levels >= geometry.entries >= window >> shift
    assert geometry.level_shift >= kernel_shift
    taken = table_size_bytes(
        1 << kernel_shift, shift, window, levels, doubled=False, rounded_to_level_min=True
    )
    assert taken >= 8 * geometry.entries
    assert taken % (1 << kernel_shift) == 0
