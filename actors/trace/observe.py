"""The whole state of a machine as plain values: what a log says at its start and at its end.

Looks from outside, between two steps; nothing is changed and no scheduling point is passed.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from actors.kernel.container import Container
from actors.kernel.cpu import Cpu
from actors.kernel.group import Group
from actors.kernel.mm_iommu import Mm
from actors.kernel.process import Process
from actors.kernel.regions import Region
from actors.kernel.task import File
from actors.runtime.core import Core
from actors.runtime.thread import Thread
from hw import PhysicalMemory


class Observed(NamedTuple):
    """The fields of a ``state`` event."""

    mms: dict[str, dict[str, Any]]
    regions: dict[str, dict[str, Any]]
    containers: dict[str, dict[str, Any]]
    groups: dict[str, dict[str, Any]]
    files: dict[str, dict[str, Any]]
    cpus: dict[str, dict[str, Any]]
    pins_by_holder: dict[str, int]
    locks: dict[str, tuple[str, ...]]


def observe(core: Core) -> Observed:
    """Look at everything that lives on ``core``."""
    seen = Observed({}, {}, {}, {}, {}, {}, {}, locks_of(core))
    for name, actor in core.actors.items():
        if isinstance(actor, Mm):
            seen.mms[name] = mm_state(actor)
            seen.regions.update({mem: region_state(name, r) for mem, r in actor.regions.items()})
        elif isinstance(actor, Container):
            seen.containers[name] = container_state(actor)
        elif isinstance(actor, Cpu):
            seen.cpus[name] = cpu_state(actor)
        elif isinstance(actor, Group):
            seen.groups[name] = group_state(actor)
        elif isinstance(actor, Process):
            seen.files.update({file.name: file_state(file) for file in actor.files.values()})
    memory = memory_of(core)
    if memory is not None:
        seen.pins_by_holder.update(sorted(memory.pins_by_holder.items()))
    return seen


def memory_of(core: Core) -> PhysicalMemory | None:
    """The RAM of the machine that runs on ``core``; None before it is booted."""
    for actor in core.actors.values():
        memory = getattr(getattr(actor, "world", None), "memory", None)
        if isinstance(memory, PhysicalMemory):
            return memory
    return None


def mm_state(mm: Mm) -> dict[str, Any]:
    """Counts of an mm with their holders, and what it is charged."""
    return {
        "comm": mm.name,
        "mm_users": dict(mm.mm_users.holders),
        "mm_count": dict(mm.mm_count.holders),
        "locked_vm": mm.locked_vm.value,
        "destroyed": mm.destroyed,
    }


def region_state(mm: str, region: Region) -> dict[str, Any]:
    """Counts of a region, and what it covers; address in bytes, length in kernel pages."""
    counts = {"used": region.used.value, "mapped": region.mapped.value}
    return {"mm": mm, "ua": int(region.ua), "entries": region.entries} | counts


def container_state(container: Container) -> dict[str, Any]:
    """The driver's data of a container: registrations, windows, groups."""
    state: dict[str, Any] = {"name": container.name, "groups": [g.group for g in container.group_list]}
    state["kref"] = dict(container.kref.holders)
    data = container.iommu_data.value
    if data is None:
        return state
    windows = [cell.value for cell in data.tables]
    state |= {"tce_container": data.name, "mm": data.mm.value, "prereg_list": list(data.prereg_list)}
    state |= {"enabled": data.enabled.value, "def_window_pending": data.def_window_pending.value}
    state["windows"] = {
        table.name: {
            "slot": slot,
            "start": int(table.hw.it_offset) << table.hw.it_page_shift,
            "page_shift": table.hw.it_page_shift,
            "entries": table.hw.it_size,
            "set": table.hw.live_count,
            "it_kref": dict(table.it_kref.holders),
        }
        for slot, table in enumerate(windows)
        if table is not None
    }
    return state


def group_state(group: Group) -> dict[str, Any]:
    """Where a group is, and who has it open."""
    file = group.file.value
    users = group.container_users.value
    name = file.name if file is not None else None
    return {"container": group.container.value, "file": name, "container_users": users}


def file_state(file: File) -> dict[str, Any]:
    """What an open file is, and who holds it."""
    return {"kind": file.kind, "actor": file.actor, "f_count": dict(file.f_count.holders)}


def cpu_state(cpu: Cpu) -> dict[str, Any]:
    """What runs on a CPU, and on whose address space."""
    return {"running": cpu.running, "active_mm": cpu.active_mm.value, "borrowed": cpu.borrowed}


def locks_of(core: Core) -> dict[str, tuple[str, ...]]:
    """Held locks, each with the threads that hold it."""
    held: dict[str, tuple[str, ...]] = {}
    for thread in core.threads.values():
        for name in held_by(thread):
            held[name] = (*held.get(name, ()), thread.name)
    return held


def held_by(thread: Thread) -> tuple[str, ...]:
    """Names of the locks that a thread holds, ``/read`` behind shared ones."""
    return tuple(f"{op.object}/read" if op.mode == "read" else op.object for op in thread.held)
