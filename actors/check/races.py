"""A happens-before race detector: two accesses of one variable, one a write, that nothing orders.

Vector clocks in the manner of DJIT+ and FastTrack (Flanagan, Freund: FastTrack, PLDI 2009), driven by the
operations that threads declare. What orders accesses: program order, the creation of a thread, locks, atomics
(counters and references), TCE slots (``xchg``), RCU grace periods, and a reader that finds an element on an
RCU list after who put it there.

What takes part: fields and lists, and the counters that the kernel keeps as plain numbers. What does not:

- TCE slots, device registers, user copies, frames: each is one indivisible access of hardware;
- a list walked inside an RCU read section beside whoever changes it, which is what RCU is for;
- a *read* of one of :data:`OPEN_READS` beside a write: these are single words that the kernel looks at
  without a lock on purpose. Two unordered writes of one are a race all the same.

Simplified: a wait for a completion follows everything before it, whoever completed it; so races across a
join are never claimed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from actors.check.violation import Violation
from actors.runtime.core import Core
from actors.runtime.ops import Op
from actors.runtime.thread import Thread

OPEN_READS = {
    "enabled": "MAP and UNMAP test it before they take anything",
    "def_window_pending": "tested, and tested again under container.lock",
    "mm": "every ioctl compares it first; it is set once",
    "tables[0]": "MAP finds a window while another one is made; it is published whole",
    "tables[1]": "as tables[0]",
    "iommu_data": "a group asks whether there is a driver",
    "exiting": "a pending signal, looked at on the way out",
    "active_mm": "belongs to its CPU; an interrupt looks at it there",
    "used": "looked at before mem_list_mutex is taken, and again under it",
}
"""Last part of a variable's name -> why it is read without a lock."""

ATOMICS = frozenset({"counter", "reference", "slot"})
VARIABLES = ATOMICS | {"field", "list"}

PLAIN_COUNTERS = frozenset({"used", "locked_vm"})
"""Counters that are plain numbers in the kernel, so that a lock must order them."""

LOCKED_INSIDE = {
    "files": "file_lock around each change of the descriptor table, RCU for its readers",
    "tasks": "tasklist_lock; here also which task a thread of control runs as",
}
"""Last part of a variable's name -> the lock that each access of it takes, and gives back at once."""

RCU_LISTS = frozenset({"iommu_group_mem_list"})
"""Lists whose readers are protected by RCU."""

Clock = dict[int, int]


class Access(NamedTuple):
    """One access, remembered: whose, at which time of its own clock, and where."""

    thread: int
    time: int
    text: str


class Variable:
    """What is known of one variable: the last write, and reads since then by thread."""

    __slots__ = ("open_reads", "published", "rcu", "reads", "write")

    def __init__(self, name: str) -> None:
        last = name.rpartition(".")[2]
        self.open_reads = last in OPEN_READS
        self.rcu = last in RCU_LISTS
        self.write: Access | None = None
        self.reads: dict[int, Access] = {}
        self.published: Clock = {}


