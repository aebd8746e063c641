"""The state of a run in the middle of an order, as a digest: equal digests, equal futures.

A state is everything that what happens next can depend on: the actors with all they own, the threads
with where each of them stands, and whoever judges. A thread's place is its stack of coroutines, and a
coroutine's place is the instruction it stopped at, its local variables and its temporaries, such as
the iterator of a loop that it is in. Temporaries have no name in Python; CPython's garbage collector
visits them, in the order of the frame, and that is how they are found.

The graph of objects is written in the order of a walk from the root, each object the first time that it
is met; after that its number stands for it. No address, no hash and no order of a set is in it.

Not in it: the core and its chooser, which decide and do not remember; what never changes (programs,
kernels, classes); which locks an order has seen taken in which order beyond the classes of locks.
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from hashlib import blake2b
from io import BytesIO
from pickle import Pickler, PicklingError
from types import (
    AsyncGeneratorType,
    BuiltinFunctionType,
    CellType,
    CodeType,
    CoroutineType,
    FrameType,
    FunctionType,
    GeneratorType,
    MethodType,
)
from typing import TYPE_CHECKING, Any
from weakref import ref

import numpy as np

from actors.check.lockdep import Lockdep
from actors.kernel.composition import Kernel
from actors.program import MachineSpec, Program
from actors.runtime.cells import Refcount
from actors.runtime.core import Core
from actors.runtime.ops import Op

if TYPE_CHECKING:
    from actors.explore.arena import Arena

Spell = Callable[[Any], Any]

ATOMS = frozenset({int, float, str, bytes, bool, type(None), tuple})
"""Values without an identity of their own."""

OVERHEAD = (FrameType, CodeType, FunctionType)
"""What a frame refers to besides variables and temporaries; what a function closes over is among these."""

_arrays: dict[int, tuple[ref[Any], bytes]] = {}
"""Digests of arrays that nobody can write to, for as long as they live."""


def digest(core: Arena) -> bytes | None:
    """The digest of the state of a run, None when something in it cannot be captured."""
    threads = list(core.threads.values())
    root = (core.actors, core.names, core.thread_count, threads, core.faults, core.judge)
    buffer = BytesIO()
    try:
        Capture(buffer).dump(root)
    except (PicklingError, TypeError, AttributeError, ValueError, RecursionError):
        return None
    return blake2b(buffer.getvalue(), digest_size=16).digest()


class Capture(Pickler):
    """Writes a graph of objects so that equal graphs give equal bytes."""

    def __init__(self, buffer: BytesIO) -> None:
        super().__init__(buffer, protocol=5)
        self.fast = True
        self.met: dict[int, tuple[int, Any]] = {}

    def persistent_id(self, obj: Any) -> Any:
        """What stands for ``obj``; None when it is to be written out."""
        kind = obj.__class__
        if kind in ATOMS:
            return None
        spell = SPELLED.get(kind)
        if spell is None and kind not in SPELLED:
            spell = SPELLED[kind] = next((SPELLED[c] for c in kind.__mro__ if c in SPELLED), None)
        if spell is not None and kind in VALUES:
            return spell(obj)
        known = self.met.get(id(obj))
        if known is not None:
            return known[0]
        self.met[id(obj)] = len(self.met), obj
        return None if spell is None else spell(obj)


def frame(coroutine: Any) -> tuple[Any, ...]:
    """Where a coroutine or generator stands, with all that it would go on with."""
    letters = "cr" if isinstance(coroutine, CoroutineType) else "gi"
    letters = "ag" if isinstance(coroutine, AsyncGeneratorType) else letters
    at = getattr(coroutine, f"{letters}_frame")
    values = [value for value in gc.get_referents(coroutine) if not isinstance(value, OVERHEAD)]
    return "frame", coroutine.__qualname__, -1 if at is None else at.f_lasti, values


def function(each: Any) -> tuple[Any, ...]:
    """A function, by its name and what it closes over."""
    return "function", each.__module__, each.__qualname__, each.__code__.co_firstlineno, each.__closure__


def cell(each: Any) -> tuple[Any, ...]:
    """A variable that functions share."""
    try:
        return "cell", each.cell_contents
    except ValueError:
        return ("cell",)


def array(each: Any) -> tuple[Any, ...]:
    """An array by its content."""
    if each.flags.writeable or each.base is not None:
        return "array", each.dtype.str, each.shape, each.tobytes()
    known = _arrays.get(id(each))
    if known is None or known[0]() is not each:
        content = blake2b(each.tobytes(), digest_size=16).digest()
        place = id(each)
        known = _arrays[place] = ref(each, lambda _: _arrays.pop(place, None)), content
    return "array", each.dtype.str, each.shape, known[1]


SPELLED: dict[type, Spell | None] = {
    type: lambda each: f"class {each.__module__}.{each.__qualname__}",
    Core: lambda each: "core",
    Kernel: lambda each: "kernel",
    Program: lambda each: "program",
    MachineSpec: lambda each: "spec",
    Op: lambda each: ("op", each.kind, each.object, each.write, each.mode),
    Refcount: lambda each: ("count", each.name, each.freed, sorted(each.holders.items())),
    Lockdep: lambda each: ("order", sorted((a, b) for a, after in each.edges.items() for b in after)),
    np.ndarray: array,
    np.dtype: str,
    set: lambda each: ("set", sorted(each)),
    frozenset: lambda each: ("set", sorted(each)),
    CoroutineType: frame,
    GeneratorType: frame,
    AsyncGeneratorType: frame,
    FunctionType: function,
    BuiltinFunctionType: lambda each: ("builtin", each.__qualname__),
    MethodType: lambda each: ("method", each.__self__, each.__func__),
    CellType: cell,
}
"""Types of objects that are written in a way of their own; subclasses as their bases."""

VALUES = frozenset({type, Op, np.dtype, frozenset, MethodType, BuiltinFunctionType, FunctionType})
"""Those of them without an identity that matters."""


__all__ = ["digest"]
