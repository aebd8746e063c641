"""Differences between versions that are no defects."""

from __future__ import annotations

from errno import EBADF, EINVAL, EPERM

from actors.kernel.composition import Piece
from actors.kernel.container import Container
from actors.kernel.cpu import INIT_MM, Cpu
from actors.kernel.group import Group
from actors.kernel.messages import (
    ContainerHasIommu,
    Mmdrop,
    Mmgrab,
    NewRegion,
    ReleaseOwnership,
    TableGroup,
    TakeOwnership,
)
from actors.kernel.mm_iommu import Mm
from actors.kernel.pieces.lifetime import CurrentMmAccounting
from actors.kernel.regions import Region
from actors.kernel.task import File
from actors.kernel.tce_container import IommuTable, TceContainer
from actors.runtime.ops import call, point
from hw import Ua


class Difference(Piece):
    """A named difference that is no defect."""

    defect = False


class LazyMmReferences(Difference):
    slug = "lazy-mm-references"
    title = "whoever borrows an mm lazily holds a reference to it"
    commit = "MMU_LAZY_TLB_SHOOTDOWN, v6.4"
    versions = "up to v6.3"
    remedy = "borrowers hold nothing; the end of the mm makes them let go (F.3)"

    class cpu(Cpu):
        async def borrow(self, mm: str) -> None:
            if mm != INIT_MM:
                await call(mm, Mmgrab(self.id))

        async def return_loan(self, mm: str) -> None:
            await call(mm, Mmdrop(self.id))

    class mm(Mm):
        async def shoot_lazy_users(self) -> None:
            return None


class RegionsCreatedUnderMutex(Difference):
    slug = "regions-created-under-mutex"
    title = "mm_iommu_get finds or creates a region under mem_list_mutex, overlap first"
    commit = 'eb9d7a62c386 "powerpc/mm_iommu: Fix potential deadlock", v5.1'
    versions = "up to v5.0"
    remedy = "charge and pin without the mutex, test for overlap at the end (C.3)"

    class mm(Mm):
        async def mm_iommu_new(self, ua: Ua, entries: int) -> NewRegion:
            async with self.mem_list_mutex:
                end = ua + (entries << self.memory.page_shift)
                await self.mem_list.read()
                same = self.mem_list.exact(ua, entries)
                if same is not None:
                    return await self.mm_iommu_lost_race(same)
                if self.mem_list.overlapping(ua, end) is not None:
                    return NewRegion(-EINVAL, "")
                return await self.create_locked(ua, entries)

        async def create_locked(self, ua: Ua, entries: int) -> NewRegion:
            """Charge, pin and list a region. Context: ``mem_list_mutex`` held."""
            ret = await self.account_locked_vm(entries)
            if ret:
                return NewRegion(ret, "")
            ret, pfns = await self.mm_iommu_pin(ua, entries)
            if ret:
                await self.account_locked_vm(-entries)
                return NewRegion(ret, "")
            region = self.new_region(ua, pfns)
            self.mm_iommu_page_shift(region)
            await self.mem_list.add(region)
            self.regions[region.name] = region
            return NewRegion(0, region.name)

        async def mm_iommu_release(self, region: Region) -> None:
            await super().mm_iommu_release(region)
            await self.account_locked_vm(-region.entries)

        async def uncharge_released(self, region: Region) -> None:
            return None


class NoRegionPageShift(Difference):
    slug = "no-region-page-shift"
    title = "a region does not know how large its pages are; containment alone refuses a MAP"
    commit = '76fa4975f3ed "KVM: PPC: Check if IOMMU page is contained in the pinned physical page", v4.18'
    versions = "up to v4.17"
    remedy = "translation refuses an IOMMU page larger than the region's smallest page (B.10)"

    class mm(Mm):
        def mm_iommu_page_shift(self, region: Region) -> None:
            region.pageshift = 63


class BadContainerFdEinval(Difference):
    slug = "bad-container-fd-einval"
    title = "SET_CONTAINER of a negative or foreign descriptor, or by a group in a container, is -EINVAL"
    versions = "up to v4.19 for negative ones, v6.1 for others"
    remedy = "-EBADF and -EBADFD (E.2)"

    class group(Group):
        async def no_such_file(self, fd: int) -> int:
            # Users of a container are looked for before the file is.
            return -EINVAL if fd < 0 or await self.container_users.get() else -EBADF

        def not_a_container(self) -> int:
            return -EINVAL


