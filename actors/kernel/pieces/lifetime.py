"""Defects of teardown (sections G.1 and G.5): release, and what may run at the same time."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager, nullcontext

from actors.kernel.composition import Piece
from actors.kernel.container import Container
from actors.kernel.tce_container import TceContainer


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
    ReleaseLeaksMappedRegion,
    IoctlVsRelease,
)
