"""From what the runtime tells to events: who holds what, what led here, what is charged.

The translator follows each thread through its requests: a request puts the receiving actor on the
thread's stack, the reply takes it off again. All context of an event comes from there.
"""

from __future__ import annotations

from collections.abc import Callable
from types import CodeType
from typing import Any, Final, NamedTuple

from actors.runtime.messages import Request as Message
from actors.runtime.ops import Op
from actors.runtime.thread import Thread
from actors.trace import schema as s
from actors.trace.plain import arguments_of, facts_of, operation_of, plain

ACQUIRES: Final = {"acquire": "acquire", "read": "read", "write": "write", "read-lock": "read"}
RELEASES: Final = {
    "release": "acquire", "read-release": "read", "write-release": "write", "read-unlock": "read",
}  # fmt: skip


SIMPLE: Final = (int, bool, str, tuple, type(None))
"""Classes of values that are no things."""


class Served(NamedTuple):
    """A request that a thread is being served: its step, the actor, the function."""

    step: int
    actor: str
    function: str


class Lane:
    """What is known of one thread of control.

    Attributes:
        label: its name; two that live at once have different ones.
        stack: the requests it is in, outermost first; the first stands for the thread's own body.
        held: the locks it holds, oldest first.
        operation: what it is doing for somebody outside.
        task_mm: the mm of the task it runs as.
        context: the fields of its events that change with the stack only.
    """

    __slots__ = ("context", "held", "label", "operation", "stack", "task_mm", "waiting")

    def __init__(self, label: str, step: int | None, actor: str) -> None:
        self.label = label
        self.stack = [Served(step if step is not None else -1, actor, "")]
        self.held: tuple[str, ...] = ()
        self.operation = ""
        self.task_mm = ""
        self.waiting = ""
        self.context: dict[str, Any] = {}
        self.refresh()

    def refresh(self) -> None:
        """Work the context out again."""
        top = self.stack[-1]
        self.context = {
            "thread": self.label,
            "actor": top.actor,
            "operation": self.operation,
            "cause": top.step if top.step >= 0 else None,
            "caller": next((r.actor for r in self.stack if r.actor.startswith("process:")), ""),
            "mm": self.innermost("mm:") or self.task_mm,
            "container": self.innermost("container:"),
        }

    def innermost(self, prefix: str) -> str:
        """The innermost actor of a kind that serves the thread."""
        return next((r.actor for r in reversed(self.stack) if r.actor.startswith(prefix)), "")


