"""The controlled runtime under trio: one actor's task runs at a time, and the order is chosen.

The baton is a message: whoever runs picks the next thread and, when that one goes on inside another
actor, puts it into that actor's inbox and waits at its own.
"""

from __future__ import annotations

import trio

from actors.runtime.actor import Actor
from actors.runtime.core import Chooser
from actors.runtime.errors import EmulatorError
from actors.runtime.inbox import Inbox
from actors.runtime.stepping import Log, Stepping
from actors.runtime.thread import Thread
from actors.runtime.trio_tasks import INBOX_CAPACITY, TrioTasks


class ControlledRuntime(TrioTasks, Stepping):
    """Actors as trio tasks of which one runs at a time.

    The same choices give the same trace and the same final state as on the bare loop. A run that has
    begun comes to its end: cancelling it takes effect afterwards, or else the baton could be lost.
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
        self.entries: Log | None = None
        self.running = False
        self.kept: dict[Inbox, None] = {}
        self.caller: trio.lowlevel.Task | None = None
        self.failure: BaseException | None = None

    async def run(self, until: Thread | None = None) -> None:
        """Make steps until ``until`` has ended, or until nobody can make one.

        Raises:
            Deadlock, Livelock: as on the bare loop.
            EmulatorError: another run is in progress, or the machine has ended.
            trio.Cancelled: the caller was cancelled meanwhile; the run has come to its end all the same.
        """
        if self.running:
            raise EmulatorError("the machine is being run already")
        self.until, self.failure = until, None
        self.entries, self.limit = self.log_of_run(), self.steps + self.budget
        self.running, self.caller = True, trio.lowlevel.current_task()
        try:
            thread = self._next()
            if thread is not None:
                self.hand_over(thread, self.whereabouts(thread))
                await trio.lowlevel.wait_task_rescheduled(stay)
        finally:
            self._let_go()
        if self.failure is not None:
            raise self.failure
        await trio.lowlevel.checkpoint()

    def may_leave(self, inbox: Inbox) -> bool:
        """Whether an actor's task that is being cancelled may end: not while a run is in progress."""
        if self.running:
            self.kept[inbox] = None
            return False
        return super().may_leave(inbox)

    def _let_go(self) -> None:
        """The run has ended: let those tasks end that were cancelled meanwhile."""
        self.running = False
        for inbox in self.kept:
            inbox.wake()
        self.kept.clear()

    async def serve(self, actor: Actor, name: str, inbox: Inbox) -> None:
        """Run segments inside ``actor`` while the chosen threads stand in it."""
        while True:
            arrived = await inbox.receive()
            try:
                self._carry(arrived, name)
            except BaseException as problem:
                self._end(problem)

    def _carry(self, thread: Thread, name: str) -> None:
        """Run ``thread`` and whoever is picked after it, until one goes on in another actor than ``name``."""
        segment, following, whereabouts = self.segment, self._next, self.whereabouts
        while True:
            if segment(thread):
                picked = following()
                if picked is None:
                    self._end(self.failure)
                    return
                thread = picked
            place = whereabouts(thread)
            if place != name:
                self.hand_over(thread, place)
                return

    def _next(self) -> Thread | None:
        """Pick who makes the next step; None when the run has ended, with or without a failure."""
        if self.until is not None and self.until.finished:
            return None
        ready = self.ready
        if not ready:
            self.failure = None if self.complete(self.until) else self.stuck()
            return None
        thread = ready[0] if len(ready) == 1 else self.chooser.pick(self)
        if self.entries is not None:
            self.entries.append((thread, thread.pending))
        self.steps += 1
        if self.steps >= self.limit:
            self.entries = self.end_is_near(self.steps - self.limit)
        return thread

    def _end(self, failure: BaseException | None) -> None:
        """Give the baton back to who called :meth:`run`."""
        self.failure = failure
        if self.caller is not None:
            caller, self.caller = self.caller, None
            trio.lowlevel.reschedule(caller)


def stay(raise_cancel: object) -> trio.lowlevel.Abort:
    """Refuse to be cancelled while the baton is out; trio delivers it at the next checkpoint."""
    return trio.lowlevel.Abort.FAILED
