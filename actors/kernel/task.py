"""``current``: the task that a thread of control runs as, and kernel objects shared by reference."""

from __future__ import annotations

from typing import TYPE_CHECKING

from actors.runtime.cells import Refcount
from actors.runtime.ops import Op, point

if TYPE_CHECKING:
    from actors.runtime.core import Core


class Limits:
    """What the tasks of a process may lock in memory; shared by all of them.

    Kernel: ``signal->rlim``, ``cred->cap_effective``. Simplified: a task that gives CAP_IPC_LOCK up does so
    for its whole process.

    Attributes:
        rlimit_memlock_bytes: RLIMIT_MEMLOCK; None for RLIM_INFINITY.
        cap_ipc_lock: whether they have CAP_IPC_LOCK.
        read_op, write_op: the declarations of a look and of a change.
    """

    __slots__ = ("cap_ipc_lock", "read_op", "rlimit_memlock_bytes", "write_op")

    def __init__(self, pid: str, like: Limits | None = None) -> None:
        self.rlimit_memlock_bytes: int | None = None if like is None else like.rlimit_memlock_bytes
        self.cap_ipc_lock: bool = True if like is None else like.cap_ipc_lock
        self.read_op = Op("field", f"{pid}.limits", False)
        self.write_op = Op("field", f"{pid}.limits", True)


class Task:
    """``struct task_struct``, as far as the driver looks at it.

    Attributes:
        name: ``process:0/1``, the process and the number of the thread in it.
        mm: the id of its mm actor; None once it has given it up (``exit_mm``).
        limits: what it may lock, like all tasks of its process.
        fatal_signal: whether a SIGKILL is pending.
    """

    __slots__ = ("fatal_signal", "limits", "mm", "name")

    def __init__(self, name: str, mm: str, limits: Limits) -> None:
        self.name = name
        self.mm: str | None = mm
        self.limits = limits
        self.fatal_signal = False


class File:
    """``struct file``: what a descriptor refers to, shared by ``dup``, ``fork`` and ioctls in flight.

    Attributes:
        kind: ``container``, ``group``, ``device`` or ``null``.
        actor: the id of the actor behind it ("" for the null device).
        name: the deterministic name of the file itself, ``file:3``.
        f_count: who holds it; the last to let go makes the actor release it.
    """

    __slots__ = ("actor", "f_count", "kind", "name")

    def __init__(self, core: Core, kind: str, actor: str, holder: str) -> None:
        self.kind = kind
        self.actor = actor
        self.name = core.number("file")
        self.f_count = Refcount(core, f"{self.name}.f_count", holder)

    async def get_unless_zero(self, holder: str) -> bool:
        """Take a reference for ``holder`` unless the last one is gone; say whether it was taken.

        Kernel: fs/file.c, ``get_file_rcu``.
        """
        count = self.f_count
        if count.core.controlled:
            await point(count.writing())
        if count.holders:
            self.hold(holder)
            return True
        return False

    def hold(self, holder: str) -> None:
        """Take a reference for ``holder`` while a table of descriptors that is locked has one."""
        self.f_count.holders[holder] = self.f_count.holders.get(holder, 0) + 1

    def __repr__(self) -> str:
        return f"<{self.name} {self.kind} {self.actor}>"
