"""Streams of OpenAI's chat completions and of its likenesses, read from a provider."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from holdfast.gateway.core.conversation import (
    BlockEnded,
    BlockStarted,
    Broken,
    Delta,
    Ended,
    Event,
    Finished,
    Started,
    UsageSeen,
)
from holdfast.gateway.core.usage import Usage
from holdfast.gateway.core.wire.fields import malformed
from holdfast.gateway.core.wire.openai_answer import arguments_text, read_finish
from holdfast.gateway.core.wire.openai_errors import read_error, read_error_object
from holdfast.gateway.core.wire.openai_usage import read_usage
from holdfast.gateway.core.wire.repeats import Repeats
from holdfast.gateway.core.wire.sse import payloads, separate

__all__ = ["ChatDecoder", "is_error"]

_CHOICES = 128
_CALLS = 1024
"""Tool calls of one choice: more than any model makes, and a bound for a stream without end."""

_decode = msgspec.json.Decoder().decode


def is_error(chunk: Mapping[str, Any]) -> bool:
    """``{"error": ...}`` in a stream, or vLLM's ``{"object": "error"}``; ``"error": null`` is none."""
    return bool(chunk.get("error")) or chunk.get("object") == "error"


class _Choice:
    """What is open of one choice."""

    __slots__ = ("blocks", "calls", "finished", "id", "last", "open", "speaking")

    def __init__(self, id_: str) -> None:
        self.id = id_
        self.blocks = 0
        self.open: list[int] = []
        self.speaking: tuple[Literal["text", "thinking", "refusal"], int] | None = None
        """The block that words go to."""
        self.calls: dict[int, tuple[str, int]] = {}
        """The provider's index of a tool call -> its id and its block; the latest, when a provider uses one twice."""
        self.last = -1
        """The provider's index that was used last."""
        self.finished = False

    def begin(self) -> int:
        self.open.append(self.blocks)
        self.blocks += 1
        return self.blocks - 1


