"""Which defects of a kernel leave something behind: found by playing again without them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from actors.kernel.composition import Kernel, Piece

Pieces = tuple[type[Piece], ...]


def left_by(kernel: Kernel, leaves: Callable[[Kernel], bool]) -> tuple[str, ...]:
    """Name the pieces without which nothing would be left, in the kernel's order.

    Defects are asked first; differences between versions only when no defect is to blame.

    Args:
        kernel: a kernel on which something is left.
        leaves: plays on a kernel and says whether something is left.
    """

    def on(pieces: Sequence[type[Piece]]) -> bool:
        return leaves(Kernel(kernel.name, tuple(piece for piece in kernel.pieces if piece in pieces)))

    defects = tuple(piece for piece in kernel.pieces if piece.defect)
    rest = tuple(piece for piece in kernel.pieces if not piece.defect)
    blamed = culprits(defects, rest, on) or culprits(kernel.pieces, (), on)
    return tuple(piece.slug for piece in kernel.pieces if piece in blamed)


def culprits(suspects: Pieces, always: Pieces, on: Callable[[Sequence[type[Piece]]], bool]) -> Pieces:
    """The suspects that leave something, by halving; ``always`` are there in every kernel.

    When neither half leaves anything but both together do, single suspects are dropped as long as the
    rest still leaves something.
    """
    if not suspects or not on((*always, *suspects)):
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
        if on((*always, *fewer)):
            needed = fewer
    return needed
