"""What the two runtimes under trio share: each actor is a trio task with a bounded inbox.

A message is handed over together with the thread of control that it belongs to, so an inbox never
holds more messages than there are threads and its bound cannot be the cause of a deadlock.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import trio

from actors.runtime.actor import Actor
from actors.runtime.core import Chooser, Core
from actors.runtime.errors import EmulatorError
from actors.runtime.inbox import Inbox
from actors.runtime.thread import Thread

INBOX_CAPACITY = 1024


class TrioTasks(Core, ABC):
    """A core whose actors are trio tasks in ``nursery``.

    Args:
        nursery: where the tasks of the actors live; cancelling it ends the machine.
        chooser: the source of choice.
        capacity: the bound of each inbox, in messages.
    """

    def __init__(
        self, nursery: trio.Nursery, chooser: Chooser | None = None, capacity: int = INBOX_CAPACITY
    ) -> None:
        super().__init__(chooser)
        self.nursery = nursery
        self.capacity = capacity
        self.inboxes: dict[str, Inbox] = {}

    def register(self, actor: Actor) -> None:
        """Enter the actor and start its task."""
        super().register(actor)
        self.start_task(actor, actor.id)

    def start_task(self, actor: Actor, name: str) -> None:
        """Start the trio task of an actor that is in the directory."""
        inbox = self.inboxes[name] = self.new_inbox()
        self.nursery.start_soon(self.serve_until_end, actor, name, inbox, name=name)

    def new_inbox(self) -> Inbox:
        """Return an inbox for an actor."""
        return Inbox(self.capacity, self.may_leave)

    def may_leave(self, inbox: Inbox) -> bool:
        """Whether an actor's task that is being cancelled may end; nothing can be sent to it then."""
        inbox.close()
        return True

    def machine_ends(self) -> None:
        """The task of an actor was cancelled: there will be no replies any more."""

    async def serve_until_end(self, actor: Actor, name: str, inbox: Inbox) -> None:
        """Serve the inbox of an actor; whoever sends to it after its end is told so."""
        try:
            await self.serve(actor, name, inbox)
        except trio.Cancelled:
            self.machine_ends()
            raise
        finally:
            inbox.close()

    @abstractmethod
    async def serve(self, actor: Actor, name: str, inbox: Inbox) -> None:
        """Run what arrives in ``inbox`` inside ``actor`` until the machine ends."""

    def whereabouts(self, thread: Thread) -> str:
        """The id of the actor in which ``thread`` goes on."""
        return thread.call.target if thread.call is not None else thread.frames[-1][0].id

    def hand_over(self, thread: Thread, name: str) -> None:
        """Put ``thread`` into the inbox of the actor in which it goes on.

        Raises:
            EmulatorError: the machine has ended, or more threads are about than inboxes are for.
        """
        try:
            self.inboxes[name].send(thread)
        except trio.BrokenResourceError:
            raise EmulatorError(f"{thread.name} goes on in {name}, but the machine has ended") from None
        except trio.WouldBlock:
            raise EmulatorError(f"more than {self.capacity} threads wait for {name}") from None
