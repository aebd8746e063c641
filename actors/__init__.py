"""tcemu: an emulator of the Linux VFIO SPAPR TCE driver, made of actors.

What a scenario needs is here: the machine and its handles, the errors, the names of the user
interface, and what a kernel of one's own is made of. Each name is imported when it is first used.

Example::

    async with actors.open_machine(kernel="v6.12") as machine:
        qemu = await machine.spawn("qemu")
        ...
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from actors.errors import KernelError
    from actors.kernel.catalogue import find_kernel, find_piece
    from actors.kernel.composition import Conflict, Kernel, Piece, UnknownPiece
    from actors.kernel.uapi import (
        VFIO_DMA_MAP_FLAG_READ as READ,
    )
    from actors.kernel.uapi import (
        VFIO_DMA_MAP_FLAG_WRITE as WRITE,
    )
    from actors.kernel.uapi import VFIO_EEH, VFIO_SPAPR_TCE_IOMMU, VFIO_SPAPR_TCE_v2_IOMMU
    from actors.machine import (
        Container,
        CpuHandle,
        Descriptor,
        Group,
        Machine,
        Memory,
        Process,
        Scenario,
        Waiting,
        open_machine,
    )
    from actors.program.values import MachineSpec
    from actors.runtime.errors import Deadlock, EmulatorError, KernelOops, Livelock, TaskKilled

HOMES: Final = {
    "actors.errors": "KernelError",
    "actors.kernel.catalogue": "find_kernel find_piece",
    "actors.kernel.composition": "Conflict Kernel Piece UnknownPiece",
    "actors.kernel.uapi": "READ WRITE VFIO_EEH VFIO_SPAPR_TCE_IOMMU VFIO_SPAPR_TCE_v2_IOMMU",
    "actors.machine": (
        "Container CpuHandle Descriptor Group Machine Memory Process Scenario Waiting open_machine"
    ),
    "actors.program.values": "MachineSpec",
    "actors.runtime.errors": "Deadlock EmulatorError KernelOops Livelock TaskKilled",
}
"""Module -> the public names that live in it."""

HOME: Final = {name: module for module, names in HOMES.items() for name in names.split()}
SHORT: Final = {"READ": "VFIO_DMA_MAP_FLAG_READ", "WRITE": "VFIO_DMA_MAP_FLAG_WRITE"}
"""Public name -> its full name where it lives."""


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for, so that importing the package costs nothing."""
    if name not in HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(HOME[name]), SHORT.get(name, name))
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """The public names, imported or not."""
    return sorted(__all__)


__all__ = [
    "READ",
    "VFIO_EEH",
    "VFIO_SPAPR_TCE_IOMMU",
    "WRITE",
    "Conflict",
    "Container",
    "CpuHandle",
    "Deadlock",
    "Descriptor",
    "EmulatorError",
    "Group",
    "Kernel",
    "KernelError",
    "KernelOops",
    "Livelock",
    "Machine",
    "MachineSpec",
    "Memory",
    "Piece",
    "Process",
    "Scenario",
    "TaskKilled",
    "UnknownPiece",
    "VFIO_SPAPR_TCE_v2_IOMMU",
    "Waiting",
    "find_kernel",
    "find_piece",
    "open_machine",
]
