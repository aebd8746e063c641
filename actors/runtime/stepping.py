"""What the two controlled runtimes share: counted steps, a budget, a log of what was done."""

from __future__ import annotations

from collections import Counter
from typing import Any

from actors.runtime.core import Core
from actors.runtime.errors import EmulatorError, Livelock
from actors.runtime.ops import Op
from actors.runtime.thread import Thread

LAST_STEPS = 100
"""Steps beyond the budget that are watched, to say what a run without end goes round in."""

Log = list[tuple[Thread, Op | None]]


class Stepping(Core):
    """A core that makes one step at a time.

    Attributes:
        budget: steps that one run may make.
        steps: the steps made so far.
        keep_log: whether :attr:`log` is kept, for reduction and digests.
        log: ``(thread, operation)`` of each step.
    """

    def watch(self, budget: int, keep_log: bool) -> None:
        """Set the bookkeeping up."""
        self.budget = budget
        self.steps = 0
        self.keep_log = keep_log
        self.log: Log = []

    def log_of_run(self) -> Log | None:
        """Return the log that each step is to be entered in, None for a run that keeps none."""
        return self.log if self.keep_log else None

    def end_is_near(self, beyond: int) -> Log:
        """The budget is used up: watch a few steps more, then end the run.

        Args:
            beyond: steps made beyond the budget.

        Raises:
            Livelock: the few are over.
        """
        if beyond >= LAST_STEPS:
            raise self.livelock(self.current)
        return self.log

    def complete(self, until: Thread | None) -> bool:
        """Whether a run that cannot go on has done what it was for."""
        if until is not None:
            return until.finished
        return all(t.daemon for t in self.threads.values())

    def livelock(self, thread: Thread) -> Livelock:
        """Describe a run that does not end: who makes most of its last steps, and at what."""
        last = [(t, op.object) for t, op in self.log[-LAST_STEPS:] if op is not None]
        if last:
            index = Counter(t.index for t, _ in last).most_common(1)[0][0]
            thread = next(t for t, _ in last if t.index == index)
        names = [name for t, name in last if t is thread] or [thread.place()]
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
