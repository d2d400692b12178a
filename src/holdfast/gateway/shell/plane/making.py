"""Attempts as they are made: the request in the provider's words, money put aside, and what settles it in the end."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import msgspec

from holdfast.gateway.core.conversation import Text, Thinking, ToolCall
from holdfast.gateway.core.dialect import Outgoing
from holdfast.gateway.core.money import cost, prices_all
from holdfast.gateway.core.ports import AttemptEnded
from holdfast.gateway.core.usage import Usage
from holdfast.gateway.core.wire import embeddings, eventstream, sse
from holdfast.gateway.core.wire.gemini_writing import model_path
from holdfast.gateway.errors import Refused
from holdfast.gateway.shell.plane.ask import decoded, raw_object
from holdfast.gateway.shell.plane.attempt import Attempt
from holdfast.gateway.shell.plane.providers import encode
from holdfast.gateway.shell.plane.reading import Passed, Plain, Reading, Translated

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from holdfast.gateway.core.conversation import Answer, Event, Part
    from holdfast.gateway.core.deployments import Deployment
    from holdfast.gateway.core.dialect import Dialect, Encoder
    from holdfast.gateway.core.outcome import Rejection
    from holdfast.gateway.core.ports import Chosen
    from holdfast.gateway.core.usage import Price
    from holdfast.gateway.shell.plane.ask import Ask
    from holdfast.gateway.shell.plane.gateway import Gateway
    from holdfast.gateway.shell.plane.providers import Provider

_USAGE: Final = msgspec.Raw(b'{"include_usage":true}')
_SSE: Final = b"text/event-stream"
_EVENT_STREAM: Final = b"application/vnd.amazon.eventstream"
_EXPECTED: Final = {
    "openai": {"choices"},
    "completions": {"choices"},
    "responses": {"output"},
    "anthropic": {"content"},
    "gemini": {"candidates", "promptFeedback"},
    "bedrock": {"output"},
}
"""A member that every whole answer of a protocol has, at least one of them."""
_PLAIN_PATHS: Final = {
    "embeddings": "/embeddings",
    "images": "/images/generations",
    "speech": "/audio/speech",
    "transcription": "/audio/transcriptions",
}


class Request:
    """A request in the words of one provider."""

    __slots__ = ("body", "dialect", "extra", "outgoing", "passed")

    def __init__(
        self, outgoing: Outgoing, body: bytes, dialect: Dialect, *, passed: bool, extra: dict[str, str] | None = None
    ) -> None:
        self.outgoing = outgoing
        self.body = body
        self.dialect = dialect
        self.passed = passed
        """Whether client and provider speak the same protocol, so that the answer may pass as it is."""
        self.extra = extra or {}


class Made:
    """An attempt with all that has to be known to settle it."""

    __slots__ = (
        "answer",
        "ask",
        "attempt",
        "chosen",
        "cost_nano",
        "deployment",
        "dialect",
        "gateway",
        "hedge",
        "outcome",
        "passed",
        "plain",
        "price",
        "request",
        "shadow",
        "ticket",
        "usage",
    )

    attempt: Attempt

    def __init__(
        self,
        gateway: Gateway,
        ask: Ask,
        chosen: Chosen,
        deployment: Deployment,
        request: Request,
        price: Price | None,
        *,
        hedge: bool,
        shadow: bool = False,
    ) -> None:
        self.gateway = gateway
        self.ask = ask
        self.chosen = chosen
        self.deployment = deployment
        self.request = request
        self.dialect = request.dialect
        self.passed = request.passed
        self.price = price
        self.hedge = hedge
        self.shadow = shadow
        self.ticket = 0
        self.usage: Usage | None = None
        self.answer: Answer | None = None
        """Of an answer that was not streamed and has to be translated."""
        self.plain: bytes | None = None
        """Of embeddings that were translated: the client's body."""
        self.cost_nano: int | None = None
        self.outcome = ""

    def read_whole(self, body: bytes) -> None:
        """Look at an answer that was collected. Raises ``ValueError`` for what is none."""
        kind = self.ask.endpoint.kind
        if kind == "transcription":
            self.usage = heard(body)
            return
        try:
            members = raw_object(body)
        except Refused as error:
            raise ValueError(f"not JSON: {body[:120].decode('utf-8', 'replace')!r}") from error
        if kind == "embeddings" and not self.passed:
            asked = embeddings.read_openai_request(decoded(self.ask.body))
            found = embeddings.read_gemini_answer(msgspec.json.decode(body), self.ask.model)
            self.usage = found.usage or Usage(input_tokens=self.ask.need.input_tokens, estimated=True)
            self.plain = encode(embeddings.write_openai_answer(found, asked))
            return
        if kind != "chat":
            self.usage = self.gateway.dialects["openai"].read_usage(body)
            if kind == "images":
                made = _LIST.decode(members.get("data", b"[]"))
                self.usage = replace(self.usage or Usage(), images=len(made))
            return
        if self.passed and not self.needs_answer:
            if not _EXPECTED[self.dialect.name] & members.keys():
                raise ValueError(f"none of its members is there: {body[:120].decode('utf-8', 'replace')!r}")
            if self.dialect.name == "responses" and members.get("status") == b'"failed"':
                raise ValueError(f"it failed: {bytes(members.get('error', b''))[:200].decode('utf-8', 'replace')}")
            self.usage = self.dialect.read_usage(body)
            return
        answer = self.dialect.read_answer(msgspec.json.decode(body))
        if answer.choices and all(choice.finish == "error" for choice in answer.choices):
            raise ValueError("it says that it failed")
        self.answer = answer
        self.usage = answer.usage

    @property
    def needs_answer(self) -> bool:
        """Whether the answer has to be understood, not only passed on."""
        return self.ask.guard is not None or self.ask.keeps_answer

    def over(self, attempt: Attempt, outcome: str, rejection: Rejection | None) -> None:
        """The attempt has ended: settle with the ledger, tell the fleet."""
        gateway, ask = self.gateway, self.ask
        now = gateway.clock()
        reading = attempt.reading
        usage = self.usage if reading is None else reading.usage
        self.outcome = outcome
        status = attempt.head.status if attempt.head is not None else 0
        began = 200 <= status < 300
        if usage is not None and usage.total_tokens == 0 and ask.endpoint.kind == "chat":
            usage = None  # no request has no tokens: whoever says so says nothing
        if (usage is None or outcome != "ok") and began and ask.endpoint.kind == "chat":
            usage = self._estimate(usage, attempt)
        elif ask.endpoint.kind == "speech" and began:
            usage = Usage(characters=len(str(ask.value("input") or "")))
        elif usage is None:
            usage = Usage(estimated=outcome == "ok")
        self.usage = usage
        if not began and not usage.total_tokens:
            self.cost_nano = 0  # it was never answered: nobody charges for that
        else:
            self.cost_nano = (
                cost(usage, self.price) if self.price is not None and prices_all(usage, self.price) else None
            )
        gateway.ledger.end(
            AttemptEnded(
                attempt=attempt.id,
                wall=gateway.wall(),
                outcome=outcome,
                status=status,
                usage=usage,
                cost_nano=self.cost_nano,
                first_token_s=attempt.first_token_s,
                duration_s=now - attempt.began,
            )
        )
        fleet = gateway.fleet
        if attempt.first_token_s is not None:
            fleet.first_token(self.ticket, now=attempt.began + attempt.first_token_s)
        if outcome == "ok":
            fleet.succeeded(self.ticket, now=now, usage=usage)
            gateway.learn(self)
        elif outcome == "cancelled" or attempt.stale or rejection is None:
            fleet.abandoned(self.ticket, now=now)
        else:
            fleet.failed(self.ticket, rejection.failure, now=now, retry_after_s=rejection.retry_after_s)
        gateway.ended(self)

    def _estimate(self, told: Usage | None, attempt: Attempt) -> Usage:
        """What was produced of an answer that was not told to its end, or whose usage was not."""
        reading = attempt.reading
        if reading is not None:
            words = self.gateway.output_tokens(self.deployment.name, reading)
        else:
            words = self._words(attempt.body) if told is None else 0
        if told is None:
            return Usage(input_tokens=self.ask.need.input_tokens, output_tokens=words, estimated=True)
        if told.output_tokens >= words:
            return told
        return replace(told, output_tokens=words, estimated=True)

    def _words(self, body: bytes) -> int:
        """About how many tokens a whole answer has."""
        try:
            answer = self.answer or self.dialect.read_answer(msgspec.json.decode(body))
        except (ValueError, UnicodeError, RecursionError):
            return 0  # none, or not all of it
        return sum(self._size(part) for choice in answer.choices for part in choice.parts)

    def _size(self, part: Part) -> int:
        text = part.text if isinstance(part, (Text, Thinking)) else ""
        if isinstance(part, ToolCall):
            text = part.name + part.arguments
        size = len(text.encode("utf-8", "replace"))
        return self.gateway.estimator.estimate(size, self.deployment.name) if size else 0


