"""All named pieces, in the order of the catalogue. One file a family.

A later piece is put in front of an earlier one that changes the same method, so differences between
versions come first and defects change what they left.
"""

from __future__ import annotations

from actors.kernel.composition import Piece
from actors.kernel.pieces import differences, lifetime, mapping, prereg, windows

PIECES: tuple[type[Piece], ...] = (
    *differences.PIECES,
    *lifetime.PIECES,
    *windows.PIECES,
    *prereg.PIECES,
    *mapping.PIECES,
)
