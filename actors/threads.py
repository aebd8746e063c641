"""Concurrent threads of a scenario, the same on a free machine and in a run whose order is explored."""

from __future__ import annotations

from collections.abc import Coroutine
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import trio

from actors.runtime.errors import EmulatorError, TaskKilled
from actors.runtime.sync import Completion

if TYPE_CHECKING:
    from actors.machine import Machine


class Threads:
    """``async with machine.threads() as threads:`` - ends when all threads started in it have ended.

    A thread whose process is killed just ends. The first other error of a thread is raised at the end
    of the block.
    """

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.ends: list[Completion] = []
        self.errors: list[Exception] = []
        self.opened: Any = None
        self.nursery: trio.Nursery | None = None

    async def __aenter__(self) -> Self:
        if not self.machine.core.controlled:
            self.opened = trio.open_nursery()
            self.nursery = await self.opened.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.opened is not None:
            await self.opened.__aexit__(kind, error, trace)
        elif kind is None:
            for end in self.ends:
                await end.wait()
        if kind is None and self.errors:
            raise self.errors[0]

    def start(self, name: str, body: Coroutine[Any, Any, Any]) -> None:
        """Start a thread that runs ``body``.

        Raises:
            EmulatorError: the block has not been entered, or is left.
        """
        core = self.machine.core
        if core.controlled:
            end = Completion(core, core.number("end"), name)
            self.ends.append(end)
            core.spawn(self.machine.harness, self._run(body, end), name)
        elif self.nursery is not None:
            self.nursery.start_soon(self._run, body, None, name=name)
        else:
            body.close()
            raise EmulatorError(f"thread {name} is started outside its block")

    async def _run(self, body: Coroutine[Any, Any, Any], end: Completion | None) -> None:
        try:
            await body
        except TaskKilled:
            pass
        except Exception as problem:
            self.errors.append(problem)
            if self.nursery is not None:
                self.nursery.cancel_scope.cancel()
        finally:
            if end is not None:
                end.complete()


__all__ = ["Threads"]
