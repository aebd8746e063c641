"""Processes and CPUs, to be told what to do: system calls with Python's types around them."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, TypeVar

from actors.errors import checked
from actors.kernel import messages as m
from actors.kernel.mm_iommu import Mm
from actors.machine.arguments import expect_attributes, expect_unsigned
from actors.machine.vfio import Container, Group
from actors.runtime.errors import TaskKilled
from actors.runtime.messages import Request
from hw import Ua

if TYPE_CHECKING:
    from actors.machine.machine import Machine

R = TypeVar("R")


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
        await self.machine.request(self.machine.world.kthread(name), m.RunOn(self.id))

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
        expect_unsigned("mmap", size=size, huge=huge)
        start = await self.memory_call(m.MmapAnywhere(size, huge or self.machine.memory.page_shift), "mmap")
        return Memory(start, size)

    async def munmap(self, memory: Memory) -> None:
        """Unmap a range."""
        expect_attributes("munmap", ("start", "size"), "memory that mmap has returned", memory=memory)
        await self.memory_call(m.Munmap(memory.start, memory.size), "munmap")

    async def touch(self, memory: Memory) -> None:
        """Write to every page of a range."""
        expect_attributes("touch", ("start", "size"), "memory that mmap has returned", memory=memory)
        await self.memory_call(m.Touch(memory.start, memory.size), "touch")

    async def mlock(self, memory: Memory) -> None:
        """Lock a range in memory."""
        expect_attributes("mlock", ("start", "size"), "memory that mmap has returned", memory=memory)
        await self.memory_call(m.Mlock(memory.start, memory.size), "mlock")

    async def limit_memlock(self, limit_bytes: int | None) -> None:
        """Set RLIMIT_MEMLOCK and, so that it binds, give CAP_IPC_LOCK up."""
        if limit_bytes is not None:
            expect_unsigned("limit_memlock", limit_bytes=limit_bytes)
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
