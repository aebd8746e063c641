"""Finding events: by kind, actor, object, operation and step; and from an event to its causes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar, cast

from actors.machine import Machine
from actors.trace import schema as s
from actors.trace.header import header_of
from actors.trace.jsonl import Log
from actors.trace.recorder import Recorder
from actors.trace.text import console_line, joined

E = TypeVar("E", bound=s.Happening)


def object_of(event: s.Event) -> str:
    """The full name of what an event is about: a variable, a lock, the receiver of a request."""
    if isinstance(event, s.Access):
        return joined(event.object, event.field)
    if isinstance(event, (s.Acquire, s.Release, s.Wait, s.Wake)):
        return event.object
    return event.to if isinstance(event, s.Request) else ""


def part_of(name: str, whole: str) -> bool:
    """Whether ``name`` is ``whole`` or a part of it: ``mm:0.locked_vm`` is part of ``mm:0``."""
    return name == whole or (name.startswith(whole) and name[len(whole)] in ".[")


def about(event: s.Event, name: str) -> bool:
    """Whether an event is about an object, or mentions it as what was put on or taken off a list."""
    if part_of(object_of(event), name):
        return True
    return isinstance(event, s.Access) and name in (event.before, event.after, event.holder)


def select(
    events: Iterable[s.Event],
    kind: str = "",
    actor: str = "",
    thread: str = "",
    object: str = "",
    operation: str = "",
    function: str = "",
    steps: range | None = None,
) -> Iterator[s.Event]:
    """The events that meet all conditions; an empty one is none.

    Args:
        events: of a log.
        kind: the value of ``event``.
        actor: where it happened.
        thread: who did it.
        object: what it is about, a whole or a part.
        operation: the system call or ioctl, or a part of its name.
        function: the kernel function.
        steps: from one step to before another.
    """
    for event in events:
        if (
            (not kind or s.event_name(type(event)) == kind)
            and (not actor or event.actor == actor)
            and (not thread or event.thread == thread)
            and (not object or about(event, object))
            and (not operation or operation.lower() in event.operation.lower())
            and (not function or event.function == function)
            and (steps is None or event.step in steps)
        ):
            yield event


def by_step(events: Iterable[s.Event]) -> dict[int, s.Event]:
    """The events by their numbers; a log that was cut out of another one has gaps."""
    return {event.step: event for event in events}


def chain(events: Iterable[s.Event], event: s.Event) -> list[s.Event]:
    """The causes of an event, outermost first, the event itself last."""
    known, links = by_step(events), [event]
    while event.cause is not None and event.cause < event.step and event.cause in known:
        event = known[event.cause]
        links.append(event)
    return links[::-1]


def caused(events: Iterable[s.Event], by: s.Event) -> list[s.Event]:
    """Everything that a request or a thread start led to, across actors and threads, by step.

    Threads that were begun on the way count, with all that they did.
    """
    within, found = {by.step}, []
    for event in events:
        if event.cause in within and event.step != by.step:
            found.append(event)
            within.add(event.step)
    return found


class LogCapture(Recorder):
    """What happened on a machine, for tests to look at; what is asked for are values of :mod:`schema`.

    Example:
        >>> log = LogCapture()
        >>> async with open_machine(kernel="fixed", log=log) as machine:
        ...     qemu = await machine.spawn("qemu")
        ...     ram = await qemu.mmap(1 << 20)
        >>> log.of(Warn)
        []
        >>> lock = log.only(Acquire, object="mm:0.mmap_lock")
        >>> [event.request for event in log.chain(lock)[:-1]]
        ['sys_memory', 'mmap_anywhere']
        >>> log.caused(by="mmap", kind=Access, object="mm:0.locked_vm")
        []
    """

    head: s.Header | None = None

    def of(self, kind: type[E], matches: Callable[[E], bool] | None = None, /, **fields: Any) -> list[E]:
        """The events of a kind whose fields have these values and that ``matches`` accepts."""
        return of_kind(self.events(), kind, matches, fields)

    def only(self, kind: type[E], /, **fields: Any) -> E:
        """The one event of a kind whose fields have these values.

        Raises:
            AssertionError: there is none, or more than one.
        """
        found = self.of(kind, **fields)
        if len(found) != 1:
            wanted = ", ".join(f"{name}={value!r}" for name, value in fields.items())
            seen = "".join(f"\n  {console_line(cast(s.Event, event))}" for event in found[:5])
            raise AssertionError(f"{len(found)} events {s.event_name(kind)}({wanted}), expected one{seen}")
        return found[0]

    def open(self, machine: Machine) -> None:
        """Record what happens on ``machine`` from now on."""
        self.head = header_of(machine)
        super().open(machine)

    def log(self) -> Log:
        """Everything so far as a log: to be written to a file, drawn, or asked ``why``."""
        head = self.head or s.Header(format=s.FORMAT, version=s.VERSION, kernel="")
        return Log(head, list(self.events()), s.End(step=len(self)))

    def calls(self, operation: str = "") -> list[s.Request]:
        """The requests from outside: system calls and the like, of one name or all of them."""
        inner = {event.step for event in self.events() if isinstance(event, s.Request)}
        asked = [event for event in self.of(s.Request) if event.cause not in inner]
        return [event for event in asked if operation in ("", event.operation)]

    def chain(self, event: s.Event) -> list[s.Event]:
        """The causes of an event, outermost first, the event itself last."""
        return chain(self.events(), event)

    def caused(
        self, by: s.Event | str, kind: type[E] = s.Happening, object: str = "", **fields: Any  # type: ignore[assignment]
    ) -> list[E]:
        """What an event led to, across actors and threads, as far as it meets all conditions.

        Args:
            by: a request or thread start, or the name of an operation, of which every call counts.
            kind: of event.
            object: what it is about, a whole or a part: ``mm:0``, ``mm:0.locked_vm``.
            fields: of the event, with their values.

        Raises:
            AssertionError: ``by`` names an operation that never happened.
        """
        events = self.events()
        causes: Sequence[s.Event] = self.calls(by) if isinstance(by, str) else [by]
        if not causes:
            there = ", ".join(dict.fromkeys(event.operation for event in self.calls()))
            raise AssertionError(f"nobody called {by}; there is {there or 'no call at all'}")
        found = {event.step: event for cause in causes for event in caused(events, cause)}
        wanted = [found[step] for step in sorted(found) if not object or about(found[step], object)]
        return of_kind(wanted, kind, None, fields)

    def lines(self) -> list[str]:
        """Everything as text, one line an event; what a failing test may print."""
        return [console_line(event) for event in self.events()]


def of_kind(
    events: Iterable[s.Event], kind: type[E], matches: Callable[[E], bool] | None, fields: dict[str, Any]
) -> list[E]:
    """The events of a kind whose fields have these values and that ``matches`` accepts."""
    return [
        event
        for event in events
        if isinstance(event, kind)
        and all(getattr(event, name) == value for name, value in fields.items())
        and (matches is None or matches(event))
    ]
