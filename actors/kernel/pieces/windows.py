"""Defects of windows, tables and ownership (sections G.1 and G.4)."""

from __future__ import annotations

from errno import EBUSY

from actors.kernel.composition import Piece
from actors.kernel.container import Container
from actors.kernel.group import Group
from actors.kernel.messages import TableGroup, UnsetWindow
from actors.kernel.tce_container import IommuTable, TceContainer
from actors.kernel.uapi import TceCreate
from actors.runtime.errors import KernelOops
from actors.runtime.ops import call


class DefaultWindowDoubleCreate(Piece):
    slug = "default-window-double-create"
    number = "13"
    title = "MAP and UNMAP make the pending default window without the container's lock"
    commit = "latent since d9c728949ddc (v4.10)"
    versions = "v4.10 and later"
    symptom = "two default windows: one leaks with its charge, or lands at 1<<59"
    trigger = "two MAPs of a fresh container at the same time"
    remedy = "tested and made under container.lock"
    invariants = ("J-W2", "J-L1")

    class container(Container):
        async def tce_iommu_make_default_window(self, container: TceContainer) -> int:
            return await self.tce_iommu_create_default_window(container)


class RemovePendingUnlocked(Piece):
    slug = "remove-pending-unlocked"
    number = "14"
    title = "TCE_REMOVE(0) cancels the pending default window without the container's lock"
    commit = "latent since d9c728949ddc (v4.10)"
    versions = "v4.10 and later"
    symptom = "the window exists although TCE_REMOVE returned 0"
    trigger = "TCE_REMOVE(0) while a MAP is making the default window"
    remedy = "tested and cancelled under container.lock"
    invariants = ("J-W2",)

    class container(Container):
        async def tce_iommu_remove_at(self, container: TceContainer, start_addr: int) -> int:
            if start_addr == 0 and await container.def_window_pending.get():
                await container.def_window_pending.set(False)
                return 0
            async with container.lock:
                return await self.tce_iommu_remove_window(container, start_addr)


class CreateTableChargeLeak(Piece):
    slug = "create-table-charge-leak"
    number = "15"
    title = "a TCE_CREATE that fails after its size was charged never gives the charge back"
    commit = "latent since 39701e56f5f1 (v4.10)"
    versions = "v4.10 and later"
    symptom = "VmLck grows with each failed TCE_CREATE, until the process ends"
    trigger = "TCE_CREATE with too many address bits, or one level above 16 MiB"
    remedy = "the charge is given back"
    invariants = ("J-L1",)
    failpoints = ("pnv_pci_ioda2_table_alloc_pages",)

    class container(Container):
        async def uncharge_failed_table(self, mm: str | None, pages: int) -> None:
            return None


class AttachFailLeavesPending(Piece):
    slug = "attach-fail-leaves-pending"
    number = "16"
    title = "a first group that fails to attach leaves a default window pending"
    commit = "latent since d9c728949ddc (v4.10)"
    versions = "v4.10 and later"
    symptom = "the container is owed a window without having a group"
    trigger = "taking ownership of the first group fails"
    remedy = "a window is owed only when the group was attached"
    invariants = ("J-W2",)
    failpoints = ("tce_iommu_take_ownership",)

    class container(Container):
        async def owe_default_window(self, container: TceContainer, ret: int) -> None:
            await container.def_window_pending.set(True)


class TceCreateMutexLeak(Piece):
    slug = "tce-create-mutex-leak"
    number = "8"
    title = "TCE_CREATE keeps the container's lock when the default window cannot be made"
    commit = '2da64d20a0b2 "vfio/spapr: Fix missing mutex unlock when creating a window", v4.10'
    versions = "v4.10-rc only"
    symptom = "the next operation that takes the lock hangs, be it the release of the last group"
    trigger = "RLIMIT_MEMLOCK too small for the default window; TCE_CREATE; then anything"
    remedy = "the lock is given back on every way out"
    invariants = ("J-K1",)

    class container(Container):
        async def tce_iommu_create_windows(
            self, container: TceContainer, create: TceCreate
        ) -> tuple[int, int]:
            await container.lock.acquire()
            ret = await self.tce_iommu_create_default_window(container)
            if ret:
                return ret, 0
            made = await self.tce_iommu_create_window(
                container, create.page_shift, create.window_size, create.levels
            )
            await container.lock.release()
            return made


