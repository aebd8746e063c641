"""A run as spans of OpenTelemetry: each request is a span, its caller's span the parent.

Needs the optional extra ``tcemu[otel]``. There is no clock in a log, so a step is a microsecond from
the epoch, or from the moment given.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

import msgspec

from actors.trace import schema as s
from actors.trace.jsonl import Log
from actors.trace.text import changes, joined, what_happened

if TYPE_CHECKING:
    from opentelemetry.trace import Span, Tracer

STEP_NS: Final = 1_000
"""How long a step is, in nanoseconds."""

NOTED: Final = (*s.KERNEL_MESSAGES, s.Fault, s.Dma, s.Wait, s.Wake, s.Acquire, s.Release)
"""What becomes an event of its span; so does every change."""


def export(log: Log, tracer: Tracer | None = None, start_ns: int = 0) -> int:
    """Send a run to OpenTelemetry, one trace a thread of control, and return the number of spans.

    Args:
        log: of the run.
        tracer: where spans go; that of the global provider, named ``tcemu``, when left out.
        start_ns: when step 0 happened, in nanoseconds since the epoch.

    Raises:
        ModuleNotFoundError: OpenTelemetry is not installed.
    """
    from opentelemetry import trace  # noqa: PLC0415 - an optional extra

    spans = Spans(tracer or trace.get_tracer("tcemu"), start_ns)
    last = log.events[-1].step if log.events else 0
    for event in log.events:
        spans.add(event)
    for step in list(spans.open)[::-1]:
        spans.end(step, last + 1, "the run is over")
    return spans.count


class Spans:
    """Spans that have begun.

    Attributes:
        open: step of a request or thread start -> its span.
        threads: thread -> step of its start, while it lives.
        count: spans so far.
    """

    def __init__(self, tracer: Tracer, start_ns: int) -> None:
        self.tracer = tracer
        self.start_ns = start_ns
        self.open: dict[int, Span] = {}
        self.threads: dict[str, int] = {}
        self.count = 0

    def at(self, step: int) -> int:
        """When a step happened, in nanoseconds since the epoch."""
        return self.start_ns + step * STEP_NS

    def add(self, event: s.Event) -> None:
        """Take one event."""
        if isinstance(event, s.Start):
            self.threads[event.thread] = event.step
            self.begin(event, event.thread, {"tcemu.daemon": event.daemon})
        elif isinstance(event, s.Request):
            arguments = {f"tcemu.arg.{name}": shown(value) for name, value in event.args.items()}
            self.begin(event, f"{event.to} {event.request}", {"tcemu.to": event.to} | arguments)
        elif isinstance(event, s.Reply):
            if event.of is not None:
                self.end(event.of, event.step, event.error, {"tcemu.ret": shown(event.ret)})
        elif isinstance(event, s.Finish):
            self.end(self.threads.pop(event.thread, -1), event.step, event.error)
        elif isinstance(event, NOTED) or (isinstance(event, s.Access) and changes(event)):
            self.note(event)

    def begin(self, event: s.Start | s.Request, name: str, more: dict[str, Any]) -> None:
        """Begin a span under that of its cause."""
        from opentelemetry.context import Context  # noqa: PLC0415 - an optional extra
        from opentelemetry.trace import set_span_in_context  # noqa: PLC0415

        parent = self.open.get(-1 if event.cause is None else event.cause)
        context = set_span_in_context(parent) if parent is not None else Context()
        attributes: dict[str, Any] = {
            "tcemu.step": event.step, "tcemu.thread": event.thread, "tcemu.actor": event.actor,
            "tcemu.operation": event.operation, "tcemu.pins": event.pins,
        }  # fmt: skip
        self.open[event.step] = self.tracer.start_span(
            name, context, attributes=attributes | more, start_time=self.at(event.step)
        )
        self.count += 1

    def end(self, began: int, step: int, error: str = "", attributes: dict[str, Any] | None = None) -> None:
        """End the span that began at a step, if it is open."""
        from opentelemetry.trace import Status, StatusCode  # noqa: PLC0415 - an optional extra

        span = self.open.pop(began, None)
        if span is None:
            return
        span.set_attributes(attributes or {})
        if error:
            span.set_status(Status(StatusCode.ERROR, error))
        span.end(self.at(step))

    def note(self, event: s.Event) -> None:
        """Enter an event in the span in which it happened; a crash or violation makes it an error."""
        from opentelemetry.trace import Status, StatusCode  # noqa: PLC0415 - an optional extra

        span = self.open.get(-1 if event.cause is None else event.cause)
        if span is None:
            return
        name = s.event_name(type(event))
        fields: dict[str, Any] = {"tcemu.step": event.step, "tcemu.text": what_happened(event)}
        if isinstance(event, s.Access):
            fields["tcemu.object"] = joined(event.object, event.field)
        span.add_event(name, fields, self.at(event.step))
        if isinstance(event, (s.Violation, s.Oops)):
            span.set_status(Status(StatusCode.ERROR, event.message))


def shown(value: Any) -> bool | int | float | str:
    """A value as an attribute can be: numbers and texts as they are, all else as JSON."""
    if isinstance(value, int) and not -(1 << 63) <= value < 1 << 63:
        return hex(value)
    return value if isinstance(value, (bool, int, float, str)) else msgspec.json.encode(value).decode()


def export_events(events: Iterable[s.Event], tracer: Tracer | None = None) -> int:
    """Send captured events to OpenTelemetry; see :func:`export`."""
    return export(Log(s.Header(format="tcemu-log", version=s.VERSION, kernel=""), list(events)), tracer)


__all__ = ["export", "export_events"]
