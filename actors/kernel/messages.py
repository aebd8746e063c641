"""Every request that one actor of the kernel sends to another, by receiver.

``serves`` names the method that answers; the fields are its arguments in order.
"""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple, TypeVar

from actors.kernel.task import File
from actors.kernel.uapi import UserPointer
from actors.runtime.messages import Request
from hw import TceTable, Ua

R = TypeVar("R")


# -- to an mm ----------------------------------------------------------------------------------


class Mmap(Request[int], frozen=True, gc=False):
    """Make a mapping: see ``MmState.mmap``; 0 or a negative errno."""

    serves: ClassVar[str] = "mmap"
    addr: int
    size: int
    readable: bool
    writable: bool
    shared: bool
    shift: int
    replace: bool


class MmapAnywhere(Request[int], frozen=True, gc=False):
    """Make a private mapping where there is room; its address or a negative errno."""

    serves: ClassVar[str] = "mmap_anywhere"
    size: int
    shift: int


class Munmap(Request[int], frozen=True, gc=False):
    """Remove mappings."""

    serves: ClassVar[str] = "munmap"
    addr: int
    size: int


class Mprotect(Request[int], frozen=True, gc=False):
    """Change the protection of a range."""

    serves: ClassVar[str] = "mprotect"
    addr: int
    size: int
    readable: bool
    writable: bool


class Mlock(Request[int], frozen=True, gc=False):
    """Lock a range in memory."""

    serves: ClassVar[str] = "mlock"
    addr: int
    size: int


class Munlock(Request[int], frozen=True, gc=False):
    """Undo a lock."""

    serves: ClassVar[str] = "munlock"
    addr: int
    size: int


class MadviseDontneed(Request[int], frozen=True, gc=False):
    """Drop the pages of a range."""

    serves: ClassVar[str] = "madvise_dontneed"
    addr: int
    size: int


class MadviseHugepage(Request[int], frozen=True, gc=False):
    """Let a range be backed by transparent huge pages."""

    serves: ClassVar[str] = "madvise_hugepage"
    addr: int
    size: int


class Touch(Request[int], frozen=True, gc=False):
    """Access every page of a range; 0 or -EFAULT."""

    serves: ClassVar[str] = "touch"
    addr: int
    size: int


class AccountLockedVm(Request[int], frozen=True, gc=False):
    """Charge (or, with a negative number, give back) kernel pages; 0 or -ENOMEM."""

    serves: ClassVar[str] = "account_locked_vm"
    pages: int


class Mmgrab(Request[None], frozen=True, gc=False):
    """Take one ``mm_count`` for a named holder."""

    serves: ClassVar[str] = "mmgrab"
    holder: str


class Mmdrop(Request[None], frozen=True, gc=False):
    """Drop one ``mm_count`` of a named holder; the last one destroys the context."""

    serves: ClassVar[str] = "mmdrop"
    holder: str


class Mmget(Request[None], frozen=True, gc=False):
    """Take one ``mm_users`` for a named task."""

    serves: ClassVar[str] = "mmget"
    holder: str


class Mmput(Request[None], frozen=True, gc=False):
    """Drop one ``mm_users`` of a named task; the last one unmaps everything."""

    serves: ClassVar[str] = "mmput"
    holder: str


class DupMmap(Request[str], frozen=True, gc=False):
    """Make the mm of a forked child and return its id."""

    serves: ClassVar[str] = "dup_mm"
    holder: str
    comm: str


class MmIommuGet(Request[str | None], frozen=True, gc=False):
    """Find the region with exactly this range and take a reference; its name or None."""

    serves: ClassVar[str] = "mm_iommu_get"
    ua: Ua
    entries: int


class MmIommuFind(Request[str | None], frozen=True, gc=False):
    """Find the region with exactly this range without holding it; its name or None."""

    serves: ClassVar[str] = "mm_iommu_find"
    ua: Ua
    entries: int


class MmIommuNew(Request["NewRegion"], frozen=True, gc=False):
    """Charge, pin and publish a new region; ``ret`` and its name."""

    serves: ClassVar[str] = "mm_iommu_new"
    ua: Ua
    entries: int


