"""Blocks of a page: finding them, and what each of them holds."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from docs.generate import campaigns, clients, console, fidelity, kernels, matrix, patch, reference
from docs.generate.planted import planted_table

PAGES = Path(__file__).parents[1]

BLOCK = re.compile(
    r"(<!-- begin (?P<name>[\w-]+)(?: (?P<argument>[^\n]+))? -->\n).*?(<!-- end -->)", re.DOTALL
)

WRITERS: dict[str, Callable[[str], str]] = {
    "generations": kernels.generations,
    "defect-matrix": kernels.defect_matrix,
    "difference-matrix": kernels.difference_matrix,
    "difference-words": kernels.difference_words,
    "between": kernels.between,
    "defect-stories": kernels.defect_stories,
    "failpoints": kernels.failpoints,
    "patch": patch.patch,
    "conformance": fidelity.conformance,
    "remedies": fidelity.remedies,
    "findings": fidelity.findings,
    "marked": fidelity.marked,
    "planted": planted_table,
    "clients": clients.abouts,
    "client-reports": clients.reports,
    "client-leftovers": clients.leftovers,
    "client-remarks": clients.remarks,
    "client-run": clients.commands,
    "scenario-matrix": matrix.scenario_matrix,
    "hunt-matrix": matrix.hunt_matrix,
    "sight-matrix": matrix.sight_matrix,
    "deviations": matrix.deviations,
    "campaign-findings": campaigns.campaign_findings,
    "cli": reference.cli,
    "invariants": reference.invariants,
    "verdicts": reference.verdicts,
    "ioctls": reference.ioctls,
    "operations": reference.operations,
    "run": console.run,
    "typed": console.typed,
    "source": console.source,
    "listing": console.listing,
    "output": console.output,
}
"""Name of a block -> what writes it, given the argument."""


def rewritten(page: str) -> str:
    """Return a page with the present content of each block.

    Raises:
        KeyError: a block has a name that nobody writes.
    """
    return BLOCK.sub(filled, page)


def filled(block: re.Match[str]) -> str:
    """One block with its present content."""
    content = WRITERS[block["name"]](block["argument"] or "")
    return f"{block[1]}{content.rstrip()}\n{block[4]}"
