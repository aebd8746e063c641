"""The kernels by name: each is a list of pieces."""

from __future__ import annotations

from typing import NamedTuple


class Generation(NamedTuple):
    """A kernel that Linux had.

    Attributes:
        about: what it stands for.
        recorded: whether there are recordings of it.
        slugs: the pieces it carries.
    """

    about: str
    recorded: bool
    slugs: tuple[str, ...]


GENERATIONS: dict[str, Generation] = {
    "v6.12": Generation(
        "6.12.95, as distributed",
        True,
        (),
    ),
    "fixed": Generation("the latest design with every known defect mended", False, ()),
}
