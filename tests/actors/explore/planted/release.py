"""Planted mistakes of detach, release and exit."""

from __future__ import annotations

from actors.kernel.composition import Piece
from actors.kernel.container import Container
from actors.kernel.messages import TableGroup
from actors.kernel.tce_container import TceContainer


class DetachUnlistsFirst(Piece):
    slug = "detach-unlists-first"
    title = "a leaving group is off the list before its tables are cleared, so its bridge is not told"

    class container(Container):
        async def tce_iommu_detach_group(self, container: TceContainer, group: TableGroup) -> None:
            async with container.lock:
                await container.group_list.delete(group)
                for num, cell in enumerate(container.tables):
                    await self.leave_window(container, group, num, await cell.get())


class ReleaseDropsMmFirst(Piece):
    slug = "release-drops-mm-first"
    title = "the release drops the mm before it puts what was registered there"

    class container(Container):
        async def tce_iommu_release_prereg(self, container: TceContainer, mm: str) -> None:
            await self.drop_mm(container, mm)
            await super().tce_iommu_release_prereg(container, mm)
            await self.hold_mm(container, mm)


class DataFreedUnlocked(Piece):
    slug = "data-freed-unlocked"
    title = "the last group's leaving frees the driver's data when it has given group_lock back"

    class container(Container):
        async def vfio_group_detach_container(self, group: str) -> None:
            async with self.group_lock.write():
                leaving = next(g for g in await self.group_list.walk() if g.group == group)
                container = await self.iommu_data.get()
                if container is not None:
                    await self.tce_iommu_detach_group(container, leaving)
                await self.return_dma(leaving)
                await self.group_list.delete(leaving)
                last = container is not None and not await self.group_list.walk()
            if last and container is not None:
                await self.tce_iommu_release(container)
                await self.iommu_data.set(None)
            await self.vfio_container_put(group)
