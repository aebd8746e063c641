"""An IOMMU group: VFIO core's group, its device's file, and the PE behind it.

Kernel: drivers/vfio/group.c, drivers/vfio/vfio_main.c, arch/powerpc/platforms/powernv/pci-ioda.c,
arch/powerpc/kernel/iommu.c. Each group is one PE with one device.

Invariants that live here: J-W1, J-Q4 (the host has its window back).
"""

from __future__ import annotations

from errno import EBADF, EBADFD, EBUSY, EFAULT, EINVAL, ENODEV, ENOMEM, ENOTTY
from typing import TYPE_CHECKING

from actors.kernel import uapi
from actors.kernel.messages import (
    ContainerAttachGroup,
    ContainerDetachGroup,
    ContainerHasIommu,
    TableGroup,
)
from actors.kernel.tce_container import slot_of
from actors.kernel.uapi import UserPointer
from actors.runtime.actor import Actor
from actors.runtime.cells import Cell, Counter
from actors.runtime.ops import Op, call, point
from actors.runtime.sync import Mutex
from hw import Device, DmaReport, Pe, Phb, TceTable, table_geometry

if TYPE_CHECKING:
    from actors.kernel.globals import KernelGlobals
    from actors.kernel.task import File


def device_name(index: int) -> str:
    """The PCI address of the device of the ``index``-th group."""
    return f"{index:04x}:01:00.0"


