"""Frozen messages between actors.

A request names, in ``serves``, the method of the receiving actor that answers it; its fields are
that method's arguments, in order. So a handler reads like the kernel function it stands for.
"""

from __future__ import annotations

from typing import ClassVar, Generic, TypeVar

import msgspec

R = TypeVar("R")


class Request(msgspec.Struct, Generic[R], frozen=True, gc=False):
    """Base of all requests; ``R`` is the type of the reply.

    Fields are immutable values: numbers, names of actors and objects, bytes, tuples, and handles of
    hardware or of the caller's memory, which stand for addresses.
    """

    serves: ClassVar[str] = ""
