"""Which known defects a failure comes from: those without which the same search does not find it."""

from __future__ import annotations

from collections.abc import Callable, Collection

from actors.execute.play.blame import left_by
from actors.explore.result import Report
from actors.kernel.composition import Kernel, Piece

Search = Callable[[Kernel, int], tuple[str, str]]
"""Searches a kernel in the same way, in at most so many orders; verdict and invariant of what it found."""

MARGIN = 8
"""Orders that a search is given beyond those that found the failure: without a piece it may take others."""

LONGEST = 5_000
"""Steps of an order beyond which no set of defects is looked for: that takes many searches."""


def known_as(report: Report, kernel: Kernel, search: Search) -> tuple[str, ...]:
    """Return the slugs of the defects behind a failure, the likeliest first; none when it is no known one.

    Each defect that is caught by what was broken is taken out of the kernel in turn; the first whose
    absence makes the failure go away is the answer. Where several lead to it, so that taking out one
    changes nothing, the smallest set is looked for that the failure needs.

    Args:
        report: what a search of ``kernel`` found.
        kernel: the kernel with the defects.
        search: how to search another one.
    """
    if report.schedules_to_first_failure is None:
        return ()
    most = report.schedules_to_first_failure + MARGIN
    found = report.verdict, report.invariant

    def found_on(other: Kernel) -> tuple[str, str]:
        return search(other, most)

    likely = suspects(report, kernel)
    for piece in likely:
        if found_on(without(kernel, (piece.slug,))) != found:
            return (piece.slug,)
    if report.points > LONGEST:
        return ()
    defects = {piece.slug for piece in kernel.pieces if piece.defect}
    named = [slug for slug in left_by(kernel, found, found_on) if slug in defects]
    return tuple(sorted(named, key=lambda slug: slug not in [piece.slug for piece in likely]))


def suspects(report: Report, kernel: Kernel) -> list[type[Piece]]:
    """The defects of a kernel that what was broken could come from, those that name it first first."""
    signs = {report.invariant or report.verdict, report.verdict}
    pieces = [p for p in kernel.pieces if p.defect and signs.intersection(p.invariants)]
    return sorted(pieces, key=lambda piece: piece.invariants[0] not in signs)


def without(kernel: Kernel, slugs: Collection[str]) -> Kernel:
    """The kernel without some of its pieces."""
    spelling = kernel.name + "".join(f"-{slug}" for slug in slugs)
    return Kernel(spelling, tuple(piece for piece in kernel.pieces if piece.slug not in slugs))


__all__ = ["known_as"]
