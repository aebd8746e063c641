"""J-Q1, J-Q2, J-Q4, and J-K1 and J-K4 once more: what is left when nothing is in flight.

A region that was forsaken by its own container's release lives on behalf of the container whose TCEs point
into it, and no longer.
"""

from __future__ import annotations

from collections.abc import Iterator

from actors.check.accounting import owed
from actors.check.regions import span
from actors.check.view import Driver, View, pages
from actors.check.violation import Violation
from actors.kernel.mm_iommu import Mm
from actors.kernel.regions import Region


def judge_quiescence(view: View, tces: dict[str, int], final: bool) -> Iterator[Violation]:
    """Judge a machine in which no system call and no callback is in flight.

    Args:
        view: the machine.
        tces: region name -> TCEs that point into it.
        final: whether this is the end: once all processes are gone, nothing may be left.
    """
    kept = {mm.id: 0 for mm in view.mms}
    leaks: list[Violation] = []
    for mm in view.mms:
        bound = view.bound(mm)
        for region in mm.regions.values():
            leak = stays(view, mm, region, bound, tces.get(region.name, 0))
            if leak is not None:
                leaks.append(leak)
            elif region in mm.mem_list.items:
                kept[mm.id] += region.entries
    yield from leaks
    yield from tables_without_owner(view)
    for mm in view.mms:
        debt = owed(view, mm, kept[mm.id])
        if debt is not None:
            yield debt
    for reader in view.machine.world.rcu.readers:
        yield Violation("J-K4", f"{reader.name} is still in an RCU read section, so no grace period can end")
    if final:
        yield from end_of_all(view)


def stays(view: View, mm: Mm, region: Region, bound: list[Driver], tces: int) -> Violation | None:
    """J-Q1 for one region: None when somebody still stands for it."""
    where = f"{region.name} ({span(region)}) of {view.name(mm)}"
    still = f"{pages(region.entries)} of {where} are still pinned"
    if region not in mm.mem_list.items:
        if view.machine.world.rcu.callbacks:
            return None
        return Violation("J-Q1", f"{still} though it was released and no grace period is pending")
    listers = [driver.actor.id for driver in bound if region.name in driver.data.prereg_list.items]
    if region.used.value > len(listers) or (not region.used.value and not tces) or not bound:
        who = ", ".join(listers) or "no container"
        life = "" if mm.mm_users.holders else f"; {alive_by(mm)}"
        counts = f"used is {region.used.value} and mapped {region.mapped.value}"
        return Violation("J-Q1", f"{still}: {counts}, but {who} has registered it{life}")
    return None


def alive_by(mm: Mm) -> str:
    """Who keeps an mm without users alive, for people."""
    holders = ", ".join(mm.mm_count.holders)
    return f"the process is gone and {holders or 'nobody'} holds the mm"


def tables_without_owner(view: View) -> Iterator[Violation]:
    """J-Q1 for v1: pins of tables that no container has any more."""
    live = {table.name for driver in view.drivers for _, table in driver.tables}
    for holder, count in view.memory.pins_by_holder.items():
        if holder.startswith("table:") and holder not in live:
            yield Violation(
                "J-Q1", f"{pages(count)} are still pinned for {holder}, which no container has any more"
            )


def end_of_all(view: View) -> Iterator[Violation]:
    """J-Q4."""
    if any(not process.gone for process in view.processes):
        return
    on_cpus = {cpu.active_mm.value: cpu.id for cpu in view.cpus}
    if view.memory.pinned_pages:
        holders = ", ".join(f"{who} {count:,}" for who, count in view.memory.pins_by_holder.items())
        yield Violation("J-Q4", f"{pages(view.memory.pinned_pages)} are still pinned at the end: {holders}")
    for mm in view.mms:
        if not mm.destroyed and mm.id not in on_cpus:
            holders = ", ".join(f"{who} ({count})" for who, count in mm.mm_count.holders.items()) or "nobody"
            yield Violation("J-Q4", f"{view.name(mm)} still exists at the end, held by {holders}")
    for driver in view.drivers:
        yield Violation("J-Q4", f"{driver.actor.id} still has its IOMMU data at the end: {driver.data.name}")
    for group in view.groups:
        if group.container.value is None and (
            group.pe.windows != [group.host_table, None] or not group.pe.bypass
        ):
            yield Violation("J-Q4", f"{group.id} is back with the host without its default window and bypass")
