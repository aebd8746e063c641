"""Whose fault an error is, the line it gives, and what is kept."""

from __future__ import annotations

import signal
from contextlib import suppress
from typing import Any

import click
import pytest

from actors.cli.app import run
from actors.cli.exits import BadInput, Ending, ExitCode, Told, one_line, problem_of
from actors.explore import ReplayDivergence, UnknownStrategy
from actors.kernel.composition import Conflict, UnknownPiece
from actors.program import ProgramError
from actors.runtime.errors import EmulatorError

CODES = [
    (BadInput("x"), ExitCode.BAD_INPUT),
    (ProgramError("f", "p", "m"), ExitCode.BAD_INPUT),
    (UnknownPiece("x"), ExitCode.BAD_INPUT),
    (Conflict("x"), ExitCode.BAD_INPUT),
    (UnknownStrategy("x"), ExitCode.BAD_INPUT),
    (click.UsageError("x"), ExitCode.BAD_INPUT),
    (ReplayDivergence(3, "a", "b"), ExitCode.DIVERGED),
    (EmulatorError("x"), ExitCode.EMULATOR),
    (AssertionError(), ExitCode.EMULATOR),
    (ValueError("ours"), ExitCode.EMULATOR),
    (KeyboardInterrupt(), ExitCode.INTERRUPTED),
    (BrokenPipeError(), ExitCode.PIPE_CLOSED),
    (Told(ExitCode.DIVERGED, "x", ""), ExitCode.DIVERGED),
]


@pytest.mark.parametrize(("error", "code"), CODES, ids=lambda value: type(value).__name__)
def test_codes(error: BaseException, code: ExitCode) -> None:
    assert problem_of(error).code == code
    assert "\n" not in problem_of(error).line


def test_groups_are_unwrapped() -> None:
    inner = ProgramError("f", "p", "m")
    group = ExceptionGroup("trio", [ExceptionGroup("again", [inner])])
    assert problem_of(group) == (ExitCode.BAD_INPUT, "f: p: m", inner)


def test_an_error_of_the_emulator_says_how_to_see_more() -> None:
    line = problem_of(KeyError("x")).line
    assert line == "tcemu: error of the emulator: KeyError: 'x' (TCEMU_TRACEBACK=1 shows where)"


def test_one_line() -> None:
    assert one_line("a\nb\x1b[31m\tc") == "a b?[31m c"


def test_bad_input_ends_one_thing_and_an_error_the_whole() -> None:
    ending, done = Ending(), []
    with ending.kept():
        for number in range(5):
            with ending.one():
                if number == 1:
                    raise BadInput("no good")
                if number == 3:
                    raise EmulatorError("ours")
                done.append(number)
    assert done == [0, 2]
    assert ending.finish() == ExitCode.EMULATOR


def test_the_greatest_code_wins(capsys: pytest.CaptureFixture[str]) -> None:
    ending = Ending()
    ending.found()
    with ending.kept(), ending.one():
        raise BadInput("no good")
    ending.found()
    assert ending.finish() == ExitCode.BAD_INPUT
    assert capsys.readouterr().err == "no good\n"


def test_an_interrupt_that_somebody_swallowed_counts() -> None:
    ending = Ending()
    with ending.kept(), suppress(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)
    assert ending.finish() == ExitCode.INTERRUPTED


def test_the_same_line_is_printed_once(capsys: pytest.CaptureFixture[str]) -> None:
    ending = Ending()
    for _ in range(3):
        ending.note(BadInput("no good"))
    ending.finish()
    assert capsys.readouterr().err == "no good\n"


def test_traceback_on_demand(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def broken(*_: Any) -> None:
        raise RuntimeError("ours")

    monkeypatch.setattr("actors.cli.app.import_module", broken)
    assert run(["kernels"]) == ExitCode.EMULATOR
    assert "Traceback" not in capsys.readouterr().err
    monkeypatch.setenv("TCEMU_TRACEBACK", "1")
    assert run(["kernels"]) == ExitCode.EMULATOR
    assert "Traceback" in capsys.readouterr().err
