"""What the protocols of the scripted provider have in common.

They share no code with the gateway's adapters, and read the request only as far as the script needs it: an independent
hand catches the other's mistakes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, Protocol

import msgspec

from holdfast.gateway.errors import GatewayError
from holdfast.gateway.shell.mock.answers import Asked, Frame, Turn

encode: Final = msgspec.json.Encoder().encode


class Unreadable(GatewayError):
    """A request that the provider answers with 400."""


class Wire(Protocol):
    """One protocol of chat."""

    name: str
    stream_type: bytes
    """Content type of a stream."""

    def read(self, body: dict[str, Any], model: str) -> Asked:
        """What is asked. Raises :class:`Unreadable`."""

    def whole(self, turn: Turn) -> bytes:
        """The body of an answer in one piece."""

    def frames(self, turn: Turn) -> Iterator[Frame]:
        """The body of a stream."""

    def error(self, status: int, message: str) -> bytes:
        """The body of an error."""

    def broken(self) -> bytes:
        """The frame that ends a stream with an error."""


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


def event(name: bytes, data: Any) -> bytes:
    """A server-sent event with a name."""
    return b"event: %b\ndata: %b\n\n" % (name, encode(data))
