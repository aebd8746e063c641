"""Which defects of a kernel are behind what is left: found by playing again without them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

from actors.kernel.composition import Kernel, Piece

Pieces = tuple[type[Piece], ...]


class Judged(Protocol):
    """An ending that can be compared with others."""

    @property
    def clean(self) -> bool:
        """Whether nothing is left."""


E = TypeVar("E", bound=Judged)

LEAVING = frozenset({"J-Q1", "J-Q2", "J-Q4", "J-L1", "J-P1"})
"""Invariants whose breach is that something stays: pieces that break one are asked first."""


def left_by(kernel: Kernel, ending: E, play_on: Callable[[Kernel], E]) -> tuple[str, ...]:
    """Name the pieces that are behind an ending that is not clean, in the kernel's order.

    A piece is behind it when the kernel would end otherwise without that piece alone. When several pieces
    would each have been enough, so that none alone makes a difference, those are named that leave
    something on a kernel without the others.

    Args:
        kernel: the kernel.
        ending: how the play ended on it.
        play_on: plays on another kernel.
    """
    seen: dict[Pieces, E] = {kernel.pieces: ending}

    def on(pieces: Sequence[type[Piece]]) -> E:
        chosen = tuple(piece for piece in kernel.pieces if piece in pieces)
        if chosen not in seen:
            seen[chosen] = play_on(Kernel(kernel.name, chosen))
        return seen[chosen]

    def needed(suspects: Pieces) -> Pieces:
        return tuple(one for one in suspects if on([p for p in kernel.pieces if p is not one]) != ending)

    defects = tuple(piece for piece in kernel.pieces if piece.defect)
    blamed = needed(tuple(piece for piece in defects if LEAVING & set(piece.invariants)))
    if not blamed:
        others = tuple(piece for piece in kernel.pieces if not piece.defect)
        suspects = culprits(defects, others, on) or culprits(kernel.pieces, (), on)
        blamed = needed(suspects) or suspects
    return tuple(piece.slug for piece in kernel.pieces if piece in blamed)


def culprits(suspects: Pieces, always: Pieces, on: Callable[[Sequence[type[Piece]]], Judged]) -> Pieces:
    """The suspects that leave something, by halving; ``always`` are there in every kernel.

    When neither half leaves anything but both together do, single suspects are dropped as long as the
    others still leave something.
    """
    if not suspects or on((*always, *suspects)).clean:
        return ()
    if len(suspects) == 1:
        return suspects
    middle = len(suspects) // 2
    found = culprits(suspects[:middle], always, on) + culprits(suspects[middle:], always, on)
    if found:
        return found
    needed = suspects
    for piece in suspects:
        fewer = tuple(other for other in needed if other is not piece)
        if not on((*always, *fewer)).clean:
            needed = fewer
    return needed
