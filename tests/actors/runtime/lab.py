"""What the tests of the runtime share: a chooser with a seed, and models that run on any core."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from random import Random
from typing import Any, TypeVar

import trio

from actors.runtime.actor import Actor
from actors.runtime.bare import BareRuntime
from actors.runtime.controlled import ControlledRuntime
from actors.runtime.core import Core
from actors.runtime.stepping import Stepping
from actors.runtime.thread import Thread

Body = Coroutine[Any, Any, Any]
Build = Callable[[Core], Any]
C = TypeVar("C", bound=Core)


class Seeded:
    """A chooser that draws every decision from a seed and notes its answers."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.choices: list[tuple[str, int]] = []

    def choose(self, label: str, options: int) -> int:
        choice = self.random.randrange(options)
        self.choices.append((label, choice))
        return choice

    def pick(self, core: Core) -> Thread:
        thread = core.ready[self.random.randrange(len(core.ready))]
        self.choices.append(("", thread.index))
        return thread


class Scripted:
    """A chooser that lets threads go on in the order of their names, as far as the list reaches."""

    def __init__(self, *names: str) -> None:
        self.names = list(names)

    def choose(self, label: str, options: int) -> int:
        return 0

    def pick(self, core: Core) -> Thread:
        able = {t.name: t for t in core.ready}
        while self.names:
            thread = able.get(self.names.pop(0))
            if thread is not None:
                return thread
        return core.ready[0]


OPEN: list[Core] = []
"""Cores of the running test; what it leaves standing is ended after it."""


def bare(*names: str, budget: int = 100_000) -> BareRuntime:
    return BareRuntime(Scripted(*names), budget, keep_log=True)


def spawn(core: C, **bodies: Body) -> list[Thread]:
    """One thread a body, each inside an actor of its own."""
    OPEN.append(core)
    return [core.spawn(Actor(core), body, name) for name, body in bodies.items()]


def trace(core: Stepping) -> list[str]:
    return [f"{thread.name}: {op}" for thread, op in core.log]


def on_bare(build: Build, seed: int) -> tuple[BareRuntime, Any]:
    core = BareRuntime(Seeded(seed), keep_log=True)
    built = build(core)
    core.run()
    return core, built


def on_trio(build: Build, seed: int) -> tuple[ControlledRuntime, Any]:
    async def main() -> tuple[ControlledRuntime, Any]:
        async with trio.open_nursery() as nursery:
            core = ControlledRuntime(nursery, Seeded(seed), keep_log=True)
            built = build(core)
            await core.run()
            nursery.cancel_scope.cancel()
        return core, built

    return trio.run(main)
