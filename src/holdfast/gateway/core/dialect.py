"""What an adapter between one protocol and :mod:`.conversation` has to do.

Adapters are pure: no clock, no chance; ids and times that a protocol wants are given. Bodies are JSON objects as
msgspec decodes them; output is ready to be encoded. Every adapter is both sides: the client's (read a request, write
an answer) and the provider's (write a request, read an answer).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from holdfast.gateway.core.conversation import Answer, Chat, Event, ProtocolName
from holdfast.gateway.core.outcome import Rejection
from holdfast.gateway.core.usage import Usage
from holdfast.gateway.errors import Refused

__all__ = ["Answer", "Chat", "Decoder", "Dialect", "Encoder", "Outgoing", "Refused", "Tap", "Told"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """A request to a provider, without address and credentials."""

    path: str
    """Below the provider's base URL, which ends before it: ``/chat/completions``, ``/messages``,
    ``/models/NAME:streamGenerateContent?alt=sse``, ``/model/NAME/converse-stream``."""
    body: Mapping[str, Any]
    headers: Mapping[str, str] = field(default_factory=dict)
    """Such as ``anthropic-beta``; never credentials."""
    dropped: tuple[str, ...] = ()
    """Parameters that this protocol cannot say and that were left out; told in ``x-holdfast-dropped``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What an answer to a client is called, when it is not the provider's own."""

    id: str
    """Without the protocol's prefix; the adapter puts ``chatcmpl-``, ``msg_``, ``resp_`` before it."""
    model: str
    """The name that the client asked for."""
    created: int
    """Seconds since the epoch."""


class Encoder(Protocol):
    """Writes one stream to a client. Every result is whole frames, and may be empty."""

    def write(self, events: Sequence[Event]) -> bytes:
        """Events as frames. ``Ended`` writes the end (``[DONE]``, ``message_stop``)."""

    def fail(self, error: Refused) -> bytes:
        """A well-formed end of a stream that broke after the commit point.

        Closes open blocks only where the protocol demands it, then its error event (and ``[DONE]`` where clients wait
        for it).
        """

    def keep_alive(self) -> bytes:
        """Something that clients ignore: ``: comment`` or ``event: ping``."""


class Decoder(Protocol):
    """Reads one stream of a provider."""

    def feed(self, frames: bytes) -> list[Event]:
        """Whole frames, as :class:`.wire.sse.Frames` (or :class:`.wire.eventstream.Frames`) gives them.

        What is not the protocol becomes one :class:`~.conversation.Broken`, after which nothing follows.
        """

    def end(self) -> list[Event]:
        """The connection ended. Without the protocol's end before, a ``Broken`` with ``cut``."""


class Tap(Protocol):
    """Watches one stream that is passed through unchanged: the same protocol on both sides.

    It runs for each piece of every stream, so it looks for bytes and decodes only what it has to.
    """

    committed: bool
    """Whether a meaningful token was seen: text, thinking, a tool call, a refusal. Not a role, not a ping."""
    finished: bool
    """Whether the protocol's end was seen."""
    broken: Rejection | None
    """An error inside the stream."""
    usage: Usage | None
    """The last that was told."""
    output_bytes: int
    """About how many bytes of words and arguments were seen: an estimate when the usage never comes."""

    def feed(self, frames: bytes) -> bytes:
        """Look at whole frames; what the client gets of them: all but a usage chunk that it did not ask for."""

    def fail(self, error: Refused) -> bytes:
        """As :meth:`Encoder.fail`, after what was seen."""

    def keep_alive(self) -> bytes:
        """As :meth:`Encoder.keep_alive`."""


class Dialect(Protocol):
    """One protocol."""

    name: ProtocolName

    # the client's side

    def read_request(self, body: Mapping[str, Any]) -> Chat:
        """A client's request. Raises :class:`Refused` (``invalid_request`` with ``param``)."""

    def write_answer(self, answer: Answer, chat: Chat, told: Told) -> dict[str, Any]:
        """A whole answer."""

    def encoder(self, chat: Chat, told: Told) -> Encoder:
        """For one stream."""

    def write_error(self, error: Refused, *, request_id: str) -> tuple[int, dict[str, Any]]:
        """Status and body that the protocol's official client turns into the right exception."""

    # the provider's side

    def write_request(self, chat: Chat, model: str) -> Outgoing:
        """The request under the provider's own name of the model; streamed as ``chat.stream`` says.

        Raises :class:`Refused` (``unsupported`` with ``param``) for what cannot be said and cannot be left out.
        """

    def read_answer(self, body: Mapping[str, Any]) -> Answer:
        """A whole answer. Raises :class:`ValueError` for what is not one (also negative or absurd usage is none)."""

    def decoder(self) -> Decoder:
        """For one stream."""

    def tap(self, *, told: Told, include_usage: bool) -> Tap:
        """For one stream that is passed through. ``include_usage``: the client asked for the usage chunk."""

    def read_usage(self, body: bytes) -> Usage | None:
        """Of a whole answer that is passed through; ``None`` when it has none that can be believed."""

    def read_error(self, status: int, headers: Mapping[str, str], body: bytes) -> Rejection:
        """What an answer that is not 2xx says. Anything may stand in ``body``, an HTML page as well."""
