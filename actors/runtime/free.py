"""The free runtime: actors run as trio schedules them; the user's own trio tasks are the processes' threads.

A point costs nothing here: nobody chooses. A thread leaves its actor only to send a request, to
come back with a reply, or to wait at a guard.
"""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

import trio

from actors.runtime.actor import Actor
from actors.runtime.core import Chooser
from actors.runtime.errors import EmulatorError
from actors.runtime.thread import Thread
from actors.runtime.trio_tasks import INBOX_CAPACITY, TrioTasks


class FreeRuntime(TrioTasks):
    """Actors as freely running trio tasks."""

    controlled = False

    def __init__(
        self, nursery: trio.Nursery, chooser: Chooser | None = None, capacity: int = INBOX_CAPACITY
    ) -> None:
        super().__init__(nursery, chooser, capacity)
        self.paused: dict[str, trio.Event] = {}
        self.idle: list[Thread] = []
        self.admission = trio.CapacityLimiter(capacity)

    async def serve(self, actor: Actor, inbox: trio.MemoryReceiveChannel[Thread]) -> None:
        """Serve the inbox: each arrival makes one thread go on inside ``actor``."""
        paused, segment, post, name = self.paused, self.segment, self.post, actor.id
        async for thread in inbox:
            while name in paused:
                await paused[name].wait()
            if not segment(thread) or thread.call is not None:
                post(thread)

    def post(self, thread: Thread) -> None:
        """Send ``thread`` to where it goes on: another actor, or the user's task that began it."""
        if thread.call is None and len(thread.frames) == 1 and thread.home is not None:
            thread.home[0].send_nowait(thread)
        else:
            self.inboxes[self.whereabouts(thread)].send_nowait(thread)

    def started(self, thread: Thread) -> None:
        """Hand a new thread to its actor."""
        self.inboxes[thread.frames[-1][0].id].send_nowait(thread)

    def enable(self, thread: Thread) -> None:
        """Wake a thread that waited at a guard."""
        if not thread.enabled:
            thread.enabled = True
            self.post(thread)

    def disable(self, thread: Thread) -> None:
        """Let a thread wait at its guard."""
        thread.enabled = False

    def alone(self) -> bool:
        """True: here nobody else runs between two requests of one handler to other actors."""
        return True

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

    async def perform(self, actor: Actor, body: Coroutine[Any, Any, Any], name: str) -> Any:
        """Run ``body`` inside ``actor`` as a thread of control whose trio task is the caller's.

        Raises:
            whatever ends the thread: KernelOops, TaskKilled.
        """
        if self.admission.borrowed_tokens + 1 >= self.capacity:
            await self.admission.acquire_on_behalf_of(body)
            try:
                return await self._perform(actor, body, name)
            finally:
                self.admission.release_on_behalf_of(body)
        return await self._perform(actor, body, name)

    async def _perform(self, actor: Actor, body: Coroutine[Any, Any, Any], name: str) -> Any:
        thread = self.idle.pop() if self.idle else self._new_thread()
        thread.name, thread.finished, thread.result, thread.error = name, False, None, None
        thread.frames.append((actor, body))
        thread.enabled = True
        self.threads[thread.index] = thread
        while not self.segment(thread) or not thread.finished:
            if thread.call is not None or len(thread.frames) > 1:
                self.post(thread)
            await thread.home[1].receive()
        self.idle.append(thread)
        if thread.error is not None:
            raise thread.error
        return thread.result

    def _new_thread(self) -> Thread:
        thread = Thread(self.thread_count, "")
        self.thread_count += 1
        thread.home = trio.open_memory_channel[Thread](1)
        return thread
