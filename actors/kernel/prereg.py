"""REGISTER_MEMORY and UNREGISTER_MEMORY: what a container has registered is on its own list.

Kernel: drivers/vfio/vfio_iommu_spapr_tce.c. That a registration belongs to the container that made
it, and goes when that container goes, is the patch this emulator was written about.
"""

from __future__ import annotations

from errno import EBUSY, EFAULT, EINVAL, ENOENT, ENOMEM, EPERM, ESRCH

from actors.kernel.messages import (
    MmIommuFind,
    MmIommuForsake,
    MmIommuGet,
    MmIommuNew,
    MmIommuPut,
    NewRegion,
)
from actors.kernel.tce_container import ContainerState, TceContainer
from actors.kernel.uapi import REGISTER_MEMORY, RegisterMemory, UserPointer
from actors.runtime.ops import call
from hw import Ua

U64 = (1 << 64) - 1


class Prereg(ContainerState):
    """The pre-registration part of a container."""

    async def tce_iommu_register_memory(self, container: TceContainer, arg: UserPointer) -> int:
        """REGISTER_MEMORY. Errors: -EPERM, -EFAULT, -EINVAL, and those of :meth:`tce_iommu_register_pages`.

        Context: takes ``container.lock``; may sleep.
        """
        ret = await self.tce_iommu_mm_bind(container)
        if ret:
            return ret
        ret, param = await self.read_register_argument(arg)
        if param is None:
            return ret
        async with container.lock:
            return await self.tce_iommu_register_pages(container, Ua(param.vaddr), param.size)

    async def tce_iommu_unregister_memory(self, container: TceContainer, arg: UserPointer) -> int:
        """UNREGISTER_MEMORY. Errors: -EPERM, -EFAULT, -EINVAL, -ENOENT, -EBUSY.

        Context: takes ``container.lock``; may sleep.
        """
        if not await self.is_bound(container):
            return -EPERM
        ret, param = await self.read_register_argument(arg)
        if param is None:
            return ret
        async with container.lock:
            return await self.tce_iommu_unregister_pages(container, Ua(param.vaddr), param.size)

    async def read_register_argument(self, arg: UserPointer) -> tuple[int, RegisterMemory | None]:
        """Copy and check the argument that both requests share; 0 and it, or -EFAULT, -EINVAL."""
        data = await self.copy_from_user(arg, REGISTER_MEMORY.size)
        if data is None:
            return -EFAULT, None
        param = RegisterMemory._make(REGISTER_MEMORY.unpack(data))
        if param.argsz < REGISTER_MEMORY.size or param.flags:
            return -EINVAL, None
        return 0, param

    async def tce_iommu_register_pages(self, container: TceContainer, vaddr: Ua, size: int) -> int:
        """Register ``size`` bytes at ``vaddr``, both multiples of the kernel page.

        Returns:
            0; -EINVAL (alignment, wrap, overlap); -EBUSY when this container has registered the range
            already; -ENOMEM; -EFAULT.

        Context: ``container.lock`` held.
        """
        page = self.memory.page_size
        if vaddr % page or size % page or vaddr + size > U64:
            return -EINVAL
        mm = await self.mm_of(container)
        if mm is None:
            return -ESRCH
        entries = size // page
        mem = await self.find_region(mm, vaddr, entries)
        if mem is not None and await self.registered_already(container, mem):
            await self.put_back(mm, mem)
            return -EBUSY
        new = await self.reference_region(mm, mem, vaddr, entries)
        return new.ret or await self.tce_iommu_list_region(container, mm, new.mem)

    async def find_region(self, mm: str, vaddr: Ua, entries: int) -> str | None:
        """Find the region with exactly this range and hold it: its name or None."""
        return await call(mm, MmIommuGet(vaddr, entries))

    async def put_back(self, mm: str, mem: str) -> None:
        """Let go of a region that :meth:`find_region` found."""
        await call(mm, MmIommuPut(mem))

    async def reference_region(self, mm: str, mem: str | None, vaddr: Ua, entries: int) -> NewRegion:
        """Return the reference that the registration keeps: of the region found, or of a new one."""
        return NewRegion(0, mem) if mem is not None else await call(mm, MmIommuNew(vaddr, entries))

    async def registered_already(self, container: TceContainer, mem: str) -> bool:
        """Whether this container has registered a region, so that it must not do so again."""
        await container.prereg_list.read()
        return container.prereg_list.holds(mem)

    async def registered_here(self, container: TceContainer, mem: str) -> bool:
        """Whether this container has registered a region, so that it may take that back."""
        await container.prereg_list.read()
        return container.prereg_list.holds(mem)

    async def tce_iommu_list_region(self, container: TceContainer, mm: str, mem: str) -> int:
        """Put a region that was just referenced on the container's list and enable the container.

        Returns:
            0, or -ENOMEM with the reference returned.
        """
        if self.core.fails("tce_iommu_register_pages.kzalloc"):
            return await self.no_list_element(mm, mem)
        await container.prereg_list.add(mem)
        await container.enabled.set(True)
        return 0

    async def no_list_element(self, mm: str, mem: str) -> int:
        """The element of the list could not be allocated: undo, and -ENOMEM.

        A region that another container left to its TCEs was found by its range, so there may be some.
        """
        await call(mm, MmIommuForsake(mem))
        return -ENOMEM

    async def tce_iommu_unregister_pages(self, container: TceContainer, vaddr: Ua, size: int) -> int:
        """Take back what this container registered as exactly this range.

        Returns:
            0; -EINVAL; -ENOENT when this container did not register it; -EBUSY, and nothing changed,
            when it is the last registration and TCEs point in.

        Context: ``container.lock`` held.
        """
        page = self.memory.page_size
        if vaddr % page or size % page:
            return -EINVAL
        mm = await self.mm_of(container)
        if mm is None:
            return -ESRCH
        mem = await self.find_registration(container, mm, vaddr, size // page)
        if mem is None:
            return -ENOENT
        return await self.drop_registration(container, mm, mem)

    async def find_registration(
        self, container: TceContainer, mm: str, vaddr: Ua, entries: int
    ) -> str | None:
        """Find the region that this container has registered as exactly this range, or None.

        No reference is taken: it could become the last one, with nobody left to drop it. What is on the
        container's own list stays while its lock is held, and another region is only compared with it.
        """
        mem = await call(mm, MmIommuFind(vaddr, entries))
        return mem if mem is not None and await self.registered_here(container, mem) else None

    async def drop_registration(self, container: TceContainer, mm: str, mem: str) -> int:
        """Drop the reference of the container's list; what comes of it is the answer of UNREGISTER."""
        return await self.tce_iommu_prereg_free(container, mm, mem)

    async def tce_iommu_prereg_free(self, container: TceContainer, mm: str, mem: str) -> int:
        """Drop one registration of this container; 0, or the error with the list unchanged.

        Context: ``container.lock`` held. Kernel: ``tce_iommu_prereg_free``.
        """
        ret = await call(mm, MmIommuPut(mem))
        if not ret:
            await container.prereg_list.delete(mem)
        return ret

    def owns_registrations(self) -> bool:
        """Whether a registration belongs to the container that made it, and goes with it."""
        return True

    async def tce_iommu_release_prereg(self, container: TceContainer, mm: str) -> None:
        """Drop every registration of a container that is going away, whoever still holds the mm.

        Context: nobody else can reach ``container`` any more, so its lock is not needed.
        """
        for mem in await container.prereg_list.walk():
            await call(mm, MmIommuForsake(mem))
            await container.prereg_list.delete(mem)