class _Heard(msgspec.Struct):
    """What an answer to a transcription says of itself (OpenAI: by tokens or by duration)."""

    type: str = ""
    seconds: float = 0.0
    input_tokens: int = 0
    output_tokens: int = 0


class _Transcription(msgspec.Struct):
    usage: _Heard | None = None


_TRANSCRIPTION: Final = msgspec.json.Decoder(_Transcription)
_LIST: Final = msgspec.json.Decoder(list[msgspec.Raw])


def heard(body: bytes) -> Usage | None:
    """Usage of a transcription; ``None`` when it is no JSON (a client may want plain text) or does not tell."""
    try:
        usage = _TRANSCRIPTION.decode(body).usage
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None
    if usage is None or usage.seconds < 0 or usage.input_tokens < 0 or usage.output_tokens < 0:
        return None
    return Usage(seconds=usage.seconds, input_tokens=usage.input_tokens, output_tokens=usage.output_tokens)


def request_for(gateway: Gateway, ask: Ask, deployment: Deployment, provider: Provider) -> Request:
    """The request in the provider's words. Raises :class:`~holdfast.gateway.errors.Refused`."""
    endpoint = ask.endpoint
    upstream = deployment.model
    if endpoint.kind in _PLAIN_PATHS:
        return _plain(gateway, ask, upstream, provider)
    client = endpoint.protocol
    native = _native(client, provider)
    dialect = gateway.dialects[native]
    if native == client and not ask.rewritten and not _speaks_otherwise(dialect, ask.body):
        return Request(
            _same(ask, client, upstream), _body(ask, client, upstream), dialect, passed=True, extra=_extra(ask)
        )
    if client == "responses" and native != client:
        needs = gateway.responses.needs_same_protocol(decoded(ask.body))
        if needs is not None:
            raise Refused("unsupported", f"{needs}: {provider.name} does not speak /v1/responses", param=needs)
    outgoing = dialect.write_request(ask.chat, upstream)
    return Request(
        outgoing,
        encode(outgoing.body),
        dialect,
        passed=native == client,
        extra=_extra(ask) if native == client else None,
    )


