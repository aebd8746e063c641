"""The machine and the typed API above the kernel's bytes.

Everything here is asynchronous and works the same under every runtime: called from the user's own
trio tasks on a free machine, or from a scenario whose order is explored.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from copy import copy
from typing import Any, NamedTuple, Protocol, Self, TypeVar

import trio
from msgspec import structs

from actors.errors import KernelError, checked
from actors.kernel import messages as m
from actors.kernel import uapi
from actors.kernel.catalogue import find_kernel, nearest
from actors.kernel.composition import Kernel
from actors.kernel.container import HANDLERS
from actors.kernel.failpoints import FAILPOINTS
from actors.kernel.globals import KernelGlobals
from actors.kernel.group import device_name
from actors.kernel.mm_iommu import Mm
from actors.kernel.uapi import UserPointer
from actors.program.values import MachineSpec
from actors.runtime import copies
from actors.runtime.actor import Actor
from actors.runtime.copies import Snapshot
from actors.runtime.core import Core
from actors.runtime.errors import EmulatorError, TaskKilled
from actors.runtime.free import FreeRuntime
from actors.runtime.messages import Request
from actors.threads import Threads
from hw import DmaReport, PhysicalMemory, Ua

R = TypeVar("R")


class Waiting(NamedTuple):
    """Somebody who does not get on.

    Attributes:
        thread: who.
        object: the lock or the completion waited for.
        holders: who holds it, ``(dead)`` behind those that have crashed.
    """

    thread: str
    object: str
    holders: str


class Harness(Actor):
    """The world outside the machine: scenarios run in it."""

    kind = "machine"


class Machine:
    """A booted machine.

    Attributes:
        core: the runtime it runs on.
        world: its kernel.
        spec: what it is made of.
        cpus: its CPUs.
        armed: failure points that are to fail, each with the arrivals left until they do.
        on_reply: told of each request from outside that was answered, with target, request and reply.
    """

    def __init__(self, core: Core, world: KernelGlobals, spec: MachineSpec, harness: Harness) -> None:
        self.core = core
        self.world = world
        self.spec = spec
        self.harness = harness
        self.cpus = [CpuHandle(self, name) for name in world.cpus]
        self.on_reply: Callable[[str, Request[Any], Any], None] | None = None
        self.armed: dict[str, list[int]] = {}

    @classmethod
    def boot(cls, core: Core, kernel: Kernel | str = "fixed", spec: MachineSpec | None = None) -> Machine:
        """Boot a kernel on a new machine that runs on ``core``.

        Raises:
            UnknownPiece: no kernel of that name.
        """
        spec = spec or MachineSpec()
        chosen = find_kernel(kernel) if isinstance(kernel, str) else kernel
        harness = Harness(core, "machine")
        world = KernelGlobals(core, chosen, spec)
        return cls(core, world, spec, harness)

    @property
    def memory(self) -> PhysicalMemory:
        """The RAM, with ``pinned_pages`` and who pins what."""
        return self.world.memory

    @property
    def page_size(self) -> int:
        """Bytes of a kernel page."""
        return self.memory.page_size

    def request(self, target: str, request: Request[R]) -> Coroutine[Any, Any, R]:
        """Send a request to an actor from outside and return the reply."""
        answer = self.core.request(self.harness, target, request)
        return answer if self.on_reply is None else self._told(target, request, answer)

    async def _told(self, target: str, request: Request[R], answer: Coroutine[Any, Any, R]) -> R:
        """Tell whoever listens of a request that was answered."""
        reply = await answer
        if self.on_reply is not None:
            self.on_reply(target, request, reply)
        return reply

    async def spawn(self, comm: str) -> Process:
        """Start a process with an empty address space, root's capabilities and no limit."""
        process = self.world.kernel.process(self.world, comm)
        return Process(self, process.id, comm)

    def threads(self) -> Threads:
        """Concurrent threads: ``async with machine.threads() as threads: threads.start(name, body)``."""
        return Threads(self)

    async def rcu_barrier(self) -> None:
        """Wait until every pending RCU callback has run: the end of all current grace periods."""
        await self.request(self.world.rcu.id, m.RcuBarrier())

    async def dma(self, group: int, iova: int, size: int, write: bool = False) -> DmaReport:
        """Let the device of a group read or write ``size`` bytes at a bus address."""
        report: DmaReport = await self.request(self.world.group_ids[group], m.DeviceDma(iova, size, write))
        return report

    # -- faults, and a look inside -------------------------------------------------------------

    def fail(self, failpoint: str, nth: int = 1) -> None:
        """Make a failure point fail once: the ``nth`` time that it is reached from now on, from 1.

        Raises:
            ValueError: there is no such failure point, or ``nth`` is below 1.
        """
        if failpoint not in FAILPOINTS:
            raise ValueError(f"no failure point {failpoint!r}{nearest(failpoint, FAILPOINTS)}")
        if nth < 1:
            raise ValueError(f"nth: found {nth}, expected a number from 1 on")
        self.armed.setdefault(failpoint, []).append(nth)
        self.core.faults = self._fails

    def _fails(self, failpoint: str) -> bool:
        """Count one arrival at a failure point; whether it fails this time."""
        left = [count - 1 for count in self.armed.pop(failpoint, [])]
        if any(left):
            self.armed[failpoint] = [count for count in left if count]
        if not self.armed:
            self.core.faults = None
        return 0 in left

    async def stuck(self) -> tuple[Waiting, ...]:
        """Wait until nobody can get on any more, and say who waits for whom; nobody on a healthy machine."""
        if isinstance(self.core, FreeRuntime):
            from trio.testing import wait_all_tasks_blocked  # noqa: PLC0415 - rarely asked for

            await wait_all_tasks_blocked()
        return tuple(Waiting(*each) for each in self.core.stuck().waits)

    @property
    def warnings(self) -> tuple[str, ...]:
        """The kernel's warnings so far, each with the function that gave it."""
        return tuple(f"{message} ({place})" for message, place in self.world.warnings)

    def name_of(self, actor: str) -> str:
        """The human name of an actor: ``qemu`` for the mm of qemu."""
        return self.core.actors[actor].name

    # -- copies --------------------------------------------------------------------------------

    def snapshot(self) -> Snapshot:
        """Return a copy of the machine at rest, from which :meth:`restore` makes machines.

        The copy shares with the machine what never changes; neither notices the other.

        Raises:
            EmulatorError: a request or an RCU callback is in flight.
        """
        busy = [t.name for t in self.core.threads.values() if t is not self.core.current]
        busy += [callback.name for callback in self.world.rcu.callbacks]
        if busy:
            raise EmulatorError(f"only a machine at rest can be copied; busy: {', '.join(busy)}")
        core = self.core
        state = (core.names, core.thread_count, core.actors, self.world, self.spec, self.harness)
        return copies.snapshot(state, (Kernel, MachineSpec))

    @classmethod
    def restore(cls, core: Core, snapshot: Snapshot) -> Machine:
        """Make a machine from a copy; it runs on ``core``."""
        names, thread_count, actors, world, spec, harness = copies.restore(core, snapshot)
        core.names.update(names)
        core.thread_count = max(core.thread_count, thread_count)
        for actor in actors.values():
            core.register(actor)
        return cls(core, world, spec, harness)


