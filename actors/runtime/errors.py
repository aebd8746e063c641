"""Errors by whose fault they are.

``KernelError`` is what userland is told and belongs to the API (:mod:`actors.errors`). Here are the
ones that the runtime raises itself.
"""

from __future__ import annotations


class EmulatorError(Exception):
    """A mistake of the emulator or of code plugged into it; never the modelled kernel's."""


class KernelOops(Exception):
    """The modelled kernel crashed in this thread: the task dies, what it held stays held.

    Args:
        what: what happened, in the words of a kernel log.
        place: the kernel function in which it happened.
        invariant: the invariant of section J that the crash violates, or "".

    Attributes:
        reported: whether the crash has been told to whoever watches.
    """

    reported = False

    def __init__(self, what: str, place: str, invariant: str = "") -> None:
        super().__init__(f"{what} in {place}")
        self.what = what
        self.place = place
        self.invariant = invariant


class UseAfterFree(KernelOops):
    """A thread touched an object that was freed already (J-K2)."""

    def __init__(self, name: str, place: str) -> None:
        super().__init__(f"use after free of {name}", place, "J-K2")
        self.object = name


class TaskKilled(Exception):
    """The task that made this call is gone: its process exited or was killed."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name} has exited")
        self.name = name


class Deadlock(Exception):
    """No thread can go on.

    Args:
        waits: one ``(thread, object waited for, who holds it)`` a stuck thread.
    """

    def __init__(self, waits: tuple[tuple[str, str, str], ...]) -> None:
        super().__init__("; ".join(f"{t} waits for {o}, held by {h}" for t, o, h in waits))
        self.waits = waits


class Livelock(Exception):
    """A run made more steps than its budget allows."""

    def __init__(self, steps: int, thread: str, recent: tuple[str, ...]) -> None:
        super().__init__(f"no end after {steps} steps; {thread} goes round in {', '.join(recent)}")
        self.steps = steps
        self.thread = thread
        self.recent = recent


class ScenarioError(EmulatorError):
    """A scenario has a mistake of its own, or asks for what no run can do; its author has to mend it."""


class BadArgument(ValueError):
    """A method of the machine was called with an argument that it cannot take; the caller's to mend."""


class ForeignAwait(ScenarioError):
    """A scenario awaited something that is not the emulator's inside a controlled run.

    Attributes:
        thread: name of the thread.
        what: what it awaited.
        place: where.
        located: whether the place is a line of the scenario rather than an actor and a function.
    """

    located = False

    def __init__(self, thread: str, what: object, place: str) -> None:
        super().__init__(
            f"thread {thread} awaits {what!r} at {place}; a controlled run can only await the emulator"
        )
        self.thread = thread
        self.what = what
        self.place = place
