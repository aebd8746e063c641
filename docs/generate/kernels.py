"""What the kernels are made of: from the generations and from the attributes of the pieces."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from actors.kernel.catalogue import piece_names
from actors.kernel.composition import Piece
from actors.kernel.failpoints import FAILPOINTS
from actors.kernel.generations import GENERATIONS
from docs.generate.tables import code, table

Pieces = list[type[Piece]]


def pieces(defect: bool) -> Pieces:
    """All defects, by number, own findings last; or all differences, by name."""
    chosen = [piece for piece in piece_names().values() if piece.defect is defect]
    return sorted(chosen, key=lambda piece: (int(piece.number or 1000), piece.slug))


def generations(_: str) -> str:
    """The kernels and what they stand for."""
    rows = (
        (code(name), generation.about, "yes" if generation.recorded else "", *counts(generation.slugs))
        for name, generation in GENERATIONS.items()
    )
    return table(("kernel", "stands for", "recorded", ">defects", ">differences"), rows)


def counts(slugs: Iterable[str]) -> tuple[int, int]:
    """How many of the pieces are defects, and how many are not."""
    flags = [piece_names()[slug].defect for slug in slugs]
    return sum(flags), len(flags) - sum(flags)


def defect_matrix(_: str) -> str:
    """Defect by kernel."""
    return matrix(pieces(True), ">G", lambda piece: piece.number)


def difference_matrix(_: str) -> str:
    """Difference by kernel."""
    return matrix(pieces(False), "versions", lambda piece: piece.versions)


def matrix(rows: Pieces, second: str, of: Callable[[type[Piece]], str]) -> str:
    """Which kernel carries which piece."""
    names = [name for name in GENERATIONS if name != "fixed"]
    marks = [
        (
            code(piece.slug),
            of(piece),
            *("x" if piece.slug in GENERATIONS[name].slugs else "" for name in names),
        )
        for piece in rows
    ]
    return table(("", second, *("^" + name for name in names)), marks)


def difference_words(_: str) -> str:
    """Each difference: what the kernels that carry it do, and what the others do."""
    rows = ((code(piece.slug), piece.title, piece.remedy) for piece in pieces(False))
    return table(("", "with it", "without it"), rows)


def between(argument: str) -> str:
    """In what two kernels differ; the argument names them."""
    first, second = argument.split()
    rows = [*side(first, second), *side(second, first)]
    return table(("", "only in", "what it does there", "what the other does"), rows)


def side(name: str, other: str) -> list[tuple[str, str, str, str]]:
    """What the first of two kernels carries and the second does not."""
    slugs = set(GENERATIONS[name].slugs) - set(GENERATIONS[other].slugs)
    found = [piece for piece in piece_names().values() if piece.slug in slugs]
    return [(code(piece.slug), code(name), piece.title, piece.remedy) for piece in found]


def defect_stories(_: str) -> str:
    """Every defect with its story."""
    return "\n".join(story(piece) for piece in pieces(True))


def story(piece: type[Piece]) -> str:
    """One defect as a section of the page."""
    carriers = [code(name) for name, generation in GENERATIONS.items() if piece.slug in generation.slugs]
    told = [
        ("What shows", piece.symptom),
        ("Trigger", piece.trigger),
        ("In Linux", f"{piece.versions}; {piece.commit}" if piece.commit else piece.versions),
        ("Kernels here", ", ".join(carriers) or "none: only a switch"),
        ("Caught by", ", ".join(piece.invariants)),
        ("Failure points", ", ".join(map(code, piece.failpoints))),
        ("`fixed` does instead", piece.remedy),
        ("Not together with", "; ".join(f"{code(s)}: {why}" for s, why in piece.excludes.items())),
    ]
    number = f" (G {piece.number})" if piece.number else ""
    lines = [f"- {title}: {text}." for title, text in told if text]
    return (
        f"### {piece.slug}{number}\n\n{piece.title[0].upper()}{piece.title[1:]}.\n\n"
        + "\n".join(lines)
        + "\n"
    )


def failpoints(_: str) -> str:
    """The failure points by name, and the defects behind them."""
    rows = (
        (code(name), what, ", ".join(code(p.slug) for p in pieces(True) if name in p.failpoints))
        for name, what in FAILPOINTS.items()
    )
    return table(("failure point", "what fails", "defects that need it"), rows)