class MachineObserver(Protocol):
    """Whoever watches a machine while it is open."""

    def open(self, machine: Machine) -> None:
        """The machine has booted."""

    def close(self) -> None:
        """The machine ends."""


@asynccontextmanager
async def open_machine(
    kernel: Kernel | str = "fixed",
    spec: MachineSpec | None = None,
    log: MachineObserver | None = None,
    **changes: Any,
) -> AsyncIterator[Machine]:
    """Boot a machine whose actors run freely as trio tasks; it ends with the block.

    Args:
        kernel: the name of a kernel (``tcemu kernels`` lists them), or a composed one.
        spec: what the machine is made of.
        log: who is told of all that happens, for example an ``actors.trace.MachineLog``.
        changes: fields of :class:`MachineSpec` to differ from ``spec``, for example ``cpus=4``.
    """
    whole = structs.replace(spec or MachineSpec(), **changes)
    try:
        async with trio.open_nursery() as nursery:
            core = FreeRuntime(nursery)
            try:
                machine = Machine.boot(core, kernel, whole)
                if log is not None:
                    log.open(machine)
                yield machine
            finally:
                if log is not None:
                    log.close()
                nursery.cancel_scope.cancel()
    except BaseExceptionGroup as group:
        if len(group.exceptions) > 1:
            raise
        # The nursery is ours, so the user sees the error as if there were none.
        error = group.exceptions[0]
        raise error from error.__cause__
    finally:
        core.close()


