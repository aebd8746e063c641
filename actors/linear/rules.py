"""Which kernels the model can stand for, and with which of its rules.

A piece of a kernel that shows already when calls come one after another is a rule of the model. One that
shows only when calls overlap, or by a failure that is injected, is none: that is what the check is to find.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from typing import Any

from actors.kernel.catalogue import find_kernel, piece_names
from actors.kernel.composition import Kernel
from actors.kernel.generations import names
from actors.linear.model import Rules
from actors.linear.model.values import frozen
from actors.program import MachineSpec

SEQUENTIAL: Mapping[str, Mapping[str, Any]] = {
    "param-check-returns-one": {"param_error": 1},
    "clear-npages-ignored": {"unmap_ignores_count": True},
    "map-past-window-end": {"map_ignores_count": True},
    "partial-pin-positive": {"short_pin_positive": True},
    "unregister-busy-swallowed": {"unregister_leaks": True},
    "release-leaks-mapped-region": {"release_leaks": True},
    "release-loop-infinite": {"release_hangs": True},
    "create-table-charge-leak": {"failed_table_leaks": True},
    "v1-disable-live-tces": {"disable_keeps_tces": True},
    "regions-created-under-mutex": {"overlap_first": True},
    "bad-container-fd-einval": {"bad_fd_invalid": True},
    "device-name-looked-up-last": {"device_name_last": True},
    "clear-after-unset": {"detach_keeps_tces": True},
    "v1-refused-on-ioda2": {"v1_refused": True},
    "type-compat-not-enforced": {"v1_shared": True},
    "no-region-page-shift": {"region_without_shift": True},
    "mm-owned-prereg-lazy-mm": {"mm_registers": True},
    "unbalanced-put": {"mm_registers": True},
    "second-group-no-windows": {"joining_group_empty": True},
    "view-made-by-first-map": {"view_charged_apart": True},
    "window-limited-by-ram": {"window_within_ram": True},
    "table-size-small": {"small_levels_free": True},
    "overallocated-warn": {"small_levels_free": True},
    "levels-allocated-at-once": {"table_bits": 60},
    "fixed-page-sizes": {"page_sizes": 1 << 12 | 1 << 16 | 1 << 24},
}
"""Piece -> the rules it stands for."""

UNSEEN = frozenset(
    names("""
    account-underflow-wrap attach-error-frees-sibling attach-fail-leaves-pending attach-null-iommudata
    clear-softlockup cma-pinned default-window-double-create dirty-not-marked find-without-reference
    fork-shares-pinned-pages huge-pages-stay hugetlb-only ioctl-vs-release lazy-mm-references lookup-uaf
    map-remove-race
    mm-set-unlocked overlap-race-einval ownership-taken-at-attach prereg-element-alloc-unchecked
    rcu-readers-unprotected release-ownership-lost remove-pending-unlocked
    stale-translation-window tce-level-race tce-view-race unset-already-unset v1-contained-fail-pin-leak
    unregister-borrows-reference v2-mapped-inc-success v2-pua-null v2-xchg-fail-counter tce-create-mutex-leak
    view-made-twice
""")
)
"""Pieces that nobody notices by the answers of calls that come one after another."""

TOGETHER = {"mm-owned-prereg-lazy-mm", "unbalanced-put"}
"""Pieces that are one rule, since no kernel had but one of them."""

PAGE_SIZES = {"powernv9": (12, 16, 21, 30), "powernv8": (12, 16, 24, 28)}


def rules_of(slugs: Set[str], spec: MachineSpec) -> Rules:
    """The rules of the model for a machine and the pieces of its kernel, as far as the model knows them."""
    changes: dict[str, Any] = {}
    for slug in sorted(slugs):
        changes |= SEQUENTIAL.get(slug, {})
    shifts = PAGE_SIZES[spec.platform]
    if changes.get("page_sizes", 0) >> 24 & 1 and 24 not in shifts:
        changes["firmware_refuses"] = 1 << 24
    rules = Rules(
        page_shift=spec.page_size.bit_length() - 1,
        memory_bytes=spec.memory_bytes,
        dma32_bytes=spec.dma32_window_size,
        groups=spec.groups,
        page_sizes=sum(1 << shift for shift in shifts),
        huge_pages=frozen(spec.hugepage_pools),
    )
    return rules._replace(**changes)


def judgeable(kernel: Kernel | str) -> str:
    """Why the model cannot stand for a kernel; "" when it can.

    A piece of your own is what is to be judged, and so is held to the kernel that it changes.
    """
    found = find_kernel(kernel) if isinstance(kernel, str) else kernel
    unknown = sorted(found.slugs & piece_names().keys() - SEQUENTIAL.keys() - UNSEEN)
    unknown += sorted(TOGETHER & found.slugs if TOGETHER - found.slugs else ())
    if not unknown:
        return ""
    return f"the sequential model has no rule for {', '.join(unknown)}"


__all__ = ["SEQUENTIAL", "UNSEEN", "judgeable", "rules_of"]
