"""Defects of MAP and UNMAP (section G.3)."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager, nullcontext
from errno import ENXIO

from actors.kernel.composition import Piece
from actors.kernel.container import Container
from actors.kernel.entries import NO_ENTRY, OldEntry
from actors.kernel.mm_iommu import Mm
from actors.kernel.regions import Region
from actors.kernel.tce_container import IommuTable, TceContainer
from actors.runtime.ops import point

SOFT_LOCKUP_ENTRIES = 1 << 28
"""Entries cleared in one go that keep a CPU for about 20 s."""


class V1ContainedFailPinLeak(Piece):
    slug = "v1-contained-fail-pin-leak"
    number = "35"
    title = "v1 MAP keeps the pin of a page that is smaller than the IOMMU page"
    commit = "latent, no fix known"
    versions = "all"
    symptom = "each failing MAP_DMA leaks one page reference"
    trigger = "v1 MAP over a table with IOMMU pages larger than the backing pages: -EPERM"
    remedy = "the pin is dropped before -EPERM is returned"
    invariants = ("J-P1",)
    failpoints = ("tce_page_is_contained",)

    class container(Container):
        def release_uncontained(self, table: IommuTable, pfn: int) -> None:
            return None


class V2MappedIncSuccess(Piece):
    slug = "v2-mapped-inc-success"
    number = "36"
    title = "MAP that meets a dying region returns 0 with only a prefix mapped"
    commit = "latent, no fix known"
    versions = "all"
    symptom = "MAP_DMA reports success, the device faults later"
    trigger = "UNREGISTER finishes between MAP's lookup and its count"
    remedy = "the prefix is cleared and -EINVAL returned, as for memory that is not registered"
    invariants = ("J-A2",)

    class container(Container):
        async def build_v2_failed(
            self, container: TceContainer, table: IommuTable, index: int, done: int, ret: int
        ) -> int:
            if ret == -ENXIO:
                return 0
            return await super().build_v2_failed(container, table, index, done, ret)


class V2XchgFailCounter(Piece):
    slug = "v2-xchg-fail-counter"
    number = "37"
    title = "MAP that cannot write the entry takes the count back from the wrong region"
    commit = "latent, reachable since table levels are allocated on demand (v4.19)"
    versions = "v4.19 and later"
    symptom = "a region can never be unregistered, or is unregistered under a live TCE"
    trigger = "the allocation of a table level fails in MAP"
    remedy = "the count of the region that was to be mapped is taken back"
    invariants = ("J-R3", "J-T1")
    failpoints = ("pnv_alloc_tce_level",)

    class container(Container):
        async def undo_failed_xchg(
            self, container: TceContainer, table: IommuTable, index: int, mem: str
        ) -> None:
            await self.tce_iommu_unuse_page_v2(container, table, table.hw.ua(index))
            if table.hw.view_level_present(index):
                table.hw.set_ua(index, 0)


class V2PuaNull(Piece):
    slug = "v2-pua-null"
    number = "38"
    title = "MAP stores through a NULL pointer when the level of the userspace view cannot be allocated"
    commit = "latent, since v4.19"
    versions = "v4.19 and later"
    symptom = "oops in tce_iommu_build_v2"
    trigger = "the allocation of a level of the view fails while the table's own succeeds"
    remedy = "-ENOMEM before anything is written"
    invariants = ("J-K2",)
    failpoints = ("pnv_alloc_tce_level.view",)

    class container(Container):
        def view_level_missing(self, ret: int) -> int:
            return 0


class MapPastWindowEnd(Piece):
    slug = "map-past-window-end"
    number = "40"
    title = "only the first page of a MAP is checked against the end of the window"
    commit = "latent, no fix known"
    versions = "all"
    symptom = "memory after the TCE table is overwritten"
    trigger = "MAP of two pages at the last page of a window"
    remedy = "the whole range is checked, as UNMAP does"
    invariants = ("J-T3",)

    class container(Container):
        def iommu_tce_put_param_check(self, table: IommuTable, ioba: int, count: int) -> int:
            return self.iommu_tce_check_ioba(table, ioba, 1)


class ClearNpagesIgnored(Piece):
    slug = "clear-npages-ignored"
    number = "41"
    title = "only the first page of an UNMAP is checked against the end of the window"
    commit = (
        'b1af23d836f8 (v4.12); mended by "powerpc/iommu: Fix the overflow validation in iommu_tce_check_ioba"'
    )
    versions = "v4.12 to 2026"
    symptom = "memory after the TCE table is cleared"
    trigger = "UNMAP that begins inside a window and ends outside"
    remedy = "the whole range is checked"
    invariants = ("J-T3",)

    class container(Container):
        def iommu_tce_clear_param_check(self, table: IommuTable, ioba: int, count: int) -> int:
            return self.iommu_tce_check_ioba(table, ioba, 1)


class ParamCheckReturnsOne(Piece):
    slug = "param-check-returns-one"
    number = "42"
    title = "a misaligned bus address makes MAP and UNMAP return 1"
    commit = "b1af23d836f8 (v4.12): the check is the logical OR of an errno and a condition"
    versions = "v4.12 and later"
    symptom = "an ioctl that did nothing looks like a success"
    trigger = "MAP or UNMAP at a bus address inside a window that is not a multiple of the IOMMU page"
    remedy = "-EINVAL"
    invariants = ("J-A1",)

    class container(Container):
        def param_check_error(self) -> int:
            return 1


class ClearSoftlockup(Piece):
    slug = "clear-softlockup"
    number = "43"
    title = "clearing a huge window never lets anybody else run"
    commit = '"vfio/spapr: Add cond_resched() for huge updates", v4.15'
    versions = "up to v4.14"
    symptom = "soft lockup reports while a window is cleared"
    trigger = "remove a window with very many entries"
    remedy = "others may run between two entries"
    invariants = ("J-Q3",)

    class container(Container):
        def watch_clear(self, count: int) -> None:
            if count >= SOFT_LOCKUP_ENTRIES:
                self.world.misuse(
                    "J-Q3", f"soft lockup: {count} entries cleared in one go", "tce_iommu_clear"
                )


class DirtyNotMarked(Piece):
    slug = "dirty-not-marked"
    number = "44"
    title = "only the exchange of an entry marks a page dirty, so one still mapped when its pins go is not"
    commit = '"KVM: PPC: Avoid marking DMA-mapped pages dirty in real mode", v4.19'
    versions = "up to v4.18; pins go under TCEs only with tce-outlives-pins"
    symptom = "what the device wrote to file-backed memory is lost"
    trigger = "shared memory is mapped for writing, the process forks and exits, the child has both"
    remedy = "pages that TCEs still point to are marked when their pins go, too"
    invariants = ("J-D1",)

    class mm(Mm):
        def mark_still_mapped(self, region: Region) -> None:
            return None


class StaleTranslationWindow(Piece):
    slug = "stale-translation-window"
    number = "45"
    title = "pages are let go of before the bridge forgets their translations"
    commit = '"powerpc/vfio/spapr_tce: Invalidate multiple TCEs at once", v5.4'
    versions = "v5.4 and later"
    symptom = "for a moment the device can use a page that belongs to somebody else"
    trigger = "DMA between the clearing of an entry and the kill of the range"
    remedy = "a bridge forgets an entry before what it pointed to is let go of"
    invariants = ("J-T4",)

    class container(Container):
        async def kill_before_letting_go(
            self, container: TceContainer, table: IommuTable, index: int, count: int
        ) -> None:
            return None

        async def kill_after_run(
            self, container: TceContainer, table: IommuTable, index: int, count: int
        ) -> None:
            await self.iommu_tce_kill(container, table, index, count)


class V1DisableLiveTces(Piece):
    slug = "v1-disable-live-tces"
    number = "46"
    title = "DISABLE gives the charge back while TCEs and their pins stay"
    commit = "by design"
    versions = "all"
    symptom = "pages stay pinned that nobody is charged for"
    trigger = "v1: MAP, then DISABLE"
    remedy = "DISABLE closes the gate, then clears every TCE; MAP looks at the gate again under tables_lock"
    invariants = ("J-L2",)

    class container(Container):
        async def tce_iommu_clear_before_disable(self, container: TceContainer) -> None:
            return None

        async def may_still_map(self, container: TceContainer) -> bool:
            return True


class TceLevelRace(Piece):
    slug = "tce-level-race"
    number = "53"
    title = "two CPUs install the same table level and one subtree is lost"
    commit = '56090a3902c8 "powerpc/powernv/ioda: Fix race in TCE level allocation", v5.4'
    versions = "v4.19 to v5.3"
    symptom = "TCEs that were stored read back as empty"
    trigger = "two MAPs into the same absent level of a multi-level table at the same time"
    remedy = "compare and exchange; the loser drops its level"
    invariants = ("J-T6",)

    class container(Container):
        def install_level(self, table: IommuTable, index: int, depth: int, view: bool) -> None:
            install = table.hw.install_view_level if view else table.hw.install_level
            lost = install(index, depth)
            if lost:
                self.world.misuse(
                    "J-T6", f"{table.name}: {lost} entries lost with the level at {index:#x}", "pnv_tce"
                )


class TceViewRace(Piece):
    slug = "tce-view-race"
    title = "an entry and its slot of the userspace view change in two steps"
    commit = "latent, found by this emulator"
    versions = "all"
    symptom = "a region's count of TCEs is wrong for ever: it cannot be unregistered, or too early"
    trigger = "two MAPs (or MAP and UNMAP) of the same bus address at the same time"
    remedy = "entry and slot change together"
    invariants = ("J-R3", "J-T7")

    class container(Container):
        async def iommu_tce_xchg(
            self, table: IommuTable, index: int, hpa: int, perm: int, ua: int | None
        ) -> tuple[int, OldEntry]:
            ret, old = await super().iommu_tce_xchg(table, index, hpa, perm, None)
            if ret or ua is None:
                return ret, old
            if perm:
                ret = await self.iommu_table_level(table, index, view=True)
                if ret and self.view_level_missing(ret):
                    return ret, NO_ENTRY
            if self.core.controlled:
                await point(table.view(index))
            table.check("tce_iommu_build_v2")
            old = old._replace(ua=table.hw.ua(index))
            if self.core.controlled:
                await point(table.view(index))
            table.check("tce_iommu_build_v2")
            self.store_view(table, index, ua if perm else 0)
            return 0, old


class ViewMadeTwice(Piece):
    slug = "view-made-twice"
    title = "two first MAPs of a window each make its userspace view, and the first view is lost"
    commit = "39701e56f5f1 (v4.10), found by this emulator; gone since v4.19, where the table brings its view"
    versions = "v4.10 to v4.18, with view-made-by-first-map"
    symptom = "4 MiB stay locked for good; a region that can never be unregistered"
    trigger = "two MAPs at once into a window into which nothing was mapped before"
    remedy = "looked at again once it is charged; the second gives its charge back"
    invariants = ("J-T1", "J-R3", "J-L1")

    class container(Container):
        def view_made_meanwhile(self, table: IommuTable) -> bool:
            return False


class MapRemoveRace(Piece):
    slug = "map-remove-race"
    title = "MAP and UNMAP use a table that TCE_REMOVE frees meanwhile"
    commit = "latent, found by this emulator"
    versions = "all"
    symptom = "TCEs written into freed memory; regions that can never be unregistered"
    trigger = "MAP in one thread, TCE_REMOVE of the same window in another"
    remedy = "a read-write lock keeps tables while MAP and UNMAP work on one"
    invariants = ("J-K2", "J-R3", "J-T5")

    class container(Container):
        def tables_stay(self, container: TceContainer) -> AbstractAsyncContextManager[None]:
            return nullcontext()

        def nobody_maps(self, container: TceContainer) -> AbstractAsyncContextManager[None]:
            return nullcontext()


PIECES: tuple[type[Piece], ...] = (
    V1ContainedFailPinLeak,
    V2MappedIncSuccess,
    V2XchgFailCounter,
    V2PuaNull,
    MapPastWindowEnd,
    ClearNpagesIgnored,
    ParamCheckReturnsOne,
    ClearSoftlockup,
    DirtyNotMarked,
    StaleTranslationWindow,
    V1DisableLiveTces,
    TceLevelRace,
    TceViewRace,
    ViewMadeTwice,
    MapRemoveRace,
)
