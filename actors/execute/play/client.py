"""A recorded client on a machine: its objects become descriptors, its rows become system calls.

What a stream holds beyond a program's steps is here: closes of whole objects, calls on devices (which
are answered from the recording), and what the test or the device did itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from errno import EBADF
from itertools import islice
from struct import Struct
from typing import Any, NamedTuple

from msgspec import structs

from actors.execute.steps import Execution, Outcome
from actors.kernel import uapi
from actors.kernel.messages import Clone, Close, ContainerFreezePes, DeviceDma, Ioctl, Memory, Mmap
from actors.kernel.uapi import UserPointer
from actors.machine import Machine
from actors.program import Step, arguments, expand
from actors.runtime.messages import Request
from actors.runtime.ops import call

_DEVICE_BASE = uapi.VFIO_GROUP_GET_DEVICE_FD + 1
DEVICE_REQUESTS = {
    "VFIO_DEVICE_GET_INFO": _DEVICE_BASE,
    "VFIO_DEVICE_GET_REGION_INFO": _DEVICE_BASE + 1,
    "VFIO_DEVICE_GET_IRQ_INFO": _DEVICE_BASE + 2,
    "VFIO_DEVICE_SET_IRQS": _DEVICE_BASE + 3,
    "VFIO_DEVICE_RESET": _DEVICE_BASE + 4,
    "VFIO_DEVICE_GET_PCI_HOT_RESET_INFO": _DEVICE_BASE + 5,
    "VFIO_DEVICE_PCI_HOT_RESET": _DEVICE_BASE + 6,
}
"""Requests on a device's descriptor; the driver behind them is not modelled."""


class Packed(NamedTuple):
    """How an operation whose whole argument is one struct goes over the ABI edge."""

    cmd: int
    layout: Struct
    fields: tuple[str, ...]


PACKED: Mapping[str, Packed] = {
    "map": Packed(uapi.VFIO_IOMMU_MAP_DMA, uapi.DMA_MAP, uapi.DmaMap._fields),
    "unmap": Packed(uapi.VFIO_IOMMU_UNMAP_DMA, uapi.DMA_UNMAP, uapi.DmaUnmap._fields),
    "reg": Packed(uapi.VFIO_IOMMU_SPAPR_REGISTER_MEMORY, uapi.REGISTER_MEMORY, uapi.RegisterMemory._fields),
    "unreg": Packed(
        uapi.VFIO_IOMMU_SPAPR_UNREGISTER_MEMORY, uapi.REGISTER_MEMORY, uapi.RegisterMemory._fields
    ),
    "remove": Packed(uapi.VFIO_IOMMU_SPAPR_TCE_REMOVE, uapi.TCE_REMOVE, uapi.TceRemove._fields),
}

SUCCESS = Outcome(0)


