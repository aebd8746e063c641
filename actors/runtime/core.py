"""The core: threads, what they are about to do, who may go on, and the one source of choice.

The core knows nothing of trio. A *segment* is what one thread does inside one actor between two
scheduling points; the drivers (:mod:`bare`, :mod:`controlled`, :mod:`free`) differ only in who runs
segments and when.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Callable, Coroutine
from contextlib import suppress
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast

from actors.runtime.copies import core_of_copy
from actors.runtime.errors import Deadlock, EmulatorError, ForeignAwait, KernelOops, TaskKilled
from actors.runtime.ops import Call, Op, call
from actors.runtime.thread import Thread

if TYPE_CHECKING:
    from actors.runtime.actor import Actor
    from actors.runtime.messages import Request
    from actors.runtime.sync import Guard

R = TypeVar("R")

BY_INDEX = attrgetter("index")


class Chooser(Protocol):
    """Whoever decides: a strategy, a recording, a generator of random numbers."""

    def choose(self, label: str, options: int) -> int:
        """Return one of ``0 .. options - 1``; 0 is the calm choice (go on, no fault)."""

    def pick(self, core: Core) -> Thread:
        """Return one of ``core.ready``, of which there are at least two."""


class Calm:
    """The chooser of machines that nobody explores: always option 0."""

    def choose(self, label: str, options: int) -> int:
        """Return 0."""
        return 0

    def pick(self, core: Core) -> Thread:
        """Let the running thread go on, or else the oldest one that can."""
        return core.current if core.current.enabled else core.ready[0]


class Tracer(Protocol):
    """Whoever records what happens."""

    def access(self, thread: Thread, op: Op, before: object, after: object, note: str) -> None:
        """``thread`` has performed ``op``; the object's value changed as said."""

    def event(self, thread: Thread, name: str, fields: dict[str, Any]) -> None:
        """Something happened that is no access: a kernel message, a request, a fault."""


