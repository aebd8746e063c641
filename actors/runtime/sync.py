"""Locks and waiting: everything that can make a thread wait, built on one notion, the guard.

A guard decides whether a declared operation may happen now. The core keeps out of the set of ready
threads whoever stands at a guard that says no, so "ready" always means "can make a step", and when
nothing is ready the guards know who waits for whom.

Kernel: kernel/locking/mutex.c, kernel/locking/rwsem.c, kernel/sched/completion.c. Waiters are not
queued first come first served: like the kernel's, a lock that becomes free may be taken by anyone
who is there, which is also what makes every order reachable.
"""

from __future__ import annotations

import types
from collections.abc import Generator
from typing import TYPE_CHECKING, Any

from actors.runtime.errors import EmulatorError, KernelOops
from actors.runtime.ops import Op

if TYPE_CHECKING:
    from actors.runtime.core import Core
    from actors.runtime.thread import Thread


class Guard:
    """Something threads can wait at.

    Attributes:
        name: the deterministic name of the object.
        contenders: threads that stand at an operation on this guard, ready or not.
    """

    __slots__ = ("contenders", "core", "name")

    def __init__(self, core: Core, name: str) -> None:
        self.core = core
        self.name = name
        self.contenders: list[Thread] = []

    def passes(self, op: Op) -> bool:
        """Whether ``op`` may be performed now."""
        raise NotImplementedError  # pragma: no cover - every guard says its own

    def holders(self) -> list[str]:
        """Names of the threads that keep others waiting."""
        return []


class Mutex(Guard):
    """A sleeping lock with one owner.

    ``async with lock:`` takes and releases it. When the block ends by an oops the lock stays held,
    as a dead task leaves it.
    """

    __slots__ = ("acquire_op", "owner", "release_op")

    def __init__(self, core: Core, name: str) -> None:
        super().__init__(core, name)
        self.owner: Thread | None = None
        self.acquire_op = Op("lock", name, True, self, "acquire")
        self.release_op = Op("lock", name, True, None, "release")

    def passes(self, op: Op) -> bool:
        return self.owner is None

    def holders(self) -> list[str]:
        return [self.owner.name] if self.owner else []

    @types.coroutine
    def acquire(self) -> Generator[Op, Any, None]:
        """Wait until the mutex is free and take it."""
        core = self.core
        core.about_to_take(self, "write")
        if core.controlled:
            yield self.acquire_op
        while self.owner is not None:
            yield self.acquire_op
        thread = core.current
        self.owner = thread
        thread.held.append((self.name, "write"))
        core.changed(self)
        if core.tracing:
            core.trace(self.acquire_op)

    @types.coroutine
    def release(self) -> Generator[Op, Any, None]:
        """Give the mutex back.

        Raises:
            EmulatorError: the running thread does not own it.
        """
        core = self.core
        if core.controlled:
            yield self.release_op
        if self.owner is not core.current:
            raise EmulatorError(f"{core.current.name} releases {self.name}, which it does not own")
        self.owner = None
        core.current.held.remove((self.name, "write"))
        core.changed(self)
        if core.tracing:
            core.trace(self.release_op)

    async def __aenter__(self) -> None:
        await self.acquire()

    async def __aexit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        if keeps_locks(kind):
            return
        await self.release()


def keeps_locks(kind: type[BaseException] | None) -> bool:
    """Whether a block that ends by an exception of this type leaves its locks held."""
    return kind is not None and issubclass(kind, (KernelOops, GeneratorExit))


class RwSem(Guard):
    """A sleeping lock with many readers or one writer; ``read()`` and ``write()`` are its two sides."""

    __slots__ = ("ops", "readers", "writer")

    def __init__(self, core: Core, name: str) -> None:
        super().__init__(core, name)
        self.writer: Thread | None = None
        self.readers: list[Thread] = []
        self.ops = {
            "read": (Op("lock", name, False, self, "read"), Op("lock", name, False, None, "read-release")),
            "write": (Op("lock", name, True, self, "write"), Op("lock", name, True, None, "write-release")),
        }

    def passes(self, op: Op) -> bool:
        return self.writer is None and (op.mode == "read" or not self.readers)

    def holders(self) -> list[str]:
        return [t.name for t in ([self.writer] if self.writer else self.readers)]

    def read(self) -> Side:
        """Return the block that holds the lock together with other readers."""
        return Side(self, "read")

    def write(self) -> Side:
        """Return the block that holds the lock alone."""
        return Side(self, "write")

    @types.coroutine
    def acquire(self, mode: str) -> Generator[Op, Any, None]:
        """Wait until the lock can be taken in ``mode`` (``read`` or ``write``) and take it."""
        core = self.core
        core.about_to_take(self, mode)
        op = self.ops[mode][0]
        if core.controlled:
            yield op
        while not self.passes(op):
            yield op
        if mode == "read":
            self.readers.append(core.current)
        else:
            self.writer = core.current
        core.current.held.append((self.name, mode))
        core.changed(self)
        if core.tracing:
            core.trace(op)

    @types.coroutine
    def release(self, mode: str) -> Generator[Op, Any, None]:
        """Give the lock back that was taken in ``mode``."""
        core = self.core
        op = self.ops[mode][1]
        if core.controlled:
            yield op
        if mode == "read":
            self.readers.remove(core.current)
        else:
            self.writer = None
        core.current.held.remove((self.name, mode))
        core.changed(self)
        if core.tracing:
            core.trace(op)


class Side:
    """One use of a :class:`RwSem` as an ``async with`` block."""

    __slots__ = ("lock", "mode")

    def __init__(self, lock: RwSem, mode: str) -> None:
        self.lock = lock
        self.mode = mode

    async def __aenter__(self) -> None:
        await self.lock.acquire(self.mode)

    async def __aexit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        if keeps_locks(kind):
            return
        await self.lock.release(self.mode)


class Completion(Guard):
    """A condition that becomes true once: ``wait()`` returns when ``complete()`` was called."""

    __slots__ = ("done", "signal_op", "wait_op", "whom")

    def __init__(self, core: Core, name: str, whom: str = "") -> None:
        super().__init__(core, name)
        self.done = False
        self.whom = whom
        self.wait_op = Op("thread", name, False, self, "wait")
        self.signal_op = Op("thread", name, True, None, "complete")

    def passes(self, op: Op) -> bool:
        return self.done

    def holders(self) -> list[str]:
        return [self.whom] if self.whom else []

    def complete(self) -> None:
        """Let everyone through, now and later."""
        self.done = True
        self.core.changed(self)

    @types.coroutine
    def wait(self) -> Generator[Op, Any, None]:
        """Wait until the condition is true."""
        if self.core.controlled:
            yield self.wait_op
        while not self.done:
            yield self.wait_op
