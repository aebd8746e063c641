"""The runtime of campaigns: the bare loop, watched.

Beside what the bare loop does, an arena can tell a search of every step, remember which step brought
a thread or a completion about, and let oracles look after every step.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

from actors.runtime.bare import BareRuntime
from actors.runtime.sync import Completion

if TYPE_CHECKING:
    from actors.runtime.actor import Actor
    from actors.runtime.core import Chooser
    from actors.runtime.sync import Guard
    from actors.runtime.thread import Thread

STEP_BUDGET = 100_000
"""Steps that one order may take before it counts as endless."""


class Arena(BareRuntime):
    """A bare loop whose every step can be seen.

    Attributes:
        every: ask the chooser at every step, also where only one thread can go on.
        after_step: called after each step; oracles look here.
        births: thread index -> number of the step that created it; -1 for those there from the start.
        completed: name of a completion -> number of the step that completed it.
        judge: whoever looks at the machine and says in the end what came of it; part of the state.
        now: number of the step that is running; steps count from 0.
    """

    def __init__(
        self, chooser: Chooser | None = None, budget: int = STEP_BUDGET, every: bool = False
    ) -> None:
        super().__init__(chooser, budget)
        self.every = every
        self.after_step: Callable[[], None] | None = None
        self.judge: object = None
        self.births: dict[int, int] = {}
        self.completed: dict[str, int] = {}
        self.now = -1

    def run(self, until: Thread | None = None) -> None:
        """Make steps as :meth:`BareRuntime.run` does, telling whoever wants to know of each.

        Raises:
            Deadlock, Livelock: as on the bare loop.
        """
        if not self.every and self.after_step is None:
            super().run(until)
            return
        ready, pick, segment, look = self.ready, self.chooser.pick, self.segment, self.after_step
        alone, limit = (0 if self.every else 1), self.steps + self.budget
        while ready:
            thread = pick(self) if len(ready) > alone else ready[0]
            self.steps += 1
            self.now += 1
            while not segment(thread):
                pass
            if look is not None:
                look()
            if self.steps >= limit:
                raise self.livelock(thread)
            if until is not None and until.finished:
                break
        if not self.complete(until):
            raise self.stuck()

    def spawn(self, actor: Actor, body: Coroutine[Any, Any, Any], name: str, daemon: bool = False) -> Thread:
        """Create a thread, and remember which step did."""
        thread = super().spawn(actor, body, name, daemon)
        if self.every:
            self.births[thread.index] = self.now
        return thread

    def changed(self, guard: Guard) -> None:
        """Remember which step completed something that others wait for."""
        super().changed(guard)
        if self.every and type(guard) is Completion and guard.done:
            self.completed.setdefault(guard.name, self.now)
