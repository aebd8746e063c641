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
from abc import ABC, abstractmethod
from collections.abc import Generator
from typing import TYPE_CHECKING, Any

from actors.runtime.errors import EmulatorError, KernelOops
from actors.runtime.ops import Op

if TYPE_CHECKING:
    from actors.runtime.core import Core
    from actors.runtime.thread import Thread


class Guard(ABC):
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

    @abstractmethod
    def passes(self, op: Op) -> bool:
        """Whether ``op`` may be performed now."""

    def holders(self) -> list[str]:
        """Names of the threads that keep others waiting; the dead among them are marked."""
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
        """Whether nobody owns it."""
        return self.owner is None

    def holders(self) -> list[str]:
        """Name of the owner."""
        return names_of([self.owner] if self.owner else [])

    @types.coroutine
    def acquire(self) -> Generator[Op, Any, None]:
        """Wait until the mutex is free and take it."""
        core, op = self.core, self.acquire_op
        if core.lock_watch is not None:
            core.lock_watch(core.current, self.name, "write")
        if core.controlled:
            yield op
        while self.owner is not None:
            yield op
        self.owner = core.current
        taken(self, op)

    @types.coroutine
    def release(self) -> Generator[Op, Any, None]:
        """Give the mutex back.

        Raises:
            EmulatorError: the running thread does not own it.
        """
        if self.core.controlled:
            yield self.release_op
        if self.owner is not self.core.current:
            raise not_held(self)
        self.owner = None
        given_back(self, self.acquire_op, self.release_op)

    __aenter__ = acquire

    @types.coroutine
    def __aexit__(self, kind: type[BaseException] | None, *rest: object) -> Generator[Op, Any, None]:
        if kind is None or not keeps_locks(kind):
            yield from self.release()


class RwSem(Guard):
    """A sleeping lock with many readers or one writer; ``read()`` and ``write()`` are its two sides."""

    __slots__ = ("_read", "_write", "readers", "writer")

    def __init__(self, core: Core, name: str) -> None:
        super().__init__(core, name)
        self.writer: Thread | None = None
        self.readers: list[Thread] = []
        self._read = Side(self, "read", write=False)
        self._write = Side(self, "write", write=True)

    def passes(self, op: Op) -> bool:
        """Whether no writer has it and, for a writer, no reader either."""
        return self.writer is None and not (op.write and self.readers)

    def holders(self) -> list[str]:
        """Name of the writer, or names of the readers."""
        return names_of([self.writer] if self.writer else self.readers)

    def read(self) -> Side:
        """Return the block that holds the lock together with other readers."""
        return self._read

    def write(self) -> Side:
        """Return the block that holds the lock alone."""
        return self._write


class Side:
    """One way to hold a :class:`RwSem`, as an ``async with`` block."""

    __slots__ = ("lock", "release_op", "take_op")

    def __init__(self, lock: RwSem, mode: str, write: bool) -> None:
        self.lock = lock
        self.take_op = Op("lock", lock.name, write, lock, mode)
        self.release_op = Op("lock", lock.name, write, None, f"{mode}-release")

    @types.coroutine
    def acquire(self) -> Generator[Op, Any, None]:
        """Wait until the lock can be taken this way and take it."""
        lock, op = self.lock, self.take_op
        core = lock.core
        if core.lock_watch is not None:
            core.lock_watch(core.current, lock.name, op.mode)
        if core.controlled:
            yield op
        while lock.writer is not None or (op.write and lock.readers):
            yield op
        if op.write:
            lock.writer = core.current
        else:
            lock.readers.append(core.current)
        taken(lock, op)

    @types.coroutine
    def release(self) -> Generator[Op, Any, None]:
        """Give the lock back.

        Raises:
            EmulatorError: the running thread does not hold it this way.
        """
        lock, op = self.lock, self.take_op
        core = lock.core
        if core.controlled:
            yield self.release_op
        if op not in core.current.held:
            raise not_held(lock)
        if op.write:
            lock.writer = None
        else:
            lock.readers.remove(core.current)
        given_back(lock, op, self.release_op)

    __aenter__ = acquire

    @types.coroutine
    def __aexit__(self, kind: type[BaseException] | None, *rest: object) -> Generator[Op, Any, None]:
        if kind is None or not keeps_locks(kind):
            yield from self.release()


class Completion(Guard):
    """A condition that becomes true once: ``wait()`` returns when ``complete()`` was called.

    Attributes:
        whom: the name of the thread that will complete it, for reports; "" when nobody can say.
    """

    __slots__ = ("done", "wait_op", "whom")

    def __init__(self, core: Core, name: str, whom: str = "") -> None:
        super().__init__(core, name)
        self.done = False
        self.whom = whom
        self.wait_op = Op("thread", name, False, self, "wait")

    def passes(self, op: Op) -> bool:
        """Whether it is done."""
        return self.done

    def holders(self) -> list[str]:
        """Name of the thread that will complete it."""
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


def taken(lock: Guard, op: Op) -> None:
    """The running thread has taken ``lock`` by ``op``: note it, and tell the others who stand there."""
    core = lock.core
    core.current.held.append(op)
    if lock.contenders:
        core.changed(lock)
    if core.tracing:
        core.trace(op)


def given_back(lock: Guard, op: Op, release_op: Op) -> None:
    """The running thread has given ``lock`` back that it had taken by ``op``."""
    core = lock.core
    core.current.held.remove(op)
    if lock.contenders:
        core.changed(lock)
    if core.tracing:
        core.trace(release_op)


def not_held(lock: Guard) -> EmulatorError:
    """The error of a release by a thread that does not hold the lock."""
    return EmulatorError(f"{lock.core.current.name} releases {lock.name}, which it does not hold")


def keeps_locks(kind: type[BaseException] | None) -> bool:
    """Whether a block that ends by an exception of this type leaves its locks held."""
    return kind is not None and issubclass(kind, (KernelOops, GeneratorExit))


def names_of(threads: list[Thread]) -> list[str]:
    """Names of threads for a report; one that has crashed holds its locks for ever."""
    return [f"{t.name} (dead)" if t.finished else t.name for t in threads]
