"""Read-copy-update: read sections, grace periods, callbacks.

Kernel: kernel/rcu/tree.c, kernel/rcu/update.c. A callback runs after a grace period, that is after
every read section that was open when it was queued has been left.

Simplified: one grace period a callback; real grace periods are shared, which only makes them longer.
"""

from __future__ import annotations

import types
from collections.abc import Generator
from typing import TYPE_CHECKING, Any

from actors.runtime.actor import Actor
from actors.runtime.ops import Op, call, point
from actors.runtime.sync import Completion, Guard, keeps_locks

if TYPE_CHECKING:
    from actors.runtime.core import Core
    from actors.runtime.messages import Request
    from actors.runtime.thread import Thread


class GracePeriod(Guard):
    """The wait of one callback for the readers that were there when it was queued.

    Attributes:
        readers: those of them that have not left their read section yet.
        awaited: indices of all of them.
    """

    __slots__ = ("awaited", "readers", "wait_op")

    def __init__(self, rcu: Rcu, name: str) -> None:
        super().__init__(rcu.core, name)
        self.readers = list(rcu.readers)
        self.awaited = frozenset(t.index for t in rcu.readers)
        self.wait_op = Op("rcu", rcu.id, True, self, "grace-period")

    def passes(self, op: Op) -> bool:
        """Whether no reader is left."""
        return not self.readers

    def holders(self) -> list[str]:
        """Names of the readers that are left."""
        return [t.name for t in self.readers]

    def left(self, thread: Thread) -> None:
        """A thread has left its read section."""
        if thread in self.readers:
            self.readers.remove(thread)
            self.core.changed(self)

    @types.coroutine
    def wait(self) -> Generator[Op, Any, None]:
        """Wait for the end of the grace period."""
        if self.core.controlled:
            yield self.wait_op
        while self.readers:
            yield self.wait_op


class Callback:
    """What is to be done after a grace period.

    Attributes:
        name: ``callback:3``.
        target: the actor that does it.
        request: what it is asked for.
        grace_period: what it waits for.
        begun: whether a thread has taken it up.
        done: completed when it has run, or has crashed.
    """

    __slots__ = ("begun", "done", "grace_period", "name", "request", "target")

    def __init__(self, rcu: Rcu, target: str, request: Request[Any]) -> None:
        self.name = rcu.core.number("callback")
        self.target = target
        self.request = request
        self.grace_period = GracePeriod(rcu, f"rcu:{self.name}")
        self.begun = False
        self.done = Completion(rcu.core, f"{self.name}.done", f"rcu-{self.name}")


class ReadSection:
    """``async with rcu.read_lock():`` - no grace period ends while the section is open.

    Context: never sleeps; sections of one thread nest.
    """

    __slots__ = ("rcu",)

    def __init__(self, rcu: Rcu) -> None:
        self.rcu = rcu

    async def __aenter__(self) -> None:
        rcu = self.rcu
        if rcu.core.controlled:
            await point(rcu.lock_op)
        rcu.enter(rcu.core.current)

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if keeps_locks(kind):
            return
        rcu = self.rcu
        if rcu.core.controlled:
            await point(rcu.unlock_op)
        rcu.leave(rcu.core.current)


class Rcu(Actor):
    """The kernel's RCU machinery.

    Under a controlled runtime each callback has a thread of its own, which may run as soon as the
    callback's readers are gone: that it does is one choice among others. Under the free runtime
    callbacks run when someone asks (:meth:`rcu_barrier`), so that nothing depends on time.

    Attributes:
        readers: threads inside a read section.
        callbacks: those that have not run to their end, oldest first.
    """

    kind = "rcu"

    def __init__(self, core: Core) -> None:
        super().__init__(core)
        self.readers: list[Thread] = []
        self.callbacks: list[Callback] = []
        self.section = ReadSection(self)
        self.lock_op = Op("rcu", self.id, False, None, "read-lock")
        self.unlock_op = Op("rcu", self.id, False, None, "read-unlock")
        self.queue_op = Op("rcu", self.id, True)

    def read_lock(self) -> ReadSection:
        """Return the block during which the running thread is a reader."""
        return self.section

    def enter(self, thread: Thread) -> None:
        """Open a read section of ``thread``."""
        thread.rcu_nesting += 1
        if thread.rcu_nesting == 1:
            self.readers.append(thread)
        if self.core.tracing:
            self.core.trace(self.lock_op)

    def leave(self, thread: Thread) -> None:
        """Leave a read section; at the outermost one grace periods may end."""
        thread.rcu_nesting -= 1
        if self.core.tracing:
            self.core.trace(self.unlock_op)
        if thread.rcu_nesting == 0:
            self.readers.remove(thread)
            for callback in self.callbacks:
                callback.grace_period.left(thread)

    async def call_rcu(self, target: str, request: Request[Any]) -> None:
        """Have ``target`` serve ``request`` after a grace period. Kernel: ``call_rcu``."""
        if self.core.controlled:
            await point(self.queue_op)
        callback = Callback(self, target, request)
        self.callbacks.append(callback)
        if self.core.tracing:
            self.core.trace(self.queue_op, None, callback.name, request.serves)
        if self.core.controlled:
            callback.begun = True
            self.core.spawn(self, self.run(callback), f"rcu-{callback.name}", daemon=True)

    async def run(self, callback: Callback) -> None:
        """Wait for the grace period of a callback and run it. Kernel: ``rcu_do_batch``."""
        try:
            await callback.grace_period.wait()
            await call(callback.target, callback.request)
        finally:
            self.callbacks.remove(callback)
            callback.done.complete()

    async def rcu_barrier(self) -> None:
        """Wait until every callback queued so far has run. Kernel: ``rcu_barrier``."""
        for callback in list(self.callbacks):
            if callback.begun:
                await callback.done.wait()
            else:
                callback.begun = True
                await self.run(callback)
