"""The core: threads, what they are about to do, who may go on, and the one source of choice.

The core knows nothing of trio. A *segment* is what one thread does inside one actor between two
scheduling points; the drivers (:mod:`bare`, :mod:`controlled`, :mod:`free`) differ only in who runs
segments and when.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Callable, Coroutine, Iterator
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Protocol

from actors.runtime.errors import Deadlock, EmulatorError, ForeignAwait, KernelOops, TaskKilled
from actors.runtime.ops import Call, Op
from actors.runtime.sync import Completion
from actors.runtime.thread import Thread

if TYPE_CHECKING:
    from actors.runtime.actor import Actor
    from actors.runtime.sync import Guard

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
        ready = core.ready
        return core.current if core.current.enabled else ready[0]


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
        muted: classes of points at which no decision is taken.
    """

    controlled = True

    def __init__(self, chooser: Chooser | None = None) -> None:
        self.chooser: Chooser = chooser or Calm()
        self.actors: dict[str, Actor] = {}
        self.names: dict[str, int] = {}
        self.threads: dict[int, Thread] = {}
        self.ready: list[Thread] = []
        self.thread_count = 0
        self.boot = Thread(-1, "boot")
        self.current = self.boot
        self.tracing = False
        self.tracer: Tracer | None = None
        self.muted: frozenset[str] = frozenset()
        self.faults: Callable[[str], bool] | None = None
        self.lock_watch: Callable[[Thread, str, str], None] | None = None
        self.on_oops: Callable[[Thread, KernelOops], None] | None = None

    # -- names ---------------------------------------------------------------------------------

    def register(self, actor: Actor) -> str:
        """Give ``actor`` its id, ``kind:index`` in order of creation, and enter it in the directory."""
        name = self.number(actor.kind)
        self.actors[name] = actor
        return name

    def adopt(self, actor: Actor) -> None:
        """Enter an actor that was restored from a copy."""
        self.actors[actor.id] = actor

    def number(self, kind: str) -> str:
        """Return the next name of a kind: ``region:0``, ``region:1`` ..."""
        index = self.names.get(kind, 0)
        self.names[kind] = index + 1
        return f"{kind}:{index}"

    # -- threads -------------------------------------------------------------------------------

    def spawn(
        self, actor: Actor, body: Coroutine[Any, Any, Any], name: str, daemon: bool = False
    ) -> Thread:
        """Create a thread that runs ``body`` inside ``actor``; it is ready at once."""
        thread = Thread(self.thread_count, name, daemon)
        self.thread_count += 1
        thread.joiners = Completion(self, f"thread:{name}", name)
        thread.frames.append((actor, body))
        thread.pending = Op("thread", f"thread:{name}", True)
        thread.enabled = True
        self.threads[thread.index] = thread
        insort(self.ready, thread, key=BY_INDEX)
        self.started(thread)
        return thread

    def started(self, thread: Thread) -> None:
        """Tell the driver of a new thread."""

    def finish(self, thread: Thread, result: Any, error: BaseException | None = None) -> None:
        """End ``thread`` with a result or an error."""
        thread.finished = True
        thread.pending = None
        thread.result, thread.error = result, error
        self.disable(thread)
        self.threads.pop(thread.index, None)
        if isinstance(thread.joiners, Completion):
            thread.joiners.complete()

    def enable(self, thread: Thread) -> None:
        """Put ``thread`` among the ready ones."""
        if not thread.enabled:
            thread.enabled = True
            insort(self.ready, thread, key=BY_INDEX)

    def disable(self, thread: Thread) -> None:
        """Take ``thread`` out of the ready ones."""
        if thread.enabled:
            thread.enabled = False
            self.ready.remove(thread)

    def changed(self, guard: Guard) -> None:
        """Look again at who stands at ``guard``: its state has changed."""
        for thread in guard.contenders:
            if thread.pending is not None and guard.passes(thread.pending):
                self.enable(thread)
            else:
                self.disable(thread)

    def declare(self, thread: Thread, op: Op) -> None:
        """Note what ``thread`` does next and whether it may."""
        thread.pending = op
        guard = op.guard
        if guard is not None:
            thread.guard = guard
            thread.resuming = True
            guard.contenders.append(thread)
            if not guard.passes(op):
                self.disable(thread)

    # -- running -------------------------------------------------------------------------------

    def segment(self, thread: Thread) -> bool:
        """Run ``thread`` inside the actor it stands in.

        Returns:
            True when it has declared its next operation or has ended; False when it goes on, in
            this same step, in another actor.
        """
        self.current = thread
        value: Any = None
        error = None
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
                value, error = None, self._crash(thread, problem)
            else:
                if effect.__class__ is Op and effect.guard is None and not self.muted:
                    thread.pending = effect
                    return True
                if self._declare(thread, effect):
                    return thread.call is None or "message" not in self.muted
                value = error = None
                continue
            frames.pop()
            if not frames:
                self.finish(thread, value, error)
                return True
            if frames[-1][0] is not actor:
                thread.value, thread.error, thread.resuming = value, error, True
                return False

    def _resume(self, thread: Thread) -> tuple[Any, BaseException | None]:
        """Take up what the thread was at: sending a request, waiting at a guard, or taking a reply."""
        thread.resuming = False
        if thread.call is not None:
            call, thread.call = thread.call, None
            actor = self.actors[call.target]
            thread.frames.append((actor, actor.serve(call.request)))
            return None, None
        if thread.guard is not None:
            thread.guard.contenders.remove(thread)
            thread.guard = None
        value, error = thread.value, thread.error
        thread.value = thread.error = None
        return value, error

    def _declare(self, thread: Thread, effect: object) -> bool:
        """Note the effect that ``thread`` yielded; False when it goes on without a decision."""
        if isinstance(effect, Op):
            if effect.kind in self.muted and (effect.guard is None or effect.guard.passes(effect)):
                return False
            self.declare(thread, effect)
        elif isinstance(effect, Call):
            self._declare_call(thread, effect)
        else:
            raise ForeignAwait(thread.name, effect, thread.place())
        return True

    def _declare_call(self, thread: Thread, call: Call) -> None:
        target = self.actors.get(call.target)
        if target is None:
            raise EmulatorError(f"{thread.name} sends {call.request!r} to {call.target}, which does not exist")
        thread.call = call
        thread.resuming = True
        thread.pending = target.message_op
        if self.tracing:
            self.event("request", to=call.target, request=call.request)

    def _crash(self, thread: Thread, problem: KernelOops | TaskKilled) -> BaseException:
        if isinstance(problem, KernelOops) and self.on_oops is not None and not problem.__dict__.get("reported"):
            problem.__dict__["reported"] = True
            self.on_oops(thread, problem)
        return problem

    # -- choice and observation ----------------------------------------------------------------

    def choose(self, label: str, options: int) -> int:
        """Take a decision that is not about the order of threads; 0 is the calm one."""
        return self.chooser.choose(label, options) if options > 1 else 0

    def fails(self, failpoint: str) -> bool:
        """Whether the named failure point fails this time."""
        return self.faults is not None and self.faults(failpoint)

    def alone(self) -> bool:
        """Whether the running thread is the only one that may ask the kernel for anything."""
        return sum(not t.daemon for t in self.threads.values()) <= 1

    def about_to_take(self, lock: Guard, mode: str) -> None:
        """The running thread is about to take ``lock``: lock-order oracles listen here."""
        if self.lock_watch is not None:
            self.lock_watch(self.current, lock.name, mode)

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
        for thread in self.waiting():
            guard = thread.guard
            if guard is not None and not thread.daemon:
                waits.append((thread.name, guard.name, ", ".join(guard.holders()) or "nobody"))
        return Deadlock(tuple(waits))

    def waiting(self) -> Iterator[Thread]:
        """The threads that cannot make a step, by index."""
        return (t for t in list(self.threads.values()) if not t.enabled)

    def __reduce__(self) -> tuple[Callable[[], Core], tuple[()]]:
        return (core_of_copy, ())


_copying: list[Core] = []


def core_of_copy() -> Core:
    """The core that the objects being restored from a copy belong to."""
    if not _copying:
        raise EmulatorError("a machine is restored outside Machine.restore")
    return _copying[-1]


class restoring:  # noqa: N801 - used like a function
    """``with restoring(core):`` objects restored inside belong to ``core``."""

    def __init__(self, core: Core) -> None:
        self.core = core

    def __enter__(self) -> None:
        _copying.append(self.core)

    def __exit__(self, *_: object) -> None:
        _copying.pop()
