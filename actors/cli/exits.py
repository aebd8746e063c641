"""How a command ends: exit codes, one line for an error, and what was found so far.

An error reaches the user as one line on standard error. ``TCEMU_TRACEBACK=1`` in the environment
puts the traceback before it.
"""

from __future__ import annotations

import errno
import os
import signal
import sys
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum
from types import FrameType
from typing import NamedTuple

import click

from actors.cli.pipes import original


class ExitCode(IntEnum):
    """Exit codes of every command; where several apply the greatest is returned."""

    OK = 0
    FOUND = 1
    BAD_INPUT = 2
    DIVERGED = 3
    EMULATOR = 4
    INTERRUPTED = 130
    PIPE_CLOSED = 141


class BadInput(Exception):
    """What the user gave is not what is expected; the message says what is, in one line."""


CODES = {
    "actors.cli.exits.BadInput": ExitCode.BAD_INPUT,
    "actors.draw.Undrawable": ExitCode.BAD_INPUT,
    "actors.program.errors.ProgramError": ExitCode.BAD_INPUT,
    "actors.program.errors.Refusal": ExitCode.BAD_INPUT,
    "actors.kernel.composition.UnknownPiece": ExitCode.BAD_INPUT,
    "actors.kernel.composition.Conflict": ExitCode.BAD_INPUT,
    "actors.runtime.errors.ScenarioError": ExitCode.BAD_INPUT,
    "actors.explore.executors.ClusterLost": ExitCode.BAD_INPUT,
    "actors.explore.scenario.NoScenario": ExitCode.BAD_INPUT,
    "actors.explore.strategies.UnknownStrategy": ExitCode.BAD_INPUT,
    "actors.fuzz.database.CorpusError": ExitCode.BAD_INPUT,
    "actors.explore.strategies.replay.ReplayDivergence": ExitCode.DIVERGED,
}
"""Exceptions whose fault is not the emulator's, by name: judging an error imports nothing."""


UNWRITABLE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF})
"""What a write to standard output may fail with, other than that its reader has gone."""


class Told(Exception):
    """An error that was judged already, in another process; carries its exit code and its line."""

    def __init__(self, code: ExitCode, line: str, trace: str) -> None:
        super().__init__(code, line, trace)
        self.code = code
        self.line = line
        self.add_note(trace)


class Problem(NamedTuple):
    """An error as the user meets it."""

    code: ExitCode
    line: str
    error: BaseException


class Stopped(BaseException):
    """Ends the loop of a command; :meth:`Ending.kept` catches it."""


class Ending:
    """How a command that works through several things ends.

    Everything inside :meth:`kept` may be interrupted or fail, and what was collected before is still
    printed; what fails inside :meth:`one` with bad input does not keep the rest from running.

    Attributes:
        code: the exit code so far.
        interrupted: whether Ctrl-C was pressed, whoever dealt with it.
    """

    def __init__(self) -> None:
        self.code = ExitCode.OK
        self.problems: list[Problem] = []
        self.interrupted = False

    def found(self, anything: object = True) -> None:
        """Note that a violation, mismatch or failed expectation was found, if it was."""
        if anything:
            self.code = max(self.code, ExitCode.FOUND)

    def note(self, error: BaseException) -> Problem:
        """Note an error for :meth:`finish` to print."""
        problem = problem_of(error)
        if problem.line not in [known.line for known in self.problems]:
            self.problems.append(problem)
        self.code = max(self.code, problem.code)
        return problem

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Let an interrupt or error end the block, and no more than the block."""
        before = signal.signal(signal.SIGINT, self._interrupt)
        try:
            yield
            if self.interrupted:
                raise KeyboardInterrupt
        except Stopped:
            pass
        except (Exception, KeyboardInterrupt) as error:
            self.note(error)
        finally:
            signal.signal(signal.SIGINT, before)

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        self.interrupted = True
        interrupt(number, frame)

    @contextmanager
    def one(self) -> Iterator[None]:
        """Do one of several things: bad input ends this one, anything else ends :meth:`kept`."""
        try:
            yield
        except (Exception, KeyboardInterrupt) as error:
            if self.note(error).code != ExitCode.BAD_INPUT:
                raise Stopped from None

    def finish(self) -> ExitCode:
        """Print the errors, after the results, and return the exit code."""
        sys.stdout.flush()
        for problem in self.problems:
            say(problem)
        return self.code


def interrupt(number: int, frame: FrameType | None) -> None:
    """Interrupt the program, as the handler of a signal.

    It may fall between the making of a coroutine and its first step; Python need not warn of that.

    Raises:
        KeyboardInterrupt: always.
    """
    warnings.filterwarnings("ignore", "coroutine .* was never awaited", RuntimeWarning)
    raise KeyboardInterrupt


def problem_of(error: BaseException) -> Problem:
    """Judge whose fault an error is, and put it in one line."""
    error = unwrapped(error)
    if isinstance(error, KeyboardInterrupt):
        return Problem(ExitCode.INTERRUPTED, "interrupted", error)
    if isinstance(error, BrokenPipeError):
        return Problem(ExitCode.PIPE_CLOSED, "", error)
    if isinstance(error, click.ClickException):
        return Problem(ExitCode.BAD_INPUT, usage_line(error), error)
    if isinstance(error, Told):
        return Problem(error.code, error.line, error)
    if type(error) is OSError and error.filename is None and error.errno in UNWRITABLE:
        return Problem(ExitCode.BAD_INPUT, f"standard output: {error.strerror}", error)
    code = code_of(error)
    text = one_line(original(str(error))) + where_listed(error)
    if code == ExitCode.EMULATOR:
        what = f"{type(error).__name__}: {text}" if text else type(error).__name__
        text = f"tcemu: error of the emulator: {what} (TCEMU_TRACEBACK=1 shows where)"
    return Problem(code, text, error)


def where_listed(error: BaseException) -> str:
    """Where the names are listed, for a defect that there is not and that is like none."""
    text = str(error)
    unknown = type(error).__name__ == "UnknownPiece" and text.startswith("no defect")
    return "; tcemu defects lists them" if unknown and "did you mean" not in text else ""


def unwrapped(error: BaseException) -> BaseException:
    """Take an error out of the groups that trio's nurseries put around it: the first one in order."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def code_of(error: BaseException) -> ExitCode:
    """The exit code for an error that is neither click's nor an interrupt."""
    for kind in type(error).__mro__:
        code = CODES.get(f"{kind.__module__}.{kind.__qualname__}")
        if code is not None:
            return code
    return ExitCode.EMULATOR


def usage_line(error: click.ClickException) -> str:
    """A mistake in the use of the command line, in one line that names the help to read."""
    context = error.ctx if isinstance(error, click.UsageError) else None
    path = context.command_path if context else "tcemu"
    hint = f" (see {path} --help)" if isinstance(error, click.UsageError) else ""
    return f"{path}: {one_line(error.format_message()).rstrip('.')}{hint}"


def one_line(text: str) -> str:
    """The text with line breaks and control characters made harmless."""
    joined = " ".join(text.split())
    return "".join(char if char.isprintable() else "?" for char in joined)


def say(problem: Problem) -> None:
    """Print an error on standard error, with its traceback if the user asked for it."""
    if os.environ.get("TCEMU_TRACEBACK", "") not in ("", "0"):
        traceback.print_exception(problem.error)
    if problem.line:
        click.echo(problem.line, err=True)
