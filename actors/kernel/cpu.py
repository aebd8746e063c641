"""A CPU: what runs on it, and whose address space it uses.

Kernel: kernel/sched/core.c, ``context_switch`` and ``finish_task_switch``. A kernel thread and the
idle task have no mm of their own and go on with the one that was active (lazy TLB). On today's
kernel they hold no reference: when the mm is destroyed, an interrupt makes them let go of it
(MMU_LAZY_TLB_SHOOTDOWN).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from actors.runtime.actor import Actor
from actors.runtime.cells import Cell
from actors.runtime.sync import Mutex

if TYPE_CHECKING:
    from actors.kernel.globals import KernelGlobals

INIT_MM = "init_mm"


class Cpu(Actor):
    """One CPU.

    Attributes:
        running: what runs: the id of a process or kernel thread, or ``idle``.
        active_mm: id of the mm whose translations are loaded.
        borrowed: whether the running task has only borrowed it.
        rq_lock: ``rq->lock``, with which interrupts are off.
    """

    kind = "cpu"

    def __init__(self, world: KernelGlobals) -> None:
        super().__init__(world.core)
        self.world = world
        self.running = "idle"
        self.borrowed = True
        self.active_mm: Cell[str] = Cell(world.core, f"{self.id}.active_mm", INIT_MM)
        self.rq_lock = Mutex(world.core, f"{self.id}.rq_lock")

    async def context_switch(self, task: str, mm: str | None) -> None:
        """Switch to ``task`` whose mm is ``mm``; None makes it borrow what is active.

        Kernel: kernel/sched/core.c, ``context_switch``.
        """
        async with self.rq_lock:
            loan = await self.switch_to(task, mm)
        if loan is not None:
            await self.return_loan(loan)

    async def switch_to(self, task: str, mm: str | None) -> str | None:
        """Switch with interrupts off; the mm that had been borrowed until now, if any.

        Context: ``rq_lock`` held.
        """
        previous, was_borrowed = await self.active_mm.get(), self.borrowed
        if mm is None:
            if not was_borrowed:
                await self.borrow(previous)
        else:
            await self.active_mm.set(mm)
        self.running, self.borrowed = task, mm is None
        return previous if mm is not None and was_borrowed and previous != INIT_MM else None

    async def borrow(self, mm: str) -> None:
        """The next task goes on with ``mm``. Kernel: ``mmgrab_lazy_tlb``: no reference here."""

    async def return_loan(self, mm: str) -> None:
        """A borrowed mm is not needed any more. Kernel: ``mmdrop_lazy_tlb``."""

    async def do_shoot_lazy_tlb(self, mm: str) -> None:
        """Let go of ``mm`` if it is only borrowed: it is about to be destroyed."""
        async with self.rq_lock:
            if self.borrowed and await self.active_mm.get() == mm:
                await self.active_mm.set(INIT_MM)

    async def task_dead(self, task: str) -> None:
        """The running process ended: go idle, which borrows its mm. Kernel: ``do_task_dead``."""
        async with self.rq_lock:
            if self.running == task:
                await self.switch_to("idle", None)

    async def switch_mm(self, task: str, mm: str) -> None:
        """The running process has a new address space. Kernel: fs/exec.c, ``exec_mmap``."""
        async with self.rq_lock:
            if self.running == task:
                await self.active_mm.set(mm)
