"""The free runtime: actors run as trio schedules them; the user's own trio tasks are the processes' threads.

A point costs nothing here: nobody chooses. A thread leaves its actor only to send a request, to
come back with a reply, or to wait at a guard.
"""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, TypeVar

import trio

from actors.runtime.actor import Actor
from actors.runtime.core import Chooser
from actors.runtime.errors import EmulatorError
from actors.runtime.inbox import Inbox
from actors.runtime.messages import Request
from actors.runtime.ops import KINDS
from actors.runtime.sync import Guard
from actors.runtime.thread import Thread
from actors.runtime.trio_tasks import INBOX_CAPACITY, TrioTasks

R = TypeVar("R")


class FreeRuntime(TrioTasks):
    """Actors as freely running trio tasks.

    At most ``capacity`` requests from outside are under way; more wait for one of them to end.
    """

    def __init__(
        self, nursery: trio.Nursery, chooser: Chooser | None = None, capacity: int = INBOX_CAPACITY
    ) -> None:
        super().__init__(nursery, chooser, capacity)
        self.controlled = False
        self.muted = frozenset(KINDS)
        self.paused: dict[str, trio.Event] = {}
        self.idle: list[Thread] = []
        self.callers = 0
        self.over = False
        self.waiting = trio.lowlevel.ParkingLot()

    # -- actors --------------------------------------------------------------------------------

    async def serve(self, actor: Actor, name: str, inbox: Inbox) -> None:
        """Serve the inbox: each arrival makes one thread go on inside ``actor``."""
        paused, segment, post = self.paused, self.segment, self.post
        while True:
            thread = await inbox.receive()
            while name in paused:
                await paused[name].wait()
            if not segment(thread):
                post(thread)

    def post(self, thread: Thread) -> None:
        """Send ``thread`` to where it goes on: another actor, or the user's task that began it."""
        if thread.home is not None and thread.call is None and len(thread.frames) == 1:
            thread.home.send(thread)
        else:
            self.hand_over(thread, self.whereabouts(thread))

    def pause(self, actor_id: str) -> None:
        """Stop one actor: what arrives waits in its inbox until :meth:`resume`."""
        if actor_id not in self.actors:
            raise EmulatorError(f"no actor {actor_id}")
        self.paused.setdefault(actor_id, trio.Event())

    def resume(self, actor_id: str) -> None:
        """Let a stopped actor go on."""
        event = self.paused.pop(actor_id, None)
        if event is not None:
            event.set()

    # -- threads -------------------------------------------------------------------------------

    def enable(self, thread: Thread) -> None:
        """Wake a thread that waited, or start a new one."""
        if not thread.enabled:
            thread.enabled = True
            self.post(thread)

    def disable(self, thread: Thread) -> None:
        """Let a thread wait at its guard."""
        thread.enabled = False

    def changed(self, guard: Guard) -> None:
        """Wake those at ``guard`` whom it lets pass.

        Once woken a thread is on its way and stays so: it looks again when it arrives, and waits again
        if somebody else was faster.
        """
        for thread in guard.contenders:
            op = thread.pending
            if not thread.enabled and op is not None and guard.passes(op):
                if self.tracing:
                    self._waits(thread, op, guard, True)
                self.enable(thread)

    def alone(self) -> bool:
        """True: each request of a handler that treats a run as one step is a single segment here."""
        return True

    # -- requests from outside -----------------------------------------------------------------

    async def request(self, caller: Actor, target: str, request: Request[R]) -> R:
        """Send a request to ``target`` and return the reply.

        The calling trio task is a thread of ``target`` if that is a process, and else of ``caller``. When
        the task is cancelled the request goes on to its end without it, as a system call does.

        Raises:
            KernelOops, TaskKilled: what ended the thread.
            EmulatorError: the machine has ended.
        """
        if self.over:
            raise EmulatorError(f"{target} is asked for something, but the machine has ended")
        thread = self.idle.pop() if self.idle else await self._admit()
        actor = self.actors[target]
        if actor.callers_are_threads:
            body = actor.serve(request)
        else:
            actor, body = caller, super().request(caller, target, request)
        self._begin(thread, actor, body)
        if self.tracer is not None:
            self.tracer.event(thread, "start", {"actor": actor.id})
            if actor.id == target:
                self.tracer.event(thread, "request", {"to": target, "request": request})
        await self._carry(thread, actor.id)
        error, result = thread.error, thread.result
        self._release(thread)
        if error is not None:
            raise error
        return result  # type: ignore[no-any-return]

    def _begin(self, thread: Thread, actor: Actor, body: Coroutine[Any, Any, Any]) -> None:
        thread.name = actor.name
        thread.finished = False
        thread.enabled = True
        thread.frames.append((actor, body))
        self.threads[thread.index] = thread

    async def _carry(self, thread: Thread, name: str) -> None:
        """Run the outermost frame of ``thread``, which stands in actor ``name``, in the user's task."""
        segment, paused, home, here, stayed = self.segment, self.paused, thread.home, True, True
        try:
            while True:
                while name in paused:
                    await paused[name].wait()
                if not segment(thread):
                    self.post(thread)
                elif thread.finished:
                    break
                here = stayed = False
                await home.receive()
                here = True
            if stayed:
                await trio.lowlevel.checkpoint()
        except trio.Cancelled:
            self._abandon(thread, here or home.take() is not None)
            raise
        except trio.BrokenResourceError:
            raise EmulatorError(f"{thread.name} waits for a reply, but the machine has ended") from None

    def _abandon(self, thread: Thread, here: bool) -> None:
        """The user's task is gone: actors run the rest of its thread, at once if it is ``here``."""
        thread.home = None
        if thread.finished:
            self._leave()
        elif here and not self.over:
            self.hand_over(thread, self.whereabouts(thread))

    def machine_ends(self) -> None:
        """Tell those who wait outside for a reply, or to be let in, that there will be none."""
        self.over = True
        for thread in self.threads.values():
            if thread.home is not None:
                thread.home.close()
        for name in list(self.paused):
            self.resume(name)
        self.waiting.unpark_all()

    def started(self, thread: Thread) -> None:
        """Count a thread that nobody outside waits for."""
        super().started(thread)
        self.callers += 1

    def finish(self, thread: Thread, result: Any, error: BaseException | None) -> None:
        """End ``thread``; when nobody waits for its end its place is free again."""
        super().finish(thread, result, error)
        if thread.home is None:
            self._leave()

    def _release(self, thread: Thread) -> None:
        """Keep a thread for the next request, unless it has crashed and holds what it held."""
        thread.error = thread.result = None
        if thread.held or thread.rcu_nesting:
            self._leave()
        else:
            self.idle.append(thread)
            self.waiting.unpark()

    def _leave(self) -> None:
        self.callers -= 1
        self.waiting.unpark()

    async def _admit(self) -> Thread:
        """Return a thread for one more request, as soon as there may be one."""
        while self.callers >= self.capacity and not self.idle and not self.over:
            await self.waiting.park()
        if self.idle:
            return self.idle.pop()
        self.callers += 1
        thread = Thread(self.thread_count, "")
        self.thread_count += 1
        thread.home = Inbox(1)
        return thread