class NewRegion(NamedTuple):
    """Reply to :class:`MmIommuNew`: 0 and the region's name, or a negative errno and ""."""

    ret: int
    mem: str


class MmIommuPut(Request[int], frozen=True, gc=False):
    """Drop one registration; 0, -ENOENT, or -EBUSY while TCEs point in."""

    serves: ClassVar[str] = "mm_iommu_put"
    mem: str


class MmIommuForsake(Request[int], frozen=True, gc=False):
    """Drop one registration for good; while TCEs of others point in, the last of them frees the region."""

    serves: ClassVar[str] = "mm_iommu_forsake"
    mem: str


class MmIommuFree(Request[None], frozen=True, gc=False):
    """After a grace period: drop the pins of an unlinked region."""

    serves: ClassVar[str] = "mm_iommu_free"
    mem: str


class Translated(NamedTuple):
    """Reply to :class:`MmIommuUaToHpa`: 0, the region and the real address, or a negative errno."""

    ret: int
    mem: str
    hpa: int


class MmIommuUaToHpa(Request[Translated], frozen=True, gc=False):
    """Find the region that contains an IOMMU page and translate its address."""

    serves: ClassVar[str] = "tce_iommu_prereg_ua_to_hpa"
    ua: Ua
    page_shift: int


class MmIommuMappedInc(Request[int], frozen=True, gc=False):
    """Count one more TCE into a region; 0, or -ENXIO when it is dying."""

    serves: ClassVar[str] = "mm_iommu_mapped_inc"
    mem: str


class MmIommuMappedDec(Request[None], frozen=True, gc=False):
    """Count one TCE less."""

    serves: ClassVar[str] = "mm_iommu_mapped_dec"
    mem: str


class MmIommuMapRange(Request[Any], frozen=True, gc=False):
    """Translate and count a whole run of IOMMU pages at once; an array of real addresses or None."""

    serves: ClassVar[str] = "mm_iommu_map_range"
    ua: Ua
    count: int
    page_shift: int


class MmIommuUnmapRange(Request[None], frozen=True, gc=False):
    """Count TCEs less, by the userspace addresses that their view slots held."""

    serves: ClassVar[str] = "mm_iommu_unmap_range"
    uas: Any
    page_shift: int


class PinUserPage(Request[int], frozen=True, gc=False):
    """Pin the page at an address for a v1 TCE; its frame number or a negative errno."""

    serves: ClassVar[str] = "pin_user_page_fast"
    ua: Ua
    holder: str


# -- to a group --------------------------------------------------------------------------------


class TableGroup(NamedTuple):
    """What a container may know of a group's platform, ``struct iommu_table_group``.

    Attributes:
        tce32_start: bus address of the 32-bit window in bytes.
        tce32_size: its size in bytes.
        pgsizes: bit s set: IOMMU pages of ``1 << s`` bytes.
        max_dynamic_windows_supported: 2 on IODA2.
        max_levels: 5 on IODA2.
        phb: name of the host bridge.
    """

    group: str
    tce32_start: int
    tce32_size: int
    pgsizes: int
    max_dynamic_windows_supported: int
    max_levels: int


class TakeOwnership(Request[int], frozen=True, gc=False):
    """Take the PE from the host: its window and its bypass go; 0 or a negative errno."""

    serves: ClassVar[str] = "take_ownership"
    container: str


class ReleaseOwnership(Request[None], frozen=True, gc=False):
    """Give the PE back to the host, which makes its default window again."""

    serves: ClassVar[str] = "release_ownership"


class SetWindow(Request[int], frozen=True, gc=False):
    """Program a table into a window slot of the PE; 0 or the firmware's code."""

    serves: ClassVar[str] = "set_window"
    num: int
    table: TceTable


class UnsetWindow(Request[int], frozen=True, gc=False):
    """Remove a window slot of the PE."""

    serves: ClassVar[str] = "unset_window"
    num: int


