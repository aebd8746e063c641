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
        (
            "default-window-double-create",
            "remove-pending-unlocked",
            "create-table-charge-leak",
            "attach-fail-leaves-pending",
            "partial-pin-positive",
            "unregister-busy-swallowed",
            "overlap-race-einval",
            "lookup-uaf",
            "account-underflow-wrap",
            "v1-contained-fail-pin-leak",
            "v2-mapped-inc-success",
            "v2-xchg-fail-counter",
            "v2-pua-null",
            "map-past-window-end",
            "clear-npages-ignored",
            "param-check-returns-one",
            "stale-translation-window",
            "v1-disable-live-tces",
            "ioctl-vs-release",
            "release-leaks-mapped-region",
            "tce-view-race",
            "map-remove-race",
        ),
    ),
    "fixed": Generation("the latest design with every known defect mended", False, ()),
}
