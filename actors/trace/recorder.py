"""Recording in memory: what the runtime tells, kept as it comes and made into events later.

A record is eight slots of one flat list, so that recording makes no objects for the garbage
collector to visit. Who holds which lock, which request led where and what is charged follows from
the records; it is worked out when somebody asks for events.
"""

from __future__ import annotations

import sys
from pathlib import Path
from types import CodeType, CoroutineType, FrameType
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import actors.runtime
from actors.kernel.uapi import UserPointer
from actors.runtime.core import Core
from actors.trace.observe import memory_of, observe
from actors.trace.schema import Event
from actors.trace.translate import Translator

if TYPE_CHECKING:
    from actors.machine import Machine
    from actors.runtime.core import Chooser, Tracer
    from actors.runtime.ops import Op
    from actors.runtime.thread import Thread
    from hw import PhysicalMemory

SLOTS: Final = 8
"""thread, operation or event name, before or fields, after, holder or what else, code, pins, mm."""

PACKAGE: Final = Path(actors.runtime.__file__).parents[1]
OTHER_FILES: Final = frozenset(
    str(path) for path in PACKAGE.rglob("*.py") if PACKAGE / "kernel" not in path.parents
)
"""Files of the emulator that are no kernel text; a user's own variant of the kernel is in none of them."""

SEGMENT: Final = Core.segment.__code__
"""Where the runtime begins; a search for a kernel function ends there."""


class NoMemory:
    """Stands for the RAM until the machine has been booted."""

    pinned_pages = 0


class Recorder:
    """A tracer that remembers everything; it attaches to one core.

    Args:
        functions: find out for every access which kernel function makes it, at about a fifth of the
            recording's cost.

    Example:
        >>> recorder = Recorder()
        >>> async with open_machine(kernel="v6.12", log=recorder) as machine:
        ...     qemu = await machine.spawn("qemu")
        >>> [event for event in recorder.events() if isinstance(event, Warn)]
        []
    """

    def __init__(self, functions: bool = True) -> None:
        self.raw: list[Any] = []
        self.functions = functions
        self.memory: PhysicalMemory | NoMemory = NoMemory()
        self.core: Core | None = None
        self.read: list[Event] = []
        self.translator = Translator()

    # -- attaching -----------------------------------------------------------------------------

    def open(self, machine: Machine) -> None:
        """Record what happens on ``machine`` from now on."""
        self.attach(machine.core)

    def close(self) -> None:
        """Stop recording; what was recorded stays."""
        self.detach()

    def attach(self, core: Core) -> None:
        """Record what happens on ``core`` from now on.

        A machine may run on it already or be booted later; the state as its first thread
        begins is part of the record. Attach before the run starts when choices are to be recorded too.
        """
        self.core = core
        core.tracer = self if core.tracer is None else Several((core.tracer, self))
        core.tracing = True
        core.chooser = ChooserTap(core.chooser, self)
        for thread in core.threads.values():
            self.event(thread, "start", {"actor": thread.frames[-1][0].id if thread.frames else ""})

    def detach(self) -> None:
        """Leave the core."""
        core = self.core
        if core is None:
            return
        self.core = None
        core.tracer = without(core.tracer, self)
        core.tracing = core.tracer is not None
        core.chooser = untapped(core.chooser, self)

    # -- the tracer's side ---------------------------------------------------------------------

    def access(self, thread: Thread, op: Op, before: object, after: object, note: str) -> None:
        """Remember one access."""
        code: CodeType | None = None
        if self.functions:
            # Above are trace() and, for all but whole ranges, a method of the variable.
            frame = sys._getframe(2)
            code = frame.f_code
            if code.co_filename in OTHER_FILES:
                code = kernel_function(frame.f_back)
        self.raw += (thread, op, before, after, note, code, self.memory.pinned_pages, None)

    def event(self, thread: Thread, name: str, fields: dict[str, Any]) -> None:
        """Remember something that is no access."""
        if name == "reply":
            pins = self.memory.pinned_pages
            self.raw += (thread, name, fields["value"], fields["error"], None, None, pins, None)
            return
        if name == "request":
            self.request(thread, fields["to"], fields["request"])
            return
        found = self.memory.__class__ is NoMemory and self.look_for_machine()
        note = thread.name if name == "start" else None
        code = innermost(thread) if name == "wait" else None
        self.raw += (thread, name, fields, None, note, code, self.memory.pinned_pages, None)
        if found and self.core is not None:
            self.event(thread, "state", observe(self.core)._asdict())

    def request(self, thread: Thread, to: str, request: Any) -> None:
        """Remember a request, with what its pointer points to now and the mm of the task that sends it."""
        data: bytes | None = None
        if hasattr(request, "arg") and request.arg.__class__ is UserPointer and request.arg.data is not None:
            data = bytes(request.arg.data)
        mm = thread.task.mm if thread.task is not None else None
        self.raw += (thread, "request", request, to, data, None, self.memory.pinned_pages, mm)

    def look_for_machine(self) -> bool:
        """Find the RAM of the machine, once there is one; whether it has just been found."""
        memory = memory_of(self.core) if self.core is not None else None
        if memory is not None:
            self.memory = memory
        return memory is not None

    # -- the reader's side ---------------------------------------------------------------------

    def __len__(self) -> int:
        """How many events there are."""
        return self.translator.step + len(self.raw) // SLOTS

    def __bool__(self) -> bool:
        """True: a recorder is one, also before anything has happened."""
        return True

    def take(self) -> list[Event]:
        """Return the events that have not been taken yet, and forget them."""
        raw, feed = self.raw, self.translator.feed
        events = [feed(*raw[at : at + SLOTS]) for at in range(0, len(raw), SLOTS)]
        raw.clear()
        return events

    def events(self) -> list[Event]:
        """Everything recorded so far, as events."""
        self.read += self.take()
        return self.read


