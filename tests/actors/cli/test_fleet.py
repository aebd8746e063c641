"""Work in other processes gives the outcomes that it gives here, errors included."""

from __future__ import annotations

import pytest

from actors.cli.exits import BadInput, ExitCode, Told
from actors.cli.fleet import run_all


def third(number: int) -> int:
    """Some work."""
    if number == 4:
        raise BadInput("four")
    if number == 5:
        raise ZeroDivisionError
    return number // 3


@pytest.mark.parametrize("workers", [1, 2])
def test_outcomes(workers: int) -> None:
    outcomes = dict(run_all(third, range(9), workers))
    errors = {index: outcome.code for index, outcome in outcomes.items() if isinstance(outcome, Told)}
    assert errors == {4: ExitCode.BAD_INPUT, 5: ExitCode.EMULATOR}
    assert [outcomes[index] for index in (0, 3, 8)] == [0, 1, 2]


def test_nothing_to_do() -> None:
    assert list(run_all(third, [], 2)) == []
