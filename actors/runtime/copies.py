"""Copies of what lives on a core.

A copy is a pickle in which everything that never changes (classes, operations, arrays) stands for
itself, so that making a machine from a copy touches only what makes machines differ. Arrays are
read-only from then on: their owners, in :mod:`hw`, copy a part before they first write to it.

A core itself is never copied: objects point to their core, and restored ones to the core on which
the machine is being restored.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pickle import Pickler, Unpickler
from threading import local
from types import FunctionType
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from actors.runtime.errors import EmulatorError
from actors.runtime.ops import Op

if TYPE_CHECKING:
    from actors.runtime.core import Core

CONSTANTS = (type, FunctionType, np.ndarray, np.dtype)
"""Types of values that a copy shares with what it was copied from."""


class _Restoring(local):
    """The cores that machines are being restored on, the innermost last; each thread has its own."""

    def __init__(self) -> None:
        self.cores: list[Core] = []


_restoring = _Restoring()


class Snapshot(NamedTuple):
    """A copy of some objects at rest.

    Attributes:
        data: the objects, pickled; what never changes stands in it by its place in ``constants``.
        constants: what never changes.
    """

    data: bytes
    constants: tuple[Any, ...]


def snapshot(state: object, constants: tuple[type, ...] = ()) -> Snapshot:
    """Return a copy of ``state``; instances of ``constants`` are shared with it."""
    buffer = BytesIO()
    pickler = _Pickler(buffer, CONSTANTS + constants)
    pickler.dump(state)
    return Snapshot(buffer.getvalue(), tuple(pickler.constants))


def restore(core: Core, copy: Snapshot) -> Any:
    """Return what was copied, made anew; it belongs to ``core``."""
    with restoring(core):
        return _Unpickler(copy).load()


def core_of_copy() -> Core:
    """Return the core that the objects being restored from a copy belong to."""
    if not _restoring.cores:
        raise EmulatorError("objects of a machine are restored by themselves")
    return _restoring.cores[-1]


@contextmanager
def restoring(core: Core) -> Iterator[None]:
    """Make objects that are restored inside the block belong to ``core``."""
    _restoring.cores.append(core)
    try:
        yield
    finally:
        _restoring.cores.pop()


class _Pickler(Pickler):
    def __init__(self, buffer: BytesIO, constants: tuple[type, ...]) -> None:
        super().__init__(buffer, protocol=5)
        self.types = constants
        self.constants: list[object] = []
        self._decided: dict[type, bool] = {Op: True}
        self._places: dict[int, int] = {}

    def persistent_id(self, obj: Any) -> int | None:
        """The place of ``obj`` among the constants; None when it is to be copied."""
        kind = obj.__class__
        constant = self._decided.get(kind)
        if constant is None:
            constant = self._decided[kind] = issubclass(kind, self.types)
        if not constant or (kind is Op and obj.guard is not None):
            return None
        place = self._places.get(id(obj))
        if place is None:
            place = self._places[id(obj)] = len(self.constants)
            self.constants.append(obj)
            if kind is np.ndarray:
                obj.setflags(write=False)
        return place


class _Unpickler(Unpickler):
    def __init__(self, copy: Snapshot) -> None:
        super().__init__(BytesIO(copy.data))
        self.constants = copy.constants

    def persistent_load(self, place: Any) -> Any:
        """The constant at a place."""
        return self.constants[place]
