"""A kernel thread: it has no address space, so whichever CPU runs it goes on with the one that is active.

Kernel: kernel/kthread.c, kernel/sched/core.c (``wake_up_process``). What the thread works at is left out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from actors.kernel.messages import RunTask
from actors.runtime.actor import Actor
from actors.runtime.ops import call

if TYPE_CHECKING:
    from actors.runtime.core import Core


class Kthread(Actor):
    """One kernel thread, ``kthread:kworker/1:0``; it is there from its first mention on."""

    kind = "kthread"

    def __init__(self, core: Core, comm: str) -> None:
        super().__init__(core, comm, f"{self.kind}:{comm}")

    async def run_on(self, cpu: str) -> bool:
        """Let a CPU run this thread: without an mm of its own it borrows the active one."""
        await call(cpu, RunTask(self.id, None))
        return True


__all__ = ["Kthread"]
