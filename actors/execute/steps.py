"""One step of a program, carried out: names become descriptors, regions become addresses."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable
from errno import EINVAL
from typing import Any, NamedTuple

from actors.kernel import messages as m
from actors.kernel import uapi
from actors.kernel.group import device_name
from actors.kernel.madvise import advice_of
from actors.kernel.uapi import UserPointer
from actors.machine import Machine
from actors.program import Step, ThreadSpec, arguments
from actors.runtime.errors import TaskKilled
from actors.runtime.messages import Request
from actors.runtime.ops import Op, point

REGION_SPACING = 1 << 38
"""Bytes between the bases that regions get; a region may be addressed below its base."""

SKIPPED = "skipped"


class Outcome(NamedTuple):
    """What a step came to.

    Attributes:
        ret: the kernel's return value; None when the caller was gone or the step was skipped.
        out: fields copied back to the caller, by the vectors' names.
        note: ``skipped`` or "".
    """

    ret: int | None
    out: dict[str, Any] | None = None
    note: str = ""


Carry = Callable[..., Coroutine[Any, Any, Outcome]]


class Execution:
    """The state of a program on a machine: which actor is which process, which name which descriptor.

    Names of descriptors are variables in the memory of a process, which its threads share.

    Args:
        machine: a booted machine.
        bases: base address of each region that has a fixed one; others get bases in order of mention.

    Attributes:
        processes: actor -> its process.
        names: actor -> name -> descriptor; a name that is not there stands for -1.
        changing: ``(actor, name)`` of names that one thread gives a value while others look; each look at
            one, and each change, is a scheduling point.
    """

    def __init__(self, machine: Machine, bases: dict[str, int] | None = None) -> None:
        self.machine = machine
        self.bases = Bases(bases or {})
        self.processes: dict[int, str] = {}
        self.names: dict[int, dict[str, int]] = {}
        self.changing: frozenset[tuple[int, str]] = frozenset()

    async def start(self, actor: int = 0) -> None:
        """Start the first process."""
        process = await self.machine.spawn(f"actor{actor}")
        self.processes[actor] = process.id
        self.names[actor] = {}
        if self.machine.spec.rlimit_memlock is not None:
            await process.call(m.SetRlimit(self.machine.spec.rlimit_memlock))

    async def step(self, step: Step, actor: int | None = None, cpu: int | None = None) -> Outcome:
        """Carry one step out, on behalf of the thread's ``actor`` or ``cpu`` when it names none itself."""
        args = arguments(step, self.bases, self.machine.page_size)
        actor = step.actor if step.actor is not None else actor
        cpu = step.cpu if step.cpu is not None else cpu
        if actor is not None and actor not in self.processes:
            return Outcome(None, None, SKIPPED)
        carry: Carry = getattr(self, f"_{step.op}")
        try:
            if step.op == "run":
                return await carry(cpu, **args)
            if step.op in ("dma", "rcu"):
                return await carry(**args)
            return await carry(actor, **args)
        except TaskKilled:
            return Outcome(None, None, SKIPPED)

    async def fd(self, actor: int, name: str | int) -> int:
        """The descriptor of a name; -1 for one that is closed, a number stands for itself."""
        if isinstance(name, str):
            await self.touch_name(actor, name, write=False)
        return self.number_of(actor, name)

    def number_of(self, actor: int, name: str | int) -> int:
        """The same where nobody runs beside the actor."""
        return name if isinstance(name, int) else self.names[actor].get(name, -1)

    async def touch_name(self, actor: int, name: str, write: bool) -> None:
        """Declare a look at a name, or a change, where threads may meet there."""
        if (actor, name) in self.changing:
            await point(Op("user-copy", f"actor:{actor}.{name}", write, within=f"actor:{actor}.*"))

    async def copied_names(self, actor: int) -> dict[str, int]:
        """What a child of an actor knows: the names as they are when it is made."""
        if any(owner == actor for owner, _ in self.changing):
            await point(Op("user-copy", f"actor:{actor}.*", False))
        return dict(self.names[actor])

    async def call(self, actor: int, request: Request[Any]) -> Any:
        """Make a system call as the process of an actor."""
        return await self.machine.request(self.processes[actor], request)

    async def ioctl(self, actor: int, fd: str, cmd: int, arg: Any = 0) -> Outcome:
        """Make an ioctl by names."""
        return Outcome(await self.call(actor, m.Ioctl(await self.fd(actor, fd), cmd, arg)))

    # -- descriptors ---------------------------------------------------------------------------

    async def _open(self, actor: int, path: str, fd: str, group_index: int) -> Outcome:
        if path == "/dev/vfio/<group>":
            path = f"/dev/vfio/{group_index}"
        return await self._opened(actor, fd, m.OpenPath(path))

    async def _opennull(self, actor: int, fd: str) -> Outcome:
        return await self._opened(actor, fd, m.OpenPath("/dev/null"))

    async def _opened(self, actor: int, name: str, request: Request[int]) -> Outcome:
        ret = await self.call(actor, request)
        if ret >= 0:
            await self.touch_name(actor, name, write=True)
            self.names[actor][name] = ret
        return Outcome(min(ret, 0))

    async def _close(self, actor: int, fd: str) -> Outcome:
        await self.touch_name(actor, fd, write=True)
        number = self.names[actor].pop(fd, -1)
        return Outcome(await self.call(actor, m.Close(number)))

    async def _dup(self, actor: int, fd: str, newfd: str) -> Outcome:
        return await self._opened(actor, newfd, m.Dup(await self.fd(actor, fd)))

    async def _cloexec(self, actor: int, fd: str) -> Outcome:
        return Outcome(await self.call(actor, m.SetCloexec(await self.fd(actor, fd))))

    # -- VFIO core -----------------------------------------------------------------------------

    async def _setcont(self, actor: int, fd: str, container: str, bad_user_pointer: bool) -> Outcome:
        number = -1 if container == "-1" else await self.fd(actor, container)
        data = None if bad_user_pointer else bytearray(uapi.INT.pack(number))
        return await self.ioctl(actor, fd, uapi.VFIO_GROUP_SET_CONTAINER, UserPointer(data))

    async def _unsetcont(self, actor: int, fd: str) -> Outcome:
        return await self.ioctl(actor, fd, uapi.VFIO_GROUP_UNSET_CONTAINER)

    async def _setiommu(self, actor: int, fd: str, iommu_type: int) -> Outcome:
        return await self.ioctl(actor, fd, uapi.VFIO_SET_IOMMU, iommu_type)

    async def _status(self, actor: int, fd: str, argsz: int, flags: int, bad_user_pointer: bool) -> Outcome:
        pointer = pointed(uapi.GROUP_STATUS.pack(argsz, flags), bad_user_pointer)
        outcome = await self.ioctl(actor, fd, uapi.VFIO_GROUP_GET_STATUS, pointer)
        if outcome.ret or pointer.data is None:
            return outcome
        return outcome._replace(out={"flags": uapi.GROUP_STATUS.unpack(pointer.data)[1]})

    async def _devfd(
        self, actor: int, fd: str, newfd: str, device: str | None, bad_user_pointer: bool
    ) -> Outcome:
        number = await self.fd(actor, fd)
        name = device or device_name(self.group_index(actor, number))
        pointer = pointed(name.encode() + b"\0", bad_user_pointer)
        return await self._opened(actor, newfd, m.Ioctl(number, uapi.VFIO_GROUP_GET_DEVICE_FD, pointer))

    def group_index(self, actor: int, fd: int) -> int:
        """Which of the machine's groups a descriptor refers to; 0 when it is none."""
        process: Any = self.machine.core.actors[self.processes[actor]]
        file = process.files.get(fd)
        ids = self.machine.world.group_ids
        return ids.index(file.actor) if file is not None and file.actor in ids else 0

    # -- the container's ioctls ----------------------------------------------------------------

    async def _api(self, actor: int, fd: str) -> Outcome:
        return await self.ioctl(actor, fd, uapi.VFIO_GET_API_VERSION)

    async def _chkext(self, actor: int, fd: str, extension: int) -> Outcome:
        return await self.ioctl(actor, fd, uapi.VFIO_CHECK_EXTENSION, extension)

    async def _info(self, actor: int, fd: str, argsz: int, flags: int, bad_user_pointer: bool) -> Outcome:
        fill = 0xA5A5A5A5A5A5A5A5
        pointer = pointed(
            uapi.TCE_INFO.pack(argsz, flags, 0, 0, fill, fill & 0xFFFFFFFF, fill & 0xFFFFFFFF),
            bad_user_pointer,
        )
        outcome = await self.ioctl(actor, fd, uapi.VFIO_IOMMU_SPAPR_TCE_GET_INFO, pointer)
        if outcome.ret or pointer.data is None:
            return outcome
        info = uapi.TceInfo._make(uapi.TCE_INFO.unpack(pointer.data))
        out: dict[str, Any] = {
            "argsz": info.argsz,
            "flags": info.flags,
            "dma32_window_start": info.dma32_window_start,
            "dma32_window_size": info.dma32_window_size,
        }
        if info.pgsizes == fill:
            out["ddw_bytes_untouched"] = True
        else:
            out["ddw.pgsizes"] = info.pgsizes
            out["ddw.max_dynamic_windows_supported"] = info.max_dynamic_windows_supported
            out["ddw.levels"] = info.levels
        return outcome._replace(out=out)

    async def _enable(self, actor: int, fd: str) -> Outcome:
        return await self.ioctl(actor, fd, uapi.VFIO_IOMMU_ENABLE)

    async def _disable(self, actor: int, fd: str) -> Outcome:
        return await self.ioctl(actor, fd, uapi.VFIO_IOMMU_DISABLE)

    async def _map(self, actor: int, fd: str, vaddr: int, iova: int, size: int,
                   argsz: int, flags: int, bad_user_pointer: bool) -> Outcome:  # fmt: skip
        pointer = pointed(uapi.DMA_MAP.pack(argsz, flags, vaddr, iova, size), bad_user_pointer)
        return await self.ioctl(actor, fd, uapi.VFIO_IOMMU_MAP_DMA, pointer)

    async def _unmap(self, actor: int, fd: str, iova: int, size: int,
                     argsz: int, flags: int, bad_user_pointer: bool) -> Outcome:  # fmt: skip
        pointer = pointed(uapi.DMA_UNMAP.pack(argsz, flags, iova, size), bad_user_pointer)
        outcome = await self.ioctl(actor, fd, uapi.VFIO_IOMMU_UNMAP_DMA, pointer)
        if outcome.ret is None or outcome.ret < 0 or pointer.data is None:
            return outcome
        return outcome._replace(out={"size": uapi.DMA_UNMAP.unpack(pointer.data)[3]})

    async def _reg(self, actor: int, fd: str, vaddr: int, size: int,
                   argsz: int, flags: int, bad_user_pointer: bool) -> Outcome:  # fmt: skip
        pointer = pointed(uapi.REGISTER_MEMORY.pack(argsz, flags, vaddr, size), bad_user_pointer)
        return await self.ioctl(actor, fd, uapi.VFIO_IOMMU_SPAPR_REGISTER_MEMORY, pointer)

    async def _unreg(self, actor: int, fd: str, vaddr: int, size: int,
                     argsz: int, flags: int, bad_user_pointer: bool) -> Outcome:  # fmt: skip
        pointer = pointed(uapi.REGISTER_MEMORY.pack(argsz, flags, vaddr, size), bad_user_pointer)
        return await self.ioctl(actor, fd, uapi.VFIO_IOMMU_SPAPR_UNREGISTER_MEMORY, pointer)

    async def _create(self, actor: int, fd: str, page_shift: int, window_size: int, levels: int,
                      argsz: int, flags: int, bad_user_pointer: bool,
                      start_addr_in: int) -> Outcome:  # fmt: skip
        data = uapi.TCE_CREATE.pack(argsz, flags, page_shift, 0, window_size, levels, 0, start_addr_in)
        pointer = pointed(data, bad_user_pointer)
        outcome = await self.ioctl(actor, fd, uapi.VFIO_IOMMU_SPAPR_TCE_CREATE, pointer)
        if outcome.ret or pointer.data is None:
            return outcome
        return outcome._replace(out={"start_addr": uapi.TCE_CREATE.unpack(pointer.data)[7]})

    async def _remove(self, actor: int, fd: str, start_addr: int,
                      argsz: int, flags: int, bad_user_pointer: bool) -> Outcome:  # fmt: skip
        pointer = pointed(uapi.TCE_REMOVE.pack(argsz, flags, start_addr), bad_user_pointer)
        return await self.ioctl(actor, fd, uapi.VFIO_IOMMU_SPAPR_TCE_REMOVE, pointer)

    async def _eeh(self, actor: int, fd: str, eeh_op: int,
                   argsz: int, flags: int, bad_user_pointer: bool) -> Outcome:  # fmt: skip
        data = uapi.EEH_PE_OP.pack(argsz, flags, eeh_op).ljust(uapi.EEH_PE_ERR_SIZE, b"\0")
        return await self.ioctl(actor, fd, uapi.VFIO_EEH_PE_OP, pointed(data, bad_user_pointer))

    async def _ioctl(self, actor: int, fd: str, nr_offset: int, bad_user_pointer: bool) -> Outcome:
        pointer = pointed(bytes(64), bad_user_pointer)
        return await self.ioctl(actor, fd, uapi.VFIO_GET_API_VERSION + nr_offset, pointer)

    # -- memory --------------------------------------------------------------------------------

    async def _memory(self, actor: int, request: Request[int]) -> Outcome:
        return Outcome(await self.call(actor, m.Memory(request)))

    async def _mmap(self, actor: int, addr: int, size: int, prot: str, mmap_flags: tuple[str, ...],
                    hshift: int | None, file: str | None) -> Outcome:  # fmt: skip
        shift = hshift if hshift and "huge" in mmap_flags else self.machine.memory.page_shift
        shared, replace = "shared" in mmap_flags, "force" in mmap_flags
        has_file = "memfd" in mmap_flags or file is not None
        return await self._memory(
            actor, m.Mmap(addr, size, prot != "none", "w" in prot, shared, shift, replace, has_file)
        )

    async def _munmap(self, actor: int, addr: int, size: int) -> Outcome:
        return await self._memory(actor, m.Munmap(addr, size))

    async def _mprotect(self, actor: int, addr: int, size: int, prot: str) -> Outcome:
        return await self._memory(actor, m.Mprotect(addr, size, prot != "none", "w" in prot))

    async def _madvise(self, actor: int, addr: int, size: int, advice: str | int) -> Outcome:
        return await self._memory(actor, m.Madvise(addr, size, advice_of(advice)))

    async def _mlock(self, actor: int, addr: int, size: int) -> Outcome:
        return await self._memory(actor, m.Mlock(addr, size))

    async def _munlock(self, actor: int, addr: int, size: int) -> Outcome:
        return await self._memory(actor, m.Munlock(addr, size))

    async def _touch(self, actor: int, addr: int, size: int) -> Outcome:
        return await self._memory(actor, m.Touch(addr, size))

    async def _rlimit(self, actor: int, limit: int | None) -> Outcome:
        return Outcome(await self.call(actor, m.SetRlimit(limit)))

    async def _dropcap(self, actor: int) -> Outcome:
        return Outcome(await self.call(actor, m.DropCap()))

    async def _memfree(self, actor: int) -> Outcome:
        return Outcome(0)

    # -- processes and the machine -------------------------------------------------------------

    async def _fork(self, actor: int, new_actor: int) -> Outcome:
        return await self._clone(actor, new_actor, share_mm=False)

    async def _clonevm(self, actor: int, new_actor: int) -> Outcome:
        return await self._clone(actor, new_actor, share_mm=True)

    async def _clone(self, actor: int, new_actor: int, share_mm: bool) -> Outcome:
        names = await self.copied_names(actor)
        child = await self.call(actor, m.Clone(f"actor{new_actor}", share_mm))
        self.names[new_actor] = names
        self.processes[new_actor] = child
        return Outcome(0)

    async def _exec(self, actor: int) -> Outcome:
        ret = await self.call(actor, m.Exec(f"actor{actor}"))
        process: Any = self.machine.core.actors[self.processes[actor]]
        self.names[actor] = {n: fd for n, fd in self.names[actor].items() if fd in process.files}
        return Outcome(ret)

    async def _exit(self, actor: int) -> Outcome:
        try:
            await self.call(actor, m.ExitGroup())
        except TaskKilled:
            return Outcome(0)
        return Outcome(0)

    async def _abort(self, actor: int | None, target: int | None) -> Outcome:
        victim = target if target is not None else actor
        if victim is None or victim not in self.processes:
            return Outcome(-EINVAL)
        await self.machine.request(self.processes[victim], m.Kill())
        return Outcome(0)

    async def _run(self, cpu: int, task: str) -> Outcome:
        kind, _, name = task.partition(":")
        cpu_id = self.machine.world.cpus[cpu]
        if kind == "actor":
            process = self.processes.get(int(name))
            if process is None or not await self.machine.request(process, m.RunOn(cpu_id)):
                return Outcome(None, None, SKIPPED)
            return Outcome(0)
        if kind == "kthread":
            await self.machine.request(self.machine.world.kthread(name), m.RunOn(cpu_id))
        else:
            await self.machine.request(cpu_id, m.RunTask(task, None))
        return Outcome(0)

    async def _dma(self, group: int, iova: int, size: int, write: bool) -> Outcome:
        report = await self.machine.dma(group, iova, size, write)
        return Outcome(0, {"completed": report.completed, "fault": report.fault})

    async def _rcu(self) -> Outcome:
        await self.machine.rcu_barrier()
        return Outcome(0)


class Bases(dict[str, int]):
    """Base addresses of regions: a region that has none gets the next free one."""

    def __missing__(self, name: str) -> int:
        taken = set(self.values())
        base = next(b for i in range(1, 1 << 12) if (b := i * REGION_SPACING) not in taken)
        self[name] = base
        return base


def changing(threads: Iterable[ThreadSpec]) -> frozenset[tuple[int, str]]:
    """The names of descriptors, with their actors, that threads give values while others may look."""
    named = {"open": "fd", "opennull": "fd", "close": "fd", "dup": "newfd", "devfd": "newfd"}
    found: set[tuple[int, str]] = set()
    for thread in threads:
        for step in thread.steps:
            actor = step.actor if step.actor is not None else thread.actor
            name = getattr(step, named[step.op]) if step.op in named else None
            if actor is not None and name is not None:
                found.add((actor, name))
    return frozenset(found)


def pointed(data: bytes, bad: bool) -> UserPointer:
    """A pointer to a struct, or to where nothing is mapped."""
    return UserPointer(None if bad else bytearray(data))


__all__ = ["Execution", "Outcome", "changing"]