class ClientExecution(Execution):
    """Carries the rows of streams out; each client is one actor of it.

    Attributes:
        opened: every descriptor of an object, by actor and object.
        groups: by actor, which of the machine's groups stands for each group of the stream.
        faults: what went wrong with the device's own accesses, as ``(actor, object, reason)``.
        dead: actors and objects that a device call named when they had no descriptor.
    """

    def __init__(self, machine: Machine) -> None:
        super().__init__(machine)
        self.opened: dict[tuple[int, str], list[int]] = {}
        self.groups: dict[int, tuple[int, ...]] = {}
        self.faults: list[tuple[int, str, str]] = []
        self.dead: list[tuple[int, str]] = []

    async def admit(
        self, actor: int, comm: str, groups: tuple[int, ...], memory: Sequence[Mmap], mm_of: int | None = None
    ) -> None:
        """Start the process of a client with its memory, and say which of the machine's groups it has.

        With ``mm_of`` it shares the address space of that client: a child by clone(CLONE_VM).
        """
        if mm_of is None:
            self.processes[actor] = (await self.machine.spawn(comm)).id
        else:
            self.processes[actor] = await self.call(mm_of, Clone(comm, share_mm=True))
        self.names[actor] = {}
        self.groups[actor] = groups
        for mapping in memory:
            await self.call(actor, Memory(mapping))

    def take_over(self, other: ClientExecution) -> None:
        """Continue where ``other`` is, on a copy of its machine."""
        self.bases.update(other.bases)
        self.processes = dict(other.processes)
        self.names = {actor: dict(fds) for actor, fds in other.names.items()}
        self.opened = {key: list(numbers) for key, numbers in other.opened.items()}
        self.groups = dict(other.groups)
        self.faults, self.dead = list(other.faults), list(other.dead)

    async def calls(self, step: Step, actor: int, first: int, count: int) -> Sequence[Outcome]:
        """Make calls ``first .. first + count - 1`` of those that a row stands for."""
        if step.repeat == 1:
            return [await self.once(step, actor)]
        packed = PACKED.get(step.op)
        if packed is not None:
            return await self.packed_calls(packed, step, actor, first, count)
        return [await self.once(each, actor) for each in islice(expand(step), first, first + count)]

    async def packed_calls(
        self, packed: Packed, step: Step, actor: int, first: int, count: int
    ) -> Sequence[Outcome]:
        """Make the calls of a repeated row: one ioctl each, with bytes of its own."""
        args = arguments(step, self.bases, self.machine.page_size)
        stride: Mapping[str, int] = step.stride or {}
        strides = [stride.get(field, 0) for field in packed.fields]
        values = [args[field] + first * by for field, by in zip(packed.fields, strides, strict=True)]
        process, fd = self.processes[actor], self.number_of(actor, args["fd"])
        cmd, pack, outcomes = packed.cmd, packed.layout.pack, []
        for _ in range(count):
            ret = await call(process, Ioctl(fd, cmd, UserPointer(bytearray(pack(*values)))))
            outcomes.append(SUCCESS if ret == 0 else Outcome(ret))
            values = [value + by for value, by in zip(values, strides, strict=True)]
        return outcomes

    async def once(self, step: Step, actor: int) -> Outcome:
        """Make one call."""
        if step.actor != actor:
            step = structs.replace(step, actor=actor)
        if step.op in ("device", "pread", "pwrite"):
            return await self.device_call(step, actor)
        return await self.step(step, actor)

    # -- descriptors ---------------------------------------------------------------------------

    async def _open(self, actor: int, path: str, fd: str, group_index: int) -> Outcome:
        groups = self.groups.get(actor)
        return await super()._open(actor, path, fd, groups[group_index] if groups else group_index)

    async def _opened(self, actor: int, name: str, request: Request[int]) -> Outcome:
        outcome = await super()._opened(actor, name, request)
        if outcome.ret == 0:
            self.opened.setdefault((actor, name), []).append(self.names[actor][name])
        return outcome

    async def _release(self, actor: int, fd: str) -> Outcome:
        self.names[actor].pop(fd, None)
        for number in self.opened.pop((actor, fd), []):
            await self.call(actor, Close(number))
        return Outcome(None)

    # -- devices -------------------------------------------------------------------------------

    async def device_call(self, step: Step, actor: int) -> Outcome:
        """Answer a call on a device's descriptor from the recording, if the descriptor lives.

        Simplified: the driver behind the descriptor is not modelled, and nothing of it matters here.
        """
        number = self.number_of(actor, step.fd or "")
        if step.op == "device":
            request = DEVICE_REQUESTS[step.call or ""]
            lives = await self.call(actor, Ioctl(number, request, UserPointer(bytearray(64)))) != -EBADF
        else:
            process: Any = self.machine.core.actors[self.processes[actor]]
            lives = number in process.files
        if not lives:
            self.dead.append((actor, step.fd or ""))
            return Outcome(-EBADF)
        return Outcome(step.observed.ret if step.observed is not None else None)

    async def _irq(self, actor: int, fd: str) -> Outcome:
        return Outcome(None)

    async def _freeze(self, actor: int, fd: str) -> Outcome:
        target = self.actor_behind(actor, fd)
        if target is not None:
            await self.machine.request(target, ContainerFreezePes())
        return Outcome(None)

    async def _dma_read(self, actor: int, fd: str, off: int, len: int, data: str) -> Outcome:
        return await self.device_dma(actor, fd, off, len, write=False)

    async def _dma_write(self, actor: int, fd: str, off: int, len: int, data: str) -> Outcome:
        return await self.device_dma(actor, fd, off, len, write=True)

    async def device_dma(self, actor: int, fd: str, iova: int, size: int, write: bool) -> Outcome:
        """Let the device itself access memory by bus address."""
        target = self.actor_behind(actor, fd)
        if target is None:
            self.dead.append((actor, fd))
            return Outcome(None)
        report = await self.machine.request(target, DeviceDma(iova, size, write))
        if report.fault is not None:
            self.faults.append((actor, fd, str(report.fault)))
        return Outcome(None)

    def actor_behind(self, actor: int, name: str) -> str | None:
        """The container or group that a descriptor refers to; None when it is closed."""
        process: Any = self.machine.core.actors[self.processes[actor]]
        file = process.files.get(self.number_of(actor, name))
        return None if file is None else file.actor
