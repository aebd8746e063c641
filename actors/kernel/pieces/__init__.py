"""All named pieces, in the order of the catalogue."""

from __future__ import annotations

from actors.kernel.composition import Piece

PIECES: tuple[type[Piece], ...] = ()
