"""To a container."""

from __future__ import annotations

from typing import Any, ClassVar

from actors.kernel.messages.group import TableGroup
from actors.kernel.task import File
from actors.runtime.messages import Request


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
