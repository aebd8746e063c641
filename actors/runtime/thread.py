"""A thread of control, wherever it is being served."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from actors.runtime.actor import Actor
    from actors.runtime.ops import Call, Op
    from actors.runtime.sync import Guard


class Thread:
    """One thread of control: a stack of handlers, each inside the actor that runs it.

    A request makes the thread continue in the receiving actor; the sender's handler waits below it.
    So one name follows an ioctl through every actor that serves it, and a schedule is a sequence of
    threads.

    Attributes:
        index: the order of creation; the tie-breaker of every choice.
        name: such as ``qemu`` or ``rcu:2``.
        daemon: True for one that may wait for ever (a kernel thread); it is no deadlock.
        bystander: True once all that it can still do is to switch tasks on a CPU.
        frames: ``(actor, coroutine)`` pairs, innermost last.
        pending: the operation that the thread has declared and not yet performed.
        call: the request it is about to send, when ``pending`` is a message.
        task: the kernel's ``current`` of this thread; None for a thread of the machine itself.
        held: the operations by which it took the locks that it holds, in order.
        rcu_nesting: how deep it is in RCU read sections.
        home: where the trio task waits that runs its outermost frame (free runtime only).
    """

    __slots__ = (
        "bystander",
        "call",
        "daemon",
        "enabled",
        "error",
        "finished",
        "frames",
        "guard",
        "held",
        "home",
        "index",
        "name",
        "pending",
        "rcu_nesting",
        "result",
        "resuming",
        "task",
        "value",
    )

    def __init__(self, index: int, name: str, daemon: bool = False) -> None:
        self.index = index
        self.name = name
        self.daemon = daemon
        self.bystander = False
        self.frames: list[tuple[Actor, Coroutine[Any, Any, Any]]] = []
        self.pending: Op | None = None
        self.call: Call | None = None
        self.guard: Guard | None = None
        self.enabled = False
        self.finished = False
        self.value: Any = None
        self.resuming = False
        self.error: BaseException | None = None
        self.result: Any = None
        self.task: Any = None
        self.held: list[Op] = []
        self.rcu_nesting = 0
        self.home: Any = None

    def place(self) -> str:
        """Where the thread stands: actor and function of the innermost handler."""
        if not self.frames:
            return "(ended)"
        actor, coroutine = self.frames[-1]
        return f"{actor.id} {getattr(coroutine, '__qualname__', '?')}"

    def __repr__(self) -> str:
        return f"<thread {self.name} at {self.place()}>"