class CpuHandle:
    """One CPU of a machine."""

    def __init__(self, machine: Machine, name: str) -> None:
        self.machine = machine
        self.id = name

    async def run(self, process: Process) -> bool:
        """Switch to a process: its mm becomes the active one. False when it is exiting or gone."""
        return await self.machine.request(process.id, m.RunOn(self.id))

    async def run_kthread(self, name: str) -> None:
        """Switch to a kernel thread, which borrows the active mm."""
        await self.machine.request(self.id, m.RunTask(f"kthread:{name}", None))

    async def idle(self) -> None:
        """Go idle, which borrows the active mm too."""
        await self.machine.request(self.id, m.RunTask("idle", None))


class Memory:
    """A range of a process's memory.

    Attributes:
        start: first address in bytes.
        size: length in bytes.
    """

    def __init__(self, start: int, size: int) -> None:
        self.start = Ua(start)
        self.size = size

    def __repr__(self) -> str:
        return f"<memory {self.start:#x}+{self.size:#x}>"


class Process:
    """A process, to be told what to do."""

    def __init__(self, machine: Machine, name: str, comm: str) -> None:
        self.machine = machine
        self.id = name
        self.comm = comm

    @property
    def locked_vm_pages(self) -> int:
        """Kernel pages that its address space is charged (VmLck), also after its end."""
        return self._mm.locked_vm.value

    @property
    def mm_holders(self) -> tuple[str, ...]:
        """Who keeps its ``mm_struct``: ``users`` for all tasks together, containers, CPUs that borrow it."""
        return tuple(sorted(self._mm.mm_count.holders))

    @property
    def _mm(self) -> Mm:
        actors: Any = self.machine.core.actors
        mm: Mm = actors[actors[self.id].mm]
        return mm

    def call(self, request: Request[R]) -> Coroutine[Any, Any, R]:
        """Make a system call and return what the kernel returns."""
        return self.machine.request(self.id, request)

    def ioctl(self, fd: int, cmd: int, arg: Any = 0) -> Coroutine[Any, Any, int]:
        """Make an ioctl with a number or a :class:`UserPointer`; the kernel's raw answer."""
        return self.call(m.Ioctl(fd, cmd, arg))

    async def memory_call(self, request: Request[int], operation: str) -> int:
        """Make a system call on the address space.

        Raises:
            KernelError: it failed.
        """
        return checked(await self.call(m.Memory(request)), operation, operation)

    async def mmap(self, size: int, *, huge: int = 0) -> Memory:
        """Map private read-write memory; ``huge`` is log2 of a hugetlb page.

        Raises:
            KernelError: -ENOMEM.
        """
        start = await self.memory_call(m.MmapAnywhere(size, huge or self.machine.memory.page_shift), "mmap")
        return Memory(start, size)

    async def munmap(self, memory: Memory) -> None:
        """Unmap a range."""
        await self.memory_call(m.Munmap(memory.start, memory.size), "munmap")

    async def touch(self, memory: Memory) -> None:
        """Write to every page of a range."""
        await self.memory_call(m.Touch(memory.start, memory.size), "touch")

    async def mlock(self, memory: Memory) -> None:
        """Lock a range in memory."""
        await self.memory_call(m.Mlock(memory.start, memory.size), "mlock")

    async def limit_memlock(self, limit_bytes: int | None) -> None:
        """Set RLIMIT_MEMLOCK and, so that it binds, give CAP_IPC_LOCK up."""
        await self.call(m.SetRlimit(limit_bytes))
        await self.call(m.DropCap())

    async def open_container(self) -> Container:
        """Open ``/dev/vfio/vfio``."""
        return Container(
            self, checked(await self.call(m.OpenPath("/dev/vfio/vfio")), "open", "vfio_fops_open")
        )

    async def open_group(self, index: int) -> Group:
        """Open the ``index``-th IOMMU group.

        Raises:
            KernelError: -EBUSY while it is open anywhere, -ENOENT for a group that does not exist.
        """
        fd = await self.call(m.OpenPath(f"/dev/vfio/{index}"))
        return Group(self, checked(fd, f"open(/dev/vfio/{index})", "vfio_group_fops_open"), index)

    async def fork(self, comm: str = "") -> Process:
        """Fork; the child has copies of all descriptors and an address space of its own."""
        comm = comm or f"{self.comm}-child"
        return Process(self.machine, await self.call(m.Clone(comm, False)), comm)

    async def clone_vm(self, comm: str = "") -> Process:
        """Make a process that shares the address space and has copies of all descriptors."""
        comm = comm or f"{self.comm}-sibling"
        return Process(self.machine, await self.call(m.Clone(comm, True)), comm)

    async def execve(self, comm: str) -> None:
        """Replace the program; descriptors stay open."""
        await self.call(m.Exec(comm))
        self.comm = comm

    async def exit(self) -> None:
        """End the process: its mm, its descriptors, its last context switch."""
        try:
            await self.call(m.ExitGroup())
        except TaskKilled:
            return

    async def kill(self) -> None:
        """SIGKILL."""
        await self.machine.request(self.id, m.Kill())


