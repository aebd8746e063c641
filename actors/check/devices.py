"""J-T4, J-P2, J-T1 as a device sees them: what its accesses met, and what its bridge still remembers."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from actors.check.view import View
from actors.check.violation import Violation
from actors.kernel.group import Group
from hw import WINDOW1_START, DmaHit

ADDRESS = ~3
"""The bits of a TCE that are an address."""


class Devices:
    """The judge of DMA."""

    def __init__(self, view: View) -> None:
        self.view = view
        self._looked_at = len(view.machine.world.dma_hits)

    def judge_accesses(self) -> Iterator[Violation]:
        """Judge what devices have done since the last look; the frames are as they were at the access."""
        hits = self.view.machine.world.dma_hits
        fresh, self._looked_at = hits[self._looked_at :], len(hits)
        if fresh:
            self.view.look()
        for name, report in fresh:
            group = next(group for group in self.view.groups if group.id == name)
            for hit in report.hits:
                if not (group.pe.bypass and hit.ioba >= WINDOW1_START):
                    yield from self._hit(group, hit)

    def _hit(self, group: Group, hit: DmaHit) -> Iterator[Violation]:
        did = "wrote to" if hit.write else "read"
        what = f"{group.device_name} {did} frame {hit.pfn:#x} at bus {hit.ioba:#x}"
        how = "by a translation that the table no longer has" if hit.stale else "by a live TCE"
        if hit.freed:
            yield Violation("J-T4" if hit.stale else "J-P2", f"{what}, which is free, {how}")
        elif not hit.pins:
            whose = f"which belongs to {hit.owner} and is not pinned"
            yield Violation("J-T4" if hit.stale else "J-T1", f"{what}, {whose}, {how}")
        elif hit.stale and not self._for(group, hit.pfn):
            yield Violation("J-T4", f"{what}, which is pinned for somebody else by now, {how}")

    def judge_caches(self) -> Iterator[Violation]:
        """Judge what the bridges remember, when no operation is in the middle."""
        for group in self.view.groups:
            for num, index, tce in group.pe.cached:
                pfn = (tce & ADDRESS) >> self.view.page_shift
                if not self.view.memory.pins(pfn):
                    known = f"the bridge of {group.id} still translates entry {index:#x} of window {num}"
                    yield Violation("J-T4", f"{known} to frame {pfn:#x}, which is not pinned")

    def _for(self, group: Group, pfn: int) -> bool:
        """Whether a frame is pinned for the container that the group is in."""
        for driver in self.view.drivers:
            if driver.actor.id == group.container.value:
                if not driver.data.v2 or driver.mm is None:
                    return True
                return any(bool(np.any(region.pfns == pfn)) for region in driver.mm.regions.values())
        return False
