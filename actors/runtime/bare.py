"""The bare loop: the actors' coroutines driven by ``.send``, without trio; for campaigns."""

from __future__ import annotations

from actors.runtime.core import Chooser
from actors.runtime.stepping import Stepping
from actors.runtime.thread import Thread


class BareRuntime(Stepping):
    """Runs all threads on a plain Python loop, one step at a time, in the order that is chosen."""

    def __init__(
        self, chooser: Chooser | None = None, budget: int = 1_000_000, keep_log: bool = False
    ) -> None:
        super().__init__(chooser)
        self.watch(budget, keep_log)

    def run(self, until: Thread | None = None) -> None:
        """Make steps until ``until`` has ended, or until nobody can make one.

        Raises:
            Deadlock: threads are left that wait for each other.
            Livelock: the budget is used up.
        """
        ready, pick, segment = self.ready, self.chooser.pick, self.segment
        log, steps, limit = self.log_of_run(), self.steps, self.steps + self.budget
        try:
            while ready:
                if until is not None and until.finished:
                    return
                thread = ready[0] if len(ready) == 1 else pick(self)
                if log is not None:
                    log.append((thread, thread.pending))
                steps += 1
                if steps >= limit:
                    log = self.end_is_near(steps - limit)
                while not segment(thread):
                    pass
        finally:
            self.steps = steps
        if not self.complete(until):
            raise self.stuck()
