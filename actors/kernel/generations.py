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


def names(text: str) -> tuple[str, ...]:
    """Split a list of names."""
    return tuple(text.split())


def without(slugs: tuple[str, ...], text: str) -> tuple[str, ...]:
    """Return ``slugs`` without the names in ``text``."""
    return tuple(slug for slug in slugs if slug not in names(text))


# What every kernel has that Linux released so far.
ALWAYS = names("""
    lookup-uaf v1-contained-fail-pin-leak v2-mapped-inc-success map-past-window-end
    v1-disable-live-tces tce-view-race map-remove-race
""")

# The postponed default window and what came with it, v4.10.
POSTPONED = names("""
    default-window-double-create remove-pending-unlocked create-table-charge-leak attach-fail-leaves-pending
    mm-set-unlocked
""")

# Designs that ended between v4.19 and v6.12.
BEFORE_5_0 = names("""
    lazy-mm-references regions-created-under-mutex bad-container-fd-einval device-name-looked-up-last
    fork-shares-pinned-pages huge-pages-stay ownership-taken-at-attach
    find-without-reference attach-error-frees-sibling rcu-readers-unprotected cma-pinned
    unset-already-unset clear-after-unset
""")

# Designs that ended between v4.10 and v4.19.
BEFORE_4_19 = BEFORE_5_0 + names("""
    no-region-page-shift fixed-page-sizes levels-allocated-at-once window-limited-by-ram
    type-compat-not-enforced clear-softlockup table-size-small dirty-not-marked
""")

V4_9_148_PRESEED = (
    ALWAYS
    + POSTPONED
    + BEFORE_4_19
    + names("view-made-by-first-map view-made-twice mm-owned-prereg-lazy-mm unbalanced-put")
)
V4_10_PARENT = V4_9_148_PRESEED + names("tce-create-mutex-leak second-group-no-windows")
V4_10_SEED = without(V4_10_PARENT, "mm-owned-prereg-lazy-mm unbalanced-put") + names(
    "release-loop-infinite prereg-element-alloc-unchecked"
)

GENERATIONS: dict[str, Generation] = {
    "v4.9": Generation(
        "before the whole series of the patch",
        False,
        ALWAYS
        + BEFORE_4_19
        + names("""
            view-made-with-table default-window-at-attach mm-owned-prereg-lazy-mm container-no-mm-ref
            current-mm-accounting foreign-process-ioctl unbalanced-put attach-null-iommudata tce-outlives-pins
        """),
    ),
    "v4.10-parent": Generation("just before the bare patch", True, V4_10_PARENT),
    "v4.10-seed": Generation("just after the bare patch", True, V4_10_SEED),
    "v4.10": Generation(
        "the release with the patch",
        False,
        without(V4_10_SEED, "tce-create-mutex-leak") + names("attach-null-iommudata"),
    ),
    "v4.9.148-preseed": Generation("4.9 stable with the patch taken out again", True, V4_9_148_PRESEED),
    "v4.9.148": Generation(
        "4.9 stable with the patch",
        True,
        without(V4_10_SEED, "tce-create-mutex-leak second-group-no-windows"),
    ),
    "v4.19": Generation(
        "the design before v5.0, with the release loop mended",
        True,
        ALWAYS
        + POSTPONED
        + BEFORE_5_0
        + names("""
            v1-refused-on-ioda2 hugetlb-only release-leaks-mapped-region v2-xchg-fail-counter v2-pua-null
            clear-npages-ignored param-check-returns-one tce-level-race ioctl-vs-release
        """),
    ),
    "v6.12": Generation(
        "6.12.95, as distributed",
        True,
        ALWAYS
        + POSTPONED
        + names("""
            partial-pin-positive unregister-borrows-reference unregister-busy-swallowed overlap-race-einval
            account-underflow-wrap
            v2-xchg-fail-counter v2-pua-null clear-npages-ignored param-check-returns-one
            stale-translation-window ioctl-vs-release release-leaks-mapped-region
        """),
    ),
    "fixed": Generation("the latest design with every known defect mended", False, ()),
}
