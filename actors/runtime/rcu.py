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
    """The wait of one callback for the readers that were there when it was queued."""

    __slots__ = ("rcu", "readers", "wait_op")

    def __init__(self, rcu: Rcu, name: str) -> None:
        super().__init__(rcu.core, name)
        self.rcu = rcu
        self.readers = list(rcu.readers)
        self.wait_op = Op("rcu", rcu.id, True, self, "grace-period")

    def passes(self, op: Op) -> bool:
        return not self.readers and (self.core.controlled or self.rcu.asked)

    def holders(self) -> list[str]:
        return [t.name for t in self.readers]

    @types.coroutine
    def wait(self) -> Generator[Op, Any, None]:
        """Wait for the end of the grace period."""
        if self.core.controlled:
            yield self.wait_op
        while not self.passes(self.wait_op):
            yield self.wait_op


class ReadSection:
    """``async with rcu.read_lock():`` - no grace period ends while the section is open.

    Context: never sleeps; sections of one thread nest.
    """

    __slots__ = ("rcu",)

    def __init__(self, rcu: Rcu) -> None:
        self.rcu = rcu

    async def __aenter__(self) -> None:
        if self.rcu.core.controlled:
            await point(self.rcu.read_op)
        self.rcu.enter(self.rcu.core.current)

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if keeps_locks(kind):
            return
        if self.rcu.core.controlled:
            await point(self.rcu.read_op)
        self.rcu.leave(self.rcu.core.current)


class Rcu(Actor):
    """The kernel's RCU machinery: an actor whose threads run the callbacks.

    Under a controlled runtime a grace period may end as soon as its readers are gone, which is one
    choice among others. Under the free runtime it ends when someone asks (:meth:`barrier`), so that
    nothing depends on time.
    """

    kind = "rcu"

    def __init__(self, core: Core) -> None:
        super().__init__(core)
        self.readers: list[Thread] = []
        self.grace_periods: list[GracePeriod] = []
        self.barriers: list[Barrier] = []
        self.asked = False
        self.read_op = Op("rcu", self.id, False)
        self.queue_op = Op("rcu", self.id, True)

    def read_lock(self) -> ReadSection:
        """Return the block during which the running thread is a reader."""
        return ReadSection(self)

    def enter(self, thread: Thread) -> None:
        """Open a read section of ``thread``."""
        thread.rcu_nesting += 1
        if thread.rcu_nesting == 1:
            self.readers.append(thread)

    def leave(self, thread: Thread) -> None:
        """Leave a read section; at the outermost one grace periods may end."""
        thread.rcu_nesting -= 1
        if thread.rcu_nesting == 0:
            self.readers.remove(thread)
            for grace_period in self.grace_periods:
                if thread in grace_period.readers:
                    grace_period.readers.remove(thread)
                    self.core.changed(grace_period)

    async def call_rcu(self, target: str, request: Request[Any]) -> None:
        """Have ``target`` serve ``request`` after a grace period. Kernel: ``call_rcu``."""
        if self.core.controlled:
            await point(self.queue_op)
        name = self.core.number("callback")
        grace_period = GracePeriod(self, f"rcu:{name}")
        self.grace_periods.append(grace_period)
        self.core.spawn(self, self._run(grace_period, target, request), f"rcu-{name}", daemon=True)

    async def _run(self, grace_period: GracePeriod, target: str, request: Request[Any]) -> None:
        await grace_period.wait()
        await call(target, request)
        self.grace_periods.remove(grace_period)
        for barrier in self.barriers:
            barrier.look()

    async def rcu_barrier(self) -> None:
        """Wait until every callback queued so far has run. Kernel: ``rcu_barrier``."""
        barrier = Barrier(self)
        self.barriers.append(barrier)
        self.asked = True
        for grace_period in list(self.grace_periods):
            self.core.changed(grace_period)
        await barrier.done.wait()
        self.barriers.remove(barrier)
        self.asked = bool(self.barriers)


class Barrier:
    """One waiter for all the callbacks that were queued when it came."""

    def __init__(self, rcu: Rcu) -> None:
        self.rcu = rcu
        self.left = list(rcu.grace_periods)
        self.done = Completion(rcu.core, f"{rcu.id}.barrier", rcu.id)
        self.look()

    def look(self) -> None:
        """Count what is left; complete when nothing is."""
        self.left = [g for g in self.left if g in self.rcu.grace_periods]
        if not self.left:
            self.done.complete()
