"""Defects of windows, tables and ownership (sections G.1 and G.4)."""

from __future__ import annotations

from actors.kernel.composition import Piece
from actors.kernel.container import Container
from actors.kernel.tce_container import TceContainer


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
    invariants = ("J-A3",)
    failpoints = ("take_ownership",)

    class container(Container):
        async def owe_default_window(self, container: TceContainer, ret: int) -> None:
            await container.def_window_pending.set(True)


PIECES: tuple[type[Piece], ...] = (
    DefaultWindowDoubleCreate,
    RemovePendingUnlocked,
    CreateTableChargeLeak,
    AttachFailLeavesPending,
)