class DeviceNameLookedUpLast(Difference):
    slug = "device-name-looked-up-last"
    title = "GET_DEVICE_FD looks at the container before it looks for a device of that name"
    versions = "up to v5.19"
    remedy = "an unknown name is -ENODEV whatever else is wrong (E.2)"

    class group(Group):
        async def vfio_group_ioctl_get_device_fd(self, device: str, file: File) -> int:
            container = await self.container.get()
            if container is None or not await call(container, ContainerHasIommu()):
                return -EINVAL
            return await super().vfio_group_ioctl_get_device_fd(device, file)


class ForkSharesPinnedPages(Difference):
    slug = "fork-shares-pinned-pages"
    title = "a forked child shares pinned pages until somebody writes, like all others"
    commit = '70e806e4e645 "mm: Do early cow for pinned pages during fork() for ptes", v5.9'
    versions = "up to v5.8"
    remedy = "the child gets copies at once, so that the device keeps the parent's pages (C.7)"

    class mm(Mm):
        def fork_copies_pinned_pages(self) -> bool:
            return False


class HugePagesStay(Difference):
    slug = "huge-pages-stay"
    title = "MADV_DONTNEED refuses hugetlb mappings"
    versions = "up to v5.17"
    remedy = "whole huge pages are dropped like any others"

    class mm(Mm):
        def huge_pages_stay(self) -> bool:
            return True


class OwnershipTakenAtAttach(Difference):
    slug = "ownership-taken-at-attach"
    title = "a PE is taken from the host when its group is attached to the driver"
    commit = (
        'a940904443e4 "powerpc/iommu: Add iommu_ops to report capabilities and allow blocking domains", v6.4'
    )
    versions = "up to v6.3"
    remedy = "it is taken when the group joins a container (B.16, D.7)"

    class container(Container):
        async def claim_dma(self, group: TableGroup) -> int:
            return 0

        async def return_dma(self, group: TableGroup) -> None:
            return None

        async def program_windows(self, container: TceContainer, group: TableGroup) -> int:
            ret = await call(group.group, TakeOwnership(self.id))
            if ret:
                return ret
            ret = await super().program_windows(container, group)
            if ret:
                await call(group.group, ReleaseOwnership())
            return ret

        async def tce_iommu_detach_group(self, container: TceContainer, group: TableGroup) -> None:
            await super().tce_iommu_detach_group(container, group)
            await call(group.group, ReleaseOwnership())


class V1RefusedOnIoda2(Difference):
    slug = "v1-refused-on-ioda2"
    title = "a v1 container refuses groups that can make tables"
    commit = '1282ba7fc28d "vfio/powerpc/spapr_tce: Enforce IOMMU type compatibility check", v4.12'
    versions = "v4.12 to v6.3"
    remedy = "one such group is accepted (B.16)"

    class container(Container):
        def may_attach(
            self, container: TceContainer, attached: tuple[TableGroup, ...], group: TableGroup
        ) -> int:
            return super().may_attach(container, attached, group) if container.v2 else -EPERM


class FixedPageSizes(Difference):
    slug = "fixed-page-sizes"
    title = "windows of 4K, 64K and 16M pages are offered whatever the bridge can do"
    versions = "up to v4.10 and 4.9.148"
    remedy = "the sizes come from the device tree (D.2)"

    class group(Group):
        def pgsizes(self) -> int:
            return 1 << 12 | 1 << 16 | 1 << 24


class LevelsAllocatedAtOnce(Difference):
    slug = "levels-allocated-at-once"
    title = "all levels of a table are allocated when it is made"
    versions = "up to v4.18"
    remedy = "lower levels are allocated when something is mapped below them (D.3)"

    class container(Container):
        def levels_on_demand(self) -> bool:
            return False

        def max_address_bits(self) -> int:
            return 60


class WindowLimitedByRam(Difference):
    slug = "window-limited-by-ram"
    title = "a window larger than RAM is refused"
    versions = "up to v4.18"
    remedy = "no such limit (D.3)"

    class container(Container):
        def largest_window(self) -> int:
            return self.memory.size_bytes


