"""A log that is written while the run goes on: whole batches of lines, and at last the end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TextIO

from msgspec import structs

from actors.trace.header import header_of
from actors.trace.jsonl import encode, encode_all
from actors.trace.recorder import SLOTS, Recorder
from actors.trace.schema import End, Event

if TYPE_CHECKING:
    from actors.machine import Machine
    from actors.runtime.thread import Thread

BATCH: Final = 2048
"""Events that are kept at most before they are written."""


class LogFile(Recorder):
    """A recorder that writes a log as it goes and keeps nothing.

    What has happened is in the file when a thread ends, and every :data:`BATCH` events.

    Args:
        output: where lines go.
        functions: find out for every access which kernel function makes it.
        head: fields of the header that the machine does not know: ``name``, ``clients``, ``seed`` ...

    Attributes:
        end: what the run came to; the last line of the log.

    Example:
        >>> with open("run.jsonl", "w") as output:
        ...     async with open_machine(kernel="v6.12", log=LogFile(output)) as machine:
        ...         qemu = await machine.spawn("qemu")
    """

    def __init__(self, output: TextIO, functions: bool = True, **head: Any) -> None:
        super().__init__(functions)
        self.output = output
        self.head = head
        self.end = End(step=0)

    def open(self, machine: Machine) -> None:
        """Write the header, and then what happens on ``machine``."""
        self.output.write(encode(header_of(machine, **self.head)).decode())
        self.attach(machine.core)

    def close(self) -> None:
        """Write what is left, and the end."""
        self.detach()
        self.write_out()
        self.output.write(encode(structs.replace(self.end, step=len(self))).decode())
        self.output.flush()

    def event(self, thread: Thread, name: str, fields: dict[str, Any]) -> None:
        """Remember something that is no access, and write when it is time to."""
        super().event(thread, name, fields)
        if name == "finish" or len(self.raw) >= BATCH * SLOTS:
            self.write_out()

    def write_out(self) -> None:
        """Write what was recorded and not written yet."""
        events = self.chosen(self.take())
        if events:
            self.output.write(encode_all(events).decode())

    def chosen(self, events: list[Event]) -> list[Event]:
        """Those events that are to be written: all of them."""
        return events
