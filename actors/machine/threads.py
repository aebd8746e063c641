"""Concurrent threads of a scenario, the same on a free machine and in a run whose order is explored."""

from __future__ import annotations

from collections.abc import Coroutine
from inspect import iscoroutine
from pathlib import Path
from traceback import extract_tb
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import trio

from actors.runtime.errors import ForeignAwait, ScenarioError, TaskKilled
from actors.runtime.sync import Completion

if TYPE_CHECKING:
    from actors.machine.machine import Machine
    from actors.runtime.core import Core

OWN = tuple(str(Path(file).parents[level]) for file, level in ((__file__, 1), (trio.__file__, 0)))
"""Where the emulator and trio lie."""


class Threads:
    """``async with machine.threads() as threads:`` - ends when all threads started in it have ended.

    A thread whose process is killed just ends. The first other error of a thread is raised at the end
    of the block.
    """

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.ends: list[Completion] = []
        self.errors: list[BaseException] = []
        self.is_open = False
        self.manager: Any = None
        self.nursery: trio.Nursery | None = None

    async def __aenter__(self) -> Self:
        if not self.machine.core.controlled:
            self.manager = trio.open_nursery()
            self.nursery = await self.manager.__aenter__()
        self.is_open = True
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.manager is not None:
            await self.manager.__aexit__(kind, error, trace)
        elif kind is None:
            for end in self.ends:
                await end.wait()
        self.is_open = False
        if kind is None and self.errors:
            raise self.errors[0]

    def start(self, name: str, body: Coroutine[Any, Any, Any]) -> None:
        """Start a thread that runs ``body``.

        Raises:
            ScenarioError: the block has not been entered, or is left; or ``body`` is no coroutine.
        """
        core = self.machine.core
        if not iscoroutine(body):
            raise ScenarioError(f"thread {name} has a {type(body).__name__} for a body, expected a coroutine")
        if not self.is_open:
            body.close()
            raise ScenarioError(f"thread {name} is started outside its block")
        if core.controlled:
            end = Completion(core, core.number("end"), name)
            self.ends.append(end)
            core.spawn(self.machine.harness, self._run(body, end), name)
        else:
            assert self.nursery is not None
            self.nursery.start_soon(self._run, body, None, name=name)

    async def _run(self, body: Coroutine[Any, Any, Any], end: Completion | None) -> None:
        try:
            await body
        except TaskKilled:
            pass
        except BaseException as problem:
            # Test frameworks have outcomes that are no Exception: pytest.fail, pytest.skip.
            if from_outside(problem):
                raise
            self.errors.append(foreign(problem, self.machine.core) or problem)
            if self.nursery is not None:
                self.nursery.cancel_scope.cancel()
        finally:
            if end is not None:
                end.complete()


def from_outside(problem: BaseException) -> bool:
    """Whether a thread was ended by something that is no error of its own, be it within a group."""
    if isinstance(problem, BaseExceptionGroup):
        return any(map(from_outside, problem.exceptions))
    return isinstance(problem, (KeyboardInterrupt, SystemExit, GeneratorExit, trio.Cancelled))


def foreign(problem: BaseException, core: Core) -> ForeignAwait | None:
    """The error of a thread that awaited something that is not the emulator's; None for any other error.

    trio refuses to be awaited where it does not run, with an error of its own.
    """
    if isinstance(problem, ForeignAwait):
        if problem.located:
            return problem
        found = ForeignAwait(problem.thread, problem.what, place_of(problem))
    elif isinstance(problem, RuntimeError) and str(problem) == "must be called from async context":
        found = ForeignAwait(core.current.name, "trio", place_of(problem))
    else:
        return None
    found.located = True
    return found


def place_of(problem: BaseException) -> str:
    """File and line at which an error arose in code that is neither the emulator's nor trio's."""
    frames = [frame for frame in extract_tb(problem.__traceback__) if not frame.filename.startswith(OWN)]
    return f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "an unknown place"


def arose_outside(problem: BaseException) -> bool:
    """Whether an error arose in code that is neither the emulator's nor trio's."""
    frames = extract_tb(problem.__traceback__)
    return bool(frames) and not frames[-1].filename.startswith(OWN)


__all__ = ["Threads", "arose_outside", "foreign", "place_of"]
