"""To a group, its PE and its device; and what a container may know of it."""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple

from actors.kernel.task import File
from actors.kernel.uapi import UserPointer
from actors.runtime.messages import Request
from hw import TceTable


class TableGroup(NamedTuple):
    """What a container may know of a group's platform, ``struct iommu_table_group``.

    Attributes:
        group: id of the group.
        tce32_start: bus address of the 32-bit window in bytes.
        tce32_size: its size in bytes.
        pgsizes: bit s set: IOMMU pages of ``1 << s`` bytes.
        max_dynamic_windows_supported: 2 on IODA2.
        max_levels: 5 on IODA2.
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
