"""The events of a log: every kind, every field; what a line of a log may say.

A log is a sequence of JSON objects, one a line. The first is the :class:`Header`; each of the others
is an event, told apart by its field ``event``. Fields that have their default are left out. Within
one version fields and kinds may be added; a reader skips neither: it refuses what it does not know,
so that a log never seems to say less than it does.
"""

from __future__ import annotations

from typing import Final, get_args

from actors.trace.schema.machine import Dma, Fault, Misuse, Oops, State, Violation, Warn
from actors.trace.schema.run import FORMAT, VERSION, Clients, End, Header, Record, Runtime
from actors.trace.schema.threads import (
    Access,
    Acquire,
    Choice,
    Finish,
    Happening,
    Release,
    Reply,
    Request,
    Start,
    Wait,
    Wake,
)

Event = (
    Start | Finish | Request | Reply | Access | Wait | Wake | Acquire | Release | Choice | Fault | Warn
    | Misuse | Oops | Violation | Dma | State
)  # fmt: skip
"""What happens between the header and the end."""

Line = Header | Event | End
"""A line of a log."""

EVENT_TYPES: Final[tuple[type[Record], ...]] = get_args(Event)
LINE_TYPES: Final[tuple[type[Record], ...]] = (Header, *EVENT_TYPES, End)

KERNEL_MESSAGES: Final = (Warn, Misuse, Oops, Violation)
"""What a kernel log would show."""


def event_name(kind: type[Record]) -> str:
    """The value of ``event`` in a line of this kind."""
    return str(kind.__struct_config__.tag)


EVENT_NAMES: Final[tuple[str, ...]] = tuple(event_name(kind) for kind in LINE_TYPES)

__all__ = [
    "EVENT_NAMES",
    "EVENT_TYPES",
    "FORMAT",
    "KERNEL_MESSAGES",
    "LINE_TYPES",
    "VERSION",
    "Access",
    "Acquire",
    "Choice",
    "Clients",
    "Dma",
    "End",
    "Event",
    "Fault",
    "Finish",
    "Happening",
    "Header",
    "Line",
    "Misuse",
    "Oops",
    "Record",
    "Release",
    "Reply",
    "Request",
    "Runtime",
    "Start",
    "State",
    "Violation",
    "Wait",
    "Wake",
    "Warn",
    "event_name",
]
