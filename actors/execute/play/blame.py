"""Which defects of a kernel are behind what is left: found by playing again without them."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TypeVar

from actors.kernel.composition import Kernel, Piece

Pieces = tuple[type[Piece], ...]
E = TypeVar("E")

LEAVING = frozenset({"J-Q1", "J-Q2", "J-Q4", "J-L1", "J-P1"})
"""Invariants whose breach is that something stays."""


def left_by(
    kernel: Kernel, ending: E, play_on: Callable[[Kernel], E], hints: Collection[str] = ()
) -> tuple[str, ...]:
    """Name the pieces that are behind an ending, in the kernel's order.

    Pieces are taken away as long as the play ends the same without them; what cannot be taken away is
    behind it. The least suspect go first and those that showed during the play last, so that of two
    pieces that would each have been enough the one is named that was there to be seen.

    Args:
        kernel: the kernel.
        ending: how the play ended on it.
        play_on: plays on another kernel.
        hints: slugs of pieces that showed during the play.
    """
    defects = [piece for piece in kernel.pieces if piece.defect]
    shown = [piece for piece in defects if piece.slug in hints]
    likely = [piece for piece in defects if piece not in shown and LEAVING & set(piece.invariants)]
    unlikely = [piece for piece in defects if piece not in shown and piece not in likely]
    differences = [piece for piece in kernel.pieces if not piece.defect]
    kept = kernel.pieces

    def drop(group: list[type[Piece]]) -> None:
        """Take away of ``group`` all that the ending does not need."""
        nonlocal kept
        if not group:
            return
        fewer = tuple(piece for piece in kept if piece not in group)
        if play_on(Kernel(kernel.name, fewer)) == ending:
            kept = fewer
        elif len(group) > 1:
            drop(group[: len(group) // 2])
            drop(group[len(group) // 2 :])

    drop([*unlikely, *likely])
    drop(shown)
    if not any(piece.defect for piece in kept):
        drop(differences)
        return tuple(piece.slug for piece in kept)
    return tuple(piece.slug for piece in kept if piece.defect)
