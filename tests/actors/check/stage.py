"""A small machine under oracles, played step by step on the bare loop."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

from actors.check import Oracles, Violation
from actors.kernel.catalogue import find_kernel
from actors.kernel.composition import Kernel, Piece
from actors.kernel.group import Group as GroupActor
from actors.kernel.mm_iommu import Mm
from actors.kernel.tce_container import IommuTable, TceContainer
from actors.kernel.uapi import VFIO_SPAPR_TCE_IOMMU, VFIO_SPAPR_TCE_v2_IOMMU
from actors.machine import Container, Group, Machine, Memory, Process
from actors.program import MachineSpec
from actors.runtime.bare import BareRuntime

MIB = 1 << 20
KIB64 = 1 << 16


class Stage:
    """A machine with one process, one container and one group, and what a test does with them."""

    qemu: Process
    ram: Memory
    container: Container
    group: Group
    oracles: Oracles

    def __init__(self, *pieces: type[Piece], kernel: str = "fixed", races: bool = False, **spec: Any) -> None:
        found: Kernel = find_kernel(kernel)
        self.core = BareRuntime()
        self.machine = Machine.boot(
            self.core, found.with_piece(*pieces) if pieces else found, MachineSpec(**spec)
        )
        self.races = races

    def run(self, body: Coroutine[Any, Any, Any], name: str = "qemu") -> Any:
        """Run a coroutine alone, and all that follows from it; then let the oracles look."""
        thread = self.core.spawn(self.machine.harness, body, name)
        self.core.run()
        result = self.core.result(thread)
        if hasattr(self, "oracles"):
            self.oracles.step()
        return result

    def open(self, iommu: int = VFIO_SPAPR_TCE_v2_IOMMU, size: int = MIB, huge: int = 0) -> Stage:
        """Give the process memory, a container and a group, and attach the oracles."""

        async def body() -> None:
            self.qemu = await self.machine.spawn("qemu")
            self.ram = await self.qemu.mmap(size, huge=huge)
            self.container = await self.qemu.open_container()
            self.group = await self.qemu.open_group(0)
            await self.group.set_container(self.container)
            await self.container.set_iommu(iommu)

        self.run(body())
        self.oracles = Oracles(self.machine, races=self.races)
        return self

    def v2(self) -> Stage:
        """Register the memory and map its first four IOMMU pages of 4 KiB at bus address 0."""
        self.open()
        self.run(self.container.register_memory(self.ram))
        self.run(self.container.map_dma(0, self.ram.start, 4 * 4096))
        assert self.seen() == []
        return self

    def v1(self) -> Stage:
        """Enable a v1 container and map two pages."""
        self.open(VFIO_SPAPR_TCE_IOMMU)
        self.run(self.container.enable())
        self.run(self.container.map_dma(0, self.ram.start, 2 * 4096))
        assert self.seen() == []
        return self

    # -- what the oracles say ------------------------------------------------------------------

    def seen(self) -> list[str]:
        """Names of all that was found so far."""
        found = [*self.oracles.violations, *self.oracles.findings]
        return [violation.invariant or violation.verdict for violation in found]

    def look(self) -> list[Violation]:
        """Let the oracles judge the state as it is now."""
        self.oracles.at_rest()
        return [*self.oracles.violations, *self.oracles.findings]

    def only(self, name: str, *parts: str) -> Violation:
        """The one thing that ``name`` says now; its message must contain ``parts``."""
        return one(self.look(), name, *parts)

    # -- what is there -------------------------------------------------------------------------

    @property
    def mm(self) -> Mm:
        """The mm of the process."""
        actor: Any = self.machine.core.actors["mm:0"]
        return actor

    @property
    def data(self) -> TceContainer:
        """The driver's data of the container."""
        actor: Any = self.machine.core.actors["container:0"]
        data = actor.iommu_data.value
        assert data is not None
        return data

    @property
    def table(self) -> IommuTable:
        """The table in slot 0."""
        table = self.data.tables[0].value
        assert table is not None
        return table

    @property
    def pe(self) -> Any:
        """The PE of group 0."""
        group: Any = self.machine.core.actors["group:0"]
        assert isinstance(group, GroupActor)
        return group.pe


def one(found: list[Violation], name: str, *parts: str) -> Violation:
    """The violation called ``name`` in ``found``."""
    named = [violation for violation in found if (violation.invariant or violation.verdict) == name]
    assert named, f"no {name} in {[str(violation) for violation in found]}"
    for part in parts:
        assert part in named[0].message, named[0].message
    return named[0]


def plant(**parts: type) -> type[Piece]:
    """A piece made on the spot: the nested classes by the name of the part that they change."""
    return type("Planted", (Piece,), {"slug": "planted", **parts})
