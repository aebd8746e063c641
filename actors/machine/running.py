"""A machine that runs freely, as trio tasks, for the length of a block."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Protocol

import trio
from msgspec import structs

from actors.kernel.composition import Kernel
from actors.machine.machine import Machine
from actors.program.programs import read_machine, write_machine
from actors.program.values import MachineSpec
from actors.runtime.explain import explained_on_signal
from actors.runtime.free import FreeRuntime


class MachineObserver(Protocol):
    """Whoever watches a machine while it is open."""

    def open(self, machine: Machine) -> None:
        """The machine has booted."""

    def close(self) -> None:
        """The machine ends."""


@asynccontextmanager
async def open_machine(
    kernel: Kernel | str = "fixed",
    spec: MachineSpec | None = None,
    log: MachineObserver | None = None,
    **changes: Any,
) -> AsyncIterator[Machine]:
    """Boot a machine whose actors run freely as trio tasks; it ends with the block.

    Meanwhile SIGUSR1 prints what :meth:`Machine.explain` returns, unless the signal has a handler already.

    Args:
        kernel: the name of a kernel (``tcemu kernels`` lists them), or a composed one.
        spec: what the machine is made of.
        log: who is told of all that happens, for example an ``actors.trace.MachineLog``.
        changes: fields of :class:`MachineSpec` to differ from ``spec``, for example ``cpus=4``.

    Raises:
        Refusal: there is no such machine; a ``ValueError`` that names the field.
    """
    whole = structs.replace(spec or MachineSpec(), **changes)
    read_machine(write_machine(whole))
    try:
        async with trio.open_nursery() as nursery:
            core = FreeRuntime(nursery)
            try:
                machine = Machine.boot(core, kernel, whole)
                if log is not None:
                    log.open(machine)
                with explained_on_signal(core):
                    yield machine
            finally:
                if log is not None:
                    log.close()
                nursery.cancel_scope.cancel()
    except BaseExceptionGroup as group:
        if len(group.exceptions) > 1:
            raise
        # The nursery is ours, so the user sees the error as if there were none.
        error = group.exceptions[0]
        raise error from error.__cause__
    finally:
        core.close()
