"""A VFIO container: its ioctls, the groups in it, and when the driver's data comes and goes.

Kernel: drivers/vfio/container.c. The driver's data lives from SET_IOMMU until the last group leaves,
whatever happens to the container's own descriptor.

Invariants that live here: J-K2.
"""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from errno import EINVAL, ENODEV
from typing import TYPE_CHECKING, Any

from actors.kernel import uapi
from actors.kernel.messages import FreezePe, ReleaseOwnership, TableGroup, TakeOwnership
from actors.kernel.spapr_tce import SpaprTce
from actors.kernel.tce_container import TceContainer
from actors.kernel.uapi import UserPointer
from actors.runtime.cells import Cell, KList, Refcount
from actors.runtime.ops import call
from actors.runtime.sync import RwSem

if TYPE_CHECKING:
    from actors.kernel.globals import KernelGlobals
    from actors.kernel.task import File


class Container(SpaprTce):
    """One open VFIO container.

    Attributes:
        kref: its file, and each group in it.
        group_lock: protects the list of groups and the driver.
        group_list: groups in the container, the most recent first.
        iommu_data: the driver's data while an IOMMU is set.
    """

    def __init__(self, world: KernelGlobals, name: str = "") -> None:
        super().__init__(world, name)
        core = world.core
        self.kref = Refcount(core, f"{self.id}.kref", "file")
        self.group_lock = RwSem(core, f"{self.id}.group_lock")
        self.group_list: KList[TableGroup] = KList(core, f"{self.id}.group_list")
        self.freed: Cell[bool] = Cell(core, f"{self.id}.freed", False)

    # -- ioctls --------------------------------------------------------------------------------

    async def vfio_fops_unl_ioctl(self, cmd: int, arg: Any) -> int:
        """Answer an ioctl on the container's descriptor.

        Args:
            cmd: request number.
            arg: a number, or a pointer to a struct in the caller's memory.

        Returns:
            What the kernel returns: 0, a positive answer, or a negative errno.
        """
        self.in_flight += 1
        try:
            if cmd == uapi.VFIO_GET_API_VERSION:
                return uapi.VFIO_API_VERSION
            if cmd == uapi.VFIO_CHECK_EXTENSION:
                return await self.vfio_ioctl_check_extension(as_number(arg))
            if cmd == uapi.VFIO_SET_IOMMU:
                return await self.vfio_ioctl_set_iommu(as_number(arg))
            async with self.driver_stays():
                return await self.driver_ioctl(cmd, as_pointer(arg))
        finally:
            self.in_flight -= 1

    def driver_stays(self) -> AbstractAsyncContextManager[None]:
        """Keep the driver's data while an ioctl uses it: no group can leave meanwhile."""
        return self.group_lock.read()

    async def driver_ioctl(self, cmd: int, arg: UserPointer) -> int:
        """Let the IOMMU driver answer; -EINVAL when none is set."""
        container = await self.iommu_data.get()
        return -EINVAL if container is None else await self.tce_iommu_ioctl(container, cmd, arg)

    async def vfio_ioctl_check_extension(self, extension: int) -> int:
        """1 when the driver (or, without one, any registered driver) supports it, else 0."""
        return int(extension in (uapi.VFIO_SPAPR_TCE_IOMMU, uapi.VFIO_SPAPR_TCE_v2_IOMMU, uapi.VFIO_EEH))

    async def vfio_ioctl_set_iommu(self, iommu_type: int) -> int:
        """Give the container an IOMMU driver and attach its groups.

        Returns:
            0; -EINVAL without a group or with an IOMMU already; -ENODEV when no driver knows the type;
            what attaching a group returned, and then everything is as before.

        Context: takes ``group_lock`` for write.
        """
        async with self.group_lock.write():
            groups = await self.group_list.walk()
            if not groups or await self.iommu_data.get() is not None:
                return -EINVAL
            if await self.vfio_ioctl_check_extension(iommu_type) <= 0:
                return -ENODEV
            container = self.tce_iommu_open(iommu_type)
            if container is None:
                return -EINVAL
            ret = await self.attach_all(container, groups)
            if ret:
                await self.tce_iommu_release(container)
                return ret
            await self.iommu_data.set(container)
        return 0

    async def attach_all(self, container: TceContainer, groups: tuple[TableGroup, ...]) -> int:
        """Attach groups in list order; on an error detach those already attached, last first."""
        for done, group in enumerate(groups):
            ret = await self.tce_iommu_attach_group(container, group)
            if ret:
                for attached in reversed(groups[:done]):
                    await self.tce_iommu_detach_group(container, attached)
                return ret
        return 0

    # -- groups, and the end -------------------------------------------------------------------

    async def vfio_container_attach_group(self, table_group: TableGroup) -> int:
        """Let a group join: claim its DMA, attach it if there is a driver.

        Returns:
            0, or the error of :meth:`tce_iommu_attach_group` with the group left outside.

        Context: the group's lock is held; takes ``group_lock`` for write.
        """
        async with self.group_lock.write():
            ret = await self.claim_dma(table_group)
            if ret:
                return ret
            container = await self.iommu_data.get()
            if container is not None:
                ret = await self.tce_iommu_attach_group(container, table_group)
                if ret:
                    await self.return_dma(table_group)
                    return ret
            await self.kref.take(table_group.group)
            await self.group_list.add(table_group)
        return 0

    async def vfio_group_detach_container(self, group: str) -> None:
        """Let a group leave; with the last one the driver's data goes.

        Context: the group's lock is held; takes ``group_lock`` for write.
        """
        async with self.group_lock.write():
            leaving = next(g for g in await self.group_list.walk() if g.group == group)
            container = await self.iommu_data.get()
            if container is not None:
                await self.tce_iommu_detach_group(container, leaving)
            await self.return_dma(leaving)
            await self.group_list.delete(leaving)
            if container is not None and not await self.group_list.walk():
                await self.tce_iommu_release(container)
                await self.iommu_data.set(None)
        await self.vfio_container_put(group)

    async def claim_dma(self, group: TableGroup) -> int:
        """Take a joining group's PE from the host; 0 or a negative errno."""
        return await call(group.group, TakeOwnership(self.id))

    async def return_dma(self, group: TableGroup) -> None:
        """Give a leaving group's PE back to the host."""
        await call(group.group, ReleaseOwnership())

    async def vfio_fops_release(self, file: File) -> None:
        """The container's file was closed for the last time."""
        await self.vfio_container_put("file")

    async def vfio_container_put(self, holder: str) -> None:
        """Drop a reference to the container; the last one frees it."""
        if await self.kref.drop(holder):
            await self.freed.set(True)

    async def has_iommu(self) -> bool:
        """Whether an IOMMU driver is set."""
        return await self.iommu_data.get() is not None

    async def freeze_pes(self) -> None:
        """Freeze the PE of every group in the container, as a fault of its device would."""
        for group in await self.group_list.walk():
            await call(group.group, FreezePe())


def as_number(arg: Any) -> int:
    """The argument of a request that takes a number; a pointer counts as its address, which is huge."""
    return arg if isinstance(arg, int) else 1 << 40


def as_pointer(arg: Any) -> UserPointer:
    """The argument of a request that takes a pointer; a number is an address where nothing is mapped."""
    return arg if isinstance(arg, UserPointer) else UserPointer(None)
