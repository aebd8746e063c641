"""Histories: which calls threads made on a machine, when each began and ended, and its answer.

A machine is recorded at its edge to user space, where a call is bytes and numbers. Only the order of
beginnings and ends counts: a call that ended before another began came first, all others overlap.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from actors.kernel import messages as m
from actors.kernel.group import device_name
from actors.kernel.uapi import VFIO_GET_API_VERSION, UserPointer
from actors.linear.model import Answer, Operation, Rules, State
from actors.linear.model.files import UNKNOWN
from actors.linear.rules import rules_of

if TYPE_CHECKING:
    from actors.machine import Machine
    from actors.runtime.messages import Request
    from actors.runtime.ops import Call as Message
    from actors.runtime.thread import Thread

IGNORED = (m.CloneThread, m.RunOn)
"""System calls that change nothing that any other can see."""


@dataclass(slots=True)
class Call:
    """One call.

    Attributes:
        number: its place in the history, in the order of beginnings.
        thread: the thread that made it.
        op: the call itself.
        began, ended: when, counted in beginnings and ends; None for one that never ended.
        answer: what came back; None for an answer that nobody was left to receive.
        steps: the scheduling steps in which it began and ended.
    """

    number: int
    thread: str
    op: Operation
    began: int
    ended: int | None = None
    answer: Answer | None = None
    steps: list[int] = field(default_factory=list)

    def key(self) -> tuple[Any, ...]:
        """All that a verdict depends on."""
        return self.op, self.began, self.ended, self.answer


@dataclass(slots=True)
class History:
    """What is to be explained.

    Attributes:
        rules: the machine and its kernel, for the model.
        start: the states that the model may be in at first; empty for a machine that has just booted.
        calls: the calls, in the order of their beginnings.
    """

    rules: Rules
    start: tuple[State, ...] = ()
    calls: list[Call] = field(default_factory=list)

    def events(self) -> list[tuple[Call, bool]]:
        """Beginnings (False) and ends (True) in their order."""
        found = [(call.began, call, False) for call in self.calls]
        found += [(call.ended, call, True) for call in self.calls if call.ended is not None]
        return [(call, end) for _, call, end in sorted(found, key=lambda each: each[0])]

    def key(self) -> tuple[Any, ...]:
        """All that a verdict depends on, hashable."""
        return self.rules, self.start, tuple(call.key() for call in self.calls)


class Recorder:
    """Records the calls that processes make on a machine, beside whoever listens to it already.

    Args:
        machine: the machine; no call may be under way.
        start: the states of the model that explain how it stands; empty when it has just booted.

    Attributes:
        history: what was recorded so far.

    Raises:
        ValueError: the machine runs freely, where calls do not begin and end in a known order.
    """

    def __init__(self, machine: Machine, start: tuple[State, ...] = ()) -> None:
        if not machine.core.controlled:
            raise ValueError("a machine on the free runtime cannot be recorded: explore it instead")
        self.machine = machine
        self.history = History(rules_of(machine.world.kernel.slugs, machine.spec), start)
        self.clock = 0
        self.known = {name for state in start for name in state.processes}
        self.under_way: dict[int, Call] = {}
        self.attach()

    def attach(self) -> None:
        """Listen to the machine; those who listened before are told first."""
        core, machine = self.machine.core, self.machine
        core.call_watch = told_both(core.call_watch, self.sent)
        machine.world.on_return = told_both(machine.world.on_return, self.returned)
        machine.on_reply = told_both(machine.on_reply, self.replied)

    # -- what the machine tells ----------------------------------------------------------------

    def sent(self, thread: Thread, message: Message) -> None:
        """A request begins to be served; from outside, if the thread is not in the machine already."""
        if thread.daemon or len(thread.frames) != 1:
            return
        # Whoever asks anew will hear no more of a call that ended with its process.
        self.under_way.pop(thread.index, None)
        request, target = message.request, message.target
        if isinstance(request, m.DeviceDma):
            group = self.machine.world.group_ids.index(target)
            op = Operation(target, "dma", (group, UNKNOWN, None))
            self.under_way[thread.index] = self.begin(thread.name, op)
            return
        if not isinstance(request, m.SystemCall | m.Kill) or isinstance(request, IGNORED):
            return
        self.meet(target)
        call = self.begin(thread.name, Operation(target, *decode(request, self.actor(target))))
        self.under_way[thread.index] = call

    def returned(self) -> None:
        """A system call has ended; whether anybody gets its answer is not known yet."""
        call = self.under_way.get(self.machine.core.current.index)
        if call is not None:
            self.end(call, None)
            if call.op.call == "fork":
                self.adopt(call)

    def adopt(self, call: Call) -> None:
        """Learn the name of a child, in case that nobody is left to hear of it."""
        new = [name for name, actor in self.machine.core.actors.items() if actor.kind == "process"]
        new = [name for name in new if name not in self.known]
        if len(new) == 1:
            self.known.add(new[0])
            call.op = call.op._replace(args=(new[0], call.op.args[1]))

    def replied(self, target: str, request: Request[Any], reply: Any) -> None:
        """A request from outside was answered."""
        call = self.under_way.pop(self.machine.core.current.index, None)
        if call is None:
            return
        if call.ended is None:
            self.end(call, None)
        call.op, call.answer = completed(call.op, request, reply)
        if isinstance(request, m.Clone):
            self.known.add(reply)

    def actor(self, name: str) -> Any:
        """The actor of a process."""
        return self.machine.core.actors[name]

    # -- writing it down -----------------------------------------------------------------------

    def begin(self, thread: str, op: Operation) -> Call:
        """Note the beginning of a call."""
        call = Call(len(self.history.calls), thread, op, self.clock, steps=[self.now()])
        self.clock += 1
        self.history.calls.append(call)
        return call

    def end(self, call: Call, answer: Answer | None) -> None:
        """Note the end of a call."""
        call.ended, call.answer = self.clock, answer
        call.steps.append(self.now())
        self.clock += 1

    def now(self) -> int:
        """The number of the scheduling step; beginnings and ends are counted where there are no steps."""
        return getattr(self.machine.core, "steps", self.clock)

    def instant(self, op: Operation, answer: Answer) -> None:
        """Note a call that overlaps nothing that follows."""
        self.end(self.begin("", op), answer)

    def meet(self, process: str) -> None:
        """Note a process that is there from the start, before it is heard or seen."""
        if process not in self.known:
            self.known.add(process)
            self.instant(Operation(process, "spawn"), Answer(None))

    def look(self) -> None:
        """Note what can be seen of a machine in which nothing moves."""
        if not self.known:
            for actor in self.machine.core.actors.values():
                if actor.kind == "process":
                    self.meet(actor.id)
        self.instant(Operation("", "look"), Answer(0, seen(self.machine)))


def told_both(first: Callable[..., None] | None, second: Callable[..., None]) -> Callable[..., None]:
    """A listener that tells two."""
    if first is None:
        return second
    earlier = first

    def tell(*what: Any) -> None:
        earlier(*what)
        second(*what)

    return tell


# -- calls as the model has them ------------------------------------------------------------------


def decode(request: Any, process: Any) -> tuple[str, tuple[Any, ...]]:
    """Name and arguments of a call, as the model has them; a name it does not know for others."""
    if isinstance(request, m.Ioctl):
        return "ioctl", (request.fd, request.cmd - VFIO_GET_API_VERSION, *argument(request.arg))
    if isinstance(request, m.Memory):
        return decode_memory(request.request)
    if isinstance(request, m.GetDeviceFd):
        name = request.device or own_device(process, request.fd)
        return "ioctl", (request.fd, 6, None, name.encode() + b"\0")
    if isinstance(request, m.Clone):
        return "fork", (UNKNOWN, request.share_mm)
    simple: dict[type, tuple[str, tuple[str, ...]]] = {
        m.OpenPath: ("open", ("path",)),
        m.Close: ("close", ("fd",)),
        m.Dup: ("dup", ("fd",)),
        m.SetCloexec: ("cloexec", ("fd",)),
        m.SetRlimit: ("rlimit", ("limit_bytes",)),
        m.DropCap: ("dropcap", ()),
        m.Exec: ("exec", ()),
        m.ExitGroup: ("exit", ()),
        m.Kill: ("kill", ()),
    }
    call, names = simple.get(type(request), (type(request).__name__, ()))
    return call, tuple(getattr(request, name) for name in names)


def argument(arg: Any) -> tuple[int | None, bytes | None]:
    """The argument of an ioctl: a number, or the bytes it points to."""
    if isinstance(arg, UserPointer):
        return None, None if arg.data is None else bytes(arg.data)
    return arg, None


def own_device(process: Any, fd: int) -> str:
    """The name of the device in the group that a descriptor refers to."""
    file = process.files.get(fd)
    ids = process.world.group_ids
    return device_name(ids.index(file.actor) if file is not None and file.actor in ids else 0)


def decode_memory(request: Any) -> tuple[str, tuple[Any, ...]]:
    """A call on the address space."""
    if isinstance(request, m.Mmap):
        return "mmap", (
            request.addr, request.size, request.readable, request.writable, request.shift, request.replace,
        )  # fmt: skip
    if isinstance(request, m.MmapAnywhere):
        return "mmap", (0, request.size, True, True, request.shift, False)
    if isinstance(request, m.Madvise):
        return "madvise", (request.addr, request.size, request.advice)
    if isinstance(request, m.Mprotect):
        return "mprotect", (request.addr, request.size, request.readable, request.writable)
    ranges: dict[type, str] = {
        m.Munmap: "munmap",
        m.Mlock: "mlock",
        m.Munlock: "munlock",
        m.Touch: "touch",
    }
    name = ranges.get(type(request))
    return (type(request).__name__, ()) if name is None else (name, (request.addr, request.size))


def completed(op: Operation, request: Any, reply: Any) -> tuple[Operation, Answer]:
    """A call with its answer; what was not up to the caller (a place, a name) becomes an argument."""
    if isinstance(request, m.Ioctl):
        return op, Answer(reply, argument(request.arg)[1])
    if isinstance(request, m.GetDeviceFd):
        return op, Answer(reply, op.args[3])
    if isinstance(request, m.Clone):
        return op._replace(args=(reply, op.args[1])), Answer(reply)
    if isinstance(request, m.DeviceDma):
        return op._replace(args=(op.args[0], reply.completed, reply.fault)), Answer(reply.completed)
    if isinstance(request, m.Memory) and isinstance(request.request, m.MmapAnywhere):
        if reply < 0:
            return op._replace(call="mmap of no room"), Answer(reply)
        return op._replace(args=(reply, *op.args[1:])), Answer(0)
    return op, Answer(reply)


def seen(machine: Machine) -> tuple[Any, ...]:
    """What can be seen of a machine at rest, as the model's ``look`` says it.

    Returns:
        VmLck of each live process in pages; all pinned pages; of each group, what its device can reach:
        (bus address, bytes, permission).
    """
    actors: dict[str, Any] = machine.core.actors
    locked = tuple(
        (name, actors[actor.mm].locked_vm.value)
        for name, actor in sorted(actors.items())
        if actor.kind == "process" and not actor.exiting.value
    )
    windows = tuple(
        tuple(run for table in actors[group].pe.windows if table is not None for run in reach(table))
        for group in machine.world.group_ids
    )
    return locked, machine.memory.pinned_pages, windows


def reach(table: Any) -> list[tuple[int, int, int]]:
    """The entries of a table that are not empty, as runs of (bus address, bytes, permission)."""
    found: list[tuple[int, int, int]] = []
    shift, index = table.it_page_shift, table.next_present(0, table.it_size)
    while index is not None:
        perm, start = table.raw(index) & 3, index + table.it_offset << shift
        if found and found[-1][0] + found[-1][1] == start and found[-1][2] == perm:
            found[-1] = (found[-1][0], found[-1][1] + (1 << shift), perm)
        else:
            found.append((start, 1 << shift, perm))
        index = table.next_present(index + 1, table.it_size)
    return found
