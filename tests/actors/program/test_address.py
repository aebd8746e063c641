"""Addresses: what they stand for, and that spelling and reading are inverse."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.program import Address, Refusal, parse_address, parse_size, resolve, spell

REGIONS = {"M0": 16 << 30, "ram_1": 32 << 30}


@pytest.mark.parametrize(
    ("spelled", "page_size", "number"),
    [
        ("M0", 4096, 16 << 30),
        ("M0+0x1000", 4096, (16 << 30) + 0x1000),
        ("M0+2P", 4096, (16 << 30) + 8192),
        ("M0+2P", 65536, (16 << 30) + 131072),
        ("M0-0x40000", 65536, (16 << 30) - 0x40000),
        ("ram_1+1P+64K+8", 4096, (32 << 30) + 4096 + 65536 + 8),
        (18446744073709486080, 65536, 18446744073709486080),
        ("0x10", 4096, 16),
    ],
)
def test_addresses_resolve(spelled: object, page_size: int, number: int) -> None:
    assert resolve(parse_address(spelled), REGIONS, page_size) == number


@pytest.mark.parametrize(
    ("spelled", "page_size", "number"),
    [
        ("16P", 65536, 1 << 20),
        ("64K", 4096, 65536),
        ("2G", 4096, 2 << 30),
        (0, 4096, 0),
        ("1T", 4096, 1 << 40),
    ],
)
def test_sizes_resolve(spelled: object, page_size: int, number: int) -> None:
    assert resolve(parse_size(spelled), {}, page_size) == number


@pytest.mark.parametrize(
    "spelled",
    [
        -1,
        1 << 64,
        1.0,
        True,
        None,
        [],
        {},
        "",
        "+",
        "M0+",
        "M0+x",
        "M0 + 1",
        "1-2",
        "-1",
        "0x",
        "1KB",
        "٣",
        "18446744073709551616",
        "M0+0x1ffffffffffffffff",
        "99999999999999999P",
        "M0+1+1+1+1+1",
        "1" * 5000,
    ],
)
def test_no_address(spelled: object) -> None:
    with pytest.raises(Refusal, match="expected an address"):
        parse_address(spelled)


@pytest.mark.parametrize("spelled", ["M0", "M0+1P", -5, 1 << 64, "-1P", False])
def test_no_size(spelled: object) -> None:
    with pytest.raises(Refusal, match="expected a size"):
        parse_size(spelled)


def test_an_absolute_sum_wraps_at_64_bits() -> None:
    assert resolve(parse_address("M0-0x10"), {"M0": 0}, 4096) == (1 << 64) - 16


def test_a_region_without_base_is_a_key_error() -> None:
    with pytest.raises(KeyError, match="M7"):
        resolve(Address("M7"), REGIONS, 4096)


offsets = st.integers(-(1 << 62), 1 << 62)
pages = st.integers(-(1 << 40), 1 << 40)


@settings(deadline=None, derandomize=True)
@given(st.sampled_from(["M0", "ram_1", "_"]), offsets, pages)
def test_spelling_is_read_back(region: str, offset: int, pages: int) -> None:
    address = Address(region, offset, pages)
    assert parse_address(spell(address)) == address


@settings(deadline=None, derandomize=True)
@given(st.integers(0, 1 << 62), st.integers(0, 1 << 40))
def test_sizes_are_read_back(offset: int, pages: int) -> None:
    size = Address(None, offset, pages)
    assert parse_size(spell(size)) == size
