"""Addresses and sizes as programs spell them.

`"M0+0x1000"` is region M0 plus an offset, `"M0+2P"` two pages into it, `"16P"` and `"64K"`
are sizes, plain numbers are absolute. How large a page is, and where a region lies, is known
only when the program runs: until then an address stays what was written.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

import msgspec

from actors.program.errors import refuse

U64_MAX = (1 << 64) - 1
LARGEST_PAGE = 1 << 16
_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
_TERM = r"[+-](?:0[xX][0-9a-fA-F]{1,16}|[0-9]{1,20})[PKMGT]?"
_SPELLING = re.compile(rf"([A-Za-z_]\w{{0,31}})?((?:{_TERM}){{0,4}})", re.ASCII)
_TERMS = re.compile(r"([+-])(0[xX][0-9a-fA-F]+|[0-9]+)([PKMGT]?)")


class Address(msgspec.Struct, frozen=True, order=True):
    """A place or an amount of memory: region base + offset bytes + pages.

    Attributes:
        region: Name of the region, or None for an absolute address or a size.
        offset: Bytes; negative only within a region.
        pages: Whole pages of the machine's page size.
    """

    region: str | None = None
    offset: int = 0
    pages: int = 0

    def __str__(self) -> str:
        return str(spell(self))


def resolve(address: Address, regions: Mapping[str, int], page_size: int) -> int:
    """The number that an address stands for, modulo 2^64.

    Args:
        address: As read from the program.
        regions: Base address of every region by name.
        page_size: Bytes a page.

    Raises:
        KeyError: The region has no base.
    """
    base = 0 if address.region is None else regions[address.region]
    return (base + address.offset + address.pages * page_size) & U64_MAX


def spell(address: Address) -> int | str:
    """How a program file writes the address; `parse_address` reads it back."""
    if address.region is None and not address.pages:
        return address.offset
    terms = f"{address.pages:+d}P" if address.pages else ""
    if address.offset:
        terms += f"{'-' if address.offset < 0 else '+'}{abs(address.offset):#x}"
    return (address.region or "") + (terms if address.region else terms.removeprefix("+"))


def parse_address(value: object) -> Address:
    """Read an address: a number, or text with or without a region.

    Raises:
        Refusal: Neither, or outside 64 bits.
    """
    return _parse(value, 'an address: a number of 64 bits or text such as "M0+0x1000" or "M0+2P"')


def parse_size(value: object) -> Address:
    """Read a size (or an iova): a number, or text such as "16P", "64K", "2G".

    Raises:
        Refusal: Neither, negative, outside 64 bits, or with a region in it.
    """
    expected = 'a size: a number of 64 bits or text such as "16P", "64K" or "2G"'
    size = _parse(value, expected)
    if size.region is not None:
        raise refuse(value, expected)
    return size


def _parse(value: object, expected: str) -> Address:
    if type(value) is int and 0 <= value <= U64_MAX:
        return Address(None, value)
    address = _parse_text(value) if isinstance(value, str) else None
    if address is None:
        raise refuse(value, expected)
    return address


@lru_cache(maxsize=4096)
def _parse_text(text: str) -> Address | None:
    """The address, or None where the text is none or can leave 64 bits with the largest page."""
    match = _SPELLING.fullmatch("+" + text if text[:1].isdigit() else text)
    if match is None or not text:
        return None
    offset = pages = 0
    for sign, digits, unit in _TERMS.findall(match[2]):
        count = int(digits, 0 if digits[:2] in ("0x", "0X") else 10) * (-1 if sign == "-" else 1)
        pages += count if unit == "P" else 0
        offset += count * _UNITS.get(unit, 0)
    low = 0 if match[1] is None else -U64_MAX
    inside = all(low <= part <= U64_MAX for part in (offset, pages, offset + pages * LARGEST_PAGE))
    return Address(match[1], offset, pages) if inside else None
