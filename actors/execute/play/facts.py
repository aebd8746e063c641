"""What was so on the machine when a client made a call: what the table of reasons asks for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from actors.execute.play.client import ClientExecution
from actors.kernel.container import Container
from actors.kernel.group import Group
from actors.kernel.mm_iommu import Mm
from actors.kernel.regions import Region
from actors.kernel.tce_container import TceContainer
from actors.program import Step


class Registration(NamedTuple):
    """What was known of a range just before it was unregistered.

    Attributes:
        used: how often it is registered; 0 when it is not.
        mapped: whether TCEs point in.
        listed: whether this container has registered it.
    """

    used: int = 0
    mapped: bool = False
    listed: bool = False


def registration(execution: ClientExecution, step: Step, actor: int) -> Registration | None:
    """Look at the range that an UNREGISTER names, before it is made; None for other calls."""
    if step.op != "unreg":
        return None
    region = region_at(execution, step, actor)
    if region is None:
        return Registration()
    driver = driver_of(execution, step, actor)
    listed = driver is not None and driver.prereg_list.holds(region.name)
    return Registration(region.used.value, region.mapped.value > 1, listed)


def facts(execution: ClientExecution, step: Step, actor: int, before: Registration | None) -> Iterator[str]:
    """What is so of a call that was just made, and was so of its range before."""
    driver = driver_of(execution, step, actor)
    if driver is None:
        yield "no driver"
    elif not driver.v2:
        yield "v1"
    if before is not None:
        yield "mapped" if before.mapped else "not mapped"
        if before.used > 1:
            yield "registered again"
        if not before.listed:
            yield "not listed"
    if step.iova is not None and driver is not None and not window_at(driver, step.iova.offset):
        yield "no window"
    if step.op == "create" and not page_sizes(execution) >> (step.page_shift or 0) & 1:
        yield "page size"
    seen = None if step.observed is None else step.observed.out
    if step.op == "info" and seen is not None and seen.get("ddw.pgsizes") != page_sizes(execution):
        yield "page sizes"


def region_at(execution: ClientExecution, step: Step, actor: int) -> Region | None:
    """The region with exactly the range that a call names."""
    assert step.vaddr is not None
    assert step.size is not None
    process: Any = execution.machine.core.actors[execution.processes[actor]]
    mm = execution.machine.core.actors[process.mm]
    assert isinstance(mm, Mm)
    entries = step.size.offset // execution.machine.page_size
    return mm.mem_list.exact(step.vaddr.offset, entries)


def driver_of(execution: ClientExecution, step: Step, actor: int) -> TceContainer | None:
    """The driver's data behind the container, or the container of the group, that a call is made on."""
    target = execution.machine.core.actors.get(execution.actor_behind(actor, step.fd or "") or "")
    if isinstance(target, Group):
        target = execution.machine.core.actors.get(target.container.value or "")
    return target.iommu_data.value if isinstance(target, Container) else None


def window_at(driver: TceContainer, iova: int) -> bool:
    """Whether a window of the container holds a bus address."""
    tables = [cell.value.hw for cell in driver.tables if cell.value is not None]
    return any(0 <= (iova >> t.it_page_shift) - t.it_offset < t.it_size for t in tables)


def page_sizes(execution: ClientExecution) -> int:
    """IOMMU page sizes that the platform offers, one bit each."""
    group = execution.machine.core.actors[execution.machine.world.group_ids[0]]
    assert isinstance(group, Group)
    return group.pgsizes()
