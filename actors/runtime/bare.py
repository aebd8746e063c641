"""The bare loop: the actors' coroutines driven by ``.send``, without trio; for campaigns."""

from __future__ import annotations

from actors.runtime.core import Chooser
from actors.runtime.stepping import Stepping
from actors.runtime.thread import Thread


class BareRuntime(Stepping):
    """Runs all threads on a plain Python loop, one step at a time, in the order that is chosen."""

    def __init__(self, chooser: Chooser | None = None, budget: int = 1_000_000, keep_log: bool = False) -> None:
        super().__init__(chooser)
        self.watch(budget, keep_log)

    def run(self, until: Thread | None = None) -> None:
        """Make steps until ``until`` has ended, or until nobody can make one.

        Raises:
            Deadlock: threads are left that wait for each other.
            Livelock: the budget is used up.
        """
        ready, pick, segment = self.ready, self.chooser.pick, self.segment
        keep, log, limit = self.keep_log, self.log, self.steps + self.budget
        steps = self.steps
        while ready:
            thread = ready[0] if len(ready) == 1 else pick(self)
            if keep:
                assert thread.pending is not None
                log.append((thread, thread.pending))
            steps += 1
            while not segment(thread):
                pass
            if steps >= limit:
                self.steps = steps
                raise self.livelock(thread)
            if until is not None and until.finished:
                break
        self.steps = steps
        if not self.complete(until):
            raise self.stuck()

