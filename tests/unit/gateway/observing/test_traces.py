"""Spans of requests: names and values by the conventions, parents from whoever called."""

from __future__ import annotations

import importlib
import threading
from contextlib import contextmanager
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from holdfast.gateway.core.settings import ProviderSettings, TraceSettings
from holdfast.gateway.shell.observing import traces
from holdfast.gateway.shell.observing.otlp import encoded
from holdfast.gateway.shell.observing.traces import Tracer
from tests.unit.gateway.observing.seen import WALL, attempt, seen

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from opentelemetry.sdk.trace import ReadableSpan

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@contextmanager
def tracer(exporter: SpanExporter, **settings: float) -> Iterator[Tracer]:
    providers = {"mock": ProviderSettings(url="http://127.0.0.1:9/v1")}
    made = Tracer(
        TraceSettings(endpoint="http://127.0.0.1:4318", **settings),  # type: ignore[arg-type]
        lambda: providers,
        Random(1),
        exporter=exporter,
    )
    yield made
    made.close()


def test_a_request_is_a_span_with_one_for_each_attempt_below_it() -> None:
    exporter = InMemorySpanExporter()
    with tracer(exporter) as made:
        made.request(seen(traceparent=PARENT, attempts=[attempt(outcome="timeout", message="late"), attempt()]))
    whole, failed, ok = exporter.get_finished_spans()
    assert (whole.name, whole.kind, ok.name, ok.kind) == ("chat demo", SpanKind.SERVER, "chat small", SpanKind.CLIENT)
    assert whole.parent is not None
    assert whole.context.trace_id == 0x0AF7651916CD43DD8448EB211C80319C
    assert whole.parent.span_id == 0xB7AD6B7169203331
    for child in (failed, ok):
        assert child.parent is not None
        assert child.parent.span_id == whole.context.span_id
    assert whole.start_time == round(WALL * 1e9)
    assert ok.attributes is not None
    assert ok.attributes["gen_ai.operation.name"] == "chat"
    assert ok.attributes["gen_ai.provider.name"] == "mock"
    assert ok.attributes["gen_ai.request.model"] == "small"
    assert ok.attributes["gen_ai.usage.input_tokens"] == 10
    assert ok.attributes["gen_ai.usage.output_tokens"] == 20
    assert (ok.attributes["server.address"], ok.attributes["server.port"]) == ("127.0.0.1", 9)
    assert failed.attributes is not None
    assert failed.attributes["error.type"] == "timeout"
    assert failed.status.status_code is StatusCode.ERROR
    assert ok.status.status_code is StatusCode.UNSET


def test_what_is_sent_is_what_the_protocol_buffers_read() -> None:
    messages: Any = importlib.import_module("opentelemetry.proto.collector.trace.v1.trace_service_pb2")
    json_format: Any = importlib.import_module("google.protobuf.json_format")
    exporter = InMemorySpanExporter()
    with tracer(exporter) as made:
        made.request(seen(traceparent=PARENT, status=502, reason="upstream_failed"))
    read = json_format.Parse(encoded(exporter.get_finished_spans()), messages.ExportTraceServiceRequest())
    whole, attempted = read.resource_spans[0].scope_spans[0].spans
    assert (whole.kind, attempted.kind, whole.status.code) == (2, 3, 2)
    assert whole.end_time_unix_nano - whole.start_time_unix_nano == 120_000_000
    told = {each.key: each.value for each in attempted.attributes}
    assert told["gen_ai.usage.output_tokens"].int_value == 20
    assert told["holdfast.first_token_s"].double_value == 0.02


def test_a_caller_that_does_not_sample_is_obeyed() -> None:
    exporter = InMemorySpanExporter()
    with tracer(exporter) as made:
        made.request(seen(traceparent=PARENT[:-2] + "00"))
    assert exporter.get_finished_spans() == ()


def test_of_those_who_do_not_say_a_share_is_sampled() -> None:
    exporter = InMemorySpanExporter()
    with tracer(exporter, sample=0.5) as made:
        for _ in range(200):
            made.request(seen(attempts=[]))
    assert 60 <= len(exporter.get_finished_spans()) <= 140


def test_a_receiver_that_fails_or_stops_costs_spans_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(traces, "QUEUE", 10)
    monkeypatch.setattr(traces, "EVERY_S", 0.01)
    asked, release = threading.Event(), threading.Event()

    class Stuck(SpanExporter):
        def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
            asked.set()
            release.wait(5)
            return SpanExportResult.FAILURE

        def shutdown(self) -> None:
            pass

    with tracer(Stuck()) as made:
        made.request(seen())
        assert asked.wait(5)
        for _ in range(15):
            made.request(seen())
        assert made.dropped == 5
        release.set()
    assert made.dropped >= 16
