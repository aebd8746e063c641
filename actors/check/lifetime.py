"""J-M1, J-M2, J-M3: who holds the struct of an mm, and when it ends."""

from __future__ import annotations

from collections.abc import Iterator

from actors.check.view import View
from actors.check.violation import Violation
from actors.kernel.mm_iommu import Mm


def judge_lifetime(view: View) -> Iterator[Violation]:
    """Judge all mms and the bindings of all containers."""
    for driver in view.drivers:
        if driver.mm is not None:
            yield from binding(view, driver.actor.id, driver.data.name, driver.mm)
    for mm in view.mms:
        yield from holders(view, mm)


def binding(view: View, container: str, holder: str, mm: Mm) -> Iterator[Violation]:
    """J-M1. That a container does not hold what still lives is noted; that it lost it ends the run."""
    if mm.destroyed:
        yield Violation("J-M1", f"{container} is bound to {view.name(mm)}, which was freed")
        return
    held = mm.mm_count.holders.get(holder, 0)
    if held != 1:
        message = f"{container} is bound to {view.name(mm)} and holds it {held} times, not once"
        yield Violation("J-M1", message, recorded=not held)


def holders(view: View, mm: Mm) -> Iterator[Violation]:
    """J-M2 and J-M3."""
    counts = mm.mm_count.holders
    if mm.destroyed or not counts:
        yield from ended(view, mm)
        return
    bound = {driver.data.name for driver in view.drivers if driver.mm is mm}
    for holder, count in counts.items():
        reason = (
            1 if holder in bound or (holder == "users" and mm.mm_users.holders) else loan(view, mm, holder)
        )
        if count > reason and not (holder in bound and reason):
            what = f"{holder} holds {view.name(mm)} {count} times, but has reason for {reason}"
            yield Violation("J-M2", f"{what}; mm_count is {mm.mm_count.value}")
    if mm.mm_users.holders and "users" not in counts:
        yield Violation(
            "J-M2", f"{view.name(mm)} has {mm.mm_users.value} users, but they do not hold its struct"
        )


def loan(view: View, mm: Mm, holder: str) -> int:
    """How many references a CPU has reason to hold: one while it borrows the mm."""
    for cpu in view.cpus:
        if cpu.id == holder:
            return int(cpu.borrowed and cpu.active_mm.value == mm.id)
    return 0


def ended(view: View, mm: Mm) -> Iterator[Violation]:
    """J-M3: the end of the struct and the end of its holders are one."""
    counts = mm.mm_count.holders
    if mm.destroyed and counts:
        who = ", ".join(counts)
        yield Violation(
            "J-M3",
            f"{view.name(mm)} was destroyed although {who} still hold{'s' if len(counts) == 1 else ''} it",
        )
    if not mm.destroyed:
        yield Violation("J-M3", f"nobody holds {view.name(mm)} any more, but it was not destroyed")
    elif mm.mem_list.items:
        names = ", ".join(region.name for region in mm.mem_list.items)
        yield Violation("J-M3", f"{view.name(mm)} was destroyed with regions on its list: {names}, "
                                f"{sum(region.entries for region in mm.mem_list.items):,} pages")  # fmt: skip
