"""The events of a log: every kind, every field; what a line of a log may say.

A log is a sequence of JSON objects, one a line. The first is the :class:`Header`; each of the others
is an event, told apart by its field ``event``. Fields that have their default are left out. Within
one version fields and kinds may be added; a reader skips neither: it refuses what it does not know,
so that a log never seems to say less than it does.
"""

from __future__ import annotations

from typing import Any, ClassVar, Final, Literal, get_args

import msgspec

FORMAT: Final = "tcemu-log"
VERSION: Final = 1

Runtime = Literal["free", "controlled", "bare"]


class Record(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    omit_defaults=True,
    forbid_unknown_fields=True,
    tag_field="event",
):
    """Anything that is a line of a log."""

    level: ClassVar[str] = "info"
    """How loud the event is for loggers: ``debug``, ``info``, ``warning`` or ``error``."""


class Clients(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """How recorded clients were played.

    Attributes:
        streams: the clients, as they were named: built-in ones, or files.
        digests: SHA-256 of each stream's rows, so that another recording of that name is noticed.
        kill_at: calls made before SIGKILL; absent for a client that was played to its end.
        borrow: CPUs on which kernel threads borrowed the client's mm when it ended.
        together: whether all were played on one machine, their calls interleaved as the seed draws.
    """

    streams: tuple[str, ...]
    digests: tuple[str, ...] = ()
    kill_at: int | None = None
    borrow: tuple[int, ...] = ()
    together: bool = False


class Header(Record, frozen=True, kw_only=True, tag="header"):
    """What was run, complete enough to run it again.

    Attributes:
        format: always ``tcemu-log``.
        version: of this schema.
        emulator: the version that wrote the log.
        name: of the program, scenario or client.
        program: the program in its file format; absent for what is no program.
        clients: the recorded clients that were played, and how.
        kernel: the kernel that was booted.
        switches: all defects and differences by which it differs from ``fixed``.
        machine: what the machine is made of, where it differs from the defaults.
        runtime: how threads were ordered: ``free`` (by trio), ``controlled`` (chosen, under trio) or
            ``bare`` (chosen, without trio).
        strategy: who chose.
        seed: of the strategy, or of what a client drew.
        order: what else it takes to make this order again, as a failure file has it: the function or the
            client, failure points, budget.
        choices: every decision as options, taken, label; absent when the log was written while the
            run was still going on, and then the ``choice`` events say the same.
    """

    format: Literal["tcemu-log"]
    version: int
    kernel: str
    emulator: str = ""
    name: str = ""
    program: dict[str, Any] | None = None
    clients: Clients | None = None
    switches: tuple[str, ...] = ()
    machine: dict[str, Any] = {}
    runtime: Runtime = "bare"
    strategy: str = ""
    seed: int | None = None
    order: dict[str, Any] | None = None
    choices: tuple[tuple[int, int, str], ...] | None = None


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


class Fault(Happening, frozen=True, kw_only=True, tag="fault"):
    """A failure point failed because it was told to.

    Attributes:
        failpoint: its name.
    """

    failpoint: str


class Warn(Happening, frozen=True, kw_only=True, tag="warn"):
    """The modelled kernel warned (``WARN_ON``) and went on.

    Attributes:
        message: its text.
        place: the kernel function that warned.
    """

    level: ClassVar[str] = "warning"
    message: str
    place: str = ""


class Misuse(Happening, frozen=True, kw_only=True, tag="misuse"):
    """The model noticed by itself that an invariant is broken; the run goes on.

    Attributes:
        invariant: which one.
        message: how.
        place: the kernel function.
    """

    level: ClassVar[str] = "warning"
    invariant: str
    message: str
    place: str = ""


class Oops(Happening, frozen=True, kw_only=True, tag="oops"):
    """The modelled kernel crashed in this thread; what it holds stays held.

    Attributes:
        message: what happened, in the words of a kernel log.
        place: the kernel function.
        invariant: the invariant that this breaks, if one.
    """

    level: ClassVar[str] = "error"
    message: str
    place: str = ""
    invariant: str = ""


class Violation(Happening, frozen=True, kw_only=True, tag="violation"):
    """An oracle found an invariant broken.

    Attributes:
        invariant: which one.
        message: how, with its numbers.
        accesses: the accesses that explain it, as the oracle names them.
    """

    level: ClassVar[str] = "error"
    invariant: str
    message: str
    accesses: tuple[str, ...] = ()


class Dma(Happening, frozen=True, kw_only=True, tag="dma"):
    """A device read or wrote by bus address.

    Attributes:
        device: its name.
        iova: bus address in bytes.
        size: bytes.
        write: the device wrote.
        hits: the frames it touched, each with owner and pins.
    """

    device: str
    iova: int
    size: int
    write: bool = False
    hits: tuple[dict[str, Any], ...] = ()


class State(Happening, frozen=True, kw_only=True, tag="state"):
    """The whole state at this step: at the start of a log, and at its end.

    Attributes:
        mms: by id: holders of ``mm_users`` and ``mm_count``, ``locked_vm``, whether destroyed.
        regions: by name: mm, address, pages, ``used``, ``mapped``.
        containers: by id: regions registered, windows, groups, mm, holders of ``kref``; of each window
            holders of ``it_kref`` and how many entries are ``set``.
        groups: by id: its container, open file, users.
        files: by name: what it is, and holders of ``f_count``.
        cpus: by id: what runs, the active mm, whether it is borrowed.
        pins_by_holder: pinned pages by who holds them.
        locks: held locks, each with its holders.
    """

    mms: dict[str, dict[str, Any]] = {}
    regions: dict[str, dict[str, Any]] = {}
    containers: dict[str, dict[str, Any]] = {}
    groups: dict[str, dict[str, Any]] = {}
    files: dict[str, dict[str, Any]] = {}
    cpus: dict[str, dict[str, Any]] = {}
    pins_by_holder: dict[str, int] = {}
    locks: dict[str, tuple[str, ...]] = {}


class End(Record, frozen=True, kw_only=True, tag="end"):
    """The run is over; the last line of a complete log.

    Attributes:
        step: number of events in the log.
        verdict: ``ok``, ``violation``, ``deadlock``, ``livelock``, ``oops``, ``race``, ``warning`` or
            ``expectation``.
        invariant: the invariant that was broken, if one.
        message: one line for people.
        known_as: the known defect behind it.
        steps: scheduling steps made.
        digest: SHA-256 over them, each as ``thread kind object mode``, of a run whose order was chosen.
    """

    step: int
    verdict: str = "ok"
    invariant: str = ""
    message: str = ""
    known_as: str | None = None
    steps: int = 0
    digest: str = ""


Event = (
    Start | Finish | Request | Reply | Access | Wait | Wake | Acquire | Release | Choice | Fault | Warn
    | Misuse | Oops | Violation | Dma | State
)  # fmt: skip
"""What happens between the header and the end."""

Line = Header | Event | End
"""A line of a log."""

EVENT_TYPES: Final[tuple[type[Record], ...]] = get_args(Event)
LINE_TYPES: Final[tuple[type[Record], ...]] = (Header, *EVENT_TYPES, End)

KERNEL_MESSAGES: Final = (Warn, Misuse, Oops, Violation)
"""What a kernel log would show."""


def event_name(kind: type[Record]) -> str:
    """The value of ``event`` in a line of this kind."""
    return str(kind.__struct_config__.tag)


EVENT_NAMES: Final[tuple[str, ...]] = tuple(event_name(kind) for kind in LINE_TYPES)
