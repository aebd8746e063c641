"""The order nearest to a failing one that ends well: what it decides otherwise is what matters."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from msgspec import structs

from actors.check import Oracles
from actors.explore.failure import Failure
from actors.explore.recorder import Recorder as Decisions
from actors.explore.result import Choice
from actors.explore.strategies.replay import Lenient
from actors.explore.verdicts import OracleMaker

MOST_ORDERS: Final = 2_000
"""Orders that are tried; who has not been saved by then fails whatever is decided late."""


def passing(failure: Failure, oracles: OracleMaker = Oracles) -> Failure | None:
    """Find an order that is as a failing one for as long as possible, and then ends well.

    The last decision is taken otherwise, or else the one before, and so on; after that all is calm.

    Returns:
        The order, as a failure file would hold it, with the verdict ``ok``; None when every order tried
        fails.

    Raises:
        UnknownPiece, Conflict: its kernel does not exist here.
    """
    model = failure.prepared(oracles)
    for number, indices in enumerate(others(failure.recording)):
        if number == MOST_ORDERS:
            break
        decisions = Decisions(Lenient(indices))
        campaign = failure.campaign(model)
        result = campaign.model.run(campaign.core(decisions, every=True))
        if result.verdict == "ok":
            choices = tuple((count, taken, label) for count, taken, label in decisions.choices)
            return structs.replace(
                failure, choices=choices, verdict="ok", invariant="", message="", known_as=None,
                steps=result.steps, digest=decisions.digest,
            )  # fmt: skip
    return None


def others(choices: Sequence[Choice]) -> Iterator[list[int]]:
    """Every list of decisions that is as ``choices`` up to one that is taken otherwise, longest first."""
    taken = [choice.taken for choice in choices]
    for last in range(len(choices) - 1, -1, -1):
        for index in range(choices[last].options):
            if index != taken[last]:
                yield [*taken[:last], index]


__all__ = ["passing"]
