"""All named pieces, in the order of the catalogue. One file a family."""

from __future__ import annotations

from actors.kernel.composition import Piece
from actors.kernel.pieces import lifetime, mapping, prereg, windows

PIECES: tuple[type[Piece], ...] = (
    *lifetime.PIECES,
    *windows.PIECES,
    *prereg.PIECES,
    *mapping.PIECES,
)