class ChooserTap:
    """A chooser that passes every decision on and tells a tracer of it."""

    def __init__(self, inner: Chooser, recorder: Recorder) -> None:
        self.inner = inner
        self.recorder = recorder

    def choose(self, label: str, options: int) -> int:
        """Pass a decision on."""
        taken = self.inner.choose(label, options)
        core = self.recorder.core
        if core is not None:
            self.recorder.event(core.current, "choice", {"label": label, "count": options, "taken": taken})
        return taken

    def pick(self, core: Core) -> Thread:
        """Pass a decision about the order on."""
        current, ready, recorder = core.current, tuple(core.ready), self.recorder
        thread = self.inner.pick(core)
        if len(ready) > 1:
            pins = recorder.memory.pinned_pages
            recorder.raw += (thread, "choice", ready, None, current, None, pins, None)
        return thread


def untapped(chooser: Chooser, recorder: Recorder) -> Chooser:
    """The chooser without the tap of a recorder."""
    if isinstance(chooser, ChooserTap):
        if chooser.recorder is recorder:
            return chooser.inner
        chooser.inner = untapped(chooser.inner, recorder)
    return chooser


class Several(NamedTuple):
    """Several tracers of one core, each told of everything."""

    tracers: tuple[Tracer, ...]

    def access(self, thread: Thread, op: Op, before: object, after: object, note: str) -> None:
        """Tell all of an access."""
        for tracer in self.tracers:
            tracer.access(thread, op, before, after, note)

    def event(self, thread: Thread, name: str, fields: dict[str, Any]) -> None:
        """Tell all of what is no access."""
        for tracer in self.tracers:
            tracer.event(thread, name, fields)


def without(tracer: Tracer | None, recorder: Recorder) -> Tracer | None:
    """Whoever else is told; None when nobody is left."""
    if tracer is recorder:
        return None
    if not isinstance(tracer, Several):
        return tracer
    left = tuple(each for each in tracer.tracers if each is not recorder)
    return Several(left) if len(left) > 1 else left[0]


def kernel_function(frame: FrameType | None) -> CodeType | None:
    """The first function of the kernel at or above a frame; None when the runtime comes first."""
    while frame is not None and frame.f_code is not SEGMENT:
        if frame.f_code.co_filename not in OTHER_FILES:
            return frame.f_code
        frame = frame.f_back
    return None


def innermost(thread: Thread) -> CodeType | None:
    """The function of the kernel in which a thread stands that has declared what it does next."""
    coroutine: Any = thread.frames[-1][1] if thread.frames else None
    if coroutine.__class__ is not CoroutineType:
        return None
    chain = [coroutine]
    awaited = coroutine.cr_await
    while awaited.__class__ is CoroutineType:
        chain.append(awaited)
        awaited = awaited.cr_await
    while chain:
        code: CodeType = chain.pop().cr_code
        if code.co_filename not in OTHER_FILES:
            return code
    return None