def _speaks_otherwise(dialect: Dialect, body: bytes) -> bool:
    """Whether a body of the provider's own protocol holds what we made of another one's, so that it cannot pass."""
    asks = getattr(dialect, "needs_translation", None)
    return asks is not None and asks(body)


def _native(client: str, provider: Provider) -> Any:
    """The protocol that is spoken with a provider for a client of a protocol."""
    if provider.protocol != "openai":
        return provider.protocol
    if client == "completions" or (client == "responses" and provider.responses):
        return client
    return "openai"


def _same(ask: Ask, client: str, upstream: str) -> Outgoing:
    if client == "gemini":
        verb = "streamGenerateContent?alt=sse" if ask.stream else "generateContent"
        return Outgoing(path=f"{model_path(upstream)}:{verb}", body={})
    path = {"openai": "/chat/completions", "responses": "/responses", "completions": "/completions"}.get(client)
    return Outgoing(path=path or "/messages", body={})


def _body(ask: Ask, client: str, upstream: str) -> bytes:
    """The client's own body; only the model's name, and the wish for usage, are ours."""
    if client == "gemini":
        return ask.body
    raw = dict(ask.raw)
    raw["model"] = msgspec.Raw(encode(upstream))
    if ask.stream and client in ("openai", "completions"):
        asked = ask.value("stream_options")
        raw["stream_options"] = (
            msgspec.Raw(encode({**asked, "include_usage": True})) if isinstance(asked, dict) and asked else _USAGE
        )
    return encode(raw)


def _extra(ask: Ask) -> dict[str, str]:
    """Fields of the client that belong to the protocol."""
    fields = {}
    for name in (b"anthropic-version", b"anthropic-beta", b"openai-beta"):
        value = ask.call.field(name)
        if value:
            fields[name.decode()] = value
    return fields


def _plain(gateway: Gateway, ask: Ask, upstream: str, provider: Provider) -> Request:
    """What is passed on with another name of the model; embeddings also to Gemini. Raises :class:`Refused`."""
    kind = ask.endpoint.kind
    if kind == "embeddings" and provider.protocol == "gemini":
        wanted = embeddings.write_gemini_request(embeddings.read_openai_request(decoded(ask.body)), upstream)
        return Request(wanted, encode(wanted.body), gateway.dialects["gemini"], passed=False)
    if provider.protocol != "openai":
        raise Refused("unsupported", f"{provider.name} has no {kind} that could be asked for in OpenAI's protocol")
    outgoing = Outgoing(path=_PLAIN_PATHS[ask.endpoint.kind], body={})
    dialect = gateway.dialects["openai"]
    if ask.endpoint.kind == "transcription":
        body = ask.with_model(upstream)
        return Request(outgoing, body, dialect, passed=True, extra={"content-type": ask.call.field(b"content-type")})
    raw = dict(ask.raw)
    raw["model"] = msgspec.Raw(encode(upstream))
    return Request(outgoing, encode(raw), dialect, passed=True)


def reading_for(
    ask: Ask, request: Request, seen: Callable[[Sequence[Event]], None] | None
) -> tuple[Reading | None, bytes]:
    """How the body of the answer is read, and the media type it has to have."""
    if ask.endpoint.kind == "speech" or (ask.endpoint.kind != "chat" and ask.stream):
        return Plain(), b""
    if not ask.stream:
        return None, b""
    dialect = request.dialect
    binary = dialect.name == "bedrock"
    frames = eventstream.Frames() if binary else sse.Frames()
    kind = _EVENT_STREAM if binary else _SSE
    if request.passed and ask.guard is None and seen is None and ask.transcript is None:
        return Passed(frames, dialect.tap(told=ask.told, include_usage=ask.wants_usage), dialect.name), kind

    def encoder() -> Encoder:
        if ask.encoder is None:
            ask.encoder = ask.dialect.encoder(ask.chat, ask.told)
        return ask.encoder

    guard = ask.guard.stream() if ask.guard is not None else None
    return Translated(frames, dialect.decoder(), encoder, guard, seen, ask.transcript), kind
