"""The machine as oracles see it: read without a scheduling point, and only what has changed is read again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from actors.kernel.container import Container
from actors.kernel.cpu import Cpu
from actors.kernel.group import Group
from actors.kernel.mm_iommu import Mm
from actors.kernel.process import Process
from actors.kernel.tce_container import IommuTable, TceContainer

if TYPE_CHECKING:
    from actors.machine import Machine
    from actors.runtime.actor import Actor


class Driver(NamedTuple):
    """A container with its driver's data.

    Attributes:
        actor: the VFIO container.
        data: the driver's data.
        mm: what it is bound to; None while it is not.
    """

    actor: Container
    data: TceContainer
    mm: Mm | None

    @property
    def tables(self) -> list[tuple[int, IommuTable]]:
        """Its windows: slot and table."""
        return [(num, cell.value) for num, cell in enumerate(self.data.tables) if cell.value is not None]


class Scan(NamedTuple):
    """All live entries of a table, ascending.

    Attributes:
        indices: int64, shape (n,).
        hpas: real addresses, uint64, shape (n,).
        perms: permissions as stored, uint8, shape (n,).
        uas: userspace addresses, uint64, shape (n,).
    """

    indices: NDArray[np.int64]
    hpas: NDArray[np.uint64]
    perms: NDArray[np.uint8]
    uas: NDArray[np.uint64]


EMPTY = Scan(np.empty(0, np.int64), np.empty(0, np.uint64), np.empty(0, np.uint8), np.empty(0, np.uint64))


class View:
    """What there is in a machine.

    Attributes:
        machine: the machine.
        page_shift: log2 of the kernel page.
        mms, containers, groups, cpus, processes: its actors by kind, oldest first.
        drivers: the containers that have an IOMMU set, as of the last :meth:`look`.
    """

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.memory = machine.memory
        self.page_shift = machine.memory.page_shift
        self.mms: list[Mm] = []
        self.containers: list[Container] = []
        self.groups: list[Group] = []
        self.cpus: list[Cpu] = []
        self.processes: list[Process] = []
        self.drivers: list[Driver] = []
        self._known = 0
        self._scans: dict[str, tuple[tuple[int, int], Scan]] = {}
        self._mlocked: dict[str, tuple[list[Any], int]] = {}
        self.look()

    def look(self) -> None:
        """Take note of new actors, and of who has an IOMMU set."""
        actors = self.machine.core.actors
        if len(actors) != self._known:
            self._enter(list(actors.values())[self._known :])
        self.drivers = [
            Driver(c, data, self.mm(data.mm.value))
            for c in self.containers
            if (data := c.iommu_data.value) is not None
        ]

    def _enter(self, actors: list[Actor]) -> None:
        lists: dict[str, list[Any]] = {
            "mm": self.mms, "container": self.containers, "group": self.groups,
            "cpu": self.cpus, "process": self.processes,
        }  # fmt: skip
        for actor in actors:
            lists.get(actor.kind, []).append(actor)
        self._known += len(actors)

    def mm(self, name: str | None) -> Mm | None:
        """The mm of that id."""
        return None if name is None else cast(Mm, self.machine.core.actors[name])

    def bound(self, mm: Mm) -> list[Driver]:
        """The containers that are bound to an mm."""
        return [driver for driver in self.drivers if driver.mm is mm]

    def watched(self, mm: Mm) -> bool:
        """Whether anybody can still tell what the counts of an mm are: a user of it or a container."""
        return bool(mm.mm_users.holders) or any(driver.mm is mm for driver in self.drivers)

    def mlocked(self, mm: Mm) -> int:
        """Kernel pages that the process has locked itself; what it had locked when it ended stays charged."""
        known = self._mlocked.get(mm.id)
        if known is None or known[0] is not mm.vmas:
            known = self._mlocked[mm.id] = (mm.vmas, mm.mlocked() + mm.kept_locked)
        return known[1]

    def scan(self, table: IommuTable) -> Scan:
        """The live entries of a table."""
        changes = table.hw.changes
        known = self._scans.get(table.name)
        if known is None or known[0] != changes:
            known = self._scans[table.name] = (changes, read(table))
        return known[1]

    def name(self, mm: Mm) -> str:
        """An mm for people: its id and whose it is."""
        return f"{mm.id} of {mm.name}" if mm.name != mm.id else mm.id


def read(table: IommuTable) -> Scan:
    """Read the live entries of a table."""
    pieces = list(table.hw.live())
    if not pieces:
        return EMPTY
    first = pieces[0]
    indices, tces, uas = (
        first if len(pieces) == 1 else [np.concatenate(parts) for parts in zip(*pieces, strict=True)]
    )
    return Scan(indices, tces & np.uint64(~3 & (1 << 64) - 1), (tces & np.uint64(3)).astype(np.uint8), uas)


def pages(count: int) -> str:
    """``1 page``, ``1,024 pages``."""
    return counted(count, "page")


def counted(count: int, what: str) -> str:
    """A number with its unit: ``1 TCE``, ``16 TCEs``."""
    return f"{count:,} {what}{'' if count == 1 else 's'}"
