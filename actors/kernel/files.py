"""The descriptors of a process: its table of open files, and the system calls on them.

Kernel: fs/file.c, fs/file_table.c, kernel/task_work.c.
"""

from __future__ import annotations

from errno import EBADF, EFAULT, EMFILE, ENOENT, ENOTTY
from typing import TYPE_CHECKING, Any

from actors.kernel import messages as m
from actors.kernel import uapi
from actors.kernel.task import File
from actors.kernel.uapi import UserPointer
from actors.runtime.actor import Actor
from actors.runtime.ops import Op, call, point

if TYPE_CHECKING:
    from actors.kernel.globals import KernelGlobals

FIRST_FD = 3
MAX_FDS = 4096

RELEASES = {
    "container": m.ContainerRelease,
    "group": m.GroupRelease,
    "device": m.DeviceRelease,
}
"""Kind of file -> the message that tells its actor of the last close."""


class Files(Actor):
    """The descriptor part of a process.

    Attributes:
        files: descriptor -> open file.
        reserved: descriptors that are promised to a file which is being opened.
        cloexec: descriptors that execve closes.
        task_numbers: tasks that the process has had.
    """

    kind = "process"

    def __init__(self, world: KernelGlobals, comm: str, reserved_id: str = "") -> None:
        super().__init__(world.core, comm, reserved_id)
        self.world = world
        self.files: dict[int, File] = {}
        self.reserved: set[int] = set()
        self.cloexec: set[int] = set()
        self.task_numbers = 0
        self.files_read = Op("list", f"{self.id}.files", False)
        self.files_write = Op("list", f"{self.id}.files", True)

    # -- the table -----------------------------------------------------------------------------

    async def fget(self, fd: int, holder: str) -> File | None:
        """Look a descriptor up and take a reference to its file; None when it is closed.

        Kernel: fs/file.c, ``__fget``.
        """
        if self.core.controlled:
            await point(self.files_read)
        file = self.files.get(fd)
        return file if file is not None and await file.get_unless_zero(holder) else None

    def lowest_unused(self) -> int:
        """The lowest descriptor that is neither open nor promised, or -EMFILE."""
        taken = self.files.keys() | self.reserved
        return next((n for n in range(FIRST_FD, MAX_FDS) if n not in taken), -EMFILE)

    async def get_unused_fd(self) -> int:
        """Promise the lowest free descriptor to a file that is still to be opened; it, or -EMFILE.

        Kernel: fs/file.c, ``get_unused_fd_flags``.
        """
        if self.core.controlled:
            await point(self.files_write)
        fd = self.lowest_unused()
        if fd >= 0:
            self.reserved.add(fd)
        return fd

    async def put_unused_fd(self, fd: int) -> None:
        """Take a promise back. Kernel: fs/file.c."""
        if self.core.controlled:
            await point(self.files_write)
        self.reserved.remove(fd)

    async def fd_install(self, fd: int, file: File) -> int:
        """Enter a file under the descriptor that was promised to it; the descriptor. Kernel: fs/file.c."""
        if self.core.controlled:
            await point(self.files_write)
        self.reserved.remove(fd)
        self.files[fd] = file
        return fd

    async def install(self, file: File, cloexec: bool = False) -> int:
        """Enter a file that is open under the lowest free descriptor; without one it is closed again.

        Returns:
            The descriptor, or -EMFILE.
        """
        if self.core.controlled:
            await point(self.files_write)
        fd = self.lowest_unused()
        if fd < 0:
            await self.fput(file, self.id)
            return fd
        self.files[fd] = file
        if cloexec:
            self.cloexec.add(fd)
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

    # -- system calls --------------------------------------------------------------------------

    async def sys_open(self, path: str) -> int:
        """open: ``/dev/vfio/vfio``, ``/dev/vfio/N``, ``/dev/null``; -EMFILE, -ENOENT, -EBUSY.

        Kernel: fs/open.c, ``do_sys_openat2``.
        """
        fd = await self.get_unused_fd()
        if fd < 0:
            return fd
        file = await self.opened(path)
        if isinstance(file, int):
            await self.put_unused_fd(fd)
            return file
        return await self.fd_install(fd, file)

    async def opened(self, path: str) -> File | int:
        """Open what a path names: its file, or a negative errno."""
        if path == "/dev/vfio/vfio":
            container = self.world.kernel.container(self.world)
            return File(self.core, "container", container.id, self.id)
        if path == "/dev/null":
            return File(self.core, "null", "", self.id)
        group = self.world.groups.get(path)
        if group is None:
            return -ENOENT
        file = File(self.core, "group", group, self.id)
        return await call(group, m.GroupOpen(file)) or file

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
        """GET_DEVICE_FD: the name is a string in the caller's memory; execve closes the descriptor."""
        name = arg.read_string() if isinstance(arg, UserPointer) else None
        if name is None:
            return -EFAULT
        file = File(self.core, "device", group.actor, self.id)
        ret = await call(group.actor, m.GroupDeviceGet(name, file))
        return ret or await self.install(file, cloexec=True)

    # -- the end -------------------------------------------------------------------------------

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
