"""Looking at what happens on a machine, in a test: events as values, and nothing configured anywhere."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from actors.machine import Machine
from actors.trace.query import LogCapture


@contextmanager
def capture(machine: Machine, functions: bool = True) -> Iterator[LogCapture]:
    """Capture what happens on ``machine`` while the block runs.

    Captures may lie within each other and beside any log that the machine has; none notices another.
    What was captured can still be asked for after the block.

    Args:
        machine: on any runtime.
        functions: find out for every access which kernel function makes it.

    Example:
        >>> async with actors.open_machine(kernel="v4.9") as machine:
        ...     qemu = await machine.spawn("qemu")
        ...     with capture(machine) as log:
        ...         ram = await qemu.mmap(1 << 20)
        >>> [call.operation for call in log.calls()]
        ['mmap']
    """
    log = LogCapture(functions)
    log.open(machine)
    try:
        yield log
    finally:
        log.close()


__all__ = ["LogCapture", "capture"]
