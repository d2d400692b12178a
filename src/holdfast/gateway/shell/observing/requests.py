"""The request log: one line of JSON for each request, what it said left out unless the configuration asks for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from holdfast.gateway.core.guard import Policy
from holdfast.gateway.core.guard.judging import label, rewrite
from holdfast.gateway.core.settings import GuardSettings

if TYPE_CHECKING:
    from random import Random

    from holdfast.gateway.core.guard.detector import Span
    from holdfast.gateway.core.seen import Seen, SeenAttempt
    from holdfast.gateway.core.settings import LogSettings
    from holdfast.telemetry import LineLog

_MESSAGE_CHARS: Final = 500
_PRIVATE: Final = GuardSettings(
    secrets="redact", emails="redact", phones="redact", cards="redact", ibans="redact", after=False
)
"""What is never in a log, whatever the guardrails of the route are."""


class AttemptLine(msgspec.Struct, omit_defaults=True):
    """An attempt in a line. Times are milliseconds."""

    id: str
    deployment: str
    outcome: str
    status: int
    began_ms: float
    duration_ms: float
    input_tokens: int
    output_tokens: int
    cost_nano: int | None
    """``null``: nobody knows the price."""
    first_token_ms: float | None = None
    why: str = ""
    """Why this deployment was chosen."""
    hedge: bool = False
    estimated: bool = False
    message: str = ""
    """What the provider said against it."""


class RequestLine(msgspec.Struct, omit_defaults=True):
    """A line of the request log. Times are milliseconds, sizes bytes of body."""

    ts: str
    action: str
    id: str
    client: str
    kind: str
    protocol: str
    path: str
    status: int
    duration_ms: float
    bytes_in: int
    bytes_out: int
    model: str = ""
    stream: bool = False
    tenant: str = ""
    key: str = ""
    """The id of the key; never its text."""
    team: str | None = None
    user: str | None = None
    tags: tuple[str, ...] = ()
    reason: str = ""
    """Why it was refused or cut, in a word."""
    message: str = ""
    queued_ms: float = 0.0
    first_byte_ms: float | None = None
    cache: str = ""
    client_left: bool = False
    attempts: list[AttemptLine] = []
    findings: list[str] = []
    """``ACTION RULE WHERE`` of what guardrails saw; not what they saw."""
    trace: str = ""
    content: str = ""
    """With ``log.content: redacted``."""


class RequestLog:
    """Writes lines; all errors, and a sample of the rest."""

    def __init__(self, lines: LineLog, settings: LogSettings, rng: Random) -> None:
        self._lines = lines
        self._encoder = msgspec.json.Encoder()
        self._random = rng.random
        self._policy = Policy(_PRIVATE)
        self.settings = settings

    @property
    def dropped(self) -> int:
        """Lines for which there was no room."""
        return self._lines.dropped

    def request(self, seen: Seen) -> None:
        """Queue the line of a request that is over."""
        settings = self.settings
        if not settings.requests or (
            seen.status < 400 and not seen.reason and settings.sample < 1.0 and self._random() >= settings.sample
        ):
            return
        if not self._lines.has_room():
            return
        holder = seen.holder
        first = seen.first_byte_s
        line = RequestLine(
            ts=self._lines.stamp(seen.wall),
            action="request",
            id=seen.request,
            client=seen.client,
            kind=seen.kind,
            protocol=seen.protocol,
            path=seen.path[:_MESSAGE_CHARS],
            status=seen.status,
            duration_ms=round(seen.duration_s * 1e3, 3),
            bytes_in=seen.bytes_in,
            bytes_out=seen.bytes_out,
            model=seen.model[:_MESSAGE_CHARS],
            stream=seen.stream,
            tenant="" if holder is None else holder.tenant,
            key="" if holder is None else holder.key_id,
            team=None if holder is None else holder.team,
            user=None if holder is None else holder.user,
            tags=() if holder is None else holder.tags,
            reason=seen.reason,
            message=self.redacted(seen.message, _MESSAGE_CHARS) if seen.message else "",
            queued_ms=round(seen.queued_s * 1e3, 3),
            first_byte_ms=None if first is None else round(first * 1e3, 3),
            cache=seen.cache,
            client_left=seen.client_left,
            attempts=[self._attempt(each) for each in seen.attempts],
            findings=[f"{each.action} {each.rule} {each.where}" for each in seen.findings],
            trace=seen.traceparent[3:35],
        )
        if settings.content == "redacted" and seen.content is not None:
            line.content = self.redacted(self._text(seen.content), int(settings.bound))
        self._lines.put(self._encoder.encode(line))

    def redacted(self, text: str, bound: int) -> str:
        """At most so many characters of a text, personal data and secrets replaced by what they are."""
        # What stands across the bound has to be seen as a whole to be known for what it is.
        text = text[: bound + 256]
        try:
            return rewrite(text, _apart(self._policy.before.whole(text, failed=_fail)), _placeholder)[:bound]
        except _Failed:
            return "<removed: a detector failed>"

    def close(self) -> None:
        """Write what is queued."""
        self._lines.close()

    def _text(self, content: object) -> str:
        return content if isinstance(content, str) else self._encoder.encode(content).decode()

    def _attempt(self, attempt: SeenAttempt) -> AttemptLine:
        usage, first = attempt.usage, attempt.first_token_s
        return AttemptLine(
            id=attempt.id,
            deployment=attempt.deployment,
            outcome=attempt.outcome,
            status=attempt.status,
            began_ms=round(attempt.began_s * 1e3, 3),
            duration_ms=round(attempt.duration_s * 1e3, 3),
            input_tokens=usage.input_tokens,
            output_tokens=usage.output_tokens,
            cost_nano=attempt.cost_nano,
            first_token_ms=None if first is None else round(first * 1e3, 3),
            why=attempt.why,
            hedge=attempt.hedge,
            estimated=usage.estimated,
            message=self.redacted(attempt.message, _MESSAGE_CHARS) if attempt.message else "",
        )


class _Failed(Exception):
    """A detector raised."""


def _fail() -> None:
    raise _Failed


def _placeholder(span: Span, _: str) -> str:
    return f"<{label(span.rule)}>"


def _apart(spans: tuple[Span, ...]) -> list[Span]:
    """Those that overlap as one."""
    found: list[Span] = []
    for span in spans:
        if found and span.start < found[-1].end:
            found[-1] = found[-1]._replace(end=max(found[-1].end, span.end))
        else:
            found.append(span)
    return found
