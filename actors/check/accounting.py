"""J-L1, J-L2, J-L3, J-Q2: what an mm is charged for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from actors.check.view import Driver, View, pages
from actors.check.violation import Violation
from actors.kernel.mm_iommu import Mm

WRAPPED = 1 << 52
"""No machine has that many pages: a ``locked_vm`` from here on has wrapped."""


class Charge(NamedTuple):
    """What ``locked_vm`` should be made of, in kernel pages."""

    mlocked: int
    regions: int
    tables: int
    windows: int

    def __str__(self) -> str:
        """Return the sum, for people."""
        return (f"{sum(self):,} = mlock {self.mlocked:,} + regions {self.regions:,} + tables {self.tables:,} "
                f"+ v1 windows {self.windows:,}")  # fmt: skip


def judge_accounting(view: View) -> Iterator[Violation]:
    """Judge the charges of all mms, and what v1 containers pin."""
    yield from warned(view)
    for mm in view.mms:
        own = view.mlocked(mm)
        if not 0 <= mm.locked_vm.value < WRAPPED:
            yield Violation("J-L3", f"locked_vm of {view.name(mm)} is {mm.locked_vm.value}: it has gone below zero")
        elif view.watched(mm):
            charge = Charge(own, sum(r.entries for r in mm.mem_list.items), *of_containers(view, view.bound(mm)))
            if mm.locked_vm.value != sum(charge):
                yield Violation("J-L1", f"locked_vm of {view.name(mm)} is {pages(mm.locked_vm.value)}, should be {charge}")
    for driver in view.drivers:
        if not driver.data.v2:
            yield from unpaid(view, driver)


def warned(view: View) -> Iterator[Violation]:
    """J-L3 by the kernel's own word: more was given back than there was."""
    for message, place in view.machine.world.warnings:
        if place == "account_locked_vm":
            yield Violation("J-L3", message)


def of_containers(view: View, drivers: list[Driver]) -> tuple[int, int]:
    """What containers are charged for: their own tables, and the windows that v1 ENABLE pays for."""
    tables = sum(table_pages(view, driver) for driver in drivers)
    windows = sum(driver.data.locked_pages.value for driver in drivers if driver.data.enabled.value)
    return tables, windows


def table_pages(view: View, driver: Driver) -> int:
    """Kernel pages of the tables that a container has made itself, views that are charged apart included."""
    total = 0
    for _, table in driver.tables:
        if driver.actor.id in table.it_kref.holders:
            total += table.hw.it_allocated_size >> view.page_shift
            if table.hw.has_view and not driver.actor.view_with_table():
                total += -(-8 * table.hw.it_size >> view.page_shift)
    return total


def unpaid(view: View, driver: Driver) -> Iterator[Violation]:
    """J-L2: a v1 container pins no more than it is charged for, and that is the window of one group."""
    data = driver.data
    paid = data.locked_pages.value if data.enabled.value else 0
    used = sum(table.hw.live_count << table.hw.it_page_shift for _, table in driver.tables)
    if used > paid << view.page_shift:
        yield Violation("J-L2", f"v1 {driver.actor.id} has {used:,} bytes mapped and pinned, but is charged for {pages(paid)} "
                                f"({paid << view.page_shift:,} bytes)")  # fmt: skip
    groups = len(data.group_list.items)
    if groups > 1:
        yield Violation("J-L2", f"v1 {driver.actor.id} has {groups} groups, but ENABLE charges the window of one")


def owed(view: View, mm: Mm, kept: int) -> Violation | None:
    """J-Q2: what an mm is charged for beyond what is still in use.

    Args:
        view: the machine.
        mm: whose charge.
        kept: pages of regions that some container still stands for.
    """
    charge = Charge(view.mlocked(mm), kept, *of_containers(view, view.bound(mm)))
    if mm.locked_vm.value == sum(charge):
        return None
    return Violation("J-Q2", f"locked_vm of {view.name(mm)} is {pages(mm.locked_vm.value)}, but all that is still in use "
                             f"is {charge}")  # fmt: skip
