"""Copies of what lives on a core: its objects point to the core, and a copy points to another one.

A core itself is never copied. While a machine is being restored the core that it will run on stands
here, for the copied objects to find.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from actors.runtime.errors import EmulatorError

if TYPE_CHECKING:
    from actors.runtime.core import Core

_restoring: list[Core] = []


def core_of_copy() -> Core:
    """Return the core that the objects being restored from a copy belong to."""
    if not _restoring:
        raise EmulatorError("a machine is restored outside Machine.restore")
    return _restoring[-1]


@contextmanager
def restoring(core: Core) -> Iterator[None]:
    """Make objects that are restored inside the block belong to ``core``."""
    _restoring.append(core)
    try:
        yield
    finally:
        _restoring.pop()
