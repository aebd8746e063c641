"""Planted mistakes of registration: counts, lists, and the locks over them."""

from __future__ import annotations

from errno import EBUSY, EINVAL, ENOENT

from actors.kernel.composition import Piece
from actors.kernel.container import Container
from actors.kernel.messages import NewRegion
from actors.kernel.mm_iommu import Mm
from actors.kernel.regions import Region
from actors.kernel.tce_container import TceContainer
from actors.kernel.uapi import UserPointer
from hw import Ua


class BusyKeepsReference(Piece):
    slug = "busy-keeps-reference"
    title = "REGISTER of what is registered already forgets to drop the reference of its lookup"

    class container(Container):
        async def put_back(self, mm: str, mem: str) -> None:
            """One put less on the error path."""


class ForeignPut(Piece):
    slug = "foreign-put"
    title = "UNREGISTER of another container's region drops a reference that it never took"

    class container(Container):
        async def registered_here(self, container: TceContainer, mem: str) -> bool:
            here = await super().registered_here(container, mem)
            if not here:
                mm = await self.mm_of(container)
                assert mm is not None
                await self.put_back(mm, mem)
            return here


class PutDecrementsUnlocked(Piece):
    slug = "put-decrements-unlocked"
    title = "the registrations of a region are counted down before mem_list_mutex is taken"

    class mm(Mm):
        async def mm_iommu_put(self, mem: str) -> int:
            region = self.region(mem)
            if await region.used.get() == 0:
                return -ENOENT
            if await region.used.add(-1) > 0:
                return 0
            async with self.mem_list_mutex:
                if not await region.mapped.compare_exchange(1, 0):
                    await region.used.add(1)
                    return -EBUSY
                await self.mm_iommu_release(region)
            await self.uncharge_released(region)
            return 0


class UnregisterChecksUnlocked(Piece):
    slug = "unregister-checks-unlocked"
    title = "UNREGISTER looks its region up before it takes container.lock"

    class container(Container):
        async def tce_iommu_unregister_memory(self, container: TceContainer, arg: UserPointer) -> int:
            ret, param = await self.read_register_argument(arg)
            mm = await self.mm_of(container)
            if param is None or mm is None:
                return ret
            entries = param.size // self.memory.page_size
            mem = await self.find_registration(container, mm, Ua(param.vaddr), entries)
            if mem is None:
                return -ENOENT
            async with container.lock:
                return await self.drop_registration(container, mm, mem)


class PublishUnchecked(Piece):
    slug = "publish-unchecked"
    title = "whether a new region overlaps another one is looked at before the list is locked"

    class mm(Mm):
        async def mm_iommu_publish(self, region: Region) -> NewRegion:
            await self.mem_list.read()
            if self.mem_list.overlapping(region.ua, region.end) is not None:
                return NewRegion(-EINVAL, "")
            async with self.mem_list_mutex:
                await self.mem_list.add(region)
                self.regions[region.name] = region
            return NewRegion(0, region.name)


class UnchargeBeforeBusy(Piece):
    slug = "uncharge-before-busy"
    title = "the charge of a region is given back before it is known that no TCE points in"

    class mm(Mm):
        async def mm_iommu_put(self, mem: str) -> int:
            region = self.region(mem)
            if await region.used.get() == 1:
                await self.uncharge_released(region)
            return await super().mm_iommu_put(mem)

        async def mm_iommu_release(self, region: Region) -> None:
            await super().mm_iommu_release(region)
            await self.account_locked_vm(region.entries)


class FreeWithoutGracePeriod(Piece):
    slug = "free-without-grace-period"
    title = "an unlinked region is freed at once, though somebody may be reading it"

    class mm(Mm):
        async def mm_iommu_release(self, region: Region) -> None:
            await self.mem_list.delete(region)
            await self.mm_iommu_free(region.name)