class Descriptor:
    """An open descriptor of one process."""

    def __init__(self, process: Process, fd: int) -> None:
        self.process = process
        self.fd = fd

    async def close(self) -> None:
        """Close it."""
        checked(await self.process.call(m.Close(self.fd)), "close", "close_fd")

    async def dup(self) -> Self:
        """Duplicate it."""
        return self._at(self.process, checked(await self.process.call(m.Dup(self.fd)), "dup", "fget"))

    def seen_by(self, process: Process) -> Self:
        """The same descriptor in another process that inherited it."""
        return self._at(process, self.fd)

    def _at(self, process: Process, fd: int) -> Self:
        other = copy(self)
        other.process, other.fd = process, fd
        return other

    async def _ioctl(self, cmd: int, arg: Any = 0) -> int:
        ret = await self.process.ioctl(self.fd, cmd, arg)
        if ret < 0:
            raise KernelError(-ret, uapi.REQUEST_NAMES[cmd], place_of(cmd))
        return ret


def place_of(cmd: int) -> str:
    """The kernel function that serves a request."""
    return HANDLERS[True].get(cmd) or HANDLERS[False].get(cmd) or uapi.REQUEST_NAMES[cmd].lower()


class Group(Descriptor):
    """An open IOMMU group."""

    async def set_container(self, container: Container) -> None:
        """Put the group into a container."""
        await self._ioctl(uapi.VFIO_GROUP_SET_CONTAINER, UserPointer(bytearray(uapi.INT.pack(container.fd))))

    async def unset_container(self) -> None:
        """Take the group out of its container; the last one out ends the driver's data."""
        await self._ioctl(uapi.VFIO_GROUP_UNSET_CONTAINER)

    def __init__(self, process: Process, fd: int, index: int = 0) -> None:
        super().__init__(process, fd)
        self.index = index

    async def open_device(self, name: str = "") -> Descriptor:
        """Open the group's device; while it is open the group cannot leave its container."""
        wanted = name or device_name(self.index)
        fd = await self._ioctl(uapi.VFIO_GROUP_GET_DEVICE_FD, UserPointer(bytearray(wanted.encode() + b"\0")))
        return Descriptor(self.process, fd)


