"""OpenAI's legacy completions: a prompt, and the text that follows it.

Between protocols a prompt is one message of the user, and an answer is its words. Several prompts at once, and prompts
that are tokens, mean something only to a provider of this protocol: they travel as an opaque part.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from holdfast.gateway.core.conversation import (
    Answer,
    BlockEnded,
    BlockStarted,
    Broken,
    Chat,
    Choice,
    Delta,
    Ended,
    Event,
    Finished,
    Message,
    Opaque,
    ProtocolName,
    Started,
    Text,
    UsageSeen,
)
from holdfast.gateway.core.dialect import Outgoing, Told
from holdfast.gateway.core.outcome import Rejection
from holdfast.gateway.core.usage import Usage
from holdfast.gateway.core.wire.fields import (
    boolean,
    integer,
    malformed,
    number,
    object_,
    refuse,
    required,
    sendable,
    string,
    words,
)
from holdfast.gateway.core.wire.openai_answer import finish_word, read_finish
from holdfast.gateway.core.wire.openai_decoder import is_error
from holdfast.gateway.core.wire.openai_encoder import DONE, KEEP_ALIVE
from holdfast.gateway.core.wire.openai_errors import error_frames, read_error, read_error_object, write_error
from holdfast.gateway.core.wire.openai_request import read_stop
from holdfast.gateway.core.wire.openai_tap import OpenAITap, text_is_meaningful
from holdfast.gateway.core.wire.openai_usage import read_body_usage, read_usage, write_usage
from holdfast.gateway.core.wire.sse import payloads, separate
from holdfast.gateway.errors import Refused

__all__ = ["Completions"]

_KNOWN = frozenset(
    {
        "model",
        "prompt",
        "max_tokens",
        "temperature",
        "top_p",
        "stop",
        "n",
        "seed",
        "frequency_penalty",
        "presence_penalty",
        "user",
        "stream",
        "stream_options",
    }
)
_CHOICES = 4096
"""Prompts times ``n``: a bound for a stream without end."""

_decode = msgspec.json.Decoder().decode


class Completions:
    """A :class:`~holdfast.gateway.core.dialect.Dialect`."""

    name: ProtocolName = "completions"

    def read_request(self, body: Mapping[str, Any]) -> Chat:
        """``echo``, ``suffix``, ``best_of``, ``logprobs`` and what else there may be go to ``extra``."""
        extra = {key: value for key, value in body.items() if key not in _KNOWN and value is not None}
        for key, value in extra.items():
            sendable(value, words(key, "(name of a parameter)"))
        options = object_(body, "stream_options") or {}
        return Chat(
            protocol="completions",
            model=required(body, "model"),
            messages=(Message(role="user", parts=(_prompt(body.get("prompt")),)),),
            max_tokens=integer(body, "max_tokens"),
            temperature=number(body, "temperature"),
            top_p=number(body, "top_p"),
            stop=read_stop(body),
            n=integer(body, "n", least=1, most=128) or 1,
            seed=integer(body, "seed", least=-(1 << 63), most=(1 << 63) - 1),
            frequency_penalty=number(body, "frequency_penalty"),
            presence_penalty=number(body, "presence_penalty"),
            user=string(body, "user"),
            stream=boolean(body, "stream") or False,
            include_usage=boolean(options, "include_usage", "stream_options") or False,
            extra=extra,
        )

    def write_request(self, chat: Chat, model: str) -> Outgoing:
        """One message of the user, words only; everything else is refused, as is a tool or a form of the answer."""
        for name, asked in (("tools", chat.tools), ("response_format", chat.format and chat.format.kind != "text")):
            if asked:
                raise Refused("unsupported", f"{name}: legacy completions have none", param=name)
        plain = {
            "max_tokens": chat.max_tokens,
            "temperature": chat.temperature,
            "top_p": chat.top_p,
            "stop": list(chat.stop) or None,
            "n": chat.n if chat.n > 1 else None,
            "seed": chat.seed,
            "frequency_penalty": chat.frequency_penalty,
            "presence_penalty": chat.presence_penalty,
            "user": chat.user,
        }
        body: dict[str, Any] = {"model": model, "prompt": _written_prompt(chat)}
        body.update((key, value) for key, value in plain.items() if value is not None)
        own = chat.protocol == "completions"
        if own:
            body.update((key, value) for key, value in chat.extra.items() if key not in body)
        if chat.stream:
            body["stream"] = True
            body["stream_options"] = {"include_usage": True}
        others = {
            "top_k": chat.top_k,
            "metadata": chat.metadata,
            "reasoning_effort": chat.reasoning_effort,
            "reasoning_tokens": chat.reasoning_tokens,
        }
        dropped = [key for key, value in others.items() if value is not None]
        return Outgoing(path="/completions", body=body, dropped=(*dropped, *(() if own else chat.extra)))

    def write_answer(self, answer: Answer, chat: Chat, told: Told) -> dict[str, Any]:
        """Its words; thinking has no place here."""
        body: dict[str, Any] = {
            "id": f"cmpl-{told.id}",
            "object": "text_completion",
            "created": told.created,
            "model": told.model,
            "choices": [
                {
                    "text": "".join(part.text for part in choice.parts if isinstance(part, Text)),
                    "index": choice.index,
                    "logprobs": choice.logprobs,
                    "finish_reason": finish_word(choice.finish, legacy=False),
                }
                for choice in answer.choices
            ],
        }
        if answer.usage is not None:
            body["usage"] = write_usage(answer.usage)
        return body

    def read_answer(self, body: Mapping[str, Any]) -> Answer:
        """Raises :class:`ValueError` for what is not an answer of this protocol."""
        choices = body.get("choices")
        if not isinstance(choices, list) or not choices:
            malformed("an answer without choices")
        created = body.get("created")
        return Answer(
            id=str(body.get("id") or ""),
            model=str(body.get("model") or ""),
            created=created if type(created) is int and created > 0 else 0,
            choices=tuple(_choice(choice, position) for position, choice in enumerate(choices)),
            usage=read_usage(body.get("usage")),
        )

    def encoder(self, chat: Chat, told: Told) -> TextEncoder:
        """For one stream."""
        return TextEncoder(chat, told)

    def decoder(self) -> TextDecoder:
        """For one stream."""
        return TextDecoder()

    def tap(self, *, told: Told, include_usage: bool) -> OpenAITap:
        """For one stream that is passed through."""
        return OpenAITap(include_usage=include_usage, meaningful=text_is_meaningful)

    def write_error(self, error: Refused, *, request_id: str) -> tuple[int, dict[str, Any]]:
        """As chat completions."""
        return write_error(error, request_id=request_id)

    def read_error(self, status: int, headers: Mapping[str, str], body: bytes) -> Rejection:
        """As chat completions."""
        return read_error(status, headers, body)

    def read_usage(self, body: bytes) -> Usage | None:
        """As chat completions."""
        return read_body_usage(body)


class TextEncoder:
    """Chunks of text; the other blocks of an answer have no place in this protocol."""

    __slots__ = ("_blocks", "_head", "_include_usage", "_over", "_tail", "_usage")

    def __init__(self, chat: Chat, told: Told) -> None:
        head = {"id": f"cmpl-{told.id}", "object": "text_completion", "created": told.created, "model": told.model}
        self._head = b"data: " + msgspec.json.encode(head)[:-1] + b',"choices":['
        self._include_usage = chat.include_usage
        self._tail = b'],"usage":null}\n\n' if chat.include_usage else b"]}\n\n"
        self._blocks: set[tuple[int, int]] = set()
        """Choice and block of those that are not text."""
        self._usage: Usage | None = None
        self._over = False

    def write(self, events: Sequence[Event]) -> bytes:
        """Chunks; ``Ended`` writes the usage, if it was asked for, and ``[DONE]``."""
        return b"" if self._over else b"".join([self._event(event) for event in events])

    def fail(self, error: Refused) -> bytes:
        """As chat completions."""
        if self._over:
            return b""
        self._over = True
        return error_frames(error)

    def keep_alive(self) -> bytes:
        """A comment."""
        return KEEP_ALIVE

    def _event(self, event: Event) -> bytes:
        match event:
            case BlockStarted() if event.kind != "text":
                self._blocks.add((event.choice, event.index))
            case Delta() if (event.choice, event.index) not in self._blocks:
                return self._chunk(event.choice, event.text, event.logprobs, None)
            case Finished():
                return self._chunk(event.choice, "", None, finish_word(event.finish, legacy=False))
            case UsageSeen(usage=usage):
                self._usage = usage
            case Ended():
                self._over = True
                return self._last() + DONE
            case _:
                pass
        return b""

    def _chunk(self, choice: int, text: str, logprobs: object, finish: str | None) -> bytes:
        said = {"text": text, "index": choice, "logprobs": logprobs, "finish_reason": finish}
        return self._head + msgspec.json.encode(said) + self._tail

    def _last(self) -> bytes:
        if not self._include_usage or self._usage is None:
            return b""
        return self._head + b'],"usage":' + msgspec.json.encode(write_usage(self._usage)) + b"}\n\n"


class TextDecoder:
    """Chunks as events: each choice is one block of text."""

    __slots__ = ("_open", "_over", "_started", "_usage")

    def __init__(self) -> None:
        self._open: dict[int, bool] = {}
        """Choice -> whether it is not finished."""
        self._usage: Usage | None = None
        self._started = False
        self._over = False

    def feed(self, frames: bytes) -> list[Event]:
        """Events of whole frames; after a ``Broken`` or the end nothing follows."""
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
                self._break(events, "protocol", f"not a chunk of a completion: {error}"[:300])
        return events

    def end(self) -> list[Event]:
        """``[DONE]`` is the end; a connection that closes before it was cut."""
        if self._over:
            return []
        events: list[Event] = [] if self._usage is None else [UsageSeen(usage=self._usage)]
        self._break(events, "cut", "the provider's stream ended before its end")
        return events

    def _break(self, events: list[Event], failure: str, message: str) -> None:
        self._over = True
        events.append(Broken(failure=failure, message=message))

    def _payload(self, data: bytes, events: list[Event]) -> None:
        if data.strip() == b"[DONE]":
            self._over = True
            for index, is_open in self._open.items():
                if is_open:
                    events += (BlockEnded(index=0, choice=index), Finished(finish="stop", choice=index))
            if self._usage is not None:
                events.append(UsageSeen(usage=self._usage))
            events.append(Ended())
            return
        chunk = _decode(data)
        if isinstance(chunk, dict) and is_error(chunk):
            said = read_error_object(chunk, status=200)
            self._break(events, said.failure, said.message)
            return
        choices = chunk.get("choices") if isinstance(chunk, dict) else None
        if not isinstance(choices, list):
            malformed("a chunk is an object with choices")
        if not self._started:
            self._started = True
            events.append(Started(id=str(chunk.get("id") or ""), model=str(chunk.get("model") or "")))
        for position, found in enumerate(choices):
            self._choice(_choice(found, position), found, events)
        if chunk.get("usage") is not None:
            self._usage = read_usage(chunk["usage"])

    def _choice(self, choice: Choice, found: Mapping[str, Any], events: list[Event]) -> None:
        at = choice.index
        if self._open.get(at) is False:
            return
        if at not in self._open:
            self._open[at] = True
            events.append(BlockStarted(index=0, kind="text", choice=at))
        events += (
            Delta(index=0, text=part.text, choice=at, logprobs=choice.logprobs)
            for part in choice.parts
            if isinstance(part, Text)
        )
        if found.get("finish_reason"):
            self._open[at] = False
            events += (BlockEnded(index=0, choice=at), Finished(finish=choice.finish, choice=at))


def _prompt(prompt: object) -> Text | Opaque:
    if isinstance(prompt, list) and len(prompt) == 1 and isinstance(prompt[0], str):
        prompt = prompt[0]
    if isinstance(prompt, str):
        return Text(text=words(prompt, "prompt"))
    if not isinstance(prompt, list) or not prompt or not _is_batch(prompt):
        refuse("prompt", "a string, a list of strings, a list of tokens or a list of lists of tokens is required")
    sendable(prompt, "prompt")
    return Opaque(protocol="completions", raw={"prompt": prompt})


def _is_batch(prompt: Sequence[object]) -> bool:
    return (
        all(isinstance(item, str) for item in prompt)
        or _is_tokens(prompt)
        or all(isinstance(item, list) and _is_tokens(item) for item in prompt)
    )


def _is_tokens(prompt: Sequence[object]) -> bool:
    return all(type(item) is int and item >= 0 for item in prompt)


def _written_prompt(chat: Chat) -> object:
    if len(chat.messages) == 1 and chat.messages[0].role == "user":
        parts = chat.messages[0].parts
        match parts:
            case (Opaque(protocol="completions", raw={"prompt": prompt}),):
                return prompt
        if all(isinstance(part, Text) for part in parts):
            return "".join(part.text for part in parts if isinstance(part, Text))
    raise Refused(
        "unsupported", "messages: legacy completions take one message of the user, in words", param="messages"
    )


def _choice(found: object, position: int) -> Choice:
    text = found.get("text") if isinstance(found, Mapping) else None
    index = found.get("index", position) if isinstance(found, Mapping) else None
    if not isinstance(found, Mapping) or not isinstance(text, str | None):
        malformed("a choice is an object with a text")
    if type(index) is not int or not 0 <= index < _CHOICES:
        malformed("a choice has an index")
    return Choice(
        index=index,
        parts=(Text(text=text),) if text else (),
        finish=read_finish(found.get("finish_reason"), called=False),
        logprobs=found.get("logprobs"),
    )
