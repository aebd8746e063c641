"""DMA windows: the default one, TCE_CREATE, TCE_REMOVE.

Kernel: drivers/vfio/vfio_iommu_spapr_tce.c.
Invariants that live here: J-W1, J-W2, J-W3, J-W4, J-L1, J-T5.
"""

from __future__ import annotations

from errno import EFAULT, EINVAL, ENODEV, ENOMEM, ENOSPC, ENXIO

from actors.kernel.entries import Entries
from actors.kernel.ioda import Ioda
from actors.kernel.messages import SetWindow, UnsetWindow
from actors.kernel.tce_container import IommuTable, TceContainer
from actors.kernel.uapi import TCE_CREATE, TCE_REMOVE, TceCreate, TceRemove, UserPointer
from actors.runtime.errors import KernelOops
from actors.runtime.ops import Op, call, point
from hw import shift_left

IOMMU_PAGE_SHIFT_4K = 12


class Windows(Entries, Ioda):
    """The window part of a container."""

    async def tce_iommu_create_default_window(self, container: TceContainer) -> int:
        """Make the default window if it is owed: 4K IOMMU pages, the 32-bit size, one level, slot 0.

        Returns:
            0; -ENODEV without a group; the errors of :meth:`tce_iommu_create_window`, and then it stays
            owed.

        Context: ``container.lock`` held.
        """
        if not await container.def_window_pending.get():
            return 0
        groups = await container.group_list.walk()
        if not groups:
            return -ENODEV
        ret, start = await self.tce_iommu_create_window(
            container, IOMMU_PAGE_SHIFT_4K, groups[0].tce32_size, 1
        )
        if ret:
            return ret
        if start:
            self.world.warn(f"default window at {start:#x}", "tce_iommu_create_default_window")
        if not await container.def_window_pending.get():
            self.world.misuse(
                "J-W2",
                "a default window was made that is not owed any more",
                "tce_iommu_create_default_window",
            )
        await container.def_window_pending.set(False)
        return 0

    async def tce_iommu_make_default_window(self, container: TceContainer) -> int:
        """Make the default window before a MAP or UNMAP, if it is owed.

        Context: takes ``container.lock`` when there is something to do.
        """
        if not await container.def_window_pending.get():
            return 0
        async with container.lock:
            return await self.tce_iommu_create_default_window(container)

    async def tce_iommu_create(self, container: TceContainer, arg: UserPointer) -> int:
        """TCE_CREATE. Errors: -EPERM, -ENXIO, -EFAULT, -EINVAL, -ENOSPC, -ENOMEM, a firmware code.

        Context: takes ``container.lock``; may sleep.
        """
        ret = await self.tce_iommu_mm_bind(container)
        if ret:
            return ret
        if not await container.group_list.walk():
            return -ENXIO
        data = await self.copy_from_user(arg, TCE_CREATE.size)
        if data is None:
            return -EFAULT
        create = TceCreate._make(TCE_CREATE.unpack(data))
        if create.argsz < TCE_CREATE.size or create.flags:
            return -EINVAL
        ret, start = await self.tce_iommu_create_windows(container, create)
        if ret:
            return ret
        reply = TCE_CREATE.pack(*create._replace(start_addr=start))
        return 0 if await self.copy_to_user(arg, reply) else -EFAULT

    async def tce_iommu_create_windows(self, container: TceContainer, create: TceCreate) -> tuple[int, int]:
        """Make the default window if it is owed, then the one asked for; 0 and its bus address."""
        async with container.lock:
            ret = await self.tce_iommu_create_default_window(container)
            if ret:
                return ret, 0
            return await self.tce_iommu_create_window(
                container, create.page_shift, create.window_size, create.levels
            )

    async def tce_iommu_create_window(
        self, container: TceContainer, page_shift: int, window_size: int, levels: int
    ) -> tuple[int, int]:
        """Make a table, charge it, program it into every group.

        Returns:
            0 and the bus address of the window; or an error and 0, with nothing left behind: -ENOSPC (no
            free slot), -EINVAL (page size, size, levels), -ENOMEM, a firmware code.

        Context: ``container.lock`` held.
        """
        num = await self.tce_iommu_find_free_table(container)
        if num < 0:
            return -ENOSPC, 0
        groups = await container.group_list.walk()
        if not groups:
            raise KernelOops("the first entry of an empty list is used", "tce_iommu_create_window", "J-K2")
        if not groups[0].pgsizes & shift_left(1, page_shift):
            return self.refuse_page_shift(page_shift), 0
        ret, table = await self.tce_iommu_create_table(container, num, page_shift, window_size, levels)
        if table is None:
            return ret, 0
        for done, group in enumerate(groups):
            ret = await self.set_window(group.group, num, table)
            if ret:
                for each in groups[:done]:
                    await self.unset_window(each.group, num, table)
                await self.tce_iommu_free_table(container, table)
                return ret, 0
        await container.tables[num].set(table)
        return 0, table.hw.it_offset << page_shift

    def refuse_page_shift(self, page_shift: int) -> int:
        """The error for an IOMMU page size that the group does not have."""
        return -EINVAL

    async def tce_iommu_find_free_table(self, container: TceContainer) -> int:
        """Return the lowest free window slot, -ENOSPC when both are taken."""
        for num, cell in enumerate(container.tables):
            if await cell.get() is None:
                return num
        return -ENOSPC

    async def tce_iommu_create_table(
        self, container: TceContainer, num: int, page_shift: int, window_size: int, levels: int
    ) -> tuple[int, IommuTable | None]:
        """Charge and make a table; 0 and the table, or -EINVAL, -ENOMEM with nothing charged."""
        size = self.pnv_pci_ioda2_get_table_size(page_shift, window_size, levels)
        if not size:
            return -EINVAL, None
        mm, pages = await container.mm.get(), size >> self.memory.page_shift
        ret = await self.account_locked_vm(mm, pages)
        if ret:
            return ret, None
        table = self.pnv_pci_ioda2_create_table(num, page_shift, window_size, levels)
        if isinstance(table, int):
            await self.uncharge_failed_table(mm, pages)
            return table, None
        return 0, table

    async def uncharge_failed_table(self, mm: str | None, pages: int) -> None:
        """Give back what was charged for a table that could not be made."""
        await self.account_locked_vm(mm, -pages)

    async def tce_iommu_free_table(self, container: TceContainer, table: IommuTable) -> None:
        """Drop the container's reference to a table and give its charge back at once."""
        pages = table.hw.it_allocated_size >> self.memory.page_shift
        await self.tce_table_put(table, self.id)
        await self.account_locked_vm(await container.mm.get(), -pages)

    async def tce_iommu_remove(self, container: TceContainer, arg: UserPointer) -> int:
        """TCE_REMOVE. Errors: -EPERM, -ENXIO, -EFAULT, -EINVAL.

        Context: takes ``container.lock``; may sleep.
        """
        ret = await self.tce_iommu_mm_bind(container)
        if ret:
            return ret
        if not await container.group_list.walk():
            return -ENXIO
        data = await self.copy_from_user(arg, TCE_REMOVE.size)
        if data is None:
            return -EFAULT
        remove = TceRemove._make(TCE_REMOVE.unpack(data))
        if remove.argsz < TCE_REMOVE.size or remove.flags:
            return -EINVAL
        return await self.tce_iommu_remove_at(container, remove.start_addr)

    async def tce_iommu_remove_at(self, container: TceContainer, start_addr: int) -> int:
        """Cancel the default window that is owed at 0, or remove the window that holds ``start_addr``."""
        async with container.lock:
            if start_addr == 0 and await container.def_window_pending.get():
                await container.def_window_pending.set(False)
                return 0
            return await self.tce_iommu_remove_window(container, start_addr)

    async def tce_iommu_remove_window(self, container: TceContainer, start_addr: int) -> int:
        """Clear, unset and free the window that holds a bus address; 0 or -EINVAL.

        Context: ``container.lock`` held.
        """
        async with self.nobody_maps(container):
            num, table = await self.tce_iommu_find_table(container, start_addr)
            if table is None:
                return -EINVAL
            await self.clear_and_unset(container, num, table)
            await self.tce_iommu_free_table(container, table)
            await container.tables[num].set(None)
        return 0

    async def clear_and_unset(self, container: TceContainer, num: int, table: IommuTable) -> None:
        """Empty a table while the groups still have it, then take it from all of them."""
        await self.tce_iommu_clear(container, table, table.hw.it_offset, table.hw.it_size)
        for group in await container.group_list.walk():
            await self.unset_window(group.group, num, table)

    async def set_window(self, group: str, num: int, table: IommuTable) -> int:
        """Program a table into a group; 0 or the firmware's code."""
        if self.core.fails("set_window"):
            return -ENOMEM
        ret = await call(group, SetWindow(num, table.hw))
        if not ret:
            await table.it_kref.take(group)
        return ret

    async def unset_window(self, group: str, num: int, table: IommuTable) -> None:
        """Take a table from a group and drop the group's reference, if it has one."""
        await call(group, UnsetWindow(num))
        if group in table.it_kref.holders:
            await self.tce_table_put(table, group)

    async def tce_table_put(self, table: IommuTable, holder: str) -> None:
        """Drop a reference to a table; its memory goes with the last. Kernel: ``iommu_tce_table_put``."""
        if await table.it_kref.drop(holder):
            if self.core.controlled:
                await point(Op("lifetime", table.name, True))
            table.freed = True
