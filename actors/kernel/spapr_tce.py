"""The IOMMU driver behind a container: its ioctls, attach, detach and release.

Kernel: drivers/vfio/vfio_iommu_spapr_tce.c. The ioctls with more to them have files of their own:
registration in `prereg`, windows in `windows`, MAP and UNMAP in `mapping` (on `entries`), EEH in `eeh`.

Invariants that live here: J-M1, J-Q1, J-Q3, J-Q5, J-E1.
"""

from __future__ import annotations

from errno import EBUSY, EFAULT, EINVAL, ENODEV, ENOMEM, ENOTTY, ENXIO, EPERM

from actors.kernel import uapi
from actors.kernel.eeh import Eeh
from actors.kernel.mapping import Mapping
from actors.kernel.messages import TableGroup
from actors.kernel.prereg import Prereg
from actors.kernel.tce_container import IommuTable, TceContainer
from actors.kernel.uapi import UserPointer

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


class SpaprTce(Prereg, Mapping, Eeh):
    """The driver's part of a container."""

    # -- entry points --------------------------------------------------------------------------

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
                await container.enabled.set(False)
                await self.tce_iommu_clear_before_disable(container)
                await self.uncharge_window(container)
        return 0

    async def tce_iommu_clear_before_disable(self, container: TceContainer) -> None:
        """Clear every TCE, so that no page stays pinned that nobody pays for.

        Context: the gate is closed, so a MAP that comes after finds it so (:meth:`may_still_map`).
        """
        async with self.nobody_maps(container):
            for cell in container.tables:
                table = await cell.get()
                if table is not None:
                    await self.tce_iommu_clear(container, table, table.hw.it_offset, table.hw.it_size)

    async def disable_locked(self, container: TceContainer) -> None:
        """Close the gate and uncharge, if it was open."""
        if await container.enabled.get():
            await container.enabled.set(False)
            await self.uncharge_window(container)

    async def uncharge_window(self, container: TceContainer) -> None:
        """Give the charge of ENABLE back."""
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
