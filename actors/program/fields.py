"""Readers: each takes what JSON gave and returns the typed value, or raises `Refusal`."""

from __future__ import annotations

import errno as errnos
import re
from collections.abc import Callable, Collection, Mapping
from typing import Any

from actors.program.address import U64_MAX, Address, parse_size
from actors.program.errors import Refusal, refuse
from actors.program.values import FrozenDict

Reader = Callable[[Any], Any]

MOST_ACTORS = 1024
MMAP_FLAGS = ("shared", "force", "memfd", "huge")
PATHS = ("/dev/vfio/vfio", "/dev/vfio/<group>")
ERRNO_BY_NAME = {name: number for number, name in errnos.errorcode.items()}


def number(low: int, high: int) -> Reader:
    """A whole number in [low, high]."""
    expected = f"a whole number from {low} to {high:#x}" if high > 9999 else f"{low} to {high}"

    def read(value: object) -> int:
        if type(value) is not int or not low <= value <= high:
            raise refuse(value, expected)
        return value

    return read


def one_of(*choices: object) -> Reader:
    """One of a few values of one type; neither true nor 1.0 is 1."""
    expected = " or ".join(str(choice) for choice in choices)

    def read(value: object) -> object:
        if type(value) is not type(choices[0]) or value not in choices:
            raise refuse(value, expected)
        return value

    return read


def text(pattern: str, expected: str) -> Reader:
    """A string that matches the pattern as a whole."""
    compiled = re.compile(pattern, re.ASCII)

    def read(value: object) -> str:
        if not isinstance(value, str) or not compiled.fullmatch(value):
            raise refuse(value, expected)
        return value

    return read


def array(item: Reader, most: int | None = None) -> Reader:
    """An array of such values, as a tuple."""

    def read(value: object) -> tuple[Any, ...]:
        if not isinstance(value, list):
            raise refuse(value, "an array")
        if most is not None and len(value) > most:
            raise refuse(value, f"at most {most}")
        return tuple(inside(item, each, index) for index, each in enumerate(value))

    return read


def table(key: Reader, item: Reader) -> Reader:
    """An object from such keys to such values, as a `FrozenDict`."""

    def read(value: object) -> FrozenDict[Any, Any]:
        pairs = mapping(value)
        return FrozenDict({inside(key, k, k): inside(item, v, k) for k, v in pairs.items()})

    return read


def optional(reader: Reader) -> Reader:
    """The value, or null for None."""
    return lambda value: None if value is None else reader(value)


def several(reader: Reader) -> Reader:
    """One value or an array of them ("any of these"), as a tuple; null is None."""
    many = array(reader)

    def read(value: object) -> tuple[Any, ...] | None:
        if isinstance(value, list):
            if not value:
                raise refuse(value, "at least one")
            return many(value)  # type: ignore[no-any-return]
        return None if value is None else (reader(value),)

    return read


def anything(value: object) -> object:
    """Commentary: accepted as it is."""
    return value


def record(
    raw: object, readers: Mapping[str, Reader], required: Collection[str] = (), *, strict: bool = True
) -> dict[str, Any]:
    """Read an object key by key.

    Args:
        raw: What JSON gave.
        readers: Every key that may occur.
        required: The keys that must.
        strict: Refuse other keys; otherwise they are commentary and left out.

    Raises:
        Refusal: No object, an unknown or missing key, or a refused value; with its path.
    """
    values = {}
    for key, value in mapping(raw).items():
        reader = readers.get(key)
        if reader is None and strict:
            raise Refusal(f"unknown key, expected one of {', '.join(readers)}", key)
        if reader is None:
            continue
        try:
            values[key] = reader(value)
        except Refusal as refusal:
            raise refusal.within(key) from None
    for key in required:
        if key not in values:
            raise Refusal("missing", key)
    return values


def mapping(value: object) -> dict[str, Any]:
    """The value as an object."""
    if not isinstance(value, dict):
        raise refuse(value, "an object")
    return value


def inside(reader: Reader, value: object, place: str | int) -> Any:
    """Read the value that stands at a key or index."""
    try:
        return reader(value)
    except Refusal as refusal:
        raise refusal.within(place) from None


def _container(value: object) -> str:
    return "-1" if value in ("-1", -1) and not isinstance(value, bool) else name(value)


def _limit(value: object) -> Address:
    return Address(None, U64_MAX) if value == "RLIM_INFINITY" else parse_size(value)


def _mmap_flags(value: object) -> tuple[str, ...]:
    names: tuple[str, ...] = array(one_of(*MMAP_FLAGS), len(MMAP_FLAGS))(value)
    return tuple(sorted(set(names), key=MMAP_FLAGS.index))


def _advice(value: object) -> str | int:
    advice: str | int = number(-(1 << 31), (1 << 32) - 1)(value) if isinstance(value, int) else word(value)
    return advice


def _prot(value: object) -> object:
    """A subset of "rw"; the empty one is "none"."""
    return "none" if value == "" else one_of("none", "r", "w", "rw")(value)


def _errno(value: object) -> str:
    if type(value) is int and value in errnos.errorcode:
        return errnos.errorcode[value]
    if isinstance(value, str) and value in ERRNO_BY_NAME:
        return value
    raise refuse(value, "the name of an error such as EBUSY")


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise refuse(value, "true or false")
    return value


u8, u32, u64 = number(0, 0xFF), number(0, 0xFFFF_FFFF), number(0, U64_MAX)
result = number(-(1 << 63), (1 << 63) - 1)
name = text(r"[\w.:<>/-]{1,64}", "a name")
word = text(r"\w{1,64}", "a word")
title = text(r"[^\x00-\x1f\x7f]{1,200}", "a name on one line")
prose = text(r"[\s\S]{0,100000}", "text")
task = text(r"actor:\d{1,4}|kthread:\S{1,64}|idle", '"actor:N", "kthread:NAME" or "idle"')
actor = number(0, MOST_ACTORS - 1)
index = number(0, 1023)
size = parse_size
container, limit, mmap_flags, advice, errno, flag = _container, _limit, _mmap_flags, _advice, _errno, _flag
prot = _prot
path = one_of(*PATHS)
any_path = text(r"[^\x00-\x1f\x7f]{0,4096}", "a path")