class RaceDetector:
    """The judge of unordered accesses.

    Args:
        found: told of each race, once per pair of places.
    """

    def __init__(self, found: Callable[[Violation], None]) -> None:
        self.found = found
        self.clocks: dict[int, Clock] = {}
        self.objects: dict[str, Clock] = {}
        self.readers: dict[str, Clock] = {}
        self.variables: dict[str, Variable] = {}
        self.left_rcu: Clock = {}
        self.born = 0
        self._reported: set[tuple[str, str, str]] = set()
        self._going_on: Thread | None = None

    # -- listening -----------------------------------------------------------------------------

    def attach(self, core: Core) -> None:
        """See every step of ``core`` from now on."""
        segment = core.segment
        self.born = core.thread_count

        def watched(thread: Thread) -> bool:
            if self._going_on is not thread:
                self._outside(core)
                if thread.pending is not None:
                    self.perform(thread, thread.pending)
            done = segment(thread)
            self._going_on = None if done else thread
            self._children(core, self.clock(thread))
            return done

        core.segment = watched  # type: ignore[method-assign]

    def detach(self, core: Core) -> None:
        """See no more."""
        core.__dict__.pop("segment", None)

    def _outside(self, core: Core) -> None:
        """Threads that were created while nothing ran follow everything before."""
        if core.thread_count > self.born:
            everything: Clock = {}
            for clock in self.clocks.values():
                join(everything, clock)
            self._children(core, everything)

    def _children(self, core: Core, clock: Clock) -> None:
        while self.born < core.thread_count:
            self.clocks[self.born] = {**clock, self.born: 1}
            self.born += 1

    def clock(self, thread: Thread) -> Clock:
        """The clock of a thread."""
        clock = self.clocks.get(thread.index)
        if clock is None:
            clock = self.clocks[thread.index] = {thread.index: 1}
        return clock

    # -- one operation -------------------------------------------------------------------------

    def perform(self, thread: Thread, op: Op) -> None:
        """``thread`` performs ``op`` now."""
        kind = op.kind
        if kind == "lock":
            self._lock(thread, op)
        elif kind in VARIABLES:
            last = op.object.rpartition(".")[2]
            plain = last in PLAIN_COUNTERS if kind in ATOMICS else last not in LOCKED_INSIDE
            (self._access if plain else self._synchronise)(thread, op)
        elif op.mode == "read-unlock":
            join(self.left_rcu, self.clock(thread))
        elif op.mode == "grace-period":
            join(self.clock(thread), self.left_rcu)
        elif op.mode == "wait":
            for clock in list(self.clocks.values()):
                join(self.clock(thread), clock)

    def _lock(self, thread: Thread, op: Op) -> None:
        """Taking follows the releases that it waited for: of writers, and of readers too when it writes."""
        clock = self.clock(thread)
        if op.guard is not None:
            join(clock, self.objects.get(op.object, {}))
            if op.write:
                join(clock, self.readers.get(op.object, {}))
            return
        join((self.objects if op.write else self.readers).setdefault(op.object, {}), clock)
        clock[thread.index] += 1

    def _synchronise(self, thread: Thread, op: Op) -> None:
        """An atomic access follows the earlier ones and is followed by the later ones."""
        clock, shared = self.clock(thread), self.objects.setdefault(op.object, {})
        join(clock, shared)
        join(shared, clock)
        clock[thread.index] += 1

    def _access(self, thread: Thread, op: Op) -> None:
        clock = self.clock(thread)
        variable = self.variables.get(op.object)
        if variable is None:
            variable = self.variables[op.object] = Variable(op.object)
        if not op.write and variable.rcu and thread.rcu_nesting:
            join(clock, variable.published)
            return
        access = Access(thread.index, clock[thread.index], describe(thread, op))
        write = variable.write
        if (
            write is not None
            and write.time > clock.get(write.thread, 0)
            and (op.write or not variable.open_reads)
        ):
            self._race(op.object, write, access)
        if not op.write:
            variable.reads[thread.index] = access
            return
        if not variable.open_reads:
            for read in variable.reads.values():
                if read.time > clock.get(read.thread, 0):
                    self._race(op.object, read, access)
        variable.write = access
        variable.reads.clear()
        if variable.rcu:
            join(variable.published, clock)
            clock[thread.index] += 1

    def _race(self, name: str, first: Access, second: Access) -> None:
        key = name, first.text, second.text
        if key not in self._reported:
            self._reported.add(key)
            message = f"nothing orders two accesses of {name}: {first.text}; {second.text}"
            self.found(Violation("", message, "race", (first.text, second.text), recorded=True))


def join(into: Clock, other: Clock) -> None:
    """Make ``into`` follow ``other`` too."""
    for thread, time in other.items():
        if time > into.get(thread, 0):
            into[thread] = time


def describe(thread: Thread, op: Op) -> str:
    """An access for people: who, what, in which function, with which locks."""
    held = [f"{op.object}/read" if op.mode == "read" else op.object for op in thread.held]
    locks = ", ".join(held) or "no lock"
    if thread.rcu_nesting:
        locks += ", in an RCU read section"
    return f"{thread.name} {'writes' if op.write else 'reads'} it in {function(thread)} with {locks}"


def function(thread: Thread) -> str:
    """The innermost function of the kernel in which a thread stands."""
    inner: Any = thread.frames[-1][1] if thread.frames else None
    name = "?"
    while inner is not None and hasattr(inner, "cr_frame"):
        name = getattr(inner, "__name__", name)
        inner = inner.cr_await
    return name
