"""What the two controlled runtimes share: counted steps, a budget, a log of what was done."""

from __future__ import annotations

from typing import Any

from actors.runtime.core import Core
from actors.runtime.errors import EmulatorError, Livelock
from actors.runtime.ops import Op
from actors.runtime.thread import Thread


class Stepping(Core):
    """A core that makes one step at a time.

    Attributes:
        budget: steps that one run may make.
        steps: the steps made so far.
        log: ``(thread, operation)`` of each step when ``keep_log`` is set, for reduction and digests.
    """

    def watch(self, budget: int, keep_log: bool) -> None:
        """Set the bookkeeping up."""
        self.budget = budget
        self.steps = 0
        self.keep_log = keep_log
        self.log: list[tuple[Thread, Op]] = []

    def complete(self, until: Thread | None) -> bool:
        """Whether a run that cannot go on has done what it was for."""
        if until is not None:
            return until.finished
        return all(t.daemon for t in self.threads.values())

    def livelock(self, thread: Thread) -> Livelock:
        """Describe a run that does not end."""
        names = [op.object for _, op in self.log[-20:]] or [thread.pending.object if thread.pending else "?"]
        return Livelock(self.budget, thread.name, tuple(dict.fromkeys(names)))

    def result(self, thread: Thread) -> Any:
        """Return what ``thread`` returned, or raise what ended it.

        Raises:
            EmulatorError: it has not ended.
        """
        if not thread.finished:
            raise EmulatorError(f"{thread.name} has not ended")
        if thread.error is not None:
            raise thread.error
        return thread.result
