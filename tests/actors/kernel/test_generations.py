"""Which numbered defects each generation carries, held to the table of the reference (M2)."""

from __future__ import annotations

import pytest

from actors.kernel.catalogue import piece_names
from actors.kernel.generations import GENERATIONS

PARENT = {1, 5, 8, 9, 11, 12, 13, 14, 15, 16, 21, 27, 30, 31, 35, 36, 40, 43, 44, 46, 49, 50, 55}
SEED = PARENT - {1, 5} | {6, 7}

CARRIED = {
    "v4.9": {1, 2, 3, 4, 5, 10, 11, 12, 21, 27, 30, 31, 34, 35, 36, 40, 43, 44, 46, 49, 50, 55},
    "v4.10-parent": PARENT,
    "v4.10-seed": SEED,
    "v4.10": SEED - {8} | {10},
    "v4.9.148-preseed": PARENT - {8, 9},
    "v4.9.148": SEED - {8, 9},
    "v4.19": {12, 13, 14, 15, 16, 21, 26, 27, 30, 31, 35, 36, 37, 38, 40, 41, 42, 46, 49, 50, 53, 60},
    "v6.12": {13, 14, 15, 16, 20, 22, 23, 31, 32, 35, 36, 37, 38, 40, 41, 42, 45, 46, 60},
    "fixed": set[int](),
}


@pytest.mark.parametrize("name", GENERATIONS)
def test_a_generation_carries_what_the_table_says(name: str) -> None:
    pieces = piece_names()
    numbers = {int(pieces[slug].number) for slug in GENERATIONS[name].slugs if pieces[slug].number}
    assert numbers == CARRIED[name]