class Translator:
    """Makes events of records, one after another."""

    def __init__(self) -> None:
        self.lanes: dict[int, Lane] = {}
        self.labels: dict[str, int] = {}
        self.locked_vm: dict[str, int] = {}
        self.places: dict[str, tuple[str, str]] = {}
        self.known: set[str] = set()
        self.step = 0
        self.choices = 0
        self.makers: dict[str, Callable[[Lane, Any, Fields], s.Event]] = {
            "start": self.start, "finish": self.finish, "request": self.request, "reply": self.reply,
            "wait": self.wait, "wake": self.wake, "choice": self.choice, "state": self.state,
        }  # fmt: skip

    def feed(self, thread: Thread, what: Op | str, before: Any, after: Any, note: Any, code: CodeType | None,
             pins: int, mm: str | None) -> s.Event:  # fmt: skip
        """Make the next event.

        Args:
            thread: who did it.
            what: the operation of an access, or the name of an event.
            before: the value before, or the event's fields.
            after: the value after, the receiver of a request, or the error of a reply.
            note: the holder, the bytes at the pointer of a request, the name of a new thread.
            code: the function.
            pins: pinned pages.
            mm: the mm of the task that sends a request.
        """
        lane = self.lanes.get(thread.index) or self.new_lane(thread, "")
        function = code.co_name if code is not None else lane.stack[-1].function
        if isinstance(what, Op):
            event = self.access(lane, what, before, after, note, function, pins)
        else:
            common = Fields(thread, function, pins, note, after, mm)
            maker = self.makers.get(what)
            event = maker(lane, before, common) if maker else self.other(lane, what, before, common)
        self.step += 1
        return event

    def new_lane(self, thread: Thread, actor: str, step: int | None = None, name: str = "") -> Lane:
        """Begin to follow a thread under a name that no living one has."""
        name = name or thread.name
        label, number = name, 1
        taken = {lane.label for lane in self.lanes.values()}
        while label in taken:
            number += 1
            label = f"{name}~{number}"
        lane = self.lanes[thread.index] = Lane(label, step, actor)
        return lane

    def common(self, lane: Lane, about: Fields) -> dict[str, Any]:
        """The fields that every event has."""
        context = lane.context
        return context | {
            "step": self.step,
            "function": about.function,
            "held": lane.held,
            "pins": about.pins,
            "locked_vm": self.locked_vm.get(context["mm"], 0),
        }

    # -- accesses and locks --------------------------------------------------------------------

    def access(self, lane: Lane, op: Op, before: Any, after: Any, holder: str, function: str,
               pins: int) -> s.Event:  # fmt: skip
        """An access of a shared variable, or what a thread does with a lock."""
        name = op.object
        if op.mode in RELEASES or op.mode in ACQUIRES:
            return self.lock(lane, op, function, pins)
        place = self.places.get(name) or self.place(name)
        if place[1] == "locked_vm" and isinstance(after, int):
            self.locked_vm[place[0]] = after
        context = lane.context
        facts = self.met(after) if after.__class__ not in SIMPLE else {}
        return s.Access(
            step=self.step, function=function, held=lane.held, pins=pins,
            locked_vm=self.locked_vm.get(context["mm"], 0), object=place[0], field=place[1], kind=op.kind,
            write=op.write, before=plain(before), after=plain(after), holder=holder, facts=facts,
            **context,
        )  # fmt: skip

    def met(self, value: object) -> dict[str, Any]:
        """What never changes of a thing, when it is met for the first time."""
        name = getattr(value, "name", None)
        if not isinstance(name, str) or name in self.known:
            return {}
        self.known.add(name)
        return facts_of(value)

    def place(self, name: str) -> tuple[str, str]:
        """Split ``mm:0.locked_vm`` into whose it is and which part of it."""
        self.places[name] = place = split(name)
        return place

    def lock(self, lane: Lane, op: Op, function: str, pins: int) -> s.Event:
        """A lock was taken or given back."""
        common = self.common(lane, Fields(None, function, pins))
        if op.mode in RELEASES:
            mode = RELEASES[op.mode]
            held = list(lane.held)
            name = shown_lock(op.object, mode)
            if name in held:
                held.reverse()
                held.remove(name)
                held.reverse()
            lane.held = common["held"] = tuple(held)
            return s.Release(object=op.object, mode=mode, **common)
        mode = ACQUIRES[op.mode]
        lane.held = common["held"] = (*lane.held, shown_lock(op.object, mode))
        return s.Acquire(object=op.object, mode=mode, **common)

    # -- threads and messages ------------------------------------------------------------------

    def start(self, lane: Lane, fields: dict[str, Any], about: Fields) -> s.Event:
        """A thread begins; a name may be used again, and a thread that was reused begins anew."""
        thread = about.thread
        assert thread is not None
        self.lanes.pop(thread.index, None)
        lane = self.new_lane(thread, fields.get("actor", ""), self.step, about.data)
        parent: Thread | None = fields.get("parent")
        known = self.lanes.get(parent.index) if parent is not None and parent is not thread else None
        common = self.common(lane, about)
        common["cause"] = known.context["cause"] if known is not None else None
        return s.Start(daemon=thread.daemon, parent=known.label if known is not None else "", **common)

    def finish(self, lane: Lane, fields: dict[str, Any], about: Fields) -> s.Event:
        """A thread ends."""
        thread = about.thread
        assert thread is not None
        del lane.stack[1:]
        lane.operation = ""
        lane.refresh()
        self.lanes.pop(thread.index, None)
        common = self.common(lane, about) | {"function": ""}
        return s.Finish(result=plain(fields.get("result")), error=error_text(fields.get("error")), **common)

    def request(self, lane: Lane, message: Message[Any], about: Fields) -> s.Event:
        """A request is sent: from here on the thread is inside the receiver."""
        name = getattr(message, "serves", "") or type(message).__name__
        if about.mm is not None:
            lane.task_mm = about.mm
        if not lane.operation:
            lane.operation = operation_of(message)
        lane.refresh()
        common, to = self.common(lane, about), str(about.after)
        lane.stack.append(Served(self.step, to, name))
        lane.refresh()
        return s.Request(to=to, request=name, args=arguments_of(message, about.data), **common)

    def reply(self, lane: Lane, value: Any, about: Fields) -> s.Event:
        """A request is answered: the thread is where it was before."""
        served = lane.stack[-1]
        common = self.common(lane, about) | {"function": served.function}
        if len(lane.stack) > 1:
            lane.stack.pop()
        if len(lane.stack) == 1:
            lane.operation = ""
        lane.refresh()
        return s.Reply(
            to=lane.stack[-1].actor, request=served.function, of=common["cause"],
            ret=plain(value), error=error_text(about.after), **common,
        )  # fmt: skip

    # -- waiting and choosing ------------------------------------------------------------------

    def wait(self, lane: Lane, fields: dict[str, Any], about: Fields) -> s.Event:
        """A thread has to wait."""
        op: Op = fields["op"]
        name = op.guard.name if op.guard is not None else op.object
        return s.Wait(object=name, mode=op.mode, holders=tuple(fields["holders"]), **self.common(lane, about))

    def wake(self, lane: Lane, fields: dict[str, Any], about: Fields) -> s.Event:
        """A thread need not wait any longer."""
        op: Op = fields["op"]
        name = op.guard.name if op.guard is not None else op.object
        return s.Wake(object=name, waker=self.label_of(fields.get("waker")), **self.common(lane, about))

    def label_of(self, thread: Thread | None) -> str:
        """The name of a thread in the log."""
        if thread is None:
            return ""
        lane = self.lanes.get(thread.index)
        return lane.label if lane is not None else thread.name

    def choice(self, lane: Lane, fields: dict[str, Any] | tuple[Thread, ...], about: Fields) -> s.Event:
        """A decision was taken; the calm option stands first."""
        number, self.choices = self.choices, self.choices + 1
        common = self.common(lane, about)
        if isinstance(fields, dict):
            return s.Choice(number=number, **fields, **common)
        current = about.data
        options = [t for t in fields if t is current] + [t for t in fields if t is not current]
        names = tuple(self.label_of(t) for t in options)
        return s.Choice(number=number, options=names, count=len(names), chosen=lane.label,
                        taken=options.index(about.thread), **common)  # fmt: skip

    # -- the rest ------------------------------------------------------------------------------

    def state(self, lane: Lane, fields: dict[str, Any], about: Fields) -> s.Event:
        """The whole state: charges are known from here on."""
        self.locked_vm.update({name: mm["locked_vm"] for name, mm in fields["mms"].items()})
        self.known.update(fields["regions"], fields["files"])
        self.known.update(name for c in fields["containers"].values() for name in c.get("windows", ()))
        return s.State(**fields, **self.common(lane, about))

    def other(self, lane: Lane, name: str, fields: dict[str, Any], about: Fields) -> s.Event:
        """An event whose fields are those of its kind."""
        kind = KINDS[name]
        values = {key: plain(value) for key, value in fields.items() if key in kind.__struct_fields__}
        for key in ("hits", "accesses"):
            if key in values:
                values[key] = tuple(values[key])
        common = self.common(lane, about)
        common["function"] = values.get("place") or common["function"]
        event: s.Event = kind(**common | values)
        return event


class Fields(NamedTuple):
    """What comes with an event beside its own fields."""

    thread: Thread | None
    function: str
    pins: int
    data: Any = None
    after: Any = None
    mm: str | None = None


KINDS: Final[dict[str, Any]] = {
    s.event_name(kind): kind for kind in (s.Fault, s.Warn, s.Misuse, s.Oops, s.Violation, s.Dma)
}


def shown_lock(name: str, mode: str) -> str:
    """A held lock as text; a shared one is marked."""
    return f"{name}/read" if mode == "read" else name


def split(name: str) -> tuple[str, str]:
    """Whose a shared variable is, and which part: ``table:0[0x1]`` is ``[0x1]`` of ``table:0``."""
    dot, bracket = name.find("."), name.find("[")
    if dot < 0 and bracket < 0:
        return name, ""
    if dot < 0 or 0 <= bracket < dot:
        return name[:bracket], name[bracket:]
    return name[:dot], name[dot + 1 :]


def error_text(error: BaseException | None) -> str:
    """What ended a handler, in one line."""
    return "" if error is None else f"{type(error).__name__}: {' '.join(str(error).split())}"
