"""Spans of requests, with OpenTelemetry's conventions for generative AI.

One span for each request (``SERVER``) with one for each attempt below it (``CLIENT``), made when the request is over:
nothing is measured twice, and the hot path puts a reference into a bounded queue. A thread makes the spans and sends
them (:mod:`.otlp`; types of OpenTelemetry's SDK, extra ``otel``); what finds no room or no receiver is counted.

Names: semantic conventions for generative AI client spans, v1.37 (``gen_ai.provider.name`` took the place of
``gen_ai.system`` there); ``holdfast.*`` is what they have no name for.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from random import Random
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags

from holdfast import __version__
from holdfast.gateway.shell.observing.otlp import OtlpExporter

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from holdfast.gateway.core.seen import Seen, SeenAttempt
    from holdfast.gateway.core.settings import ProviderSettings, TraceSettings

log = logging.getLogger(__name__)

QUEUE: Final = 4096
"""Requests whose spans wait to be sent."""
BATCH: Final = 256
EVERY_S: Final = 0.25
TIMEOUT_S: Final = 5.0
"""For one batch."""
OPERATIONS: Final[Mapping[str, str]] = {
    "chat": "chat",
    "completions": "text_completion",
    "embeddings": "embeddings",
    "images": "generate_content",
    "speech": "generate_content",
    "transcription": "generate_content",
}
"""``gen_ai.operation.name`` by what is asked; the conventions have no words of their own for images and sound."""
PROVIDERS: Final[Mapping[str, str]] = {
    "azure": "azure.ai.openai",
    "bedrock": "aws.bedrock",
    "gemini": "gcp.gemini",
    "google": "gcp.gemini",
    "vertex": "gcp.vertex_ai",
    "mistral": "mistral_ai",
    "xai": "x_ai",
}
"""``gen_ai.provider.name`` where the well-known value is not the name of our preset."""


class Tracer:
    """Makes and sends spans, from a thread of its own."""

    def __init__(
        self,
        settings: TraceSettings,
        providers: Callable[[], Mapping[str, ProviderSettings]],
        rng: Random,
        *,
        exporter: SpanExporter | None = None,
    ) -> None:
        self._providers = providers
        self._rng = Random(rng.getrandbits(64))  # of the thread's own
        self._sample = settings.sample
        self._chance = rng.random
        self._exporter = exporter or OtlpExporter(settings.endpoint, settings.headers, timeout_s=TIMEOUT_S)
        self._resource = Resource({"service.name": settings.service, "service.version": __version__})
        self._scope = InstrumentationScope("holdfast.gateway", __version__)
        self._queue: deque[Seen] = deque()
        self._stop = threading.Event()
        self.dropped = 0
        self._failing = False
        self._thread = threading.Thread(target=self._run, name="traces", daemon=True)
        self._thread.start()

    def request(self, seen: Seen) -> None:
        """Queue the spans of a request that is over.

        Whoever sent a ``traceparent`` has decided whether it is sampled; of the others ``traces.sample`` are.
        """
        if seen.traceparent:
            if not int(seen.traceparent[-2:], 16) & TraceFlags.SAMPLED:
                return
        elif self._sample < 1.0 and self._chance() >= self._sample:
            return
        if len(self._queue) >= QUEUE:
            self.dropped += 1
            return
        self._queue.append(seen)

    def close(self, wait_s: float = TIMEOUT_S) -> None:
        """Send what is queued, as long as that takes no longer than this."""
        self._stop.set()
        self._thread.join(wait_s)

    def _run(self) -> None:
        while not self._stop.wait(EVERY_S):
            self._flush()
        self._flush()
        self._exporter.shutdown()

    def _flush(self) -> None:
        queue = self._queue
        while queue:
            batch = [queue.popleft() for _ in range(min(len(queue), BATCH))]
            try:
                sent = self._exporter.export([span for seen in batch for span in self.spans(seen)])
            except Exception as error:  # noqa: BLE001 - a receiver of traces must not stop the traffic
                self._lost(len(batch), str(error))
                return
            if sent is not SpanExportResult.SUCCESS:
                self._lost(len(batch), "the receiver did not take them")
                return
            self._failing = False

    def _lost(self, requests: int, why: str) -> None:
        self.dropped += requests
        if not self._failing:
            self._failing = True
            log.warning("traces cannot be sent: %s", why, extra={"action": "traces_lost", "requests": requests})

    def spans(self, seen: Seen) -> list[ReadableSpan]:
        """The spans of a request: its own, then those of its attempts."""
        parent = None
        trace = self._rng.getrandbits(128) or 1
        if seen.traceparent:
            _, trace_text, span_text, _ = seen.traceparent.split("-")
            trace = int(trace_text, 16)
            parent = SpanContext(trace, int(span_text, 16), is_remote=True, trace_flags=TraceFlags(1))
        own = self._context(trace)
        began = round(seen.wall * 1e9)
        found = [
            self._span(
                f"{_operation(seen)} {seen.model}".rstrip(),
                own,
                parent,
                SpanKind.SERVER,
                _of_request(seen),
                began,
                began + round(seen.duration_s * 1e9),
                seen.reason or ("cancelled" if seen.client_left else ""),
                seen.message,
            )
        ]
        for attempt in seen.attempts:
            start = began + round(attempt.began_s * 1e9)
            found.append(
                self._span(
                    f"{_operation(seen)} {attempt.upstream_model}",
                    self._context(trace),
                    own,
                    SpanKind.CLIENT,
                    self._of_attempt(seen, attempt),
                    start,
                    start + round(attempt.duration_s * 1e9),
                    "" if attempt.outcome == "ok" else attempt.outcome,
                    attempt.message,
                )
            )
        return found

    def _context(self, trace: int) -> SpanContext:
        return SpanContext(trace, self._rng.getrandbits(64) or 1, is_remote=False, trace_flags=TraceFlags(1))

    def _span(
        self,
        name: str,
        own: SpanContext,
        parent: SpanContext | None,
        kind: SpanKind,
        attributes: dict[str, Any],
        began: int,
        ended: int,
        error: str,
        message: str,
    ) -> ReadableSpan:
        if error:
            attributes["error.type"] = error
        return ReadableSpan(
            name=name,
            context=own,
            parent=parent,
            resource=self._resource,
            attributes={key: value for key, value in attributes.items() if value is not None},
            kind=kind,
            instrumentation_scope=self._scope,
            status=Status(StatusCode.ERROR, message[:200] or None) if error else Status(),
            start_time=began,
            end_time=ended,
        )

    def _of_attempt(self, seen: Seen, attempt: SeenAttempt) -> dict[str, Any]:
        usage = attempt.usage
        settings = self._providers().get(attempt.provider)
        address = urlsplit(settings.url) if settings is not None and settings.url is not None else None
        return {
            "gen_ai.operation.name": _operation(seen),
            "gen_ai.provider.name": PROVIDERS.get(attempt.provider, attempt.provider),
            "gen_ai.request.model": attempt.upstream_model,
            "gen_ai.usage.input_tokens": usage.input_tokens,
            "gen_ai.usage.output_tokens": usage.output_tokens,
            "gen_ai.usage.cache_read.input_tokens": usage.cache_read_tokens or None,
            "gen_ai.usage.cache_creation.input_tokens": usage.cache_write_tokens + usage.cache_write_long_tokens
            or None,
            "server.address": None if address is None else address.hostname,
            "server.port": None if address is None else address.port,
            "http.response.status_code": attempt.status or None,
            "holdfast.deployment": attempt.deployment,
            "holdfast.attempt": attempt.id,
            "holdfast.why": attempt.why or None,
            "holdfast.hedge": attempt.hedge or None,
            "holdfast.first_token_s": attempt.first_token_s,
            "holdfast.cost_nano": attempt.cost_nano,
            "holdfast.usage.estimated": usage.estimated or None,
        }


def _operation(seen: Seen) -> str:
    return OPERATIONS.get("completions" if seen.protocol == "completions" else seen.kind, seen.kind)


def _of_request(seen: Seen) -> dict[str, Any]:
    holder = seen.holder
    ok = next((each for each in reversed(seen.attempts) if each.outcome == "ok"), None)
    return {
        "gen_ai.operation.name": _operation(seen),
        "gen_ai.provider.name": "holdfast",
        "gen_ai.request.model": seen.model or None,
        "gen_ai.response.model": None if ok is None else ok.upstream_model,
        "gen_ai.usage.input_tokens": sum(each.usage.input_tokens for each in seen.attempts),
        "gen_ai.usage.output_tokens": sum(each.usage.output_tokens for each in seen.attempts),
        "client.address": seen.client,
        "url.path": seen.path,
        "http.response.status_code": seen.status,
        "holdfast.request": seen.request,
        "holdfast.tenant": None if holder is None else holder.tenant,
        "holdfast.key": None if holder is None else holder.key_id,
        "holdfast.cache": seen.cache or None,
        "holdfast.attempts": len(seen.attempts),
        "holdfast.queued_s": seen.queued_s or None,
        "holdfast.first_byte_s": seen.first_byte_s,
    }
