"""To a CPU, and to RCU."""

from __future__ import annotations

from typing import ClassVar

from actors.runtime.messages import Request


class RunTask(Request[None], frozen=True, gc=False):
    """Context switch to a task; without an mm of its own it borrows the active one."""

    serves: ClassVar[str] = "context_switch"
    task: str
    mm: str | None


class TaskDead(Request[None], frozen=True, gc=False):
    """The process that a CPU runs has ended there: the CPU goes idle, with the mm still active."""

    serves: ClassVar[str] = "task_dead"
    task: str


class SwitchMm(Request[None], frozen=True, gc=False):
    """The process that a CPU runs has another address space from now on (execve)."""

    serves: ClassVar[str] = "switch_mm"
    task: str
    mm: str


class ShootLazyTlb(Request[None], frozen=True, gc=False):
    """Let go of a lazily borrowed mm that is about to be destroyed."""

    serves: ClassVar[str] = "do_shoot_lazy_tlb"
    mm: str


class RcuBarrier(Request[None], frozen=True, gc=False):
    """Wait until every callback queued so far has run."""

    serves: ClassVar[str] = "rcu_barrier"
