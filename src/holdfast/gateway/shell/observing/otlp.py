"""Spans to a receiver: OTLP over HTTP, in JSON (OpenTelemetry Protocol 1.x, "JSON Protobuf Encoding").

The SDK's own exporter takes some 100 us for the two spans of a request, nearly all of it to fill protobuf objects; this
takes some 10. A batch is sent once: what a receiver does not take is lost, and counted by whoever asked.
"""

from __future__ import annotations

import logging
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any, Final

import msgspec
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from opentelemetry.sdk.trace import ReadableSpan

log = logging.getLogger(__name__)

PATH: Final = "/v1/traces"


class OtlpExporter(SpanExporter):
    """Posts batches. Blocks for ``timeout_s`` at most: for a thread."""

    def __init__(self, endpoint: str, headers: Mapping[str, str], *, timeout_s: float) -> None:
        """``endpoint`` without a path: ``http://127.0.0.1:4318``."""
        if not endpoint.startswith(("http://", "https://")):
            raise ValueError(f"{endpoint!r} is not an address of OTLP over HTTP; write http://HOST:4318")
        self._url = f"{endpoint.rstrip('/')}{PATH}"
        self._headers = {"content-type": "application/json", **headers}
        self._timeout_s = timeout_s

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send them."""
        request = urllib.request.Request(self._url, encoded(spans), self._headers)  # noqa: S310 - http or https, above
        try:
            with urllib.request.urlopen(request, timeout=self._timeout_s) as answer:  # noqa: S310
                answer.read(65536)
        except (OSError, urllib.error.HTTPError) as error:
            log.debug("spans were not taken: %s", error, extra={"action": "traces_refused"})
            return SpanExportResult.FAILURE
        return SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        """Nothing is kept."""


def encoded(spans: Sequence[ReadableSpan]) -> bytes:
    """An ``ExportTraceServiceRequest`` in JSON. All spans are of one resource and scope."""
    if not spans:
        return b"{}"
    scope = spans[0].instrumentation_scope
    told = {
        "resourceSpans": [
            {
                "resource": {"attributes": _attributes(spans[0].resource.attributes)},
                "scopeSpans": [
                    {
                        "scope": {} if scope is None else {"name": scope.name, "version": scope.version or ""},
                        "spans": [_span(span) for span in spans],
                    }
                ],
            }
        ]
    }
    return msgspec.json.encode(told)


def _span(span: ReadableSpan) -> dict[str, Any]:
    own = span.context
    found: dict[str, Any] = {
        # Ids are hexadecimal, and 64-bit numbers are text: the two places where OTLP departs from JSON as it is.
        "traceId": f"{own.trace_id:032x}",
        "spanId": f"{own.span_id:016x}",
        "name": span.name,
        "kind": span.kind.value + 1,
        "startTimeUnixNano": str(span.start_time),
        "endTimeUnixNano": str(span.end_time),
        "attributes": _attributes(span.attributes or {}),
        "flags": 1,
    }
    if span.parent is not None:
        found["parentSpanId"] = f"{span.parent.span_id:016x}"
    if not span.status.is_unset:
        found["status"] = {"code": span.status.status_code.value, "message": span.status.description or ""}
    return found


def _attributes(values: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [{"key": key, "value": _value(value)} for key, value in values.items()]


def _value(value: Any) -> dict[str, Any]:
    if isinstance(value, str):
        return {"stringValue": value}
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)}
    if isinstance(value, float):
        return {"doubleValue": value}
    return {"arrayValue": {"values": [_value(each) for each in value]}}
