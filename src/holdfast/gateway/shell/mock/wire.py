"""What the protocols of the scripted provider have in common.

They share no code with the gateway's adapters, and read the request only as far as the script needs it: an independent
hand catches the other's mistakes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, Protocol

import msgspec

from holdfast.gateway.shell.mock.answers import Asked, Frame, Turn, Unreadable

encode: Final = msgspec.json.Encoder().encode
IMAGE_TOKENS: Final = 85
"""Of any image, as OpenAI counts one of low detail."""


class Wire(Protocol):
    """One protocol of chat."""

    name: str
    stream_type: bytes
    """Content type of a stream."""
    lines: bool
    """Whether a stream is server-sent events, which have comments and ends of lines."""

    def read(self, body: dict[str, Any], model: str) -> Asked:
        """What is asked. Raises :class:`Unreadable`."""

    def whole(self, turn: Turn) -> bytes:
        """The body of an answer in one piece."""

    def frames(self, turn: Turn) -> Iterator[Frame]:
        """The body of a stream."""

    def error(self, status: int, message: str, retry_after: float | None = None) -> bytes:
        """The body of an error; ``retry_after`` seconds stand in it only where the protocol has a place for them."""

    def fields(self, number: int, status: int) -> bytes:
        """Lines of the head of answer ``number`` that belong to this protocol."""

    def broken(self) -> bytes:
        """The frame that ends a stream with an error."""

    def spoilt(self, frame: bytes) -> bytes:
        """The frame with half of its JSON: the framing is right and the JSON is not."""


class ServerSentEvents:
    """What protocols have in common that stream server-sent events."""

    stream_type = b"text/event-stream; charset=utf-8"
    lines = True

    def fields(self, number: int, status: int) -> bytes:
        """Both spellings: OpenAI's clients read the first, Anthropic's the second."""
        return b"x-request-id: req_%08d\r\nrequest-id: req_%08d\r\n" % (number, number)

    def spoilt(self, frame: bytes) -> bytes:
        """See :class:`Wire`."""
        return frame[: len(frame) // 2].rstrip(b"\r\n") + b"\n\n"


def texts(content: Any) -> str:
    """The text of a message's content, whether a string or a list of parts."""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        parts = [
            part if isinstance(part, str) else part.get("text") for part in content if isinstance(part, str | dict)
        ]
        return " ".join([part for part in parts if isinstance(part, str)])
    return ""


def listed(value: Any, name: str) -> list[dict[str, Any]]:
    """A list of objects. Raises :class:`Unreadable`."""
    if not isinstance(value, list) or not all(isinstance(member, dict) for member in value):
        raise Unreadable(f"{name} must be a list of objects")
    return value


def whole_number(value: Any) -> int | None:
    """A positive whole number, or nothing."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None


def parsed(arguments: str) -> Any:
    """Arguments of a tool for protocols where they are an object, not its text: what is broken becomes a field."""
    try:
        return msgspec.json.decode(arguments)
    except msgspec.DecodeError:
        return {"broken": arguments}


def event(name: bytes, data: Any) -> bytes:
    """A server-sent event with a name."""
    return b"event: %b\ndata: %b\n\n" % (name, encode(data))