class SecondGroupNoWindows(Piece):
    slug = "second-group-no-windows"
    number = "9"
    title = "a group that joins a container with windows gets none of them"
    commit = (
        '6f01cc692a16 (v4.10); "vfio/spapr_tce: Set window when adding additional groups to container", v4.11'
    )
    versions = "v4.10"
    symptom = "every DMA of the second group faults"
    trigger = "attach a group, make a window, attach another group"
    remedy = "every window is set in the joining group, with undo"
    invariants = ("J-W1",)

    class container(Container):
        async def set_existing_windows(self, container: TceContainer, group: TableGroup) -> int:
            return 0


class AttachNullIommudata(Piece):
    slug = "attach-null-iommudata"
    number = "10"
    title = "attaching a group without DMA of its own dereferences NULL"
    commit = 'bd00fdf198e2 "vfio/spapr: fail tce_iommu_attach_group() when iommu_data is null", v4.11'
    versions = "v4.9, v4.10"
    symptom = "oops in tce_iommu_attach_group"
    trigger = "a group whose iommudata is not set"
    remedy = "-ENODEV"
    invariants = ("J-K2",)
    failpoints = ("iommu_group_get_iommudata",)

    class container(Container):
        def no_table_group(self) -> int:
            raise KernelOops("NULL pointer dereference", "tce_iommu_attach_group", "J-K2")


class TypeCompatNotEnforced(Piece):
    slug = "type-compat-not-enforced"
    number = "11"
    title = "a v1 container accepts any group, and any number of them"
    commit = '1282ba7fc28d "vfio/powerpc/spapr_tce: Enforce IOMMU type compatibility check", v4.12'
    versions = "up to v4.11"
    symptom = "a v1 container takes several groups: they share its window, which is charged once"
    trigger = "a second group joins a v1 container"
    remedy = "one group in a v1 container, -EBUSY for more"
    invariants = ("expectation",)

    class container(Container):
        def may_attach(
            self, container: TceContainer, attached: tuple[TableGroup, ...], group: TableGroup
        ) -> int:
            return -EBUSY if any(other.group == group.group for other in attached) else 0


class AttachErrorFreesSibling(Piece):
    slug = "attach-error-frees-sibling"
    number = "12"
    title = "a group that may not attach takes an attached one's list element with it"
    commit = '"vfio/spapr_tce: Fix incorrect tce_iommu_group memory free", v5.4; bug since 2157e7b82f3b'
    versions = "v4.2 to v5.3"
    symptom = "use after free on the next walk of the groups"
    trigger = "attach a group, then one that does not fit"
    remedy = "only the new element is freed"
    invariants = ("J-K2",)

    class container(Container):
        def may_attach(
            self, container: TceContainer, attached: tuple[TableGroup, ...], group: TableGroup
        ) -> int:
            ret = super().may_attach(container, attached, group)
            if ret and attached:
                container.group_list.freed = True
            return ret


class UnsetAlreadyUnset(Piece):
    slug = "unset-already-unset"
    number = "49"
    title = "detach takes both windows from a group, set or not"
    commit = '"vfio/spapr_tce: Skip unsetting already unset table", v5.1'
    versions = "up to v5.0"
    symptom = "needless firmware calls"
    trigger = "detach a group that does not have both windows"
    remedy = "only windows that are set are taken"
    invariants = ("J-W1",)

    class container(Container):
        async def leave_window(
            self, container: TceContainer, group: TableGroup, num: int, table: IommuTable | None
        ) -> None:
            await super().leave_window(container, group, num, table)
            if table is None:
                await call(group.group, UnsetWindow(num))


class ClearAfterUnset(Piece):
    slug = "clear-after-unset"
    number = "50"
    title = "a window is taken from the groups before its TCEs are cleared, or they are not cleared at all"
    commit = '"vfio/spapr: Always clear TCEs before unsetting the window", v6.11'
    versions = "up to v6.10"
    symptom = "TCEs remain in a table that no group has any more"
    trigger = "detach a group, or remove a window, with live TCEs"
    remedy = "clear, then unset, then free"
    invariants = ("J-T5",)

    class container(Container):
        async def leave_window(
            self, container: TceContainer, group: TableGroup, num: int, table: IommuTable | None
        ) -> None:
            if table is not None:
                await self.unset_window(group.group, num, table)

        async def clear_and_unset(self, container: TceContainer, num: int, table: IommuTable) -> None:
            for group in await container.group_list.walk():
                await self.unset_window(group.group, num, table)
            await self.tce_iommu_clear(container, table, table.hw.it_offset, table.hw.it_size)

        async def release_table(self, container: TceContainer, table: IommuTable) -> None:
            await self.tce_iommu_clear(container, table, table.hw.it_offset, table.hw.it_size)
            await super().release_table(container, table)


