"""A process: tasks, descriptors, and the system calls that its threads make.

Kernel: kernel/fork.c, kernel/exit.c, fs/exec.c, fs/file.c, fs/file_table.c, kernel/task_work.c.
A thread of control that sends a system call runs as one of the process's tasks; when all are busy
the process clones another. Invariants that live here: J-M2, J-K1.
"""

from __future__ import annotations

from collections.abc import Coroutine
from errno import EBADF, EFAULT, EINVAL, EMFILE, ENOENT, ENOTTY
from typing import TYPE_CHECKING, Any

from actors.kernel import messages as m
from actors.kernel import uapi
from actors.kernel.task import File, Task
from actors.kernel.uapi import UserPointer
from actors.runtime.actor import Actor
from actors.runtime.cells import Cell
from actors.runtime.errors import KernelOops, TaskKilled
from actors.runtime.messages import Request
from actors.runtime.ops import Op, call, point
from actors.runtime.sync import Mutex

if TYPE_CHECKING:
    from actors.kernel.globals import KernelGlobals
    from actors.runtime.thread import Thread

FIRST_FD = 3
MAX_FDS = 4096

RELEASES = {
    "container": m.ContainerRelease,
    "group": m.GroupRelease,
    "device": m.DeviceRelease,
}
"""Kind of file -> the message that tells its actor of the last close."""


