"""The controlled runtime under trio: one actor's task runs at a time, and the order is chosen.

The baton is a message: whoever runs picks the next thread and, when that one goes on inside another
actor, puts it into that actor's inbox and waits at its own.
"""

from __future__ import annotations

import trio

from actors.runtime.actor import Actor
from actors.runtime.core import Chooser
from actors.runtime.errors import EmulatorError
from actors.runtime.stepping import Stepping
from actors.runtime.thread import Thread
from actors.runtime.trio_tasks import INBOX_CAPACITY, TrioTasks


class ControlledRuntime(TrioTasks, Stepping):
    """Actors as trio tasks of which one runs at a time.

    The same choices give the same trace and the same final state as on the bare loop.
    """

    def __init__(
        self,
        nursery: trio.Nursery,
        chooser: Chooser | None = None,
        budget: int = 1_000_000,
        keep_log: bool = False,
        capacity: int = INBOX_CAPACITY,
    ) -> None:
        super().__init__(nursery, chooser, capacity)
        self.watch(budget, keep_log)
        self.limit = budget
        self.until: Thread | None = None
        self.ended = trio.Event()
        self.failure: BaseException | None = None

    async def run(self, until: Thread | None = None) -> None:
        """Make steps until ``until`` has ended, or until nobody can make one.

        Raises:
            Deadlock, Livelock: as on the bare loop.
            EmulatorError: the caller's task is being cancelled while the run is in progress.
        """
        self.until, self.failure, self.ended = until, None, trio.Event()
        self.limit = self.steps + self.budget
        thread = self._next()
        if thread is not None:
            self.inboxes[self.whereabouts(thread)].send_nowait(thread)
            with trio.CancelScope(shield=True):
                await self.ended.wait()
            await trio.lowlevel.checkpoint_if_cancelled()
        if self.failure is not None:
            raise self.failure

    async def serve(self, actor: Actor, inbox: trio.MemoryReceiveChannel[Thread]) -> None:
        """Run segments inside ``actor`` while the chosen threads stand in it."""
        name = actor.id
        async for arrived in inbox:
            thread: Thread | None = arrived
            while thread is not None:
                try:
                    thread = self._next() if self.segment(thread) else thread
                except BaseException as problem:
                    self.failure = problem
                    self.ended.set()
                    break
                if thread is not None and self.whereabouts(thread) != name:
                    self.inboxes[self.whereabouts(thread)].send_nowait(thread)
                    break

    def _next(self) -> Thread | None:
        """Pick who makes the next step; None when the run has ended."""
        if self.until is not None and self.until.finished:
            self._end(None)
            return None
        if self.steps >= self.limit:
            self._end(self.livelock(self.current))
            return None
        ready = self.ready
        if not ready:
            self._end(None if self.complete(self.until) else self.stuck())
            return None
        thread = ready[0] if len(ready) == 1 else self.chooser.pick(self)
        if self.keep_log:
            if thread.pending is None:
                raise EmulatorError(f"{thread.name} has declared nothing")
            self.log.append((thread, thread.pending))
        self.steps += 1
        return thread

    def _end(self, failure: BaseException | None) -> None:
        self.failure = failure
        self.ended.set()