class ChatDecoder:
    """Chunks as events.

    Tool calls of one choice may be interleaved, so they stay open until the choice is finished. Tolerated: chunks
    without choices (Azure's filter results), no role, usage on any chunk, tool calls without index or id or with one
    index for all, arguments as an object, ``stop`` after tool calls.
    """

    __slots__ = ("_choice_of_last", "_choices", "_id", "_index_of_last", "_over", "_repeats", "_started", "_usage")

    def __init__(self) -> None:
        self._repeats = Repeats()
        self._index_of_last = self._choice_of_last = 0
        self._choices: dict[int, _Choice] = {}
        self._usage: Usage | None = None
        self._id = ""
        self._started = False
        self._over = False

    def feed(self, frames: bytes) -> list[Event]:
        """Events of whole frames; after a ``Broken`` or the end nothing follows."""
        words = self._repeats.words(frames)
        if words is not None:
            return [Delta(index=self._index_of_last, text=words, choice=self._choice_of_last)]
        events = self._read(frames)
        if len(events) == 1 and type(last := events[0]) is Delta and last.logprobs is None:
            self._repeats.learn(frames, last.text)
            self._index_of_last, self._choice_of_last = last.index, last.choice
        else:
            self._repeats.forget()
        return events

    def _read(self, frames: bytes) -> list[Event]:
        events: list[Event] = []
        if not self._over and frames[:1] in (b"{", b"[", b"<"):  # an error or a page, and no stream at all
            said = read_error(200, {}, separate(frames)[0])
            self._break(events, said.failure, said.message)
        for _, data in payloads(frames):
            if self._over:
                return events
            try:
                self._payload(data, events)
            except (ValueError, RecursionError) as error:
                self._break(events, "protocol", f"not a chunk of a chat completion: {error}"[:300])
        return events

    def end(self) -> list[Event]:
        """``[DONE]`` is the end; a connection that closes before it was cut."""
        if self._over:
            return []
        events: list[Event] = []
        self._tell_usage(events)
        self._break(events, "cut", "the provider's stream ended before its end")
        return events

    def _break(self, events: list[Event], failure: str, message: str) -> None:
        self._over = True
        events.append(Broken(failure=failure, message=message))

    def _tell_usage(self, events: list[Event]) -> None:
        if self._usage is not None:
            events.append(UsageSeen(usage=self._usage))

    def _payload(self, data: bytes, events: list[Event]) -> None:
        if data.strip() == b"[DONE]":
            self._over = True
            for index, choice in self._choices.items():
                if not choice.finished:
                    self._finish(index, choice, None, events)
            self._tell_usage(events)
            events.append(Ended())
            return
        chunk = _decode(data)
        if not isinstance(chunk, dict):
            malformed("a chunk is an object")
        if is_error(chunk):
            said = read_error_object(chunk, status=200)
            self._break(events, said.failure, said.message)
            return
        choices = chunk.get("choices", [])
        if not isinstance(choices, list):
            malformed("choices is not a list")
        if not self._started:
            self._start(chunk, events)
        for choice in choices:
            self._choice(choice, events)
        if chunk.get("usage") is not None:
            self._usage = read_usage(chunk["usage"])

    def _start(self, chunk: Mapping[str, Any], events: list[Event]) -> None:
        if "choices" not in chunk and "usage" not in chunk:
            malformed("a chunk without choices")
        self._started = True
        id_, model, created = chunk.get("id"), chunk.get("model"), chunk.get("created")
        self._id = id_ if isinstance(id_, str) else ""
        known = created if type(created) is int and created > 0 else 0
        events.append(Started(id=self._id, model=model if isinstance(model, str) else "", created=known))

    def _choice(self, found: object, events: list[Event]) -> None:
        index = found.get("index", 0) if isinstance(found, Mapping) else None
        if not isinstance(found, Mapping) or type(index) is not int or not 0 <= index < _CHOICES:
            malformed("a choice is an object with an index")
        choice = self._choices.get(index)
        if choice is None:
            choice = self._choices[index] = _Choice(f"{self._id.removeprefix('chatcmpl-')}_{index}")
        if choice.finished:
            return
        delta = found.get("delta") or {}
        if not isinstance(delta, Mapping):
            malformed("a delta is an object")
        thought = delta.get("reasoning_content") or delta.get("reasoning")
        if thought:
            self._words(index, choice, "thinking", thought, None, events)
        if delta.get("content"):
            self._words(index, choice, "text", delta["content"], found.get("logprobs"), events)
        if delta.get("refusal"):
            self._words(index, choice, "refusal", delta["refusal"], found.get("logprobs"), events)
        calls = delta.get("tool_calls") or ()
        if isinstance(delta.get("function_call"), Mapping):
            calls = [{"index": 0, "function": delta["function_call"]}]
        if not isinstance(calls, list | tuple):
            malformed("tool_calls is not a list")
        for call in calls:
            self._call(index, choice, call, events)
        if found.get("finish_reason"):
            self._finish(index, choice, found["finish_reason"], events)

    def _words(
        self,
        index: int,
        choice: _Choice,
        kind: Literal["text", "thinking", "refusal"],
        text: object,
        logprobs: object,
        events: list[Event],
    ) -> None:
        if not isinstance(text, str):
            malformed(f"{kind} of a delta is not text")
        if choice.speaking is None or choice.speaking[0] != kind:
            self._hush(index, choice, events)
            choice.speaking = (kind, choice.begin())
            protocol: Literal["openai"] | None = "openai" if kind == "thinking" else None
            events.append(BlockStarted(index=choice.speaking[1], kind=kind, choice=index, protocol=protocol))
        events.append(Delta(index=choice.speaking[1], text=text, choice=index, logprobs=logprobs))

    @staticmethod
    def _hush(index: int, choice: _Choice, events: list[Event]) -> None:
        """The block of words ends: other words or a tool call follow."""
        if choice.speaking is not None:
            block = choice.speaking[1]
            choice.open.remove(block)
            choice.speaking = None
            events.append(BlockEnded(index=block, choice=index))

    def _call(self, index: int, choice: _Choice, call: object, events: list[Event]) -> None:
        if not isinstance(call, Mapping):
            malformed("a tool call is an object")
        function = call.get("function") or call.get("custom") or {}
        name = function.get("name") if isinstance(function, Mapping) else None
        if not isinstance(function, Mapping) or not isinstance(name, str | None):
            malformed("a function is an object with a name")
        given, place = call.get("id"), call.get("index")
        id_ = given if isinstance(given, str) else ""
        spot = place if type(place) is int else choice.last
        known = choice.calls.get(spot)
        if known is None or (id_ and id_ != known[0]) or (type(place) is not int and name and not id_):
            if choice.blocks >= _CALLS or not name:
                malformed("a tool call without a name" if not name else f"more than {_CALLS} tool calls")
            self._hush(index, choice, events)
            block = choice.begin()
            known = (id_ or f"call_{choice.id}_{block}", block)
            events.append(BlockStarted(index=block, kind="tool_call", choice=index, id=known[0], name=name))
            spot = place if type(place) is int else block
        choice.calls[spot] = known
        choice.last = spot
        text = arguments_text(function.get("arguments", function.get("input")))
        if text:
            events.append(Delta(index=known[1], text=text, choice=index))

    def _finish(self, index: int, choice: _Choice, word: object, events: list[Event]) -> None:
        choice.finished = True
        events += [BlockEnded(index=block, choice=index) for block in choice.open]
        events.append(Finished(finish=read_finish(word, called=bool(choice.calls)), choice=index))
