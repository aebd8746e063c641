"""What is left on a machine: pins, charges, regions, tables, TCEs, containers, address spaces."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import NamedTuple

from actors.kernel.container import Container
from actors.kernel.group import Group
from actors.kernel.mm_iommu import Mm
from actors.machine import Machine
from hw import TceTable


class Remains(NamedTuple):
    """How much of each is there; all zero when everything was given back.

    Attributes:
        pinned_pages: pins of all frames.
        locked_vm_pages: pages charged to address spaces; a charge ends with the address space.
        regions: pre-registered regions whose pins are not returned.
        tables: TCE tables other than the host's own.
        tces: entries in them that map something.
        containers: VFIO containers that are not freed.
        mms: address spaces that are not destroyed.
    """

    pinned_pages: int
    locked_vm_pages: int
    regions: int
    tables: int
    tces: int
    containers: int
    mms: int

    @property
    def anything(self) -> bool:
        """Whether anything is left."""
        return any(self)


def remains(machine: Machine, others: Collection[str] = ()) -> Remains:
    """Count what is left, without the address spaces ``others``. Context: the machine is at rest."""
    actors = machine.core.actors.values()
    mms = [actor for actor in actors if isinstance(actor, Mm) and actor.id not in others]
    alive = [mm for mm in mms if not mm.destroyed]
    tables = list({id(table): table for table in tables_of(machine)}.values())
    return Remains(
        pinned_pages=machine.memory.pinned_pages,
        locked_vm_pages=sum(mm.locked_vm.value for mm in alive),
        regions=sum(len(mm.regions) for mm in mms),
        tables=len(tables),
        tces=sum(table.live_count for table in tables),
        containers=sum(isinstance(actor, Container) and not actor.freed.value for actor in actors),
        mms=len(alive),
    )


def tables_of(machine: Machine) -> Iterator[TceTable]:
    """Every table that a container has, or that a PE is programmed with and that is not the host's."""
    for actor in machine.core.actors.values():
        if isinstance(actor, Container) and actor.iommu_data.value is not None:
            cells = actor.iommu_data.value.tables
            yield from (cell.value.hw for cell in cells if cell.value is not None)
        elif isinstance(actor, Group):
            yield from (t for t in actor.pe.windows if t is not None and t is not actor.host_table)
