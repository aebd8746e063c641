"""Logging while a machine runs, through structlog, without touching anybody's configuration.

Each machine has a logger of its own. Kernel messages are events like all others: a WARN has level
``warning``, an oops ``error``; accesses, locks and replies are ``debug``.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, Literal, TextIO

import msgspec
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from actors.trace.jsonl import encode
from actors.trace.logfile import LogFile
from actors.trace.recorder import Recorder
from actors.trace.schema import Event
from actors.trace.text import ansi_paint, console_line, no_paint

if TYPE_CHECKING:
    from actors.machine import Machine
    from actors.runtime.ops import Op
    from actors.runtime.thread import Thread

LEVELS: Final = {"debug": 10, "info": 20, "warning": 30, "error": 40}

Form = Literal["console", "json"]
Level = Literal["debug", "info", "warning", "error"]


class MachineLog(LogFile):
    """A log of one machine, written as it happens.

    Args:
        output: where lines go; standard error when None.
        form: ``console`` for people, with colours on a terminal unless NO_COLOR is set, or ``json``,
            which is a log that every ``tcemu log`` command reads.
        level: the least level that is written; ``json`` writes everything unless told otherwise.
        processors: structlog processors of your own instead of ``form``; they get the event's fields
            and what you have bound, and the last one must render.
        logger: where the last processor's result goes, for example ``logging.getLogger("tcemu")``;
            without ``processors`` a logger of the standard library gets one line of text, and all
            fields as ``record.tcemu``.
        bound: more context for your processors, such as ``test="t1"``.

    Example:
        >>> async with open_machine(kernel="v6.12", log=MachineLog(level="debug")) as machine:
        ...     qemu = await machine.spawn("qemu")
    """

    def __init__(
        self,
        output: TextIO | None = None,
        form: Form = "console",
        level: Level | None = None,
        processors: Sequence[Processor] | None = None,
        logger: WrappedLogger | None = None,
        **bound: Any,
    ) -> None:
        super().__init__(output or sys.stderr)
        self.form = form
        self.level: Level = level or ("debug" if form == "json" and processors is None else "info")
        self.own = processors is None
        if processors is None:
            processors = [to_stdlib] if isinstance(logger, logging.Logger) else [self.render]
        self.logger: Any = structlog.wrap_logger(
            logger if logger is not None else structlog.PrintLogger(self.output),
            processors=list(processors),
            wrapper_class=structlog.make_filtering_bound_logger(LEVELS[self.level]),
            context_class=dict,
            cache_logger_on_first_use=False,
        ).bind(**bound)
        self.is_file = form == "json" and self.own

    def bind(self, **context: Any) -> None:
        """Add context to all events from here on; your processors see it."""
        self.logger = self.logger.bind(**context)

    def open(self, machine: Machine) -> None:
        """Log what happens on ``machine``, from its header on."""
        if self.is_file:
            super().open(machine)
        else:
            self.attach(machine.core)

    def close(self) -> None:
        """Stop logging; a log in JSON gets its end."""
        if self.is_file:
            super().close()
        else:
            self.detach()

    # -- events --------------------------------------------------------------------------------

    def access(self, thread: Thread, op: Op, before: object, after: object, note: str) -> None:
        """Log an access."""
        super().access(thread, op, before, after, note)
        if not self.is_file:
            self.tell()

    def event(self, thread: Thread, name: str, fields: dict[str, Any]) -> None:
        """Log what is no access."""
        if self.is_file:
            super().event(thread, name, fields)
        else:
            Recorder.event(self, thread, name, fields)
            self.tell()

    def chosen(self, events: list[Event]) -> list[Event]:
        """Those events that are loud enough for the level."""
        least = LEVELS[self.level]
        return events if least == LEVELS["debug"] else [e for e in events if LEVELS[e.level] >= least]

    def tell(self) -> None:
        """Send what was recorded to the logger."""
        for event in self.take():
            extra = {"_record": event} if self.own else {}
            getattr(self.logger, event.level)(**event_dict(event), **extra)

    def render(self, logger: WrappedLogger, name: str, fields: EventDict) -> str:
        """Make a line of an event; the last processor of a log that has no others."""
        event: Event = fields["_record"]
        return encode(event)[:-1].decode() if self.form == "json" else console_line(event, self.paint())

    def paint(self) -> Any:
        """How to colour: only a terminal shows colours."""
        plain = os.environ.get("NO_COLOR") or not self.output.isatty()
        return no_paint if plain else ansi_paint


def event_dict(event: Event) -> dict[str, Any]:
    """An event as structlog has it: the name under ``event``, beside it all fields that say something."""
    fields: dict[str, Any] = msgspec.to_builtins(event)
    return fields


def to_stdlib(logger: WrappedLogger, name: str, fields: EventDict) -> tuple[tuple[str], dict[str, Any]]:
    """Hand an event to the standard library: a line of text, and the fields as ``record.tcemu``."""
    event: Event = fields.pop("_record")
    return (console_line(event),), {"extra": {"tcemu": dict(fields)}}


