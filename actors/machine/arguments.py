"""Arguments that no call could be made with: refused before the kernel is asked, with the name and the place.

What fits into the interface but makes no sense is the kernel's to refuse.
"""

from __future__ import annotations

from reprlib import repr as short

from actors.runtime.errors import BadArgument


def expect_unsigned(operation: str, bits: int = 64, **values: object) -> None:
    """Refuse what is no unsigned number of so many bits.

    Raises:
        BadArgument: one is none.
    """
    for name, value in values.items():
        if not isinstance(value, int) or not 0 <= value < 1 << bits:
            raise bad(operation, name, value, f"a number from 0 to {(1 << bits) - 1:#x}")


def expect_below(operation: str, limit: int, noun: str, **values: object) -> None:
    """Refuse what is no index of one of ``limit`` things.

    Raises:
        BadArgument: one is none.
    """
    for name, value in values.items():
        if not isinstance(value, int) or not 0 <= value < limit:
            raise bad(operation, name, value, f"a {noun} of the machine, 0 to {limit - 1}")


def expect_attributes(operation: str, attributes: tuple[str, ...], expected: str, **values: object) -> None:
    """Refuse what lacks an attribute.

    Raises:
        BadArgument: one does.
    """
    for name, value in values.items():
        if not all(hasattr(value, attribute) for attribute in attributes):
            raise bad(operation, name, value, expected)


def bad(operation: str, name: str, value: object, expected: str) -> BadArgument:
    """The error for an argument."""
    return BadArgument(f"{operation}: {name}: found {short(value)}, expected {expected}")


__all__ = ["bad", "expect_attributes", "expect_below", "expect_unsigned"]
