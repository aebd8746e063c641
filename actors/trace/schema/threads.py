"""What threads do: requests and replies, accesses, locks, waiting; and who was chosen to go on."""

from __future__ import annotations

from typing import Any, ClassVar

from actors.trace.schema.run import Record


class Happening(Record, frozen=True, kw_only=True):
    """Something that happened, with where and why.

    Attributes:
        step: number of the event, from 0; the only time there is.
        thread: the thread of control; one name follows a system call through all actors.
        actor: the actor in which the thread is.
        function: the kernel function; of a request the one that serves the thread where it is sent.
        operation: the system call or ioctl that the thread is carrying out.
        cause: step of the request (or thread start) that led here.
        caller: the process on whose behalf it happens.
        mm: the mm at work, or else the caller's.
        container: the container at work.
        held: locks that the thread holds, oldest first; ``/read`` marks a shared one.
        pins: pinned pages of the whole machine.
        locked_vm: pages charged to ``mm``.
    """

    step: int
    thread: str
    actor: str = ""
    function: str = ""
    operation: str = ""
    cause: int | None = None
    caller: str = ""
    mm: str = ""
    container: str = ""
    held: tuple[str, ...] = ()
    pins: int = 0
    locked_vm: int = 0


class Start(Happening, frozen=True, kw_only=True, tag="start"):
    """A thread begins.

    Attributes:
        daemon: it belongs to the kernel and may wait for ever.
        parent: the thread that began it; absent for one begun from outside.
    """

    daemon: bool = False
    parent: str = ""


class Finish(Happening, frozen=True, kw_only=True, tag="finish"):
    """A thread ends.

    Attributes:
        result: what it returned.
        error: what ended it instead.
    """

    result: Any = None
    error: str = ""


class Request(Happening, frozen=True, kw_only=True, tag="request"):
    """A request is sent to an actor; the thread goes on there.

    Attributes:
        to: the receiving actor.
        request: the kernel function that is to serve it.
        args: its arguments, those of ioctls decoded.
    """

    to: str
    request: str
    args: dict[str, Any] = {}


class Reply(Happening, frozen=True, kw_only=True, tag="reply"):
    """A request is answered; the thread goes back to the sender.

    Attributes:
        to: the actor that had asked.
        request: the kernel function that served it.
        of: step of the request.
        ret: the answer.
        error: what ended the handler instead.
    """

    level: ClassVar[str] = "debug"
    to: str = ""
    request: str = ""
    of: int | None = None
    ret: Any = None
    error: str = ""


class Access(Happening, frozen=True, kw_only=True, tag="access"):
    """A shared thing was read or changed, in one indivisible step.

    Attributes:
        object: whose it is, such as ``region:0``.
        field: which part of it, such as ``mapped``.
        kind: class of the scheduling point: counter, reference, field, list, slot, rcu ...
        write: whether it was changed, or could have been.
        before: the value before; of a list the element taken off; of a window as a whole, whose entries
            are changed all at once, how many are set.
        after: the value after; of a list the element put on; of a window as a whole as for ``before``.
        holder: of a reference count, who took or dropped the reference.
        facts: what never changes of a region, window or file that the log meets here for the first time.
    """

    level: ClassVar[str] = "debug"
    object: str
    field: str = ""
    kind: str = "field"
    write: bool = False
    before: Any = None
    after: Any = None
    holder: str = ""
    facts: dict[str, Any] = {}


class Wait(Happening, frozen=True, kw_only=True, tag="wait"):
    """A thread cannot go on: a lock is held, a grace period or a completion is not over.

    Attributes:
        object: what it waits for.
        mode: how it wants it: acquire, read, write, wait, grace-period.
        holders: who keeps it waiting.
    """

    object: str
    mode: str = ""
    holders: tuple[str, ...] = ()


class Wake(Happening, frozen=True, kw_only=True, tag="wake"):
    """A thread that waited can go on.

    Attributes:
        object: what it waited for.
        waker: the thread that let it go on.
    """

    object: str
    waker: str = ""


class Acquire(Happening, frozen=True, kw_only=True, tag="acquire"):
    """A lock was taken.

    Attributes:
        object: the lock.
        mode: ``acquire`` of a mutex, ``read`` or ``write`` of a semaphore.
    """

    level: ClassVar[str] = "debug"
    object: str
    mode: str = "acquire"


class Release(Happening, frozen=True, kw_only=True, tag="release"):
    """A lock was given back.

    Attributes:
        object: the lock.
        mode: how it had been taken.
    """

    level: ClassVar[str] = "debug"
    object: str
    mode: str = "acquire"


class Choice(Happening, frozen=True, kw_only=True, tag="choice"):
    """A decision was taken: who goes on, or something else that is open.

    Attributes:
        number: of the decision, from 0; its place among the choices of the run.
        label: ``schedule``, or what was decided.
        options: names of the threads that could go on, the calm option first; absent for other decisions.
        count: how many options there were.
        taken: index of the option; 0 is the calm one.
        chosen: the thread that goes on.
    """

    level: ClassVar[str] = "debug"
    number: int
    label: str = "schedule"
    options: tuple[str, ...] = ()
    count: int = 2
    taken: int = 0
    chosen: str = ""
