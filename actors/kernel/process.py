"""A process: its tasks, and how it begins and ends; its descriptors are in `files`.

Kernel: kernel/fork.c, kernel/exit.c, fs/exec.c.
A thread of control that sends a system call runs as one of the process's tasks; when all are busy
the process clones another. Invariants that live here: J-M2, J-K1.
"""

from __future__ import annotations

from collections.abc import Coroutine
from errno import EAGAIN, EINVAL
from typing import TYPE_CHECKING, Any

from actors.kernel import messages as m
from actors.kernel.files import Files
from actors.kernel.task import Limits, Task
from actors.runtime.cells import Cell
from actors.runtime.errors import KernelOops, TaskKilled
from actors.runtime.messages import Request
from actors.runtime.ops import Op, call, point
from actors.runtime.sync import Completion, Mutex

if TYPE_CHECKING:
    from actors.kernel.globals import KernelGlobals
    from actors.runtime.thread import Thread


class Process(Files):
    """A process.

    Attributes:
        tasks: the live tasks.
        idle: those in user space.
        owners: name of a thread of control -> the task that it always runs as.
        threadgroup_lock: held while a task is made, ends, or is switched in: what one of these finds
            alive stays so until it is done.
        exiting: whether exit_group or a fatal signal has begun to end it.
        gone: whether the last task has made its last switch.
        limits: what its tasks may lock in memory.
        group_exec_task: the task whose execve ends the others; None without one.
        left_alone: what that execve waits for until its task is the only one; None while it does not.
    """

    callers_are_threads = True

    def __init__(
        self,
        world: KernelGlobals,
        comm: str,
        mm: str | None = None,
        reserved_id: str = "",
        limits: Limits | None = None,
    ) -> None:
        super().__init__(world, comm, reserved_id)
        self.exiting: Cell[bool] = Cell(world.core, f"{self.id}.exiting", False)
        self.threadgroup_lock = Mutex(world.core, f"{self.id}.threadgroup_lock")
        self.gone = False
        self.group_exec_task: Task | None = None
        self.left_alone: Completion | None = None
        self.limits: Limits = Limits(self.id, limits)
        first = f"{self.id}/0"
        self.mm = mm or world.new_mm(comm, first).id
        self.tasks = [self.new_task()]
        self.idle = list(self.tasks)
        self.owners: dict[str, Task] = {}
        self.tasks_write = Op("list", f"{self.id}.tasks", True)

    def new_task(self) -> Task:
        """Make a task; whoever calls has counted it in ``mm_users``."""
        task = Task(f"{self.id}/{self.task_numbers}", self.mm, self.limits)
        self.task_numbers += 1
        return task

    # -- entering and leaving the kernel -------------------------------------------------------

    def serve(self, request: Request[Any]) -> Coroutine[Any, Any, Any]:
        """Start a handler; a system call runs as one of the process's tasks."""
        handler = super().serve(request)
        return self.system_call(handler) if isinstance(request, m.SystemCall) else handler

    async def system_call(self, body: Coroutine[Any, Any, Any]) -> Any:
        """Run ``body`` as a task of this process.

        Raises:
            TaskKilled: the process has ended, or ends now that the call is done.
            KernelOops: the kernel crashed; the task is dead and what it held stays held.
        """
        thread, world = self.core.current, self.world
        try:
            task = await self.enter_kernel(thread)
        except BaseException:
            body.close()
            raise
        outer, thread.task = thread.task, task
        world.in_kernel += 1
        try:
            return await self.run_task(task, body)
        finally:
            thread.task = outer
            world.in_kernel -= 1
            if world.on_return is not None:
                world.on_return()

    async def enter_kernel(self, thread: Thread) -> Task:
        """Take the task that ``thread`` runs as out of user space.

        Raises:
            TaskKilled: the process, or this thread of it, has ended.
        """
        own = self.owners.get(thread.name)
        if await self.exiting.get() or not self.tasks or (own is not None and own not in self.tasks):
            raise TaskKilled(self.name)
        if own is None or own not in self.idle:
            return await self.any_task()
        self.idle.remove(own)
        return own

    async def run_task(self, task: Task, body: Coroutine[Any, Any, Any]) -> Any:
        """Run a system call as ``task``; on the way out the task ends if its process does."""
        try:
            reply = await body
        except KernelOops:
            await self.do_exit(task)
            raise
        if await self.exiting.get() or task.fatal_signal:
            if self.world.on_return is not None:
                self.world.on_return()
            await self.do_exit(task)
            raise TaskKilled(self.name)
        self.idle.append(task)
        return reply

    async def any_task(self) -> Task:
        """Take a task in user space, or make one, for a thread of control that has none of its own."""
        if self.core.controlled and len(self.core.threads) > 1:
            await point(self.tasks_write)
        return self.idle.pop() if self.idle else await self.clone_thread()

    async def sys_clone_thread(self, owner: str) -> int:
        """Let the thread of control ``owner`` run as a task of its own from now on; 0.

        Every thread of a program is a task from the start, so that which task an ioctl runs as does not
        depend on who comes first.
        """
        owned = [task.name for task in self.owners.values()]
        spare = [task for task in self.tasks if task.name not in owned]
        task = spare[0] if spare else await self.clone_thread()
        if task not in self.idle and task is not self.core.current.task:
            self.idle.append(task)
        self.owners[owner] = task
        return 0

    async def clone_thread(self) -> Task:
        """Make another task of the process. Kernel: clone(CLONE_THREAD | CLONE_VM).

        Raises:
            TaskKilled: the process is ending, or an execve ends whoever would make the task.
        """
        async with self.threadgroup_lock:
            if await self.exiting.get() or self.group_exec_task is not None:
                raise TaskKilled(self.name)
            task = self.new_task()
            self.tasks.append(task)
            await call(self.mm, m.Mmget(task.name))
        return task

    # -- memory and limits ---------------------------------------------------------------------

    async def sys_memory(self, request: Request[int]) -> int:
        """A system call on the address space."""
        mm = self.core.current.task.mm
        return await call(mm, request) if mm else -EINVAL

    async def sys_setrlimit(self, limit_bytes: int | None) -> int:
        """setrlimit(RLIMIT_MEMLOCK): 0."""
        if self.core.controlled:
            await point(self.limits.write_op)
        self.limits.rlimit_memlock_bytes = limit_bytes
        return 0

    async def sys_dropcap(self) -> int:
        """Give CAP_IPC_LOCK up: 0."""
        if self.core.controlled:
            await point(self.limits.write_op)
        self.limits.cap_ipc_lock = False
        return 0

    # -- processes -----------------------------------------------------------------------------

    async def sys_clone(self, comm: str, share_mm: bool) -> str:
        """Fork (or clone(CLONE_VM)): descriptors are copied, the address space copied or shared.

        Returns:
            The id of the new process.
        """
        child_id = self.core.number(self.kind)
        first = f"{child_id}/0"
        if share_mm:
            mm = self.mm
            await call(mm, m.Mmget(first))
        else:
            mm = await call(self.mm, m.DupMmap(first, comm))
        child = self.world.kernel.process(self.world, comm, mm, child_id, self.limits)
        if self.core.controlled:
            await point(self.files_write)
        for fd, file in self.files.items():
            file.hold(child.id)
            child.files[fd] = file
        child.cloexec |= self.cloexec
        return child.id

    async def sys_execve(self, comm: str) -> int:
        """execve: a new address space; descriptors stay but those marked close-on-exec.

        Returns:
            0, or -EAGAIN when another task of the process was first, which ends this one.

        Kernel: fs/exec.c, ``begin_new_exec``, ``exec_mmap``.
        """
        task: Task = self.core.current.task
        old = None
        while old is None:
            if await self.kill_other_tasks(task):
                return -EAGAIN
            async with self.threadgroup_lock:
                if len(self.tasks) == 1:
                    old = await self.exec_mmap(task, comm)
        await call(old, m.Mmput(task.name))
        await self.close_files(sorted(self.cloexec))
        self.cloexec.clear()
        return 0

    async def exec_mmap(self, task: Task, comm: str) -> str:
        """Give the process, whose only task this is, a new address space; the id of the old one.

        Context: ``threadgroup_lock`` held.
        """
        if self.core.controlled:
            await point(self.exiting.writing())
        old, self.name = self.mm, comm
        self.mm = self.world.new_mm(comm, task.name).id
        task.mm = self.mm
        for cpu in self.world.cpus:
            await call(cpu, m.SwitchMm(self.id, self.mm))
        return old

    async def run_on(self, cpu: str) -> bool:
        """Let a CPU run this process; False when it is exiting or gone."""
        async with self.threadgroup_lock:
            if await self.exiting.get():
                return False
            await call(cpu, m.RunTask(self.id, self.mm))
        return True

    async def sys_exit_group(self) -> None:
        """exit_group: the calling task ends when the call returns, the others when theirs do."""
        await self.exiting.set(True)
        await self.kill_idle_tasks()

    async def kill(self) -> None:
        """SIGKILL: tasks in user space end now, those in the kernel when their system call returns."""
        if await self.exiting.get():
            return
        await self.exiting.set(True)
        for task in self.tasks:
            task.fatal_signal = True
        if self.idle and len(self.idle) == len(self.tasks):
            last = self.idle.pop()
            await self.kill_idle_tasks()
            thread = self.core.current
            outer, thread.task = thread.task, last
            await self.do_exit(last)
            thread.task = outer
        else:
            await self.kill_idle_tasks()

    async def kill_idle_tasks(self) -> None:
        """End the tasks that are in user space: they only give their part of the mm up."""
        dying, self.idle = self.idle, []
        for task in dying:
            self.tasks.remove(task)
        for task in dying:
            mm, task.mm = task.mm, None
            assert mm is not None
            await call(mm, m.Mmput(task.name))

    async def kill_other_tasks(self, survivor: Task) -> int:
        """End all tasks but one and wait until they have: now, or when their system call returns.

        Returns:
            0, or -EAGAIN with nothing done when the task is itself to be ended.

        Kernel: fs/exec.c, ``de_thread``.
        """
        while len(self.tasks) > 1:
            if self.core.controlled:
                await point(self.exiting.writing())
            if survivor.fatal_signal:
                return -EAGAIN
            self.group_exec_task = survivor
            for task in self.tasks:
                task.fatal_signal = task is not survivor
            await self.kill_idle_tasks()
            if len(self.tasks) > 1:
                self.left_alone = Completion(self.core, f"{self.id}.left_alone", "its other tasks")
                await self.left_alone.wait()
                self.left_alone = None
            self.group_exec_task = None
        return 0

    async def do_exit(self, task: Task) -> None:
        """End a task: first its mm, then (the last task) the files, then the last context switch.

        The task stays a lazy user of its mm until it has been switched out for the last time, so the
        files are released with ``current->mm`` gone and the struct still there.

        Kernel: kernel/exit.c, ``do_exit``, ``exit_mm``; the final closes are task work, whose order is
        not promised, so it is a choice.
        """
        mm = task.mm
        assert mm is not None
        lazy = f"{task.name} exiting"
        async with self.threadgroup_lock:
            await call(mm, m.Mmgrab(lazy))
            task.mm = None
            await call(mm, m.Mmput(task.name))
        if self.core.controlled and self.task_numbers > 1:
            await point(self.tasks_write)
        self.tasks.remove(task)
        if len(self.tasks) == 1 and self.left_alone is not None:
            self.left_alone.complete()
        if not self.tasks:
            await self.exit_files()
            async with self.threadgroup_lock:
                for cpu in self.world.cpus:
                    await call(cpu, m.TaskDead(self.id))
            self.gone = True
        await call(mm, m.Mmdrop(lazy))
