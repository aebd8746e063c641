"""Spans of OpenTelemetry, where it is installed."""

from __future__ import annotations

import pytest

from actors.trace.schema import Request, Start

sdk = pytest.importorskip("opentelemetry.sdk.trace")


def test_each_request_is_a_span_below_its_cause(log):
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    from actors.trace.otel import STEP_NS, export

    exporter, provider = InMemorySpanExporter(), sdk.TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    count = export(log, provider.get_tracer("test"), start_ns=10**18)
    spans = {span.attributes["tcemu.step"]: span for span in exporter.get_finished_spans()}
    causes = [event for event in log.events if isinstance(event, Request | Start)]
    assert count == len(spans) == len(causes)
    for event in causes:
        span = spans[event.step]
        assert span.start_time == 10**18 + event.step * STEP_NS
        assert span.end_time >= span.start_time
        if event.cause in spans and event.cause != event.step:
            assert span.parent.span_id == spans[event.cause].context.span_id
        else:
            assert span.parent is None
    changes = [note.attributes["tcemu.text"] for span in spans.values() for note in span.events]
    assert any("region:0.used" in text for text in changes)
