"""Defects of pre-registration (section G.2): regions, their counts and their accounting."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager, nullcontext

from actors.kernel.composition import Piece
from actors.kernel.container import Container
from actors.kernel.messages import MmIommuPut, NewRegion
from actors.kernel.mm_iommu import Mm, Region
from actors.kernel.tce_container import TceContainer
from actors.runtime.ops import call


class PartialPinPositive(Piece):
    slug = "partial-pin-positive"
    number = "20"
    title = "REGISTER of a range with a hole returns the number of pages before the hole"
    commit = 'latent since 7a3a4d763837 "powerpc/mm_iommu: Allow pinning large regions"'
    versions = "v5.1 and later"
    symptom = "REGISTER_MEMORY returns a positive number; nothing is registered"
    trigger = "register a range whose tail is not mapped"
    remedy = "a range of which only a part could be pinned is -EFAULT"
    invariants = ("J-A1",)

    class mm(Mm):
        def short_pin(self, entries: int, chunks: list[int]) -> int:
            return chunks[-1] or super().short_pin(entries, chunks)


class UnregisterBusySwallowed(Piece):
    slug = "unregister-busy-swallowed"
    number = "22"
    title = "UNREGISTER of a region that is still mapped returns 0 and leaks it"
    commit = 'latent since "powerpc/mm/iommu/vfio_spapr_tce: Change mm_iommu_get to reference a region", v5.0'
    versions = "v5.0 and later"
    symptom = "UNREGISTER_MEMORY succeeds, the pages stay pinned and charged for ever"
    trigger = "unregister a region while a TCE points into it"
    remedy = "the extra reference of the lookup is dropped first, so that -EBUSY of the last one is the answer"
    invariants = ("J-R2", "J-Q1", "J-Q2")

    class container(Container):
        async def drop_registration(self, container: TceContainer, mm: str, mem: str) -> int:
            ret = await self.tce_iommu_prereg_free(container, mm, mem)
            await call(mm, MmIommuPut(mem))
            return ret


class OverlapRaceEinval(Piece):
    slug = "overlap-race-einval"
    number = "23"
    title = "the loser of two concurrent first registrations of one range gets -EINVAL"
    commit = 'by design of eb9d7a62c386 "powerpc/mm_iommu: Fix potential deadlock"'
    versions = "v5.1 and later"
    symptom = "REGISTER_MEMORY fails although, one after the other, both would share the region"
    trigger = "two containers of one mm register the same new range at the same time"
    remedy = "the loser shares what the winner published"
    invariants = ("J-A2",)

    class mm(Mm):
        async def mm_iommu_lost_race(self, other: Region) -> NewRegion:
            return NewRegion(-22, "")


class LookupUaf(Piece):
    slug = "lookup-uaf"
    number = "31"
    title = "MAP uses a region that was freed between finding it and counting the TCE"
    commit = "latent, no fix known"
    versions = "all"
    symptom = "use after free of the region"
    trigger = "MAP in one thread, UNREGISTER and the end of a grace period in between"
    remedy = "one RCU read section covers the lookup and the count"
    invariants = ("J-K2",)

    class container(Container):
        def regions_stay(self) -> AbstractAsyncContextManager[None]:
            return nullcontext()


class RcuReadersUnprotected(Piece):
    slug = "rcu-readers-unprotected"
    number = "30"
    title = "lookups walk the RCU list of regions outside any read section"
    commit = '"powerpc/mm/book3s64/iommu: fix some RCU-list locks", v5.8'
    versions = "up to v5.7"
    symptom = "use after free of a list element"
    trigger = "a lookup while another thread unregisters, and the end of a grace period in between"
    remedy = "the walk is inside an RCU read section"
    invariants = ("J-K2",)
    container = LookupUaf.container

    class mm(Mm):
        async def mm_iommu_lookup(self, ua: int, size: int) -> Region | None:
            for region in await self.mem_list.walk():
                await region.mapped.get()
                if region.ua <= ua and ua + size <= self.end_of(region):
                    return region
            return None


class AccountUnderflowWrap(Piece):
    slug = "account-underflow-wrap"
    number = "32"
    title = "giving back more than was charged wraps locked_vm to a huge number"
    commit = "79eb597cba06, v5.3"
    versions = "v5.3 and later"
    symptom = "VmLck is astronomical and every later lock fails"
    trigger = "any charge that is given back twice"
    remedy = "no more is given back than there is"
    invariants = ("J-L3",)

    class mm(Mm):
        async def checked_decrease(self, locked_vm: int, pages: int) -> int:
            kept = await super().checked_decrease(locked_vm, pages)
            return pages if kept == pages else pages + (1 << 64)


class CmaPinned(Piece):
    slug = "cma-pinned"
    number = "27"
    title = "compound pages in CMA areas are pinned where they are"
    commit = '678e174c4c16 "powerpc/mm/iommu: allow migration of cma allocated pages during mm_iommu_do_alloc"'
    versions = "v4.9 to v5.0 for compound pages"
    symptom = "later contiguous allocations fail because a region pins pages inside CMA"
    trigger = "register memory that lies in CMA"
    remedy = "pages are migrated out of CMA before they are pinned"
    invariants = ("J-P3",)


PIECES: tuple[type[Piece], ...] = (
    PartialPinPositive,
    UnregisterBusySwallowed,
    OverlapRaceEinval,
    RcuReadersUnprotected,
    LookupUaf,
    AccountUnderflowWrap,
)