class TceKill(Request[None], frozen=True, gc=False):
    """Make the PE forget cached translations of a run of entries."""

    serves: ClassVar[str] = "tce_kill"
    table: TceTable
    index: int
    count: int


class EehOp(Request[int], frozen=True, gc=False):
    """Perform one EEH operation on the PE; its result."""

    serves: ClassVar[str] = "eeh_pe_op"
    op: int


class SetContainer(Request[int], frozen=True, gc=False):
    """VFIO_GROUP_SET_CONTAINER: the descriptor that was passed, and its file (None when there is none)."""

    serves: ClassVar[str] = "vfio_group_ioctl_set_container"
    fd: int
    file: File | None


class GroupDeviceGet(Request[int], frozen=True, gc=False):
    """VFIO_GROUP_GET_DEVICE_FD: count one more user; 0 or a negative errno."""

    serves: ClassVar[str] = "vfio_group_ioctl_get_device_fd"
    device: str
    file: File


class GroupRelease(Request[None], frozen=True, gc=False):
    """The last reference to the group's file is gone."""

    serves: ClassVar[str] = "vfio_group_fops_release"
    file: File


class DeviceRelease(Request[None], frozen=True, gc=False):
    """The last reference to a device's file is gone."""

    serves: ClassVar[str] = "vfio_device_fops_release"
    file: File


class ContainerHasIommu(Request[bool], frozen=True, gc=False):
    """Whether the container of a group has an IOMMU driver."""

    serves: ClassVar[str] = "has_iommu"


class GroupOpen(Request[int], frozen=True, gc=False):
    """Open ``/dev/vfio/N``; 0, -EBUSY, -ENODEV."""

    serves: ClassVar[str] = "vfio_group_fops_open"
    file: File


class GroupIoctl(Request[int], frozen=True, gc=False):
    """An ioctl on a group's descriptor that needs no other descriptor."""

    serves: ClassVar[str] = "vfio_group_fops_unl_ioctl"
    cmd: int
    arg: UserPointer


class DeviceDma(Request[Any], frozen=True, gc=False):
    """The device reads or writes by bus address; a report of what it hit."""

    serves: ClassVar[str] = "device_dma"
    iova: int
    size: int
    write: bool


class FreezePe(Request[None], frozen=True, gc=False):
    """A fault of the device freezes its PE."""

    serves: ClassVar[str] = "freeze"


# -- to a container ----------------------------------------------------------------------------


class ContainerIoctl(Request[int], frozen=True, gc=False):
    """An ioctl on a container's descriptor; a return code of the kernel."""

    serves: ClassVar[str] = "vfio_fops_unl_ioctl"
    cmd: int
    arg: Any


class ContainerAttachGroup(Request[int], frozen=True, gc=False):
    """Let a group join; 0 or a negative errno."""

    serves: ClassVar[str] = "vfio_container_attach_group"
    table_group: TableGroup


class ContainerDetachGroup(Request[None], frozen=True, gc=False):
    """Let a group leave; the last one takes the driver's data with it."""

    serves: ClassVar[str] = "vfio_group_detach_container"
    group: str


class ContainerFreezePes(Request[None], frozen=True, gc=False):
    """Freeze the PE of every group in the container (a test's own doing)."""

    serves: ClassVar[str] = "freeze_pes"


class ContainerRelease(Request[None], frozen=True, gc=False):
    """The last reference to the container's file is gone."""

    serves: ClassVar[str] = "vfio_fops_release"
    file: File


# -- to RCU ------------------------------------------------------------------------------------


class RcuBarrier(Request[None], frozen=True, gc=False):
    """Wait until every callback queued so far has run."""

    serves: ClassVar[str] = "rcu_barrier"


# -- to a CPU ----------------------------------------------------------------------------------


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


# -- to a process ------------------------------------------------------------------------------


class SystemCall(Request[R], frozen=True, gc=False):
    """Base of what a thread of the process asks its kernel for; it runs as a task of that process."""


class RunOn(Request[bool], frozen=True, gc=False):
    """Have a CPU run this process; False when it is exiting or gone."""

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
