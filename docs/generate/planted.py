"""The table of planted mistakes: what finds each, and how soon."""

from __future__ import annotations

from statistics import median

from actors.explore import explore
from docs.generate.tables import code, table
from tests.actors.explore.planted import Planted, planted

SEEDS = (0, 1, 2)
WITHIN = 2_000


def planted_table(argument: str) -> str:
    """A line for each mistake, with the orders that the default search took, the median of three seeds."""
    head = ("mistake", "what it is", "kind", "program", "caught by", ">orders", ">preemptions")
    return table(head, [row(each) for each in planted()])


def row(each: Planted) -> tuple[object, ...]:
    """One line."""
    reports = [explore(each.program, each.kernel, schedules=WITHIN, seed=seed) for seed in SEEDS]
    orders = [report.schedules_to_first_failure or WITHIN + 1 for report in reports]
    first = reports[0]
    middle = int(median(orders))
    return (
        code(each.piece.slug), each.piece.title, each.sort, code(each.program.name),
        first.invariant or first.verdict, middle if middle <= WITHIN else "not found", first.preemptions,
    )  # fmt: skip
