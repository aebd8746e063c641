"""A VFIO container: VFIO core's part, the driver's entry points, attach, detach and release.

Kernel: drivers/vfio/container.c, drivers/vfio/vfio_iommu_spapr_tce.c. The driver's data lives from
SET_IOMMU until the last group leaves, whatever happens to the container's own descriptor.

Invariants that live here: J-M1, J-Q1, J-Q3, J-Q5, J-E1, J-K2.
"""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from errno import EBUSY, EFAULT, EINVAL, ENODEV, ENOMEM, ENOTTY, ENXIO, EPERM
from typing import TYPE_CHECKING, Any

from actors.kernel import uapi
from actors.kernel.eeh import Eeh
from actors.kernel.messages import FreezePe, ReleaseOwnership, TableGroup, TakeOwnership
from actors.kernel.prereg import Prereg
from actors.kernel.tce_container import IommuTable, TceContainer
from actors.kernel.uapi import UserPointer
from actors.kernel.windows import Windows
from actors.runtime.cells import Cell, KList, Refcount
from actors.runtime.ops import call
from actors.runtime.sync import RwSem

if TYPE_CHECKING:
    from actors.kernel.globals import KernelGlobals
    from actors.kernel.task import File

V1_ONLY = {
    uapi.VFIO_IOMMU_ENABLE: "tce_iommu_enable",
    uapi.VFIO_IOMMU_DISABLE: "tce_iommu_disable",
}
V2_ONLY = {
    uapi.VFIO_IOMMU_SPAPR_REGISTER_MEMORY: "tce_iommu_register_memory",
    uapi.VFIO_IOMMU_SPAPR_UNREGISTER_MEMORY: "tce_iommu_unregister_memory",
    uapi.VFIO_IOMMU_SPAPR_TCE_CREATE: "tce_iommu_create",
    uapi.VFIO_IOMMU_SPAPR_TCE_REMOVE: "tce_iommu_remove",
}
BOTH = {
    uapi.VFIO_IOMMU_SPAPR_TCE_GET_INFO: "tce_iommu_get_info",
    uapi.VFIO_IOMMU_MAP_DMA: "tce_iommu_map_dma",
    uapi.VFIO_IOMMU_UNMAP_DMA: "tce_iommu_unmap_dma",
    uapi.VFIO_EEH_PE_OP: "tce_iommu_eeh",
}
HANDLERS = {False: BOTH | V1_ONLY, True: BOTH | V2_ONLY}
"""Whether the container is v2 -> request -> method; any other request is -ENOTTY."""


