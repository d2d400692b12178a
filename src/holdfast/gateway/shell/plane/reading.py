"""What becomes of the body of a provider's answer: bytes in, bytes for the client out.

Three ways for streams, chosen per attempt:

- :class:`Passed`: the same protocol on both sides. Whole frames pass unchanged, and a tap watches them.
- :class:`Translated`: events of the provider's protocol, through the guardrails, written in the client's.
- :class:`Plain`: bytes that are nobody's protocol (sound).

An answer that is not streamed is collected (:class:`~.attempt.Attempt` does that) and read as a whole.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol

from holdfast.gateway.core.conversation import (
    BlockStarted,
    Broken,
    Delta,
    Ended,
    Finished,
    Started,
    UsageSeen,
)
from holdfast.gateway.core.outcome import Rejection

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from holdfast.gateway.core.conversation import Event
    from holdfast.gateway.core.dialect import Decoder, Encoder, Tap
    from holdfast.gateway.core.ports import StreamGuard
    from holdfast.gateway.core.usage import Usage
    from holdfast.gateway.errors import Refused
    from holdfast.gateway.shell.plane.transcript import Transcript


_DELTA: Final = {"anthropic": b"event: content_block_delta", "responses": b'.delta"'}
"""What stands once in each frame with words, and in no other."""


class Frames(Protocol):
    """Cuts a stream into whole frames."""

    def feed(self, data: bytes) -> bytes:
        """The frames that are whole now. Raises ``ValueError`` for one that is longer than a frame may be."""


class Reading(Protocol):
    """The body of one streamed answer."""

    deltas: int
    """Frames with words, about one a token with most providers."""

    @property
    def committed(self) -> bool:
        """Whether something came that is worth telling the client."""

    @property
    def finished(self) -> bool:
        """Whether the end that the protocol prescribes was seen."""

    @property
    def broken(self) -> Rejection | None:
        """The provider said that it failed, or what it sent is not its protocol."""

    @property
    def usage(self) -> Usage | None:
        """The last that was told."""

    @property
    def output_bytes(self) -> int:
        """About how many bytes of words there were."""

    def attach(self) -> bytes:
        """The attempt has won: what the client gets of what came until now, and was not given yet."""

    def feed(self, data: bytes) -> bytes:
        """Bytes as they come; what the client gets of them.

        Raises ``ValueError`` for what is no stream of this protocol, and :class:`Refused` for what may not be said.
        """

    def end(self) -> bytes:
        """The body ended; what the client gets of what was held back."""

    def fail(self, error: Refused) -> bytes:
        """A well-formed end for a stream that broke."""

    def keep_alive(self) -> bytes:
        """Something that means nothing, to show that the stream is alive."""


class Passed:
    """Frames pass, a tap watches."""

    __slots__ = ("_empty", "_frames", "_mark", "_tap", "deltas")

    def __init__(self, frames: Frames, tap: Tap, protocol: str) -> None:
        self._frames = frames
        self._tap = tap
        self._mark = _DELTA.get(protocol, b"data:")
        self._empty = protocol == "openai"
        self.deltas = 0

    @property
    def committed(self) -> bool:
        """See :class:`Reading`."""
        return self._tap.committed

    @property
    def finished(self) -> bool:
        """See :class:`Reading`."""
        return self._tap.finished

    @property
    def broken(self) -> Rejection | None:
        """See :class:`Reading`."""
        return self._tap.broken

    @property
    def usage(self) -> Usage | None:
        """See :class:`Reading`."""
        return self._tap.usage

    @property
    def output_bytes(self) -> int:
        """See :class:`Reading`."""
        return self._tap.output_bytes

    def attach(self) -> bytes:
        """See :class:`Reading`."""
        return b""

    def feed(self, data: bytes) -> bytes:
        """See :class:`Reading`."""
        frames = self._frames.feed(data)
        if not frames:
            return b""
        before = self._tap.output_bytes
        out = self._tap.feed(frames)
        if self._tap.output_bytes > before:
            self.deltas += frames.count(self._mark)
            if self._empty:
                self.deltas -= frames.count(b'"content":""')  # the first frame only says who speaks
        return out

    def end(self) -> bytes:
        """See :class:`Reading`."""
        return b""

    def fail(self, error: Refused) -> bytes:
        """See :class:`Reading`."""
        return self._tap.fail(error)

    def keep_alive(self) -> bytes:
        """See :class:`Reading`."""
        return self._tap.keep_alive()


class Translated:
    """Events of one protocol become frames of another.

    Nothing is written before the attempt has won, so that an encoder sees one story: that of the winner, and of who
    continues it. ``seen`` hears what the provider said (for the cache), ``transcript`` what the client was told.
    """

    __slots__ = (
        "_decoder",
        "_encoder",
        "_frames",
        "_guard",
        "_is_simple",
        "_make_encoder",
        "_over",
        "_seen",
        "_transcript",
        "_waiting",
        "broken",
        "committed",
        "deltas",
        "finished",
        "model",
        "output_bytes",
        "usage",
    )

    def __init__(
        self,
        frames: Frames,
        decoder: Decoder,
        encoder: Callable[[], Encoder],
        guard: StreamGuard | None = None,
        seen: Callable[[Sequence[Event]], None] | None = None,
        transcript: Transcript | None = None,
    ) -> None:
        self._frames = frames
        self._decoder = decoder
        self._make_encoder = encoder
        self._encoder: Encoder | None = None
        self._waiting: list[Event] = []
        self._guard = guard
        self._seen = seen
        self._transcript = transcript
        self._is_simple = False
        """What is read is written, and nobody else hears of it."""
        self._over = False
        self.committed = False
        self.finished = False
        self.broken: Rejection | None = None
        self.usage: Usage | None = None
        self.output_bytes = 0
        self.deltas = 0
        self.model = ""

    def feed(self, data: bytes) -> bytes:
        """See :class:`Reading`."""
        frames = self._frames.feed(data)
        if not frames or self._over:
            return b""
        events = self._decoder.feed(frames)
        if len(events) == 1 and self._is_simple and type(event := events[0]) is Delta:
            # One word more: what nearly every piece is. The same as below, without looking what else it might be.
            self.output_bytes += len(event.text)
            self.deltas += 1
            self.committed = True
            if self._guard is not None:
                events = self._guard.feed(events)
            return self._encoder.write(events) if events and self._encoder is not None else b""
        return self._take(events)

    def end(self) -> bytes:
        """See :class:`Reading`."""
        return b"" if self._over else self._take(self._decoder.end())

    def attach(self) -> bytes:
        """See :class:`Reading`."""
        self._encoder = self._make_encoder()
        self._is_simple = self._seen is None and self._transcript is None
        waiting, self._waiting = self._waiting, []
        return self._write(waiting)

    def fail(self, error: Refused) -> bytes:
        """See :class:`Reading`."""
        return b"" if self._encoder is None else self._encoder.fail(error)

    def keep_alive(self) -> bytes:
        """See :class:`Reading`."""
        return b"" if self._encoder is None else self._encoder.keep_alive()

    def _take(self, events: Sequence[Event]) -> bytes:
        kept: list[Event] = []
        for event in events:
            if isinstance(event, Delta):
                self.output_bytes += len(event.text)
                self.deltas += 1
                self.committed = True
            elif isinstance(event, BlockStarted):
                self.committed = self.committed or event.kind == "tool_call" or event.raw is not None
            elif isinstance(event, UsageSeen):
                self.usage = event.usage
            elif isinstance(event, Started):
                self.model = event.model
                self.usage = event.usage or self.usage
            elif isinstance(event, Finished):
                self.committed = True  # an empty answer is an answer
            elif isinstance(event, Ended):
                self.finished = True
                self._over = True
            elif isinstance(event, Broken):
                self.broken = Rejection(failure=_failure(event.failure), status=502, message=event.message)
                self._over = True
                break
            kept.append(event)
        return self._write(kept)

    def _write(self, events: list[Event]) -> bytes:
        if self._encoder is None:
            self._waiting += events
            return b""
        if self._seen is not None and events:
            self._seen(events)
        if self._guard is not None and events:
            events = guarded(self._guard, events)
        if self._transcript is not None:
            events = self._transcript.told(events)
            self._transcript.heard(events)
        return self._encoder.write(events) if events else b""


def guarded(guard: StreamGuard, events: Sequence[Event]) -> list[Event]:
    """What may go on of some events; at the end of a stream also what was held back. Raises :class:`Refused`."""
    passed = guard.feed(events)
    if not any(isinstance(event, Ended) for event in events):
        return passed
    ended: list[Event] = [event for event in passed if isinstance(event, Ended)]
    return [*(event for event in passed if not isinstance(event, Ended)), *guard.end(), *ended]


class Plain:
    """Bytes pass."""

    __slots__ = ("broken", "committed", "deltas", "finished", "output_bytes", "usage")

    def __init__(self) -> None:
        self.committed = False
        self.finished = False
        self.broken: Rejection | None = None
        self.usage: Usage | None = None
        self.output_bytes = 0
        self.deltas = 0

    def attach(self) -> bytes:
        """See :class:`Reading`."""
        return b""

    def feed(self, data: bytes) -> bytes:
        """See :class:`Reading`."""
        self.committed = True
        self.output_bytes += len(data)
        return data

    def end(self) -> bytes:
        """See :class:`Reading`."""
        self.finished = True
        self.committed = True
        return b""

    def fail(self, error: Refused) -> bytes:
        """See :class:`Reading`."""
        return b""  # no word for it: the connection breaks

    def keep_alive(self) -> bytes:
        """See :class:`Reading`."""
        return b""


def _failure(name: str) -> Any:
    return name
