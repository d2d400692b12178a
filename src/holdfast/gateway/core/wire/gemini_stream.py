"""Streams of Gemini (``streamGenerateContent?alt=sse``): every frame is a ``GenerateContentResponse``.

Pieces of text follow each other without marks of where a block begins; a function call comes whole. A stream ends when
every candidate has a ``finishReason`` and the connection ends: there is no frame for it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from holdfast.gateway.core.conversation import (
    BlockEnded,
    BlockKind,
    BlockStarted,
    Broken,
    Chat,
    Delta,
    Ended,
    Event,
    Finish,
    Finished,
    Media,
    ProtocolName,
    Signed,
    Started,
    Text,
    Thinking,
    ToolCall,
    UsageSeen,
)
from holdfast.gateway.core.dialect import Told
from holdfast.gateway.core.outcome import Rejection
from holdfast.gateway.core.usage import Usage
from holdfast.gateway.core.wire.gemini_answer import (
    arguments_of,
    finish_of,
    read_parts,
    read_usage,
    write_usage,
)
from holdfast.gateway.core.wire.gemini_errors import error_of, write_error
from holdfast.gateway.core.wire.sse import payloads
from holdfast.gateway.errors import Refused

__all__ = ["GeminiDecoder", "GeminiEncoder", "GeminiTap"]

_MOST_CANDIDATES = 64
_REASONS: dict[Finish, str] = {
    "length": "MAX_TOKENS",
    "content_filter": "SAFETY",
    "refusal": "SAFETY",
    "error": "OTHER",
}


@dataclass(slots=True)
class _Candidate:
    """Where a candidate's stream stands."""

    blocks: int = 0
    open: BlockKind | None = None
    calls: int = 0
    finished: bool = False


class GeminiDecoder:
    """Reads one stream of Gemini."""

    def __init__(self) -> None:
        self._id: str | None = None
        self._candidates: dict[int, _Candidate] = {}
        self._usage: Usage | None = None
        self._over = False

    def feed(self, frames: bytes) -> list[Event]:
        """See :class:`~holdfast.gateway.core.dialect.Decoder`."""
        events: list[Event] = []
        if self._over:
            return events
        try:
            for _, data in payloads(frames):
                self._chunk(msgspec.json.decode(data), events)
                if self._over:
                    break
        except (ValueError, RecursionError) as error:
            self._over = True
            events.append(Broken(failure="protocol", message=f"not a stream of Gemini: {error}"[:300]))
        return events

    def end(self) -> list[Event]:
        """See :class:`~holdfast.gateway.core.dialect.Decoder`."""
        if self._over:
            return []
        self._over = True
        if not self._candidates or not all(candidate.finished for candidate in self._candidates.values()):
            return [Broken(failure="cut", message="the stream ended before the answer did")]
        return [Ended()] if self._usage is None else [UsageSeen(usage=self._usage), Ended()]

    def _chunk(self, chunk: object, events: list[Event]) -> None:
        if not isinstance(chunk, Mapping):
            msg = "a frame that is no object"
            raise ValueError(msg)  # noqa: TRY004 - what a provider sends, not what a caller passes
        failed = error_of(chunk)
        if failed is not None:
            self._over = True
            events.append(Broken(failure=failed.failure, message=failed.message))
            return
        if self._id is None:
            self._id = _text(chunk.get("responseId"))
            events.append(Started(id=self._id, model=_text(chunk.get("modelVersion"))))
        self._usage = read_usage(chunk.get("usageMetadata")) or self._usage
        feedback = chunk.get("promptFeedback")
        if isinstance(feedback, Mapping) and feedback.get("blockReason") and not self._candidates:
            self._candidates[0] = _Candidate(finished=True)
            events.append(Finished(finish="content_filter"))
        found = chunk.get("candidates")
        for candidate in found if isinstance(found, list) else ():
            if not isinstance(candidate, Mapping):
                msg = "a candidate that is no object"
                raise ValueError(msg)  # noqa: TRY004
            self._candidate(candidate, events)

    def _candidate(self, candidate: Mapping[str, Any], events: list[Event]) -> None:
        index = candidate.get("index", 0)
        if type(index) is not int or not 0 <= index < _MOST_CANDIDATES:
            msg = "a candidate's index that cannot be"
            raise ValueError(msg)
        state = self._candidates.setdefault(index, _Candidate())
        if state.finished:
            return
        for part in read_parts(candidate, self._id or "", state.calls):
            self._part(state, index, part, events)
        reason = candidate.get("finishReason")
        if isinstance(reason, str) and reason != "FINISH_REASON_UNSPECIFIED":
            self._close(state, index, events)
            state.finished = True
            events.append(Finished(finish=finish_of(reason, called=state.calls > 0), choice=index))

    def _part(self, state: _Candidate, choice: int, part: object, events: list[Event]) -> None:
        match part:
            case Text():
                self._open(state, choice, "text", events)
                events.append(Delta(index=state.blocks, text=part.text, choice=choice))
            case Thinking():
                self._open(state, choice, "thinking", events)
                if part.text:
                    events.append(Delta(index=state.blocks, text=part.text, choice=choice))
                if part.signature:
                    events.append(Signed(index=state.blocks, signature=part.signature, choice=choice))
                    self._close(state, choice, events)
            case ToolCall():
                self._close(state, choice, events)
                at = state.blocks
                events += (
                    BlockStarted(index=at, kind="tool_call", choice=choice, id=part.id, name=part.name, raw=part.raw),
                    Delta(index=at, text=part.arguments, choice=choice),
                    BlockEnded(index=at, choice=choice),
                )
                state.blocks += 1
                state.calls += 1
            case _:
                self._close(state, choice, events)
                raw = _opaque(part)
                events += (
                    BlockStarted(index=state.blocks, kind="opaque", choice=choice, protocol="gemini", raw=raw),
                    BlockEnded(index=state.blocks, choice=choice, raw=raw),
                )
                state.blocks += 1

    def _open(self, state: _Candidate, choice: int, kind: BlockKind, events: list[Event]) -> None:
        if state.open == kind:
            return
        self._close(state, choice, events)
        state.open = kind
        protocol: ProtocolName | None = "gemini" if kind == "thinking" else None
        events.append(BlockStarted(index=state.blocks, kind=kind, choice=choice, protocol=protocol))

    def _close(self, state: _Candidate, choice: int, events: list[Event]) -> None:
        if state.open is not None:
            events.append(BlockEnded(index=state.blocks, choice=choice))
            state.open = None
            state.blocks += 1