class Process(Actor):
    """A process.

    Attributes:
        files: descriptor -> open file.
        cloexec: descriptors that execve closes.
        tasks: the live tasks.
        idle: those in user space.
        owners: name of a thread of control -> the task that it always runs as.
        threadgroup_lock: held while a task is made, ends, or is switched in: what one of these finds
            alive stays so until it is done.
        exiting: whether exit_group or a fatal signal has begun to end it.
        gone: whether the last task has made its last switch.
    """

    kind = "process"
    callers_are_threads = True

    def __init__(self, world: KernelGlobals, comm: str, mm: str | None = None, reserved_id: str = "") -> None:
        super().__init__(world.core, comm, reserved_id)
        self.world = world
        self.files: dict[int, File] = {}
        self.cloexec: set[int] = set()
        self.task_numbers = 0
        self.exiting: Cell[bool] = Cell(world.core, f"{self.id}.exiting", False)
        self.threadgroup_lock = Mutex(world.core, f"{self.id}.threadgroup_lock")
        self.gone = False
        first = f"{self.id}/0"
        self.mm = mm or world.new_mm(comm, first).id
        self.tasks = [self.new_task()]
        self.idle = list(self.tasks)
        self.owners: dict[str, Task] = {}
        self.files_read = Op("list", f"{self.id}.files", False)
        self.files_write = Op("list", f"{self.id}.files", True)
        self.tasks_write = Op("list", f"{self.id}.tasks", True)

    def new_task(self) -> Task:
        """Make a task; whoever calls has counted it in ``mm_users``."""
        task = Task(self.id, self.task_numbers, self.name, self.mm)
        self.task_numbers += 1
        if self.task_numbers > 1:
            self.tasks[0].share_limits(task)
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
            TaskKilled: the process is ending.
        """
        async with self.threadgroup_lock:
            if await self.exiting.get():
                raise TaskKilled(self.name)
            task = self.new_task()
            self.tasks.append(task)
            await call(self.mm, m.Mmget(task.name))
        return task

    # -- descriptors ---------------------------------------------------------------------------

    async def fget(self, fd: int, holder: str) -> File | None:
        """Look a descriptor up and take a reference to its file; None when it is closed.

        Kernel: fs/file.c, ``__fget``.
        """
        if self.core.controlled:
            await point(self.files_read)
        file = self.files.get(fd)
        return file if file is not None and await file.get_unless_zero(holder) else None

    async def install(self, file: File) -> int:
        """Enter a file in the table; the lowest free descriptor, or -EMFILE."""
        if self.core.controlled:
            await point(self.files_write)
        fd = next((n for n in range(FIRST_FD, MAX_FDS) if n not in self.files), -EMFILE)
        if fd >= 0:
            self.files[fd] = file
        return fd

    async def fput(self, file: File, holder: str) -> None:
        """Drop a reference to a file; the last one releases it, in the context of this task."""
        if await file.f_count.drop(holder):
            await self.release_file(file)

    async def release_file(self, file: File) -> None:
        """Tell the actor behind a file that it is closed. Kernel: fs/file_table.c, ``__fput``."""
        release = RELEASES.get(file.kind)
        if release is not None:
            await call(file.actor, release(file))

    async def sys_open(self, path: str) -> int:
        """open: ``/dev/vfio/vfio``, ``/dev/vfio/N``, ``/dev/null``; -ENOENT, -EBUSY."""
        if path == "/dev/vfio/vfio":
            container = self.world.kernel.container(self.world)
            return await self.install(File(self.core, "container", container.id, self.id))
        if path == "/dev/null":
            return await self.install(File(self.core, "null", "", self.id))
        group = self.world.groups.get(path)
        if group is None:
            return -ENOENT
        file = File(self.core, "group", group, self.id)
        ret = await call(group, m.GroupOpen(file))
        return ret or await self.install(file)

    async def sys_close(self, fd: int) -> int:
        """close: 0 or -EBADF."""
        if self.core.controlled:
            await point(self.files_write)
        file = self.files.pop(fd, None)
        self.cloexec.discard(fd)
        if file is None:
            return -EBADF
        await self.fput(file, self.id)
        return 0

    async def sys_dup(self, fd: int) -> int:
        """dup: a descriptor or -EBADF."""
        file = await self.fget(fd, self.id)
        return -EBADF if file is None else await self.install(file)

    async def sys_cloexec(self, fd: int) -> int:
        """fcntl(F_SETFD, FD_CLOEXEC): 0 or -EBADF."""
        if self.core.controlled:
            await point(self.files_write)
        if fd not in self.files:
            return -EBADF
        self.cloexec.add(fd)
        return 0

    async def sys_ioctl(self, fd: int, cmd: int, arg: Any) -> int:
        """ioctl: whatever the file's driver answers; -EBADF, -ENOTTY."""
        if self.task_numbers == 1:
            # Nobody else can close the descriptor meanwhile. Kernel: fs/file.c, fdget.
            alone = self.files.get(fd)
            return -EBADF if alone is None else await self.file_ioctl(alone, cmd, arg)
        holder = self.core.current.task.name
        file = await self.fget(fd, holder)
        if file is None:
            return -EBADF
        ret = await self.file_ioctl(file, cmd, arg)
        await self.fput(file, holder)
        return ret

    async def file_ioctl(self, file: File, cmd: int, arg: Any) -> int:
        """Send an ioctl to the actor behind a file."""
        if file.kind == "container":
            return await call(file.actor, m.ContainerIoctl(cmd, arg))
        if file.kind != "group":
            return -ENOTTY
        if cmd == uapi.VFIO_GROUP_SET_CONTAINER:
            return await self.set_container(file, arg)
        if cmd == uapi.VFIO_GROUP_GET_DEVICE_FD:
            return await self.get_device_fd(file, arg)
        pointer = arg if isinstance(arg, UserPointer) else UserPointer(None)
        return await call(file.actor, m.GroupIoctl(cmd, pointer))

    async def set_container(self, group: File, arg: Any) -> int:
        """SET_CONTAINER: read the descriptor and look its file up."""
        data = arg.read(uapi.INT.size) if isinstance(arg, UserPointer) else None
        if data is None:
            return -EFAULT
        fd: int = uapi.INT.unpack(data)[0]
        holder = self.core.current.task.name
        file = await self.fget(fd, holder)
        if file is None:
            return await call(group.actor, m.SetContainer(fd, None))
        ret = await call(group.actor, m.SetContainer(fd, file))
        await self.fput(file, holder)
        return ret

    async def get_device_fd(self, group: File, arg: Any) -> int:
        """GET_DEVICE_FD: the name is a string in the caller's memory."""
        name = arg.read_string() if isinstance(arg, UserPointer) else None
        if name is None:
            return -EFAULT
        file = File(self.core, "device", group.actor, self.id)
        ret = await call(group.actor, m.GroupDeviceGet(name, file))
        return ret or await self.install(file)

    # -- memory and limits ---------------------------------------------------------------------

    async def sys_memory(self, request: Request[int]) -> int:
        """A system call on the address space."""
        mm = self.core.current.task.mm
        return await call(mm, request) if mm else -EINVAL

    async def sys_setrlimit(self, limit_bytes: int | None) -> int:
        """setrlimit(RLIMIT_MEMLOCK): 0."""
        for task in self.tasks:
            task.rlimit_memlock_bytes = limit_bytes
        return 0

    async def sys_dropcap(self) -> int:
        """Give CAP_IPC_LOCK up: 0."""
        for task in self.tasks:
            task.cap_ipc_lock = False
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
        child = self.world.kernel.process(self.world, comm, mm, child_id)
        if self.core.controlled:
            await point(self.files_write)
        for fd, file in self.files.items():
            file.hold(child.id)
            child.files[fd] = file
        child.cloexec |= self.cloexec
        self.tasks[0].share_limits(child.tasks[0])
        return child.id

    async def sys_execve(self, comm: str) -> int:
        """execve: a new address space; descriptors stay but those marked close-on-exec. 0.

        Kernel: fs/exec.c, ``begin_new_exec``, ``exec_mmap``.
        """
        task: Task = self.core.current.task
        await self.kill_other_tasks(task)
        if self.core.controlled:
            await point(self.exiting.writing())
        old, self.name = self.mm, comm
        self.mm = self.world.new_mm(comm, task.name).id
        task.mm, task.comm = self.mm, comm
        for cpu in self.world.cpus:
            await call(cpu, m.SwitchMm(self.id, self.mm))
        await call(old, m.Mmput(task.name))
        await self.close_files(sorted(self.cloexec))
        self.cloexec.clear()
        return 0

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

    async def kill_other_tasks(self, survivor: Task) -> None:
        """End all tasks but one: now, or when their system call returns. Kernel: fs/exec.c, ``de_thread``.

        Simplified: the survivor does not wait for those in the kernel; they have nothing of the new
        program.
        """
        if len(self.tasks) == 1:
            return
        if self.core.controlled:
            await point(self.exiting.writing())
        for task in self.tasks:
            task.fatal_signal = task is not survivor
        await self.kill_idle_tasks()

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
        if not self.tasks:
            await self.exit_files()
            async with self.threadgroup_lock:
                for cpu in self.world.cpus:
                    await call(cpu, m.TaskDead(self.id))
            self.gone = True
        await call(mm, m.Mmdrop(lazy))

    async def exit_files(self) -> None:
        """Close every descriptor. Kernel: fs/file.c, ``exit_files``."""
        await self.close_files(sorted(self.files))

    async def close_files(self, fds: list[int]) -> None:
        """Close descriptors on the way out of the kernel; calm order releases the last one first.

        Kernel: kernel/task_work.c, ``task_work_run``.
        """
        works: list[File] = []
        for fd in fds:
            file = self.files.pop(fd)
            if await file.f_count.drop(self.id):
                works.append(file)
        works.reverse()
        while works:
            await self.release_file(works.pop(self.core.choose("task_work", len(works))))
