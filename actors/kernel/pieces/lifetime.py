"""Defects of ownership and teardown (sections G.1 and G.5): who holds what, and who lets go of it."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager, nullcontext
from errno import ENOMEM

from actors.kernel.composition import Piece
from actors.kernel.container import Container
from actors.kernel.messages import MmIommuFind, MmIommuNew, MmIommuPut, NewRegion
from actors.kernel.mm_iommu import Mm
from actors.kernel.tce_container import TceContainer
from actors.runtime.errors import KernelOops
from actors.runtime.ops import call
from hw import Ua


class MmOwnedPreregLazyMm(Piece):
    slug = "mm-owned-prereg-lazy-mm"
    number = "1"
    title = "registrations belong to the mm and are put only when its last holder drops it"
    commit = '4b6fad7097f8 "powerpc/mm/iommu, vfio/spapr: Put pages on VFIO container shutdown", v4.10'
    versions = "up to the parent of that commit"
    symptom = "guest RAM stays pinned after QEMU has exited, for hours if a CPU stays idle"
    trigger = "a kernel thread or the idle task borrows the mm when the process exits"
    remedy = "the release of a container puts what the container has registered, whoever holds the mm"
    invariants = ("J-Q1", "J-Q2")

    class container(Container):
        def owns_registrations(self) -> bool:
            return False

        async def tce_iommu_release_prereg(self, container: TceContainer, mm: str) -> None:
            return None

    class mm(Mm):
        async def destroy_context(self) -> None:
            await self.mm_iommu_cleanup()
            await super().destroy_context()

        async def mm_iommu_cleanup(self) -> None:
            """Unpin every region there is, whatever its counts say, and charge nobody."""
            for region in await self.mem_list.walk():
                await self.mem_list.delete(region)
                await self.mm_iommu_free(region.name)


class ContainerNoMmRef(Piece):
    slug = "container-no-mm-ref"
    number = "2"
    title = "a container works on an mm that it does not hold"
    commit = 'bc82d122ae4a "vfio/spapr: Reference mm in tce_container", v4.10'
    versions = "v4.9"
    symptom = "at release there is no mm to work on: charges and regions are abandoned"
    trigger = "the process exits while another one holds the descriptors"
    remedy = "the container holds mm_count from its binding to its release"
    invariants = ("J-M1", "J-K2")

    class container(Container):
        async def hold_mm(self, container: TceContainer, mm: str) -> None:
            return None

        async def drop_mm(self, container: TceContainer, mm: str) -> None:
            return None


class CurrentMmAccounting(Piece):
    slug = "current-mm-accounting"
    number = "3"
    title = "charges are made to, and taken from, whoever happens to be current"
    commit = 'd7baee6901b3 "powerpc/iommu: Stop using @current in mm_iommu_xxx", 88f54a3581eb, v4.10'
    versions = "v4.9"
    symptom = "one process stays charged, another one's locked_vm goes below zero or is clamped"
    trigger = "ENABLE in one process, DISABLE or the last close in another"
    remedy = "charges go to the mm that the container is bound to"
    invariants = ("J-L1", "J-L3")

    class container(Container):
        async def account_locked_vm(self, mm: str | None, pages: int) -> int:
            return await super().account_locked_vm(self.current.mm, pages)


class ForeignProcessIoctl(Piece):
    slug = "foreign-process-ioctl"
    number = "4"
    title = "any process with the descriptor may use the container, on its own memory"
    commit = 'bc82d122ae4a "vfio/spapr: Reference mm in tce_container", v4.10'
    versions = "v4.9"
    symptom = "TCEs that point into another process' memory; counts that never go down"
    trigger = "a forked child maps over its parent's mapping"
    remedy = "a container is bound to one mm; to others it answers -EPERM"
    invariants = ("J-T1", "J-R2", "J-R3")

    class container(Container):
        def foreign(self, mm: str) -> bool:
            return False

        async def is_bound(self, container: TceContainer) -> bool:
            return True

        async def mm_of(self, container: TceContainer) -> str | None:
            return self.current.mm


class UnbalancedPut(Piece):
    slug = "unbalanced-put"
    number = "5"
    title = "a registration is only a number: anyone may add to it and take from it"
    commit = '4b6fad7097f8 "powerpc/mm/iommu, vfio/spapr: Put pages on VFIO container shutdown", v4.10'
    versions = "up to the parent of that commit"
    symptom = "memory is unpinned although the container that registered it never asked"
    trigger = "register twice on one container; or unregister on another container of the same mm"
    remedy = "each container lists what it registered: twice is -EBUSY, somebody else's is -ENOENT"
    invariants = ("J-R2", "J-K2")

    class container(Container):
        async def registered_already(self, container: TceContainer, mem: str) -> bool:
            return False

        async def registered_here(self, container: TceContainer, mem: str) -> bool:
            return True

        async def tce_iommu_prereg_free(self, container: TceContainer, mm: str, mem: str) -> int:
            ret = await call(mm, MmIommuPut(mem))
            if ret:
                return ret
            await container.prereg_list.read()
            if container.prereg_list.holds(mem):
                await container.prereg_list.delete(mem)
            return 0


class ReleaseLoopInfinite(Piece):
    slug = "release-loop-infinite"
    number = "6"
    title = "release loops for ever over a registration that cannot be put"
    commit = '517ad4ae8aa9 "vfio/spapr_tce: Get rid of possible infinite loop", v5.0'
    versions = "v4.10 to v4.20"
    symptom = "the close of the last group never returns, with one warning"
    trigger = "one container registers, another of the same mm maps, the first one closes"
    remedy = "every registration is visited once"
    invariants = ("J-Q3", "J-Q1")
    excludes = {"release-leaks-mapped-region": "the one loops where the other gives up"}

    class container(Container):
        async def tce_iommu_release_prereg(self, container: TceContainer, mm: str) -> None:
            warned = False
            while True:
                await container.prereg_list.read()
                mem = container.prereg_list.first
                if mem is None:
                    return
                if await self.tce_iommu_prereg_free(container, mm, mem) and not warned:
                    warned = True
                    self.world.warn(f"{mem} is still mapped", "tce_iommu_release")


class ReleaseLeaksMappedRegion(Piece):
    slug = "release-leaks-mapped-region"
    title = "release gives up on a region that another container still maps: it is leaked"
    commit = '517ad4ae8aa9 "vfio/spapr_tce: Get rid of possible infinite loop", v5.0: what the loop became'
    versions = "v4.19.89, v5.0 and later"
    symptom = "one warning, and the pages stay pinned and charged for ever"
    trigger = "one container registers, another of the same mm maps, the first one closes"
    remedy = "the registration goes at once, and the last TCE into the region frees it"
    invariants = ("J-Q1", "J-Q2", "J-R2")

    class container(Container):
        async def tce_iommu_release_prereg(self, container: TceContainer, mm: str) -> None:
            for mem in await container.prereg_list.walk():
                if await self.tce_iommu_prereg_free(container, mm, mem):
                    self.world.warn(f"{mem} is still mapped and leaks", "tce_iommu_release")

        async def no_list_element(self, mm: str, mem: str) -> int:
            await call(mm, MmIommuPut(mem))
            return -ENOMEM


class PreregElementAllocUnchecked(Piece):
    slug = "prereg-element-alloc-unchecked"
    number = "7"
    title = "REGISTER writes through NULL when the list element cannot be allocated"
    commit = '"vfio/spapr_tce: Check kzalloc() return when preregistering memory", v4.12 or so'
    versions = "v4.10, v4.9.148"
    symptom = "oops with container.lock held: pages stay pinned, others hang on the lock"
    trigger = "no memory for the element in REGISTER"
    remedy = "the region is put and -ENOMEM returned"
    invariants = ("J-K1", "J-R2")
    failpoints = ("tce_iommu_register_pages.kzalloc",)

    class container(Container):
        async def no_list_element(self, mm: str, mem: str) -> int:
            raise KernelOops("NULL pointer dereference at 0x10", "tce_iommu_register_pages", "J-K1")


class FindWithoutReference(Piece):
    slug = "find-without-reference"
    number = "21"
    title = "REGISTER and UNREGISTER look a region up without holding it"
    commit = '"powerpc/mm/iommu/vfio_spapr_tce: Change mm_iommu_get to reference a region", v5.0'
    versions = "up to v4.20"
    symptom = "a region that one container looks at is freed by another one"
    trigger = "two containers of one mm: one looks a range up while the other unregisters it"
    remedy = "the lookup takes a reference under mem_list_mutex"
    invariants = ("J-K2",)

    class container(Container):
        async def find_region(self, mm: str, vaddr: Ua, entries: int) -> str | None:
            return await call(mm, MmIommuFind(vaddr, entries))

        async def put_back(self, mm: str, mem: str) -> None:
            return None

        async def reference_region(self, mm: str, mem: str | None, vaddr: Ua, entries: int) -> NewRegion:
            return await call(mm, MmIommuNew(vaddr, entries))

    class mm(Mm):
        async def mm_iommu_find(self, ua: Ua, entries: int) -> str | None:
            """Walk the list with neither mutex nor read section, as every reader then did."""
            if not (self.core.controlled or self.core.tracing):
                found = self.mem_list.exact(ua, entries)
                return None if found is None else found.name
            for region in await self.mem_list.walk():
                await region.mapped.get()
                if region.ua == ua and region.entries == entries:
                    return region.name
            return None


class TceOutlivesPins(Piece):
    slug = "tce-outlives-pins"
    aliases = ("cleanup-ignores-mapped",)
    number = "34"
    title = "the last drop of an mm unpins its regions though TCEs still point into them"
    commit = 'bc82d122ae4a "vfio/spapr: Reference mm in tce_container", v4.10'
    versions = "v4.9"
    symptom = "the device writes into pages that belong to somebody else"
    trigger = "register and map, fork, the parent exits, the child holds the descriptors"
    remedy = "the container holds the mm, so that its regions outlive its TCEs"
    invariants = ("J-T1", "J-M1")
    container = ContainerNoMmRef.container
    mm = MmOwnedPreregLazyMm.mm


class MmSetUnlocked(Piece):
    slug = "mm-set-unlocked"
    title = "a container is bound to an mm without the container's lock"
    commit = "latent since bc82d122ae4a (v4.10), found by this emulator"
    versions = "v4.10 and later"
    symptom = "two mms are held, and only one of them is let go of; or one is held twice"
    trigger = "two first REGISTERs (or TCE_CREATEs) of one container at the same time"
    remedy = "tested and bound under container.lock"
    invariants = ("J-M1", "J-R2")

    class container(Container):
        async def tce_iommu_mm_bind(self, container: TceContainer) -> int:
            return await self.tce_iommu_mm_set(container)


class IoctlVsRelease(Piece):
    slug = "ioctl-vs-release"
    number = "60"
    title = "the driver's data can be freed while an ioctl uses it"
    commit = '7f56c30bd0a2 "vfio: Remove unnecessary uses of vfio_container.group_lock", v4.14'
    versions = "v4.14 and later"
    symptom = "use after free of the container"
    trigger = "an ioctl on the container in one thread, the last group leaves in another"
    remedy = "ioctls hold group_lock for read"
    invariants = ("J-K2",)

    class container(Container):
        def driver_stays(self) -> AbstractAsyncContextManager[None]:
            return nullcontext()


PIECES: tuple[type[Piece], ...] = (
    MmOwnedPreregLazyMm,
    ContainerNoMmRef,
    CurrentMmAccounting,
    ForeignProcessIoctl,
    UnbalancedPut,
    ReleaseLoopInfinite,
    ReleaseLeaksMappedRegion,
    PreregElementAllocUnchecked,
    FindWithoutReference,
    TceOutlivesPins,
    MmSetUnlocked,
    IoctlVsRelease,
)
