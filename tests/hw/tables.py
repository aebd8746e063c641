"""Small tables, and what is in them, for the tests of tables."""

import numpy as np

from hw import TceTable, table_geometry

MIB, TIB = 1 << 20, 1 << 40


def make(
    window: int = 64 * MIB, shift: int = 12, levels: int = 1, on_demand: bool = False, view: bool = True
) -> TceTable:
    return TceTable(table_geometry(4096, shift, window, levels), shift, 0, on_demand, view, 0)


def hpas(*pages: int) -> np.ndarray:
    return np.array(pages, np.uint64) << np.uint64(12)


def state(table: TceTable) -> dict[int, tuple[int, int]]:
    return {
        int(i): (int(tce), int(ua))
        for piece in table.live()
        for i, tce, ua in zip(piece.indices, piece.tces, piece.uas, strict=True)
    }
