"""Kernels and pieces by name."""

from __future__ import annotations

from collections.abc import Iterable

from actors.kernel.composition import Conflict, Kernel, Piece, UnknownPiece
from actors.kernel.generations import GENERATIONS
from actors.kernel.pieces import PIECES


def piece_names() -> dict[str, type[Piece]]:
    """Every piece by slug, in the order of the catalogue."""
    return {piece.slug: piece for piece in PIECES}


def find_piece(slug: str) -> type[Piece]:
    """Return the piece of that name.

    Raises:
        UnknownPiece: there is none; the message names the nearest.
    """
    pieces = piece_names()
    for piece in PIECES:
        if slug in piece.aliases:
            return piece
    if slug not in pieces:
        raise UnknownPiece(f"no defect or difference {slug!r}{nearest(slug, pieces)}")
    return pieces[slug]


def find_kernel(name: str, with_: Iterable[str] = (), without: Iterable[str] = ()) -> Kernel:
    """Compose the kernel of a generation with pieces added and taken away.

    Raises:
        UnknownPiece: an unknown name, or a piece to be taken away that the kernel does not have.
        Conflict: pieces that make no sense together.
    """
    if name not in GENERATIONS:
        raise UnknownPiece(
            f"no kernel {name!r}{nearest(name, GENERATIONS)}; there are {', '.join(GENERATIONS)}"
        )
    slugs = set(GENERATIONS[name].slugs)
    added = [find_piece(slug).slug for slug in with_]
    removed = [find_piece(slug).slug for slug in without]
    for slug in removed:
        if slug not in slugs:
            raise UnknownPiece(f"{name} does not have {slug}, so it cannot go without it")
    slugs = (slugs | set(added)) - set(removed)
    pieces = tuple(piece for piece in PIECES if piece.slug in slugs)
    spelling = name + "".join(f"+{s}" for s in added) + "".join(f"-{s}" for s in removed)
    return Kernel(spelling, pieces)


def nearest(word: str, known: Iterable[str]) -> str:
    """``; did you mean ...?`` for a mistyped name."""
    from difflib import get_close_matches  # noqa: PLC0415 - only needed for an error

    close = get_close_matches(word, list(known), 1)
    return f"; did you mean {close[0]}?" if close else ""


__all__ = [
    "Conflict",
    "Kernel",
    "Piece",
    "UnknownPiece",
    "find_kernel",
    "find_piece",
    "nearest",
    "piece_names",
]
