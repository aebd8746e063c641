"""J-P1, J-P3: every pin has a reason, and none lies in CMA.

What the pins should be is worked out again only when the regions or the v1 tables have changed; what they
are is compared each time.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from actors.check.view import View, counted
from actors.check.violation import Violation
from actors.kernel.regions import Region


class Pins:
    """The judge of pins."""

    def __init__(self, view: View) -> None:
        self.view = view
        self._key: list[Any] = []
        self._frames: NDArray[np.uint32] = np.empty(0, np.uint32)
        self._counts: NDArray[np.int64] = np.empty(0, np.int64)
        self._total = 0

    def judge(self) -> Iterator[Violation]:
        """Hold the pins of all frames against what should be pinned."""
        memory = self.view.memory
        regions = [region for mm in self.view.mms for region in mm.regions.values()]
        tables = [table for driver in self.view.drivers if not driver.data.v2 for _, table in driver.tables]
        key: list[Any] = [*regions, *((table, table.hw.changes) for table in tables)]
        if key != self._key:
            yield from in_cma(self.view, [region for region in regions if region not in self._key])
            v1 = [self.view.scan(table).hpas >> np.uint64(memory.page_shift) for table in tables]
            self._expect([region.pfns for region in regions] + [pfns.astype(np.uint32) for pfns in v1])
            self._key = key
        pins = memory.pin_counts(self._frames) if self._total else self._counts
        if memory.pinned_pages != self._total or not np.array_equal(pins, self._counts):
            yield self._wrong(pins)

    def _expect(self, parts: list[NDArray[np.uint32]]) -> None:
        """Work out how often each frame should be pinned."""
        together = parts[0] if len(parts) == 1 else np.concatenate([np.empty(0, np.uint32), *parts])
        self._total = len(together)
        if bool(np.all(together[1:] > together[:-1])):
            # One region of fresh frames: no frame occurs twice, and they are in order.
            self._frames, self._counts = together, np.ones(self._total, np.int64)
        else:
            self._frames, self._counts = np.unique(together, return_counts=True)

    def _wrong(self, pins: NDArray[Any]) -> Violation:
        memory = self.view.memory
        holders = ", ".join(f"{who} {count:,}" for who, count in memory.pins_by_holder.items()) or "nobody"
        message = (
            f"{counted(memory.pinned_pages, 'pin')} in the machine, but regions and v1 TCEs account for "
            f"{self._total:,}; pins by holder: {holders}"
        )
        off = np.flatnonzero(pins != self._counts)
        if len(off):
            first = int(off[0])
            message += (f"; frame {int(self._frames[first]):#x} has {int(pins[first])} and should have "
                        f"{int(self._counts[first])}")  # fmt: skip
        return Violation("J-P1", message)


def in_cma(view: View, regions: list[Region]) -> Iterator[Violation]:
    """J-P3, for regions that are new."""
    for region in regions:
        count = int(np.count_nonzero(view.memory.in_cma(region.pfns)))
        if count:
            what = f"{count:,} of its {region.entries:,} pages pinned inside CMA"
            yield Violation("J-P3", f"{region.name} at {region.ua:#x} keeps {what}")