class SeparateView(Container):
    """A container whose tables get their userspace view later, charged apart."""

    def view_with_table(self) -> bool:
        return False

    def view_pages(self, table: IommuTable) -> int:
        """Kernel pages that the view of a table takes: eight bytes an entry."""
        return -(-8 * table.hw.it_size >> self.memory.page_shift)

    async def make_view(self, container: TceContainer, table: IommuTable) -> int:
        """Charge and allocate the view of a table; 0 or a negative errno.

        Whoever finds that another MAP has made it meanwhile gives the charge back.
        """
        mm, pages = await container.mm.get(), self.view_pages(table)
        ret = await self.account_locked_vm(mm, pages)
        if ret:
            return ret
        if self.core.controlled:
            await point(table.levels(view=True, write=True))
        if self.view_made_meanwhile(table):
            await self.account_locked_vm(mm, -pages)
        else:
            table.hw.allocate_view()
        return 0

    async def has_view(self, table: IommuTable) -> bool:
        """Look whether a table has its view."""
        if self.core.controlled:
            await point(table.levels(view=True, write=False))
        return table.hw.has_view

    def view_made_meanwhile(self, table: IommuTable) -> bool:
        """Whether somebody has made the view while it was charged."""
        return table.hw.has_view

    async def tce_iommu_free_table(self, container: TceContainer, table: IommuTable) -> None:
        if table.hw.has_view:
            table.hw.drop_view()
            await self.account_locked_vm(await container.mm.get(), -self.view_pages(table))
        await super().tce_iommu_free_table(container, table)


class ViewMadeByFirstMap(Difference):
    slug = "view-made-by-first-map"
    title = "the userspace view of a table is made, and charged, by the first v2 MAP"
    commit = "39701e56f5f1 (v4.10); it comes with the table since v4.19"
    versions = "v4.10 to v4.18"
    remedy = "the view comes with the table (A.1, B.10)"

    class container(SeparateView):
        async def tce_iommu_build_v2(
            self, container: TceContainer, table: IommuTable, index: int, ua: Ua, count: int, perm: int
        ) -> int:
            if not await self.has_view(table):
                ret = await self.make_view(container, table)
                if ret:
                    return ret
            return await super().tce_iommu_build_v2(container, table, index, ua, count, perm)


class ViewMadeWithTable(Difference):
    slug = "view-made-with-table"
    title = "the userspace view is made, and charged apart, when the driver makes a table"
    versions = "v4.9"
    remedy = "the view is part of the table (A.1)"

    class container(SeparateView):
        async def tce_iommu_create_table(
            self, container: TceContainer, num: int, page_shift: int, window_size: int, levels: int
        ) -> tuple[int, IommuTable | None]:
            ret, table = await super().tce_iommu_create_table(container, num, page_shift, window_size, levels)
            if table is None or not container.v2:
                return ret, table
            ret = await self.make_view(container, table)
            if ret:
                await self.tce_iommu_free_table(container, table)
                return ret, None
            return 0, table


class DefaultWindowAtAttach(Difference):
    slug = "default-window-at-attach"
    title = "the default window is made while the first group is attached, charged to the caller"
    commit = 'd9c728949ddc "vfio/spapr: Postpone default window creation", v4.10'
    versions = "v4.9"
    remedy = "it is owed, and made by the first MAP, UNMAP or TCE_CREATE (B.13)"

    class container(Container):
        async def owe_default_window(self, container: TceContainer, ret: int) -> None:
            return None

        async def program_windows(self, container: TceContainer, group: TableGroup) -> int:
            first = not await container.group_list.walk()
            if first and await container.tables[0].get() is None:
                if not isinstance(self, CurrentMmAccounting.container):
                    # Linux charged whoever was current. Where charges go to the mm that a container is
                    # bound to, there has to be one by now.
                    ret = await self.tce_iommu_mm_set(container)
                    if ret:
                        return ret
                ret, table = await self.tce_iommu_create_table(container, 0, 12, group.tce32_size, 1)
                if table is None:
                    return ret
                await container.tables[0].set(table)
            return await super().program_windows(container, group)


PIECES: tuple[type[Piece], ...] = (
    LazyMmReferences,
    RegionsCreatedUnderMutex,
    NoRegionPageShift,
    BadContainerFdEinval,
    DeviceNameLookedUpLast,
    ForkSharesPinnedPages,
    HugePagesStay,
    DefaultWindowAtAttach,
    OwnershipTakenAtAttach,
    V1RefusedOnIoda2,
    FixedPageSizes,
    LevelsAllocatedAtOnce,
    WindowLimitedByRam,
    ViewMadeByFirstMap,
    ViewMadeWithTable,
)
