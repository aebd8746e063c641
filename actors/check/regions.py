"""J-R1, J-R2, J-R3: the regions of an mm, and the two counts of each.

A region that its last container forsook while another container of the mm still maps it has ``used`` 0
and lives until the last TCE into it goes.

Where registrations belong to the mm, J-R2 says less: a container that goes leaves its own behind, and a
region goes with its mm. What it still says is that nobody registers twice, and that nobody takes back what
somebody else has registered.
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
    owned = bound[0].actor.owns_registrations()
    listers: dict[str, list[str]] = {}
    for driver in bound:
        names = driver.data.prereg_list.items
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            yield Violation("J-R2", f"{driver.actor.id} lists {twice} {names.count(twice)} times")
        for name in names:
            listers.setdefault(name, []).append(driver.actor.id)
    yield from listed_dead(view, mm, listers, owned)
    for region in mm.mem_list.items:
        who = listers.get(region.name, [])
        if region.used.value < len(who) or (owned and region.used.value > len(who)):
            counts = f"used of {about(view, mm, region)} is {region.used.value}"
            lists = f"{counted(len(who), 'container')} list{'s' if len(who) == 1 else ''} it"
            yield Violation("J-R2", f"{counts}, but {lists}: {', '.join(who) or 'none'}")


def listed_dead(view: View, mm: Mm, listers: dict[str, list[str]], owned: bool) -> Iterator[Violation]:
    """J-R2 of what is listed and not there.

    Args:
        view: the machine.
        mm: what the containers are bound to.
        listers: region name -> ids of the containers that list it.
        owned: whether registrations belong to containers. Where they do not, a region may be another mm's,
            or have gone with its mm, which is for J-T1 and J-M1 to say.
    """
    if not owned and any(each.destroyed for each in view.mms):
        return
    alive = {region.name for each in ([mm] if owned else view.mms) for region in each.mem_list.items}
    for name, who in listers.items():
        if name not in alive:
            yield Violation("J-R2", f"{who[0]} lists {name}, no live region of {view.name(mm)}")


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
