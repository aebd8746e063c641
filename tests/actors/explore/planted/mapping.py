"""Planted mistakes of MAP, UNMAP and windows."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from errno import EINVAL, ENXIO
from typing import Any

from actors.kernel.composition import Piece
from actors.kernel.container import Container
from actors.kernel.mm_iommu import Mm
from actors.kernel.tce_container import TceContainer
from actors.runtime.cells import Counter
from actors.runtime.ops import point
from actors.runtime.sync import Completion


class MappedPlainIncrement(Piece):
    slug = "mapped-plain-increment"
    title = "the count of TCEs into a region is read, added to and written back"

    class mm(Mm):
        async def mm_iommu_mapped_inc(self, mem: str) -> int:
            region = self.region(mem)
            old = await region.mapped.get()
            if old == 0:
                return -ENXIO
            await point(region.mapped.writing())
            region.mapped.value = old + 1
            return 0


class ForsakenSeenTooEarly(Piece):
    slug = "forsaken-seen-too-early"
    title = "whether a region is forsaken is looked at before the TCE is counted down"

    class mm(Mm):
        async def mm_iommu_mapped_dec(self, mem: str) -> None:
            region = self.region(mem)
            forsaken = await region.used.get() == 0
            await region.mapped.add_unless(-1, 1)
            if forsaken:
                await self.mm_iommu_reap(region)


class RemoveUnlocksEarly(Piece):
    slug = "remove-unlocks-early"
    title = "REMOVE lets MAPs in again before the window's slot is empty"

    class container(Container):
        async def tce_iommu_remove_window(self, container: TceContainer, start_addr: int) -> int:
            async with self.nobody_maps(container):
                num, table = await self.tce_iommu_find_table(container, start_addr)
                if table is None:
                    return -EINVAL
                await self.clear_and_unset(container, num, table)
            await self.tce_iommu_free_table(container, table)
            await container.tables[num].set(None)
            return 0


class MissedWakeup(Piece):
    slug = "missed-wakeup"
    title = "REMOVE counts the MAPs in flight, and begins to wait when the last has told that it is done"

    class container(Container):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self.mappers = Counter(self.core, f"{self.id}.mappers")
            self.idle: Completion | None = None

        @asynccontextmanager
        async def _mapping(self) -> AsyncIterator[None]:
            await self.mappers.add(1)
            yield
            if await self.mappers.add(-1) == 0 and self.idle is not None:
                self.idle.complete()

        @asynccontextmanager
        async def _alone(self) -> AsyncIterator[None]:
            if await self.mappers.get():
                await self.mappers.get()
                self.idle = Completion(self.core, f"{self.id}.idle", "whoever maps")
                await self.idle.wait()
            yield

        def tables_stay(self, container: TceContainer) -> AbstractAsyncContextManager[None]:
            return self._mapping()

        def nobody_maps(self, container: TceContainer) -> AbstractAsyncContextManager[None]:
            return self._alone()