class TableSizeSmall(Piece):
    slug = "table-size-small"
    number = "55"
    title = "a small table with levels is charged less than is allocated for it"
    commit = '"Fix IOMMU table size calculation hook for small tables", v4.14 or so'
    versions = "up to v4.13"
    symptom = "a warning at creation, and more is given back than was charged"
    trigger = "TCE_CREATE of a small window with two or more levels"
    remedy = "every level counts"
    invariants = ("J-L1",)

    class container(Container):
        def rounds_small_levels(self) -> bool:
            return False


class OverallocatedWarn(Piece):
    slug = "overallocated-warn"
    number = "56"
    title = "a table whose size differs in any way from what was charged is warned about"
    commit = "v4.13 or so: only a larger one is"
    versions = "up to v4.12"
    symptom = "a warning at each creation of a small table with levels"
    trigger = "TCE_CREATE of a small window with two or more levels"
    remedy = "the sizes agree"
    invariants = ("J-L1",)

    class container(TableSizeSmall.container):
        async def tce_iommu_create_table(
            self, container: TceContainer, num: int, page_shift: int, window_size: int, levels: int
        ) -> tuple[int, IommuTable | None]:
            ret, table = await super().tce_iommu_create_table(container, num, page_shift, window_size, levels)
            charged = self.pnv_pci_ioda2_get_table_size(page_shift, window_size, levels)
            if table is not None and table.hw.it_allocated_size != charged:
                made = table.hw.it_allocated_size
                self.world.warn(
                    f"{table.name} has {made} bytes, {charged} were charged", "tce_iommu_create_table"
                )
            return ret, table


class TooManyLevels(Piece):
    slug = "too-many-levels"
    number = "54"
    title = "a table may decode more bits than a bus address has"
    commit = '7aafac11e308 "powerpc/powernv/ioda2: Gracefully fail if too many TCE levels requested", v4.11'
    versions = "up to v4.10"
    symptom = "hang or corruption when the table is walked"
    trigger = "TCE_CREATE with more levels than the window needs"
    remedy = "-EINVAL from 55 bits on"
    invariants = ("J-T3",)

    class container(Container):
        def max_address_bits(self) -> int:
            # More than five levels of 32-bit logarithms add up to: nothing is refused.
            return 1 << 40

        def pnv_pci_ioda2_create_table(
            self, num: int, page_shift: int, window_size: int, levels: int
        ) -> IommuTable | int:
            table = super().pnv_pci_ioda2_create_table(num, page_shift, window_size, levels)
            if isinstance(table, IommuTable) and table.hw.geometry.address_bits > 64:
                bits = table.hw.geometry.address_bits
                self.world.misuse("J-T3", f"{table.name} decodes {bits} bits of bus address", "pnv_tce")
            return table


class ReleaseOwnershipLost(Piece):
    slug = "release-ownership-lost"
    number = "52"
    title = "the host does not get its default window back"
    commit = 'd2d00e15808c "powerpc: iommu: Bring back table group release_ownership() call", v6.8'
    versions = "v6.4 to v6.7"
    symptom = "after VFIO the host driver of the device has no DMA window"
    trigger = "a group leaves its container"
    remedy = "release_ownership sets the host's window and bypass again"
    invariants = ("J-Q4",)

    class group(Group):
        async def release_ownership(self) -> None:
            return None


PIECES: tuple[type[Piece], ...] = (
    DefaultWindowDoubleCreate,
    RemovePendingUnlocked,
    CreateTableChargeLeak,
    AttachFailLeavesPending,
    TceCreateMutexLeak,
    SecondGroupNoWindows,
    AttachNullIommudata,
    TypeCompatNotEnforced,
    AttachErrorFreesSibling,
    ClearAfterUnset,
    UnsetAlreadyUnset,
    TableSizeSmall,
    OverallocatedWarn,
    TooManyLevels,
    ReleaseOwnershipLost,
)
