"""What a thread is about to do: the declared operation, and the two other effects a coroutine yields.

Every shared thing of the emulated kernel (lock, list, counter, reference count, field, table slot,
message, user copy) announces an access *before* it happens by yielding an :class:`Op`. A driver
that controls the order sees all threads at such points and picks who goes on; strategies and
partial-order reduction read ``object`` and ``write`` to know what commutes.
"""

from __future__ import annotations

import types
from collections.abc import Generator
from typing import TYPE_CHECKING, Any, Final, TypeVar

if TYPE_CHECKING:
    from actors.runtime.messages import Request
    from actors.runtime.sync import Guard

KINDS: Final = (
    "lock",
    "list",
    "counter",
    "reference",
    "field",
    "slot",
    "message",
    "user-copy",
    "rcu",
    "frames",
    "lifetime",
    "thread",
    "device",
)
"""Every class of scheduling point. A run may mute some of them; a complete search mutes none."""


class Op:
    """One access to one shared object, declared before it happens.

    Attributes:
        kind: the class of the point, one of :data:`KINDS`.
        object: the deterministic name of what is touched, such as ``container:0.lock``.
        write: False when the access commutes with other reads of the object.
        guard: what decides whether the operation may happen now; None for one that never waits.
        mode: what the guard is asked for (``"read"``, ``"write"``); empty without a guard.
        within: the name of the whole that ``object`` is a part of, as a table of its slots; "" otherwise.
        also: what else the same indivisible step touches, as a device's access does.
    """

    __slots__ = ("also", "guard", "kind", "mode", "object", "within", "write")

    def __init__(
        self,
        kind: str,
        name: str,
        write: bool,
        guard: Guard | None = None,
        mode: str = "",
        within: str = "",
        also: tuple[Op, ...] = (),
    ) -> None:
        self.within = within
        self.also = also
        self.kind = kind
        self.object = name
        self.write = write
        self.guard = guard
        self.mode = mode

    def together(self, also: tuple[Op, ...]) -> Op:
        """The same access in one step with others."""
        return Op(self.kind, self.object, self.write, self.guard, self.mode, self.within, also)

    def depends_on(self, other: Op) -> bool:
        """Whether the order of the two can matter: one object, or one inside the other; not both reads."""
        if self.also or other.also:
            return any(mine.meets(its) for mine in (self, *self.also) for its in (other, *other.also))
        return self.meets(other)

    def meets(self, other: Op) -> bool:
        """:meth:`depends_on` for the two main accesses alone."""
        if not self.write and not other.write:
            return False
        return other.object in (self.object, self.within) or other.within == self.object

    def __repr__(self) -> str:
        return f"{self.kind} {self.object} {self.mode or ('write' if self.write else 'read')}"


class Call:
    """The effect of a request to another actor: the thread goes on there and comes back with the reply."""

    __slots__ = ("request", "target")

    def __init__(self, target: str, request: Request[Any]) -> None:
        self.target = target
        self.request = request


R = TypeVar("R")


@types.coroutine
def point(op: Op) -> Generator[Op, None, None]:
    """Declare ``op`` and wait until the driver lets the thread perform it."""
    yield op


@types.coroutine
def call(target: str, request: Request[R]) -> Generator[Call, Any, R]:
    """Send ``request`` to the actor named ``target`` and return its reply.

    Raises:
        KernelOops: the modelled kernel crashed while it served the request.
    """
    reply: R = yield Call(target, request)
    return reply
