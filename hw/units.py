"""Addresses, page numbers and sizes of the emulated machine.

The real things are 64-bit registers and buses; here they are Python integers. Userspace addresses and frame
numbers have distinct static types, so that one cannot be handed where the other is wanted. Nothing is left
out but the width: keep a result within 64 bits with `U64`.
"""

from __future__ import annotations

from typing import NewType

Ua = NewType("Ua", int)
"""A userspace (effective) address in bytes."""

Pfn = NewType("Pfn", int)
"""A page frame number: a real address shifted right by the kernel's page shift."""

U64 = (1 << 64) - 1
"""Mask of a 64-bit register."""

GIB = 1 << 30


def align_up(value: int, alignment: int) -> int:
    """Round `value` up to a multiple of `alignment` (a power of two); the result may need a 65th bit."""
    return (value + alignment - 1) & -alignment


def is_power_of_two(value: int) -> bool:
    """Tell whether exactly one bit of `value` is set; zero and negative numbers are not powers of two."""
    return value > 0 and value & (value - 1) == 0


def low_bit_shift(value: int) -> int:
    """Return the number of the lowest set bit of `value`, the largest page shift that divides an address.

    Raises:
        ValueError: if `value` is zero and so is divisible by everything.
    """
    if value == 0:
        raise ValueError("zero has no lowest set bit")
    return (value & -value).bit_length() - 1
