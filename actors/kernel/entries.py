"""The entries of TCE tables: exchanging one, emptying many, and letting go of what they pointed to.

Kernel: arch/powerpc/kernel/iommu.c, drivers/vfio/vfio_iommu_spapr_tce.c. An entry and its slot of the
userspace view change together, and a bridge forgets an entry before what it pointed to is let go.

Invariants that live here: J-R3, J-T1 to J-T7, J-D1.
"""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from errno import ENOMEM
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from actors.kernel.messages import MmIommuMappedDec, MmIommuUaToHpa, MmIommuUnmapRange, TceKill
from actors.kernel.tce_container import ContainerState, IommuTable, TceContainer
from actors.runtime.errors import KernelOops
from actors.runtime.ops import call, point
from hw import NONE, WRITE, Cleared, Ua


class OldEntry(NamedTuple):
    """What an entry held: real address, permission (0: it was empty), userspace address."""

    hpa: int
    perm: int
    ua: int


NO_ENTRY = OldEntry(0, NONE, 0)


class Entries(ContainerState):
    """The part of a container that works on entries of its tables."""

    def tables_stay(self, container: TceContainer) -> AbstractAsyncContextManager[None]:
        """Keep the container's tables while a MAP or UNMAP works on one, together with other such."""
        return container.tables_lock.read()

    def nobody_maps(self, container: TceContainer) -> AbstractAsyncContextManager[None]:
        """Keep MAPs and UNMAPs away while a table goes."""
        return container.tables_lock.write()

    def regions_stay(self) -> AbstractAsyncContextManager[None]:
        """Keep regions from being freed between finding one and counting a TCE into it."""
        return self.world.rcu.read_lock()

    async def tce_iommu_find_table(self, container: TceContainer, ioba: int) -> tuple[int, IommuTable | None]:
        """Return slot and table of the window that contains a bus address, or (-1, None)."""
        for num, cell in enumerate(container.tables):
            table = await cell.get()
            if table is not None:
                entry = ioba >> table.hw.it_page_shift
                if table.hw.it_offset <= entry < table.hw.it_offset + table.hw.it_size:
                    return num, table
        return -1, None

    # -- one entry ---------------------------------------------------------------------------------

    async def iommu_tce_xchg(
        self, table: IommuTable, index: int, hpa: int, perm: int, ua: int | None
    ) -> tuple[int, OldEntry]:
        """Replace an entry and its view slot in one step.

        Args:
            table: the table.
            index: the entry.
            hpa: real address.
            perm: permission; NONE empties the entry, and then missing levels stay missing.
            ua: userspace address for the view; None leaves the view alone (v1).

        Returns:
            0 and what was there, or -ENOMEM with nothing changed.

        Kernel: arch/powerpc/kernel/iommu.c, ``iommu_tce_xchg_no_kill``.
        """
        ret = await self.have_levels(table, index, perm, ua)
        if ret:
            return ret, NO_ENTRY
        if self.core.controlled:
            await point(table.slot(index))
        table.check("iommu_tce_xchg")
        old_ua = table.hw.ua(index) if ua is not None else 0
        old_hpa, old_perm = table.hw.xchg(index, hpa, perm)
        if ua is not None:
            self.store_view(table, index, ua if perm else 0)
        if self.core.tracing:
            self.core.trace(table.slot(index), (old_hpa, old_perm), (hpa, perm))
        return 0, OldEntry(old_hpa, old_perm, old_ua)

    async def have_levels(self, table: IommuTable, index: int, perm: int, ua: int | None) -> int:
        """Have all levels that writing an entry (and its view slot) needs; 0 or -ENOMEM."""
        if not perm or table.hw.it_indirect_levels == 0:
            return 0
        if ua is not None:
            ret = await self.iommu_table_level(table, index, view=True)
            if ret and self.view_level_missing(ret):
                return ret
        return await self.iommu_table_level(table, index, view=False)

    async def iommu_table_level(self, table: IommuTable, index: int, view: bool) -> int:
        """Have the levels that an entry needs, of the table or of its userspace view; 0 or -ENOMEM.

        Kernel: arch/powerpc/platforms/powernv/pci-ioda-tce.c, ``pnv_tce``.
        """
        if self.core.controlled:
            await point(table.levels(view, write=False))
        while depth := table.hw.missing_depth(index, view):
            if self.core.fails("pnv_alloc_tce_level.view" if view else "pnv_alloc_tce_level"):
                return -ENOMEM
            if self.core.controlled:
                await point(table.levels(view, write=True))
            self.install_level(table, index, depth, view)
        return 0

    def install_level(self, table: IommuTable, index: int, depth: int, view: bool) -> None:
        """Put a fresh level into its slot unless somebody else has done so meanwhile; then drop ours."""
        if table.hw.missing_depth(index, view) == depth:
            install = table.hw.install_view_level if view else table.hw.install_level
            install(index, depth)

    def view_level_missing(self, ret: int) -> int:
        """The level of the userspace view could not be allocated: so the entry cannot be written."""
        return ret

    def store_view(self, table: IommuTable, index: int, ua: int) -> None:
        """Store a userspace address in the view.

        Raises:
            KernelOops: the view has no slot there.
        """
        if table.hw.view_level_present(index):
            table.hw.set_ua(index, ua)
        elif ua:
            raise KernelOops("NULL pointer store of a userspace address", "tce_iommu_build_v2")

    # -- letting go --------------------------------------------------------------------------------

    async def tce_iommu_let_go(
        self, container: TceContainer, table: IommuTable, index: int, old: OldEntry
    ) -> None:
        """Let go of what an entry pointed to, once no bridge can use it any more."""
        await self.kill_before_letting_go(container, table, index, 1)
        if old.perm & WRITE:
            self.mark_dirty(old.hpa >> self.memory.page_shift)
        if container.v2:
            await self.tce_iommu_unuse_page_v2(container, table, old.ua)
        else:
            await self.world.put_pages()
            self.memory.unpin(old.hpa >> self.memory.page_shift, table.name)

    async def tce_iommu_unuse_page_v2(self, container: TceContainer, table: IommuTable, ua: int) -> None:
        """Count one TCE less for the region that a view slot pointed into."""
        mm = await self.mm_of(container)
        if mm is None:
            return
        async with self.regions_stay():
            there = await call(mm, MmIommuUaToHpa(Ua(ua), table.hw.it_page_shift))
        if not there.ret:
            await call(mm, MmIommuMappedDec(there.mem))

    def mark_dirty(self, pfns: int | NDArray[np.uint64]) -> None:
        """Note that a device may have written to frames, before their pins can go.

        Kernel: arch/powerpc/kernel/iommu.c, ``iommu_tce_xchg_no_kill``, ``SetPageDirty``.
        """
        self.memory.set_dirty(pfns)

    async def kill_before_letting_go(
        self, container: TceContainer, table: IommuTable, index: int, count: int
    ) -> None:
        """Make the bridges forget entries whose pages are about to be let go of."""
        await self.iommu_tce_kill(container, table, index, count)

    async def kill_after_run(
        self, container: TceContainer, table: IommuTable, index: int, count: int
    ) -> None:
        """A whole run was changed: nothing is left to forget here."""

    async def iommu_tce_kill(
        self, container: TceContainer, table: IommuTable, index: int, count: int
    ) -> None:
        """Make the bridges of all groups forget ``count`` entries."""
        for group in await container.group_list.walk():
            await call(group.group, TceKill(table.hw, index, count))

    # -- clearing ----------------------------------------------------------------------------------

    async def tce_iommu_clear(
        self, container: TceContainer, table: IommuTable, entry: int, count: int
    ) -> None:
        """Empty ``count`` entries from bus entry ``entry`` on.

        Absent entries cost nothing; between two present ones others may run.
        """
        index = first = entry - table.hw.it_offset
        end = index + count
        self.watch_clear(count)
        if self.nobody_can_disturb():
            if self.core.controlled:
                await point(table.sweep())
            table.check("tce_iommu_clear")
            before = table.hw.live_count
            cleared = table.hw.clear(index, count)
            if self.core.tracing:
                self.core.trace(table.sweep(), before, table.hw.live_count)
            if len(cleared.indices):
                await self.let_go_run(container, table, index, count, cleared)
            return
        while True:
            if self.core.controlled:
                await point(table.scan())
            table.check("tce_iommu_clear")
            present = table.hw.next_present(index, end)
            if present is None:
                break
            ua = 0 if container.v2 else None
            _, old = await self.iommu_tce_xchg(table, present, 0, NONE, ua)
            if old.perm:
                await self.tce_iommu_let_go(container, table, present, old)
            index = present + 1
        # Only where UNMAP looks at its first page alone (defect 41) can a range end behind the table. What is
        # there is reached last.
        table.hw.check_run(first, count)
        await self.kill_after_run(container, table, first, count)

    def watch_clear(self, count: int) -> None:
        """Clearing ``count`` entries lets others run in between, so there is nothing to watch."""

    async def let_go_run(
        self, container: TceContainer, table: IommuTable, index: int, count: int, cleared: Cleared
    ) -> None:
        """Let go of what a whole run of entries pointed to, as :meth:`tce_iommu_let_go` does for one."""
        await self.kill_before_letting_go(container, table, index, count)
        pfns = cleared.hpas >> self.memory.page_shift
        written = cleared.perms & WRITE != 0
        self.mark_dirty(pfns[written])
        if container.v2:
            mm = await self.mm_of(container)
            if mm is not None:
                await call(mm, MmIommuUnmapRange(cleared.uas, table.hw.it_page_shift))
        else:
            await self.world.put_pages()
            self.memory.unpin(pfns, table.name)
        await self.kill_after_run(container, table, index, count)