@dataclass(slots=True)
class _Block:
    """A block that is being written to a client."""

    started: BlockStarted
    arguments: list[str] = field(default_factory=list)


class GeminiEncoder:
    """Writes one stream to a client of Gemini."""

    def __init__(self, chat: Chat, told: Told) -> None:
        del chat
        self._told = told
        self._blocks: dict[tuple[int, int], _Block] = {}
        self._reasons: dict[int, str] = {}
        self._usage: Usage | None = None

    def write(self, events: Sequence[Event]) -> bytes:
        """See :class:`~holdfast.gateway.core.dialect.Encoder`."""
        return b"".join([self._event(event) for event in events])

    def fail(self, error: Refused) -> bytes:
        """See :class:`~holdfast.gateway.core.dialect.Encoder`."""
        return error_frame(error)

    def keep_alive(self) -> bytes:
        """A blank line: Google's client for Python takes a comment for JSON."""
        return b"\r\n"

    def _event(self, event: Event) -> bytes:
        match event:
            case BlockStarted():
                self._blocks[event.choice, event.index] = _Block(event)
                if event.kind == "opaque" and event.protocol == "gemini" and event.raw:
                    return self._parts(event.choice, dict(event.raw))
            case Delta():
                return self._delta(event)
            case Signed():
                block = self._blocks.get((event.choice, event.index))
                if block is not None and block.started.protocol == "gemini":
                    return self._parts(event.choice, {"text": "", "thoughtSignature": event.signature})
            case BlockEnded():
                return self._block_ended(event)
            case Finished():
                # The last frame of a candidate has the usage in it: it waits for the end.
                self._reasons.setdefault(event.choice, _REASONS.get(event.finish, "STOP"))
            case UsageSeen():
                self._usage = event.usage
            case Ended():
                return self._end()
            case _:
                pass
        return b""

    def _delta(self, event: Delta) -> bytes:
        block = self._blocks.get((event.choice, event.index))
        kind = "text" if block is None else block.started.kind
        if block is not None and kind == "tool_call":
            block.arguments.append(event.text)
            return b""
        if not event.text or kind == "opaque":
            return b""
        part: dict[str, Any] = {"text": event.text}
        if kind == "thinking":
            part["thought"] = True
        return self._parts(event.choice, part)

    def _block_ended(self, event: BlockEnded) -> bytes:
        block = self._blocks.pop((event.choice, event.index), None)
        if block is None or block.started.kind != "tool_call":
            return b""
        arguments = arguments_of("".join(block.arguments))
        if arguments is None:  # this protocol has objects only, and a word of its own for calls that are broken
            self._reasons[event.choice] = "MALFORMED_FUNCTION_CALL"
            return b""
        part: dict[str, Any] = {"functionCall": {"id": block.started.id, "name": block.started.name, "args": arguments}}
        signature = (block.started.raw or {}).get("thoughtSignature")
        if signature:
            part["thoughtSignature"] = signature
        return self._parts(event.choice, part)

    def _parts(self, choice: int, part: Mapping[str, Any]) -> bytes:
        return self._frame([{"content": {"parts": [part], "role": "model"}, "index": choice}])

    def _end(self) -> bytes:
        return self._frame(
            [
                {"content": {"parts": [{"text": ""}], "role": "model"}, "finishReason": reason, "index": choice}
                for choice, reason in sorted(self._reasons.items())
            ],
            usage=True,
        )

    def _frame(self, candidates: list[dict[str, Any]], *, usage: bool = False) -> bytes:
        body: dict[str, Any] = {"candidates": candidates}
        if usage and self._usage is not None:
            body["usageMetadata"] = write_usage(self._usage)
        body["modelVersion"] = self._told.model
        body["responseId"] = self._told.id
        return b"data: " + msgspec.json.encode(body) + b"\r\n\r\n"


