"""Parts of the state and their values, as people read them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from actors.trace.text import joined, number

Value = str | dict[str, int] | tuple[str, ...] | None
"""A text, the holders of a reference count, the elements of a list; None where there is nothing."""

Key = tuple[str, str]
"""An object and a part of it."""


def shown(value: Any) -> str | None:
    """A value as people read it."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int) and abs(value) < 1 << 32:
        return f"{value:,}"
    return number(value)


def text_of(value: Any) -> str:
    """A value as text, also where there is none."""
    return shown(value) or ""


def names(values: Any) -> tuple[str, ...]:
    """Names on a list."""
    return tuple(text_of(value) for value in values) if isinstance(values, Iterable) else ()


def entry(value: Any) -> str | None:
    """An entry of a window: real address and permission; None for an empty one."""
    if not isinstance(value, (list, tuple)) or len(value) != 2 or not value[1]:
        return None
    rights = {1: "r", 2: "w", 3: "rw"}.get(value[1], number(value[1]))
    return f"{number(value[0])} {rights}"


def about(facts: Mapping[str, Any]) -> str:
    """What never changes of a region, window or file, in one line."""
    entries, shift = facts.get("entries"), facts.get("page_shift")
    if "ua" in facts:
        owner = f"{text_of(facts['mm'])}, " if "mm" in facts else ""
        return f"{owner}{number(facts['ua'])}, {text_of(entries)} page{'' if entries == 1 else 's'}"
    if isinstance(shift, int) and 0 <= shift < 64:
        return f"bus {number(facts.get('start'))}, {text_of(entries)} entries of {size(1 << shift)}"
    return " of ".join(part for part in (text_of(facts.get("kind")), text_of(facts.get("actor"))) if part)


def size(count: int) -> str:
    """A number of bytes that is a power of two."""
    power = min(max(count.bit_length() - 1, 0) // 10, 6)
    return f"{count >> (10 * power)} {('bytes', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB', 'EiB')[power]}"


def who(thread: str, mode: str) -> str:
    """A holder of a lock; one that shares it is marked."""
    return f"{thread} (read)" if mode == "read" else thread


def joined_place(function: str, actor: str) -> str:
    """Where a thread is."""
    return f"{joined(actor, function)}" if function else actor