class Group(Actor):
    """One IOMMU group.

    Attributes:
        index: its number among the machine's groups.
        pe: the partitionable endpoint; programmed by whoever owns it.
        device: the PCI device in it.
        host_table: the default window of the host's own DMA.
        file: the open file of the group; None when it is closed.
        container: id of the container it is in; None outside.
        container_users: 1 while in a container, and 1 more for each open device.
        group_lock: serialises the group's ioctls.
    """

    kind = "group"

    def __init__(self, world: KernelGlobals, index: int, phb: Phb, dma32_window_size: int) -> None:
        super().__init__(world.core, device_name(index))
        core = world.core
        self.world = world
        self.index = index
        self.pe = Pe(index, phb, world.memory, dma32_window_size)
        self.device_name = device_name(index)
        self.device = Device(self.pe)
        self.host_table = self.make_host_table(dma32_window_size)
        self.host_table.name = f"{self.id}.host_table"
        self.pe.set_window(0, self.host_table)
        self.pe.bypass = True
        self.file: Cell[File | None] = Cell(core, f"{self.id}.file", None)
        self.container: Cell[str | None] = Cell(core, f"{self.id}.container", None)
        self.container_users = Counter(core, f"{self.id}.container_users")
        self.group_lock = Mutex(core, f"{self.id}.group_lock")
        self.pe_op = Op("device", f"{self.id}.pe", True)
        self.user_copy_op = Op("user-copy", f"{self.id}.user", write=False)

    def make_host_table(self, size: int) -> TceTable:
        """The table of the host's own default window, with 4K IOMMU pages and nothing mapped."""
        geometry = table_geometry(self.world.memory.page_size, 12, size, 1)
        return TceTable(geometry, 12, 0, on_demand=False, with_view=False, allocated_bytes=0)

    def table_group(self) -> TableGroup:
        """What a container may know of the platform."""
        return TableGroup(self.id, 0, self.pe.dma32_size, self.pgsizes(), 2, 5)

    def pgsizes(self) -> int:
        """Bit s set: the platform offers IOMMU pages of ``1 << s`` bytes (from the device tree)."""
        return sum(1 << shift for shift in self.pe.phb.page_shifts)

    # -- files ---------------------------------------------------------------------------------

    async def vfio_group_fops_open(self, file: File) -> int:
        """Open the group; -EBUSY while any file of it is open."""
        async with self.group_lock:
            if await self.file.get() is not None:
                return -EBUSY
            await self.file.set(file)
        return 0

    async def vfio_group_fops_release(self, file: File) -> None:
        """The group's file was closed for the last time, and no device is open: leave the container."""
        async with self.group_lock:
            if await self.container.get() is not None:
                await self.detach()
            await self.file.set(None)

    async def vfio_device_fops_release(self, file: File) -> None:
        """A device's file was closed for the last time: one user of the group and of its file less."""
        async with self.group_lock:
            await self.container_users.add(-1)
            group_file = await self.file.get()
        if group_file is not None and await group_file.f_count.drop(file.name):
            await self.vfio_group_fops_release(group_file)

    # -- ioctls --------------------------------------------------------------------------------

    async def vfio_group_fops_unl_ioctl(self, cmd: int, arg: UserPointer) -> int:
        """Answer UNSET_CONTAINER and GET_STATUS; anything else is -ENOTTY."""
        if cmd == uapi.VFIO_GROUP_UNSET_CONTAINER:
            return await self.vfio_group_ioctl_unset_container()
        if cmd == uapi.VFIO_GROUP_GET_STATUS:
            return await self.vfio_group_ioctl_get_status(arg)
        return -ENOTTY

    async def vfio_group_ioctl_get_status(self, arg: UserPointer) -> int:
        """GET_STATUS. Errors: -EFAULT, -EINVAL.

        Simplified: older kernels look at the container without ``group_lock``, and may say that it is
        set while UNSET_CONTAINER has taken its IOMMU away already.
        """
        if self.core.controlled:
            await point(self.user_copy_op)
        data = arg.read(uapi.GROUP_STATUS.size)
        if data is None:
            return -EFAULT
        argsz = uapi.GROUP_STATUS.unpack(data)[0]
        if argsz < uapi.GROUP_STATUS.size:
            return -EINVAL
        flags = uapi.VFIO_GROUP_FLAGS_VIABLE
        async with self.group_lock:
            if await self.container.get() is not None:
                flags |= uapi.VFIO_GROUP_FLAGS_CONTAINER_SET
        return 0 if arg.write(uapi.GROUP_STATUS.pack(argsz, flags)) else -EFAULT

    async def vfio_group_ioctl_set_container(self, fd: int, file: File | None) -> int:
        """SET_CONTAINER.

        Returns:
            0; -EBADF; -EINVAL when the group is in a container already; -EBADFD when the file is no
            container; the errors of attaching.
        """
        if file is None:
            return await self.no_such_file(fd)
        async with self.group_lock:
            if await self.container.get() is not None:
                return -EINVAL
            if file.kind != "container":
                return self.not_a_container()
            ret = await call(file.actor, ContainerAttachGroup(self.table_group()))
            if ret:
                return ret
            await self.container.set(file.actor)
            await self.container_users.add(1)
        return 0

    async def no_such_file(self, fd: int) -> int:
        """The error for a descriptor that is not open."""
        return -EBADF

    def not_a_container(self) -> int:
        """The error for a descriptor of something else."""
        return -EBADFD

    async def vfio_group_ioctl_unset_container(self) -> int:
        """UNSET_CONTAINER: 0; -EINVAL outside a container; -EBUSY while a device is open."""
        async with self.group_lock:
            if await self.container.get() is None:
                return -EINVAL
            if await self.container_users.get() != 1:
                return -EBUSY
            await self.detach()
        return 0

    async def detach(self) -> None:
        """Leave the container. Context: ``group_lock`` held."""
        container = await self.container.get()
        assert container is not None
        await call(container, ContainerDetachGroup(self.id))
        await self.container.set(None)
        await self.container_users.add(-1)

    async def vfio_group_ioctl_get_device_fd(self, device: str, file: File) -> int:
        """GET_DEVICE_FD: 0; -ENODEV for another name; -EINVAL without container or IOMMU.

        The open device holds a reference to the group's file.
        """
        if device != self.device_name:
            return -ENODEV
        async with self.group_lock:
            container = await self.container.get()
            if container is None or not await call(container, ContainerHasIommu()):
                return -EINVAL
            await self.container_users.add(1)
            group_file = await self.file.get()
            assert group_file is not None
            await group_file.f_count.take(file.name)
        return 0

    # -- the PE --------------------------------------------------------------------------------

    async def take_ownership(self, container: str) -> int:
        """Take the PE from the host: its bypass and its window go. 0, or -ENOMEM.

        Kernel: arch/powerpc/platforms/powernv/pci-ioda.c, ``pnv_ioda2_take_ownership``.
        """
        if self.core.fails("take_ownership"):
            return -ENOMEM
        await self.touch_pe()
        self.pe.bypass = False
        self.pe.unset_window(0)
        return 0

    async def release_ownership(self) -> None:
        """Give the PE back to the host, which sets its default window and its bypass again.

        Kernel: arch/powerpc/platforms/powernv/pci-ioda.c, ``pnv_ioda2_release_ownership``.
        """
        await self.touch_pe()
        self.pe.set_window(0, self.host_table)
        self.pe.bypass = True

    async def touch_pe(self) -> None:
        """Declare an access to the PE's registers."""
        if self.core.controlled:
            await point(self.pe_op)

    async def set_window(self, num: int, table: TceTable) -> int:
        """Program a table into a window; 0 or the firmware's code."""
        await self.touch_pe()
        return self.pe.set_window(num, table)

    async def unset_window(self, num: int) -> int:
        """Take a window away; 0 or the firmware's code."""
        await self.touch_pe()
        if self.pe.windows[num] is None:
            self.world.misuse(
                "J-W1", f"window {num} of {self.id} is taken away but was not set", "unset_window"
            )
        return self.pe.unset_window(num)

    async def tce_kill(self, table: TceTable, index: int, count: int) -> None:
        """Make the bridge forget cached translations of a run of entries."""
        await self.touch_pe()
        self.pe.kill(table, index, count)

    async def eeh_pe_op(self, op: int) -> int:
        """Perform an EEH operation; a result or a negative errno."""
        await self.touch_pe()
        return self.pe.eeh(op)

    async def freeze(self) -> None:
        """Freeze the PE, as a fault of its device does."""
        await self.touch_pe()
        self.pe.freeze()

    async def device_dma(self, iova: int, size: int, write: bool) -> DmaReport:
        """Let the device access memory through its windows; what it hit.

        Each page is one step, translation and transfer: a bridge that is told to forget an entry waits for
        transfers by it. Between two pages others may run.
        """
        report = DmaReport(0, False, None, [])
        while report.fault is None and report.completed < size:
            await self.touch_page(iova + report.completed)
            done = len(report.hits)
            report = self.device.go_on(report, iova, size, write)
            self.world.note_dma(self.id, report._replace(hits=report.hits[done:]))
        self.core.event("dma", device=self.device_name, iova=iova, size=size, write=write, hits=report.hits)
        return report

    async def touch_page(self, ioba: int) -> None:
        """Declare a device's access to one page: the PE and its cache, the TCE, whatever frame it is."""
        if not self.core.controlled:
            return
        entry = self.pe.entry_of(ioba)
        while True:
            await point(self.access(entry))
            before, entry = entry, self.pe.entry_of(ioba)
            if entry == before:
                return

    def access(self, entry: tuple[TceTable, int] | None) -> Op:
        """A device's access to one page by an entry of a table; None where no table translates."""
        frame = self.world.dma_op
        also = (frame,) if entry is None else (frame, slot_of(*entry, write=False))
        return Op("device", self.pe_op.object, True, also=also)
