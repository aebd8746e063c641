"""The channel between actors: bounded, with one receiver.

It does what a trio memory channel does for one receiver who is always there, at a third of the cost:
sending never waits (see :mod:`actors.runtime.trio_tasks` for why it need not), and receiving parks the
task only when nothing has arrived.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

import trio
from trio.lowlevel import Abort, current_task, reschedule, wait_task_rescheduled

if TYPE_CHECKING:
    from actors.runtime.thread import Thread


class Inbox:
    """Threads of control that have arrived, oldest first.

    Args:
        capacity: how many may be here at once.
        may_leave: asked when the receiver is cancelled while it waits; False makes it wait on.

    Attributes:
        closed: whether it is of no use any more.
    """

    __slots__ = ("_arrived", "_receiver", "capacity", "closed", "may_leave")

    def __init__(self, capacity: int, may_leave: Callable[[Inbox], bool] | None = None) -> None:
        self.capacity = capacity
        self.may_leave = may_leave
        self.closed = False
        self._arrived: deque[Thread] = deque()
        self._receiver: trio.lowlevel.Task | None = None

    def __len__(self) -> int:
        return len(self._arrived)

    def send(self, thread: Thread) -> None:
        """Put ``thread`` behind the others and wake the receiver.

        Raises:
            trio.BrokenResourceError: nobody will receive any more.
            trio.WouldBlock: ``capacity`` are here already.
        """
        arrived = self._arrived
        if self.closed:
            raise trio.BrokenResourceError
        if len(arrived) >= self.capacity:
            raise trio.WouldBlock
        arrived.append(thread)
        receiver = self._receiver
        if receiver is not None:
            self._receiver = None
            reschedule(receiver)

    async def receive(self) -> Thread:
        """Wait until somebody has arrived and return him; a checkpoint only if it waits.

        Raises:
            trio.BrokenResourceError: nobody is here and nobody will come.
        """
        while not self._arrived:
            if self.closed:
                raise trio.BrokenResourceError
            self._receiver = current_task()
            await wait_task_rescheduled(self._abort)
        return self._arrived.popleft()

    def take(self) -> Thread | None:
        """Return who has arrived first, None when nobody has."""
        return self._arrived.popleft() if self._arrived else None

    def wake(self) -> None:
        """Make the receiver look again; one that was cancelled and had to wait on leaves now."""
        if self._receiver is not None:
            receiver, self._receiver = self._receiver, None
            reschedule(receiver)

    def close(self) -> None:
        """Say that nobody will come or receive any more."""
        self.closed = True
        self.wake()

    def _abort(self, raise_cancel: object) -> Abort:
        receiver, self._receiver = self._receiver, None
        if self.may_leave is None or self.may_leave(self):
            return Abort.SUCCEEDED
        self._receiver = receiver
        return Abort.FAILED
