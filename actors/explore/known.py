"""Which known defect a failure is: the one without which the same search does not find it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from actors.explore.result import Report
from actors.kernel.composition import Kernel, Piece

Search = Callable[[Kernel, int], Report]
"""Search a kernel again in the same way, in at most so many orders."""

MARGIN = 8
"""Orders that a search is given beyond those that found the failure: without a piece it may take others."""


def known_as(report: Report, kernel: Kernel, search: Search) -> str | None:
    """Return the slug of the defect behind a failure, None when none of the kernel's explains it.

    Each defect that is caught by what was broken is taken out of the kernel in turn; the first whose
    absence makes the failure go away is the answer.

    Args:
        report: what a search of ``kernel`` found.
        kernel: the kernel with the defect.
        search: how to search another one.
    """
    if report.schedules_to_first_failure is None:
        return None
    most = report.schedules_to_first_failure + MARGIN
    for piece in suspects(report, kernel):
        again = search(without(kernel, piece), most)
        if (again.verdict, again.invariant) != (report.verdict, report.invariant):
            return piece.slug
    return None


def suspects(report: Report, kernel: Kernel) -> Iterator[type[Piece]]:
    """The defects of a kernel that what was broken could come from, those that name it first first."""
    signs = {report.invariant or report.verdict, report.verdict}
    pieces = [p for p in kernel.pieces if p.defect and signs.intersection(p.invariants)]
    pieces.sort(key=lambda piece: piece.invariants[0] not in signs)
    return iter(pieces)


def without(kernel: Kernel, piece: type[Piece]) -> Kernel:
    """The kernel without one of its pieces."""
    return Kernel(f"{kernel.name}-{piece.slug}", tuple(p for p in kernel.pieces if p is not piece))


__all__ = ["known_as"]
