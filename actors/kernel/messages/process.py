"""To a process: system calls, and what happens to it; to a kernel thread: that it is to run."""

from __future__ import annotations

from typing import Any, ClassVar, TypeVar

from actors.runtime.messages import Request

R = TypeVar("R")


class SystemCall(Request[R], frozen=True, gc=False):
    """Base of what a thread of the process asks its kernel for; it runs as a task of that process."""


class RunOn(Request[bool], frozen=True, gc=False):
    """Have a CPU run this process or kernel thread; False when it is exiting or gone."""

    serves: ClassVar[str] = "run_on"
    cpu: str


class Ioctl(SystemCall[int], frozen=True, gc=False):
    """The system call ioctl, made by a thread of the process."""

    serves: ClassVar[str] = "sys_ioctl"
    fd: int
    cmd: int
    arg: Any


class OpenPath(SystemCall[int], frozen=True, gc=False):
    """The system call open; a descriptor or a negative errno."""

    serves: ClassVar[str] = "sys_open"
    path: str


class GetDeviceFd(SystemCall[int], frozen=True, gc=False):
    """VFIO_GROUP_GET_DEVICE_FD by device name ("" for the group's own); a descriptor or a negative errno."""

    serves: ClassVar[str] = "sys_get_device_fd"
    fd: int
    device: str


class Close(SystemCall[int], frozen=True, gc=False):
    """The system call close."""

    serves: ClassVar[str] = "sys_close"
    fd: int


class Dup(SystemCall[int], frozen=True, gc=False):
    """The system call dup; a descriptor or -EBADF."""

    serves: ClassVar[str] = "sys_dup"
    fd: int


class SetCloexec(SystemCall[int], frozen=True, gc=False):
    """fcntl(FD_CLOEXEC)."""

    serves: ClassVar[str] = "sys_cloexec"
    fd: int


class Memory(SystemCall[int], frozen=True, gc=False):
    """A system call on the address space: the request that the mm serves."""

    serves: ClassVar[str] = "sys_memory"
    request: Request[int]


class SetRlimit(SystemCall[int], frozen=True, gc=False):
    """setrlimit(RLIMIT_MEMLOCK), soft and hard; None for RLIM_INFINITY."""

    serves: ClassVar[str] = "sys_setrlimit"
    limit_bytes: int | None


class DropCap(SystemCall[int], frozen=True, gc=False):
    """Give CAP_IPC_LOCK up."""

    serves: ClassVar[str] = "sys_dropcap"


class Clone(SystemCall[str], frozen=True, gc=False):
    """fork, or clone(CLONE_VM); the id of the new process."""

    serves: ClassVar[str] = "sys_clone"
    comm: str
    share_mm: bool


class CloneThread(SystemCall[int], frozen=True, gc=False):
    """clone(CLONE_THREAD): the named thread of control runs as a task of its own from now on."""

    serves: ClassVar[str] = "sys_clone_thread"
    owner: str


class Exec(SystemCall[int], frozen=True, gc=False):
    """execve: the same descriptors, a new address space."""

    serves: ClassVar[str] = "sys_execve"
    comm: str


class ExitGroup(SystemCall[None], frozen=True, gc=False):
    """exit_group: end the process with all its threads, up to the last context switch."""

    serves: ClassVar[str] = "sys_exit_group"


class Kill(Request[None], frozen=True, gc=False):
    """SIGKILL from elsewhere."""

    serves: ClassVar[str] = "kill"