class Core:
    """Threads and choices of one machine.

    Attributes:
        controlled: True when every point is a scheduling decision; False under the free runtime.
        current: the thread whose segment is running.
        ready: the threads that can make a step, by index.
        threads: all threads that have not ended.
        actors: the directory of actors by id.
        chooser: the one source of choice.
        tracing: whether :attr:`tracer` is told of accesses.
        muted: classes of points at which no decision is taken; all of them under the free runtime.
        faults: says of a named failure point whether it fails this time; None when none can.
        lock_watch: told of each lock before it is taken, with thread, lock and mode.
        on_oops: told of each crash of the modelled kernel, once.
    """

    boot = Thread(-1, "boot")
    """Stands for :attr:`current` until a thread runs. It holds nothing and never runs."""

    def __init__(self, chooser: Chooser | None = None) -> None:
        self.controlled = True
        self.chooser: Chooser = chooser or Calm()
        self.actors: dict[str, Actor] = {}
        self.names: dict[str, int] = {}
        self.threads: dict[int, Thread] = {}
        self.ready: list[Thread] = []
        self.thread_count = 0
        self.current = self.boot
        self.tracing = False
        self.tracer: Tracer | None = None
        self.muted: frozenset[str] = frozenset()
        self.faults: Callable[[str], bool] | None = None
        self.lock_watch: Callable[[Thread, str, str], None] | None = None
        self.call_watch: Callable[[Thread, Call], None] | None = None
        self.on_oops: Callable[[Thread, KernelOops], None] | None = None

    # -- names ---------------------------------------------------------------------------------

    def register(self, actor: Actor) -> None:
        """Enter a new actor, or one that was restored from a copy, in the directory."""
        self.actors[actor.id] = actor

    def number(self, kind: str) -> str:
        """Return the next name of a kind: ``region:0``, ``region:1`` ..."""
        index = self.names.get(kind, 0)
        self.names[kind] = index + 1
        return f"{kind}:{index}"

    # -- threads -------------------------------------------------------------------------------

    def spawn(self, actor: Actor, body: Coroutine[Any, Any, Any], name: str, daemon: bool = False) -> Thread:
        """Create a thread that runs ``body`` inside ``actor``; it is ready at once."""
        thread = Thread(self.thread_count, name, daemon)
        self.thread_count += 1
        thread.frames.append((actor, body))
        thread.pending = Op("thread", f"thread:{name}", True)
        self.threads[thread.index] = thread
        self.enable(thread)
        if self.tracer is not None:
            self.tracer.event(thread, "start", {"actor": actor.id, "parent": self.current})
        self.started(thread)
        return thread

    def started(self, thread: Thread) -> None:
        """``thread`` was created: searches listen here."""

    def request(self, caller: Actor, target: str, request: Request[R]) -> Coroutine[Any, Any, R]:
        """Send ``request`` from outside the machine, that is from a thread of ``caller``."""
        return cast("Coroutine[Any, Any, R]", call(target, request))

    def finish(self, thread: Thread, result: Any, error: BaseException | None) -> None:
        """End ``thread`` with a result or with the error that ended it."""
        thread.finished = True
        thread.pending = None
        thread.result, thread.error = result, error
        self.disable(thread)
        del self.threads[thread.index]
        if self.tracer is not None:
            self.tracer.event(thread, "finish", {"result": result, "error": error})

    def close(self) -> None:
        """End what an abandoned run has left standing, without letting it do anything more."""
        threads = list(self.threads.values())
        for thread in threads:
            if thread.guard is not None:
                thread.guard.contenders.clear()
        for thread in threads:
            for _, coroutine in reversed(thread.frames):
                coroutine.close()
            thread.frames.clear()
        self.threads.clear()
        self.ready.clear()
        self.actors.clear()

    def enable(self, thread: Thread) -> None:
        """Put ``thread`` among the ready ones."""
        if not thread.enabled:
            thread.enabled = True
            ready = self.ready
            if not ready or ready[-1].index < thread.index:
                ready.append(thread)
            else:
                insort(ready, thread, key=BY_INDEX)

    def disable(self, thread: Thread) -> None:
        """Take ``thread`` out of the ready ones."""
        if thread.enabled:
            thread.enabled = False
            self.ready.remove(thread)

    def changed(self, guard: Guard) -> None:
        """Look again at who stands at ``guard``: its state has changed."""
        for thread in guard.contenders:
            op = thread.pending
            may = op is not None and guard.passes(op)
            if self.tracing and op is not None and may is not thread.enabled:
                self._waits(thread, op, guard, may)
            if may:
                self.enable(thread)
            else:
                self.disable(thread)

    def _waits(self, thread: Thread, op: Op, guard: Guard, may: bool) -> None:
        """Tell the tracer that a thread has to wait at ``guard``, or need not any longer."""
        if self.tracer is not None:
            fields = {"op": op, "holders": guard.holders(), "waker": self.current}
            self.tracer.event(thread, "wake" if may else "wait", fields)

    # -- running -------------------------------------------------------------------------------

    def segment(self, thread: Thread) -> bool:
        """Run ``thread`` inside the actor it stands in.

        Returns:
            True when it has declared its next operation or has ended; False when it goes on, in
            this same step, in another actor.

        Raises:
            ForeignAwait: a handler awaits something that is not the emulator's.
            Exception: a handler raised what no modelled kernel would; the machine is not fit for more.
        """
        self.current = thread
        value: Any = None
        error: KernelOops | TaskKilled | None = None
        if thread.resuming:
            value, error = self._resume(thread)
        frames = thread.frames
        while True:
            actor, coroutine = frames[-1]
            try:
                effect = coroutine.send(value) if error is None else coroutine.throw(error)
            except StopIteration as stop:
                value, error = stop.value, None
            except (KernelOops, TaskKilled) as problem:
                value, error = None, problem
                self._see(thread, problem)
            except Exception as problem:
                problem.add_note(f"in thread {thread.name} at {thread.place()}")
                raise
            else:
                if effect.__class__ is Op:
                    if effect.guard is None and not self.muted:
                        thread.pending = effect
                        return True
                    if self._declare(thread, effect):
                        return True
                    value = error = None
                    continue
                if effect.__class__ is Call:
                    self._send(thread, effect)
                    return "message" not in self.muted
                raise foreign(thread, coroutine, effect)
            frames.pop()
            if not frames:
                self.finish(thread, value, error)
                return True
            if self.tracing:
                self.event("reply", value=value, error=error)
            if frames[-1][0] is not actor:
                thread.value, thread.error, thread.resuming = value, error, True
                return False

    def _resume(self, thread: Thread) -> tuple[Any, Any]:
        """Take up what the thread was at: sending a request, waiting at a guard, or taking a reply."""
        thread.resuming = False
        if thread.call is not None:
            call, thread.call = thread.call, None
            actor = self.actors[call.target]
            if self.call_watch is not None:
                self.call_watch(thread, call)
            thread.frames.append((actor, actor.serve(call.request)))
            return None, None
        if thread.guard is not None:
            thread.guard.contenders.remove(thread)
            thread.guard = None
            return None, None
        value, error = thread.value, thread.error
        thread.value = thread.error = None
        return value, error

    def _declare(self, thread: Thread, op: Op) -> bool:
        """Note what ``thread`` does next and whether it may; False when it goes on without a decision."""
        guard = op.guard
        may = guard is None or guard.passes(op)
        if may and op.kind in self.muted:
            return False
        thread.pending = op
        if guard is not None:
            thread.guard = guard
            thread.resuming = True
            guard.contenders.append(thread)
            if not may:
                if self.tracing:
                    self._waits(thread, op, guard, False)
                self.disable(thread)
        return True

    def _send(self, thread: Thread, call: Call) -> None:
        """Note the request that ``thread`` sends next."""
        target = self.actors.get(call.target)
        if target is None:
            raise EmulatorError(f"{thread.name} sends {call.request!r} to {call.target}: no such actor")
        thread.call = call
        thread.resuming = True
        thread.pending = target.message_op
        if self.tracing:
            self.event("request", to=call.target, request=call.request)

    def _see(self, thread: Thread, problem: KernelOops | TaskKilled) -> None:
        """Tell of a crash, the first time that it is seen on its way through the callers."""
        if isinstance(problem, KernelOops) and not problem.reported:
            problem.reported = True
            self.event("oops", message=problem.what, place=problem.place, invariant=problem.invariant)
            if self.on_oops is not None:
                self.on_oops(thread, problem)

    # -- choice and observation ----------------------------------------------------------------

    def choose(self, label: str, options: int) -> int:
        """Take a decision that is not about the order of threads; 0 is the calm one."""
        return self.chooser.choose(label, options) if options > 1 else 0

    def fails(self, failpoint: str) -> bool:
        """Whether the named failure point fails this time."""
        if self.faults is None or not self.faults(failpoint):
            return False
        self.event("fault", failpoint=failpoint)
        return True

    def alone(self) -> bool:
        """Whether no other thread can do anything but switch tasks on a CPU; a pending callback can."""
        return sum(not t.bystander for t in self.threads.values()) <= 1

    def trace(self, op: Op, before: object = None, after: object = None, note: str = "") -> None:
        """Record an access of the running thread."""
        if self.tracer is not None:
            self.tracer.access(self.current, op, before, after, note)

    def event(self, name: str, **fields: Any) -> None:
        """Record something that is no access."""
        if self.tracer is not None:
            self.tracer.event(self.current, name, fields)

    def stuck(self) -> Deadlock:
        """Describe who waits for whom among the threads that are not daemons."""
        waits = []
        for thread in self.threads.values():
            guard = thread.guard
            if guard is not None and not thread.enabled and not thread.daemon:
                waits.append((thread.name, guard.name, ", ".join(guard.holders()) or "nobody"))
        return Deadlock(tuple(waits))

    def __reduce__(self) -> tuple[Callable[[], Core], tuple[()]]:
        return (core_of_copy, ())


def foreign(thread: Thread, coroutine: Coroutine[Any, Any, Any], effect: object) -> ForeignAwait:
    """The error of a coroutine that awaits what no runtime here can give it; its own cleanup has run."""
    error = ForeignAwait(thread.name, effect, thread.place())
    with suppress(BaseException):
        coroutine.throw(error)
    return error