class Container(Descriptor):
    """An open VFIO container."""

    async def check_extension(self, extension: int) -> int:
        """Ask whether an extension or IOMMU type is supported."""
        return await self._ioctl(uapi.VFIO_CHECK_EXTENSION, extension)

    async def set_iommu(self, iommu_type: int) -> None:
        """Choose the IOMMU type: ``VFIO_SPAPR_TCE_IOMMU`` or ``VFIO_SPAPR_TCE_v2_IOMMU``."""
        await self._ioctl(uapi.VFIO_SET_IOMMU, iommu_type)

    async def info(self) -> uapi.TceInfo:
        """Ask for windows and page sizes."""
        pointer = UserPointer(bytearray(uapi.TCE_INFO.pack(uapi.TCE_INFO.size, 0, 0, 0, 0, 0, 0)))
        await self._ioctl(uapi.VFIO_IOMMU_SPAPR_TCE_GET_INFO, pointer)
        assert pointer.data is not None
        return uapi.TceInfo._make(uapi.TCE_INFO.unpack(pointer.data))

    async def enable(self) -> None:
        """ENABLE (v1): charge the 32-bit window."""
        await self._ioctl(uapi.VFIO_IOMMU_ENABLE)

    async def disable(self) -> None:
        """DISABLE (v1)."""
        await self._ioctl(uapi.VFIO_IOMMU_DISABLE)

    async def register_memory(self, memory: Memory) -> int:
        """Pre-register a range (v2); 0, or what a kernel with a defect returns."""
        data = uapi.REGISTER_MEMORY.pack(uapi.REGISTER_MEMORY.size, 0, memory.start, memory.size)
        return await self._ioctl(uapi.VFIO_IOMMU_SPAPR_REGISTER_MEMORY, UserPointer(bytearray(data)))

    async def unregister_memory(self, memory: Memory) -> int:
        """Take a registration back (v2)."""
        data = uapi.REGISTER_MEMORY.pack(uapi.REGISTER_MEMORY.size, 0, memory.start, memory.size)
        return await self._ioctl(uapi.VFIO_IOMMU_SPAPR_UNREGISTER_MEMORY, UserPointer(bytearray(data)))

    async def map_dma(self, iova: int, vaddr: int, size: int, flags: int = 3) -> int:
        """Map ``size`` bytes at a bus address."""
        data = uapi.DMA_MAP.pack(uapi.DMA_MAP.size, flags, vaddr, iova, size)
        return await self._ioctl(uapi.VFIO_IOMMU_MAP_DMA, UserPointer(bytearray(data)))

    async def unmap_dma(self, iova: int, size: int) -> int:
        """Clear ``size`` bytes at a bus address."""
        data = uapi.DMA_UNMAP.pack(uapi.DMA_UNMAP.size, 0, iova, size)
        return await self._ioctl(uapi.VFIO_IOMMU_UNMAP_DMA, UserPointer(bytearray(data)))

    async def create_window(self, page_shift: int, window_size: int, levels: int = 1) -> int:
        """Create a DMA window; its bus address."""
        data = bytearray(
            uapi.TCE_CREATE.pack(uapi.TCE_CREATE.size, 0, page_shift, 0, window_size, levels, 0, 0)
        )
        await self._ioctl(uapi.VFIO_IOMMU_SPAPR_TCE_CREATE, UserPointer(data))
        return uapi.TceCreate._make(uapi.TCE_CREATE.unpack(data)).start_addr

    async def remove_window(self, start_addr: int) -> None:
        """Remove the DMA window that holds a bus address."""
        data = uapi.TCE_REMOVE.pack(uapi.TCE_REMOVE.size, 0, start_addr)
        await self._ioctl(uapi.VFIO_IOMMU_SPAPR_TCE_REMOVE, UserPointer(bytearray(data)))


Scenario = Callable[[Machine], Coroutine[Any, Any, Any]]
"""An async function of a machine."""
