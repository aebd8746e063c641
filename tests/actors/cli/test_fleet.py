"""Work in other processes gives the outcomes that it gives here, errors included."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator, Sequence

import pytest

from actors.cli.exits import BadInput, ExitCode, Told
from actors.cli.fleet import run_all, told
from actors.explore.executors import interrupts_waiting


def third(number: int) -> int:
    """Some work."""
    if number == 4:
        raise BadInput("four")
    if number == 5:
        raise ZeroDivisionError
    return number // 3


def thirds(shelf: Sequence[tuple[int, int]]) -> Iterator[tuple[int, int | Told]]:
    """The work of a shelf; an error is an outcome too."""
    for index, number in shelf:
        try:
            yield index, third(number)
        except Exception as error:
            yield index, told(error)


def dies(shelf: Sequence[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """A worker that ends in the middle of its work."""
    yield shelf[0]
    os._exit(3)


def fails(shelf: Sequence[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """A worker with a mistake of its own."""
    yield shelf[0]
    raise BadInput("mine")


@pytest.mark.parametrize("workers", [1, 2])
def test_outcomes(workers: int) -> None:
    outcomes = dict(run_all(thirds, range(9), workers))
    errors = {index: outcome.code for index, outcome in outcomes.items() if isinstance(outcome, Told)}
    assert errors == {4: ExitCode.BAD_INPUT, 5: ExitCode.EMULATOR}
    assert [outcomes[index] for index in (0, 3, 8)] == [0, 1, 2]


def test_nothing_to_do() -> None:
    assert list(run_all(thirds, [], 2)) == []


@pytest.mark.parametrize(("work", "line"), [(dies, "tcemu: a worker ended with 3"), (fails, "mine")])
def test_a_worker_that_fails_is_told(work, line) -> None:
    outcomes = list(run_all(work, [7, 8], 2))
    said = [outcome for index, outcome in outcomes if index == -1]
    assert {outcome.line for outcome in said if isinstance(outcome, Told)} == {line}
    assert {(0, 7), (1, 8)} <= {(index, outcome) for index, outcome in outcomes if index >= 0}


def test_an_interrupt_waits_until_the_processes_have_started() -> None:
    reached = []
    with pytest.raises(KeyboardInterrupt), interrupts_waiting():
        # Another thread of a test runner would take what is sent to the process.
        signal.pthread_kill(threading.get_ident(), signal.SIGINT)
        reached.append(1)
    assert reached
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, [])
