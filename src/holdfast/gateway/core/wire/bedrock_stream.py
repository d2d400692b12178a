"""Streams of Bedrock's ConverseStream: messages of :mod:`.eventstream` with JSON in them.

``messageStart (contentBlockStart? contentBlockDelta* contentBlockStop)* messageStop metadata``; only blocks
of tools are started by an event. An exception is a message of its own kind, after which nothing follows.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from holdfast.gateway.core.conversation import (
    BlockEnded,
    BlockKind,
    BlockStarted,
    Broken,
    Delta,
    Ended,
    Event,
    Finished,
    JsonObject,
    Signed,
    Started,
    UsageSeen,
)
from holdfast.gateway.core.outcome import Rejection
from holdfast.gateway.core.usage import Usage
from holdfast.gateway.core.wire.bedrock_answer import exception, finish_of, read_usage
from holdfast.gateway.core.wire.eventstream import encode, messages
from holdfast.gateway.errors import Refused

__all__ = ["BedrockDecoder", "BedrockTap", "event", "exception_event"]

_MOST_BLOCKS = 4096


class BedrockDecoder:
    """Reads one stream of ConverseStream."""

    def __init__(self) -> None:
        self._open: dict[int, BlockKind] = {}
        self._redacted: dict[int, list[str]] = {}
        self._started = False
        self._finished = False
        self._over = False

    def feed(self, frames: bytes) -> list[Event]:
        """See :class:`~holdfast.gateway.core.dialect.Decoder`."""
        events: list[Event] = []
        if self._over:
            return events
        try:
            for message in messages(frames):
                if message.kind != "event":
                    told = exception(message.name, message.payload)
                    events.append(Broken(failure=told.failure, message=told.message))
                    self._over = True
                else:
                    self._event(message.name, _object(msgspec.json.decode(message.payload)), events)
                if self._over:
                    break
        except (ValueError, RecursionError) as error:
            self._over = True
            events.append(Broken(failure="protocol", message=f"not a stream of Converse: {error}"[:300]))
        return events

    def end(self) -> list[Event]:
        """See :class:`~holdfast.gateway.core.dialect.Decoder`. A stream without ``metadata`` has no usage."""
        if self._over:
            return []
        self._over = True
        if self._finished:
            return [Ended()]
        return [Broken(failure="cut", message="the stream ended before the answer did")]

    def _event(self, name: str, body: JsonObject, events: list[Event]) -> None:
        if not self._started:
            self._started = True
            events.append(Started(id="", model=""))
        match name:
            case "contentBlockStart":
                self._block_started(_index(body), _object(body.get("start")), events)
            case "contentBlockDelta":
                self._delta(_index(body), _object(body.get("delta")), events)
            case "contentBlockStop":
                self._stopped(_index(body), events)
            case "messageStop":
                for index in sorted(self._open):
                    self._stopped(index, events)
                self._finished = True
                events.append(Finished(finish=finish_of(body.get("stopReason"))))
            case "metadata":
                if not self._finished:
                    msg = "metadata before the end of the message"
                    raise ValueError(msg)
                usage = read_usage(body.get("usage"))
                if usage is not None:
                    events.append(UsageSeen(usage=usage))
                self._over = True
                events.append(Ended())
            case _:
                pass  # messageStart, and events that are yet to be invented

    def _block_started(self, index: int, start: JsonObject, events: list[Event]) -> None:
        use = start.get("toolUse")
        if isinstance(use, Mapping):
            self._opened(index, "tool_call", events, id_=_text(use.get("toolUseId")), name=_text(use.get("name")))
        elif start:
            self._opened(index, "opaque", events, raw=start)

    def _delta(self, index: int, delta: JsonObject, events: list[Event]) -> None:
        match delta:
            case {"text": str(text)}:
                self._opened(index, "text", events)
                events.append(Delta(index=index, text=text))
            case {"toolUse": {"input": str(text)}}:
                self._opened(index, "tool_call", events)
                events.append(Delta(index=index, text=text))
            case {"reasoningContent": {"text": str(text)}}:
                self._opened(index, "thinking", events)
                events.append(Delta(index=index, text=text))
            case {"reasoningContent": {"signature": str(signature)}}:
                self._opened(index, "thinking", events)
                events.append(Signed(index=index, signature=signature))
            case {"reasoningContent": {"redactedContent": str(data)}}:
                self._opened(index, "thinking", events)
                self._redacted.setdefault(index, []).append(data)
            case _:
                if index not in self._open:
                    self._opened(index, "opaque", events, raw=delta)

    def _opened(
        self,
        index: int,
        kind: BlockKind,
        events: list[Event],
        *,
        id_: str = "",
        name: str = "",
        raw: JsonObject | None = None,
    ) -> None:
        known = self._open.get(index)
        if known == kind:
            return
        if known is not None or (kind == "tool_call" and not name):
            msg = f"block {index} is {known or 'unnamed'}, and now {kind}"
            raise ValueError(msg)
        self._open[index] = kind
        own = kind in ("thinking", "opaque")
        events.append(
            BlockStarted(index=index, kind=kind, id=id_, name=name, protocol="bedrock" if own else None, raw=raw)
        )

    def _stopped(self, index: int, events: list[Event]) -> None:
        if self._open.pop(index, None) is None:
            return
        redacted = self._redacted.pop(index, None)
        raw = {"reasoningContent": {"redactedContent": "".join(redacted)}} if redacted else None
        events.append(BlockEnded(index=index, raw=raw))


class BedrockTap:
    """Watches one stream of ConverseStream. Sums are checked, so that nothing corrupt is passed on as whole."""

    def __init__(self) -> None:
        self.committed = False
        self.finished = False
        self.broken: Rejection | None = None
        self.usage: Usage | None = None
        self.output_bytes = 0

    def feed(self, frames: bytes) -> bytes:
        """See :class:`~holdfast.gateway.core.dialect.Tap`. Nothing is changed."""
        try:
            for message in messages(frames):
                if message.kind != "event":
                    self.broken = exception(message.name, message.payload)
                elif message.name == "contentBlockDelta":
                    self.committed = True
                    self.output_bytes += max(0, len(message.payload) - 48)  # the names around the words
                elif message.name == "contentBlockStart":
                    self.committed = True
                elif message.name == "messageStop":
                    self.finished = True
                elif message.name == "metadata":
                    found = msgspec.json.decode(message.payload)
                    self.usage = read_usage(found.get("usage")) if isinstance(found, dict) else None
        except (ValueError, RecursionError):
            self.broken = Rejection(failure="protocol", status=502, message="not a stream of Converse")
            return b""
        return frames

    def fail(self, error: Refused) -> bytes:
        """See :class:`~holdfast.gateway.core.dialect.Tap`."""
        return exception_event(error)

    def keep_alive(self) -> bytes:
        """Nothing: clients of this protocol know no message that says nothing."""
        return b""


def event(name: str, body: Mapping[str, Any]) -> bytes:
    """One event, as ConverseStream sends it."""
    headers = {":event-type": name, ":content-type": "application/json", ":message-type": "event"}
    return encode(headers, msgspec.json.encode(body))


def exception_event(error: Refused) -> bytes:
    """The exception that ends a stream."""
    name = {
        "rate_limited": "throttlingException",
        "upstream_rate_limited": "throttlingException",
        "budget_exhausted": "throttlingException",
        "overloaded": "serviceUnavailableException",
        "invalid_request": "validationException",
        "blocked": "validationException",
        "cut": "modelStreamErrorException",
        "upstream_failed": "modelStreamErrorException",
    }.get(error.reason, "internalServerException")
    headers = {":exception-type": name, ":content-type": "application/json", ":message-type": "exception"}
    return encode(headers, msgspec.json.encode({"message": str(error)}))


def _index(body: JsonObject) -> int:
    index = body.get("contentBlockIndex")
    if type(index) is not int or not 0 <= index < _MOST_BLOCKS:
        msg = "a block's index that cannot be"
        raise ValueError(msg)
    return index


def _object(value: object) -> JsonObject:
    if not isinstance(value, Mapping):
        msg = "an event that is no object"
        raise ValueError(msg)  # noqa: TRY004 - what a provider sends, not what a caller passes
    return value


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
