"""A cheap mark of all that the oracles judge: equal marks, nothing to judge again."""

from __future__ import annotations

from typing import Any, NamedTuple

from actors.check.view import Driver, View
from actors.kernel.group import Group
from actors.kernel.mm_iommu import Mm

Part = tuple[Any, ...]


class State(NamedTuple):
    """What was there at one moment when no operation was in the middle, part by part.

    Attributes:
        charges: locked_vm of each mm.
        regions: the registered ranges of each mm, with ``used``.
        dying: how many regions wait for a grace period.
        mapped: ``mapped`` of each region.
        holders: who holds each mm, and what each container is bound to.
        containers: flags, groups and registrations of each container that has an IOMMU.
        windows: each container's tables, and what each PE is programmed with.
        entries: how often each table was written, and who refers to it.
        groups: which container each group is in, and how many use it.
        pins: all pins by holder.
        caches: what bridges remember.
    """

    charges: Part
    regions: Part
    dying: Part
    mapped: Part
    holders: Part
    containers: Part
    windows: Part
    entries: Part
    groups: Part
    pins: Part
    caches: Part


def state_of(view: View) -> State:
    """Take the mark; the view has just looked."""
    mms, drivers, groups = view.mms, view.drivers, view.groups
    tables = [table for driver in drivers for _, table in driver.tables]
    return State(
        tuple([mm.locked_vm.value for mm in mms]),
        tuple([regions_of(mm) for mm in mms]),
        tuple([len(mm.regions) - len(mm.mem_list.items) for mm in mms]),
        tuple([region.mapped.value for mm in mms for region in mm.mem_list.items]),
        (tuple([holders_of(mm) for mm in mms]), tuple([driver.data.mm.value for driver in drivers])),
        tuple([container_of(driver) for driver in drivers]),
        (
            tuple([tuple([c.value for c in driver.data.tables]) for driver in drivers]),
            tuple([pe_of(g) for g in groups]),
        ),
        tuple([(table.hw.changes, tuple(table.it_kref.holders.items())) for table in tables]),
        tuple([(group.container.value, group.container_users.value) for group in groups]),
        (view.memory.pinned_pages, tuple(view.memory.pins_by_holder.items())),
        tuple([item for group in groups for item in group.pe.cached]),
    )


def regions_of(mm: Mm) -> Part:
    """The regions on the list with their registrations."""
    return tuple([(region.ua, region.entries, region.used.value) for region in mm.mem_list.items])


def holders_of(mm: Mm) -> Part:
    """Who holds an mm, and whether it has users."""
    return tuple(mm.mm_count.holders.items()), bool(mm.mm_users.holders), mm.destroyed


def container_of(driver: Driver) -> Part:
    """What a container's data says, its binding and its tables apart."""
    data = driver.data
    return (
        data.name,
        data.enabled.value,
        data.def_window_pending.value,
        data.locked_pages.value,
        tuple(data.prereg_list.items),
        tuple([group.group for group in data.group_list.items]),
    )


def pe_of(group: Group) -> Part:
    """What a PE is programmed with; tables are compared by identity."""
    return (*group.pe.windows, group.pe.bypass)
