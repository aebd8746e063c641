"""The actor: an owner of state that others reach by messages only."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, ClassVar

import msgspec

from actors.runtime.ops import Op

if TYPE_CHECKING:
    from actors.runtime.core import Core
    from actors.runtime.messages import Request


class Actor:
    """Something that owns state and serves requests, several at once.

    What an actor owns only its own methods read and change. Requests are served concurrently, each
    by a coroutine of its own; what must not overlap is serialised by the locks that the kernel has.

    Attributes:
        kind: ``"container"``, ``"mm"``, ...
        id: ``kind:index`` in order of creation, for example ``container:0``.
        name: the human name, for example ``qemu``; the id where there is no better one.
        callers_are_threads: whether who sends a request from outside is a thread of this actor (a process).
    """

    kind: ClassVar[str] = "actor"
    callers_are_threads: ClassVar[bool] = False

    def __init__(self, core: Core, name: str = "", reserved_id: str = "") -> None:
        self.core = core
        self.id = reserved_id or core.number(self.kind)
        self.name = name or self.id
        core.register(self)
        self.message_op = Op("message", self.id, write=False)

    def serve(self, request: Request[Any]) -> Coroutine[Any, Any, Any]:
        """Start the handler that ``request`` names and return its coroutine."""
        handler: Coroutine[Any, Any, Any] = getattr(self, request.serves)(*msgspec.structs.astuple(request))
        return handler

    def __repr__(self) -> str:
        return f"<{self.id} {self.name}>"
