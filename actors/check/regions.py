"""J-R1, J-R2, J-R3: the regions of an mm, and the two counts of each.

A region that its last container forsook while another container of the mm still maps it has ``used`` 0
and lives until the last TCE into it goes.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from actors.check.view import Driver, View, counted
from actors.check.violation import Violation
from actors.kernel.mm_iommu import Mm
from actors.kernel.regions import Region


def judge_regions(view: View, tces: dict[str, int]) -> Iterator[Violation]:
    """Judge all mms.

    Args:
        view: the machine.
        tces: region name -> TCEs that point into it.
    """
    for mm in view.mms:
        if mm.mem_list.items or mm.regions:
            yield from disjoint(view, mm)
            if view.watched(mm):
                yield from mapped(view, mm, tces)
        bound = view.bound(mm)
        if bound:
            yield from listed(view, mm, bound)


def disjoint(view: View, mm: Mm) -> Iterator[Violation]:
    """J-R1."""
    regions = sorted(mm.mem_list.items, key=lambda region: region.ua)
    for region in regions:
        if not region.entries:
            yield Violation("J-R1", f"{region.name} of {view.name(mm)} at {region.ua:#x} has no page")
    for low, high in pairwise(regions):
        if low.end > high.ua:
            both = f"{low.name} ({span(low)}) and {high.name} ({span(high)})"
            yield Violation("J-R1", f"{both} of {view.name(mm)} overlap")


def listed(view: View, mm: Mm, bound: list[Driver]) -> Iterator[Violation]:
    """J-R2."""
    alive = {region.name: region for region in mm.mem_list.items}
    listers: dict[str, list[str]] = {}
    for driver in bound:
        names = driver.data.prereg_list.items
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            yield Violation("J-R2", f"{driver.actor.id} lists {twice} {names.count(twice)} times")
        for name in names:
            listers.setdefault(name, []).append(driver.actor.id)
            if name not in alive:
                yield Violation("J-R2", f"{driver.actor.id} lists {name}, no live region of {view.name(mm)}")
    for name, region in alive.items():
        who = listers.get(name, [])
        if region.used.value != len(who):
            counts = f"used of {about(view, mm, region)} is {region.used.value}"
            lists = f"{counted(len(who), 'container')} list{'s' if len(who) == 1 else ''} it"
            yield Violation("J-R2", f"{counts}, but {lists}: {', '.join(who) or 'none'}")


def mapped(view: View, mm: Mm, tces: dict[str, int]) -> Iterator[Violation]:
    """J-R3."""
    for region in mm.mem_list.items:
        count = tces.get(region.name, 0)
        if region.mapped.value != 1 + count:
            is_now = f"mapped of {about(view, mm, region)} is {region.mapped.value}"
            into = f"{counted(count, 'TCE')} point{'s' if count == 1 else ''} into it"
            yield Violation("J-R3", f"{is_now}, but {into}, so it should be {1 + count}")
    for region in mm.regions.values():
        if region.mapped.value and region not in mm.mem_list.items:
            off = f"{region.name} of {view.name(mm)} is off the list"
            yield Violation("J-R3", f"{off}, but its mapped is {region.mapped.value}, not 0")


def about(view: View, mm: Mm, region: Region) -> str:
    """A region for people."""
    return f"{region.name} ({span(region)}, {view.name(mm)})"


def span(region: Region) -> str:
    """The addresses of a region and its length, for people."""
    return f"{region.ua:#x}..{region.end:#x}, {region.entries:,} pages"
