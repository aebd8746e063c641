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
    below = [mm for mm in view.mms if not 0 <= mm.locked_vm.value < WRAPPED]
    for mm in below:
        low = f"locked_vm of {view.name(mm)} is {mm.locked_vm.value}"
        yield Violation("J-L3", f"{low}: it has gone below zero")
    yield from warned(view)
    for mm in view.mms:
        if mm not in below and view.watched(mm):
            charge = charge_of(view, mm, sum(region.entries for region in mm.mem_list.items))
            if not fits(view, mm, charge):
                is_now = f"locked_vm of {view.name(mm)} is {pages(mm.locked_vm.value)}"
                yield Violation("J-L1", f"{is_now}, should be {charge}")
    for driver in view.drivers:
        if not driver.data.v2:
            yield from unpaid(view, driver)


def charge_of(view: View, mm: Mm, regions: int) -> Charge:
    """What an mm should be charged for when ``regions`` pages of regions count."""
    return Charge(view.mlocked(mm), regions, *of_containers(view, view.bound(mm)))


def fits(view: View, mm: Mm, charge: Charge) -> bool:
    """Whether ``locked_vm`` is right; what a container made before it was bound may be charged to anyone."""
    more = mm.locked_vm.value - sum(charge)
    if not more:
        return True
    unbound = [driver for driver in view.drivers if driver.mm is None]
    return 0 < more <= sum(of_containers(view, unbound))


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
    """J-L2: a v1 container pins no more than it is charged for, whichever groups share its window."""
    data = driver.data
    paid = data.locked_pages.value if data.enabled.value else 0
    used = sum(table.hw.live_count << table.hw.it_page_shift for _, table in driver.tables)
    if used > paid << view.page_shift:
        mapped = f"v1 {driver.actor.id} has {used:,} bytes mapped and pinned"
        charged = f"{pages(paid)} ({paid << view.page_shift:,} bytes)"
        yield Violation("J-L2", f"{mapped}, but is charged for {charged}")


def owed(view: View, mm: Mm, kept: int) -> Violation | None:
    """J-Q2: what an mm is charged for beyond what is still in use; of a freed mm it is only noted.

    Args:
        view: the machine.
        mm: whose charge.
        kept: pages of regions that some container still stands for.
    """
    charge = charge_of(view, mm, kept)
    if fits(view, mm, charge):
        return None
    is_now = f"locked_vm of {view.name(mm)} is {pages(mm.locked_vm.value)}"
    message = f"{is_now}, but all that is still in use is {charge}"
    return Violation("J-Q2", message, recorded=mm.destroyed)