class _Part(msgspec.Struct, rename="camel"):
    text: str = ""
    function_call: msgspec.Raw = msgspec.Raw()
    inline_data: msgspec.Raw = msgspec.Raw()
    executable_code: msgspec.Raw = msgspec.Raw()


class _Content(msgspec.Struct):
    parts: list[_Part] = []


class _Seen(msgspec.Struct, rename="camel"):
    content: _Content | None = None
    finish_reason: str | None = None
    index: int = 0


class _Chunk(msgspec.Struct, rename="camel"):
    """What is looked at in a frame that is passed through; all else is skipped, not decoded."""

    candidates: list[_Seen] = []
    usage_metadata: msgspec.Raw = msgspec.Raw()
    prompt_feedback: dict[str, Any] | None = None
    error: dict[str, Any] | None = None


_chunk = msgspec.json.Decoder(_Chunk)


class GeminiTap:
    """Watches one stream of Gemini. Each frame has the usage so far: it is kept as bytes until somebody asks for it."""

    def __init__(self) -> None:
        self.committed = False
        self.finished = False
        self.broken: Rejection | None = None
        self.output_bytes = 0
        self._usage: Usage | None = None
        self._unread = b""
        self._open: dict[int, bool] = {}

    @property
    def usage(self) -> Usage | None:
        """The last that was told, also when the stream was left before its end."""
        if self._unread:
            self._usage = read_usage(msgspec.json.decode(self._unread)) or self._usage
            self._unread = b""
        return self._usage

    @usage.setter
    def usage(self, value: Usage | None) -> None:
        self._usage, self._unread = value, b""

    def feed(self, frames: bytes) -> bytes:
        """See :class:`~holdfast.gateway.core.dialect.Tap`. Nothing is changed."""
        for _, data in payloads(frames):
            try:
                self._look(_chunk.decode(data))
            except (ValueError, RecursionError):
                self.broken = Rejection(failure="protocol", status=502, message="not a stream of Gemini")
        return frames

    def fail(self, error: Refused) -> bytes:
        """See :class:`~holdfast.gateway.core.dialect.Tap`."""
        return error_frame(error)

    def keep_alive(self) -> bytes:
        """See :meth:`GeminiEncoder.keep_alive`."""
        return b"\r\n"

    def _look(self, chunk: _Chunk) -> None:
        if chunk.error is not None:
            self.broken = error_of({"error": chunk.error})
            return
        self._unread = bytes(chunk.usage_metadata) or self._unread
        for candidate in chunk.candidates:
            for part in candidate.content.parts if candidate.content is not None else ():
                size = len(part.text) + len(bytes(part.function_call)) + len(bytes(part.executable_code))
                self.committed = self.committed or size > 0 or len(bytes(part.inline_data)) > 0
                self.output_bytes += size
            self._open[candidate.index] = candidate.finish_reason is None and self._open.get(candidate.index, True)
        if chunk.prompt_feedback is not None and chunk.prompt_feedback.get("blockReason"):
            self._open.setdefault(0, False)
        self.finished = bool(self._open) and not any(self._open.values())


def error_frame(error: Refused) -> bytes:
    """The error as the last frame: Google's clients raise on it."""
    return b"data: " + msgspec.json.encode(write_error(error)[1]) + b"\r\n\r\n"


def _opaque(part: object) -> Mapping[str, Any]:
    if isinstance(part, Media):
        return {"inlineData": {"mimeType": part.media_type, "data": part.data}}
    raw = getattr(part, "raw", None)
    return raw if isinstance(raw, Mapping) else {}


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