class Container(Prereg, Windows, Eeh):
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

    # -- VFIO core: ioctls ---------------------------------------------------------------------

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

    # -- VFIO core: groups and the end ---------------------------------------------------------

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

    # -- the driver ----------------------------------------------------------------------------

    def tce_iommu_open(self, iommu_type: int) -> TceContainer | None:
        """Make the driver's data for v1 or v2; None for another type."""
        if iommu_type not in (uapi.VFIO_SPAPR_TCE_IOMMU, uapi.VFIO_SPAPR_TCE_v2_IOMMU):
            return None
        return TceContainer(self.core, v2=iommu_type == uapi.VFIO_SPAPR_TCE_v2_IOMMU)

    async def tce_iommu_ioctl(self, container: TceContainer, cmd: int, arg: UserPointer) -> int:
        """Answer a driver ioctl; -EPERM to any mm but the one the container is bound to."""
        mm = await container.mm.get()
        if mm is not None and self.foreign(mm):
            return -EPERM
        handler = HANDLERS[container.v2].get(cmd)
        if handler is None:
            return -ENOTTY
        ret: int = await getattr(self, handler)(container, arg)
        return ret

    async def tce_iommu_get_info(self, container: TceContainer, arg: UserPointer) -> int:
        """GET_INFO. Errors: -ENXIO, -EFAULT, -EINVAL."""
        groups = await container.group_list.walk()
        if not groups:
            return -ENXIO
        data = await self.copy_from_user(arg, uapi.TCE_INFO_HEAD.size)
        if data is None:
            return -EFAULT
        argsz = uapi.TCE_INFO_HEAD.unpack(data)[0]
        if argsz < uapi.TCE_INFO_HEAD.size:
            return -EINVAL
        group = groups[0]
        windows = group.max_dynamic_windows_supported if container.v2 else 0
        start, size = group.tce32_start, group.tce32_size
        if windows:
            ddw = uapi.VFIO_IOMMU_SPAPR_INFO_DDW
            reply = uapi.TCE_INFO.pack(argsz, ddw, start, size, group.pgsizes, windows, group.max_levels)
        else:
            reply = uapi.TCE_INFO.pack(argsz, 0, start, size, 0, 0, 0)
        whole = argsz >= uapi.TCE_INFO.size
        return (
            0
            if await self.copy_to_user(arg, reply if whole else reply[: uapi.TCE_INFO_HEAD.size])
            else -EFAULT
        )

    async def tce_iommu_enable(self, container: TceContainer, arg: UserPointer) -> int:
        """ENABLE (v1): charge the whole 32-bit window of the first group.

        Returns:
            0; -EBUSY; -ENODEV; -EPERM without such a window or for another mm; -ENOMEM.

        Context: takes ``container.lock``.
        """
        async with container.lock:
            if await container.enabled.get():
                return -EBUSY
            groups = await container.group_list.walk()
            if not groups:
                return -ENODEV
            if not groups[0].tce32_size:
                return -EPERM
            ret = await self.tce_iommu_mm_set(container)
            if ret:
                return ret
            pages = groups[0].tce32_size >> self.memory.page_shift
            ret = await self.account_locked_vm(await container.mm.get(), pages)
            if ret:
                return ret
            await container.locked_pages.set(pages)
            await container.enabled.set(True)
        return 0

    async def tce_iommu_disable(self, container: TceContainer, arg: UserPointer) -> int:
        """DISABLE (v1): end all mappings and give the charge of ENABLE back; 0.

        Context: takes ``container.lock``.
        """
        async with container.lock:
            if await container.enabled.get():
                await self.tce_iommu_clear_before_disable(container)
            await self.disable_locked(container)
        return 0

    async def tce_iommu_clear_before_disable(self, container: TceContainer) -> None:
        """Clear every TCE, so that no page stays pinned that nobody pays for."""
        async with self.nobody_maps(container):
            for cell in container.tables:
                table = await cell.get()
                if table is not None:
                    await self.tce_iommu_clear(container, table, table.hw.it_offset, table.hw.it_size)

    async def disable_locked(self, container: TceContainer) -> None:
        """Close the gate and uncharge, if it was open."""
        if not await container.enabled.get():
            return
        await container.enabled.set(False)
        pages = await container.locked_pages.get()
        await self.account_locked_vm(await container.mm.get(), -pages)

    # -- attach, detach, release ---------------------------------------------------------------

    async def tce_iommu_attach_group(self, container: TceContainer, group: TableGroup) -> int:
        """Attach a group: program the container's windows into it.

        Returns:
            0; -EINVAL (v2 without dynamic windows); -EBUSY (already attached; a second one in v1);
            what setting a window returned.

        Context: ``group_lock`` held for write; takes ``container.lock``.
        """
        async with container.lock:
            if self.core.fails("iommu_group_get_iommudata"):
                return self.no_table_group()
            attached = await container.group_list.walk()
            ret = self.may_attach(container, attached, group)
            if ret:
                return ret
            if self.core.fails("tce_iommu_attach_group.kzalloc"):
                return -ENOMEM
            ret = await self.program_windows(container, group)
            if not attached and await container.tables[0].get() is None:
                await self.owe_default_window(container, ret)
            if not ret:
                await container.group_list.add(group)
            elif not attached and await container.def_window_pending.get():
                self.world.misuse(
                    "J-W2", "a window is owed but no group is attached", "tce_iommu_attach_group"
                )
            return ret

    def no_table_group(self) -> int:
        """The group has no DMA of its own: it cannot be attached."""
        return -ENODEV

    def may_attach(self, container: TceContainer, attached: tuple[TableGroup, ...], group: TableGroup) -> int:
        """Whether a group fits the container and those already attached: 0, -EINVAL, -EBUSY."""
        if container.v2 and not group.max_dynamic_windows_supported:
            return -EINVAL
        if not container.v2 and attached:
            return -EBUSY
        return -EBUSY if any(other.group == group.group for other in attached) else 0

    async def owe_default_window(self, container: TceContainer, ret: int) -> None:
        """The first group was attached (``ret`` 0): it is owed a default window."""
        if not ret:
            await container.def_window_pending.set(True)

    async def program_windows(self, container: TceContainer, group: TableGroup) -> int:
        """Make a joining group's windows those of the container; 0, or an error with none left set."""
        if self.core.fails("tce_iommu_take_ownership"):
            return -ENOMEM
        return await self.set_existing_windows(container, group)

    async def set_existing_windows(self, container: TceContainer, group: TableGroup) -> int:
        """Set every window of the container in a joining group; on an error none stays set."""
        done: list[tuple[int, IommuTable]] = []
        for num, cell in enumerate(container.tables):
            table = await cell.get()
            if table is None:
                continue
            ret = await self.set_window(group.group, num, table)
            if ret:
                for earlier, its in done:
                    await self.unset_window(group.group, earlier, its)
                return ret
            done.append((num, table))
        return 0

    async def tce_iommu_detach_group(self, container: TceContainer, group: TableGroup) -> None:
        """Detach a group: empty the container's tables while it still has them, then take them from it.

        The tables belong to the container and stay.
        Context: ``group_lock`` held for write; takes ``container.lock``.
        """
        async with container.lock:
            for num, cell in enumerate(container.tables):
                table = await cell.get()
                await self.leave_window(container, group, num, table)
            await container.group_list.delete(group)

    async def leave_window(
        self, container: TceContainer, group: TableGroup, num: int, table: IommuTable | None
    ) -> None:
        """Empty the table of a window slot, if there is one, and take it from a leaving group."""
        if table is not None:
            await self.tce_iommu_clear(container, table, table.hw.it_offset, table.hw.it_size)
            await self.unset_window(group.group, num, table)

    async def tce_iommu_release(self, container: TceContainer) -> None:
        """Free the driver's data: tables first, then the registrations, then the mm.

        TCEs are gone before regions are put, and regions before the mm: only so do the counts add up.
        Context: ``group_lock`` held for write; no group is attached any more.
        """
        mm = await container.mm.get()
        for cell in container.tables:
            table = await cell.get()
            if table is not None:
                await self.release_table(container, table)
                await cell.set(None)
        if mm is not None:
            await self.tce_iommu_release_prereg(container, mm)
        await self.disable_locked(container)
        if mm is not None:
            await self.drop_mm(container, mm)
        await container.free()

    async def release_table(self, container: TceContainer, table: IommuTable) -> None:
        """Free a table that the last group's leaving has emptied."""
        await self.tce_iommu_free_table(container, table)

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
