"""Answers from memory, and one answer for identical requests in flight.

What is kept is what the provider said, before the guardrails of the one who asked: each one's own come after. The key
is of the request as it was sent, redacted, and has the tenant in it.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from holdfast.gateway.core.cache import AnswerCache, Collector, replay
from holdfast.gateway.core.cache_key import chat_key, reason_against
from holdfast.gateway.core.cache_similar import Embedder, HashedNgrams, Question, SimilarQuestions, question
from holdfast.gateway.errors import Refused
from holdfast.gateway.shell.cache import Flight, Flights, Follower, Lead
from holdfast.gateway.shell.plane.reading import guarded

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from holdfast.gateway.core.conversation import Answer, Event
    from holdfast.gateway.core.settings import CacheSettings
    from holdfast.gateway.shell.plane.ask import Ask

log = logging.getLogger(__name__)

_OWN_FAULT: Final = frozenset({"budget_exhausted", "rate_limited", "forbidden", "blocked", "too_large"})
"""What is about who asks, not about who answers: somebody else may fare better."""
_EMBED_S: Final = 2.0


class Caching:
    """The cache of one process."""

    def __init__(self, settings: CacheSettings, embedder: Embedder | None, clock: Callable[[], float]) -> None:
        self.settings = settings
        self._clock = clock
        self.answers = AnswerCache(entries=settings.entries, size_bytes=int(settings.size), ttl_s=float(settings.ttl))
        self._flights = Flights()
        semantic = settings.semantic
        self._similar = None if semantic is None else SimilarQuestions(threshold=semantic.threshold)
        self._embedder = embedder or HashedNgrams()

    def key(self, ask: Ask) -> bytes | None:
        """Under which a request may be answered from memory; ``None`` when it may not."""
        wish = ask.call.field(b"x-holdfast-cache").strip().lower()
        model = ask.route.settings
        enabled = self.settings.enabled if model is None or model.cache is None else model.cache
        if ask.endpoint.kind != "chat" or wish in ("bypass", "no", "off") or not (enabled or wish == "use"):
            return None
        if not self.settings.enabled and (model is None or not model.cache):
            return None  # whoever runs the gateway decides whether there is a cache at all
        strict = self.settings.only_deterministic and wish != "use"
        if reason_against(ask.chat, only_deterministic=strict) is not None:
            return None
        return chat_key(ask.chat, tenant=ask.holder.tenant, route=ask.route.model)

    def find(self, ask: Ask, key: bytes) -> Answer | None:
        """The answer to just this request."""
        kept = self.answers.get(ask.holder.tenant, key, now=self._clock())
        return None if kept is None else kept.answer

    async def similar(self, ask: Ask) -> tuple[Question, Sequence[float], Answer | None] | None:
        """The question as a vector, and the answer to one that means the same; ``None`` without a semantic cache."""
        if self._similar is None:
            return None
        asked = question(ask.chat, tenant=ask.holder.tenant, route=ask.route.model)
        if asked is None:
            return None
        try:
            async with asyncio.timeout(_EMBED_S):
                vector = (await self._embedder.embed([asked.text]))[0]
        except Exception as error:  # noqa: BLE001 - whatever an embedding does, the request goes on without it
            log.warning("no embedding: %s", error, extra={"action": "semantic_cache"})
            return None
        key = self._similar.find(asked, vector)
        return asked, vector, None if key is None else self.find(ask, key)

    def join(self, key: bytes) -> Flight | Follower | None:
        """Take part in the one request for a key."""
        return self._flights.join(key) if self.settings.coalesce else None

    def keep(
        self, ask: Ask, key: bytes, answer: Answer | None, near: tuple[Question, Sequence[float], Answer | None] | None
    ) -> None:
        """Remember an answer, if it is whole."""
        if answer is None or not self.answers.put(ask.holder.tenant, key, answer, now=self._clock()):
            return
        if near is not None and self._similar is not None:
            self._similar.add(near[0], near[1], key)


class Teller:
    """Hears the events of the leader: for the memory, and for those who follow."""

    def __init__(self, flight: Flight | None) -> None:
        self._flight = flight
        self._collector = Collector()

    def tell(self, events: Sequence[Event]) -> None:
        """The provider said more."""
        self._collector.feed(events)
        if self._flight is not None:
            self._flight.tell(events)

    def tell_all(self, answer: Answer) -> None:
        """The provider said all of it at once."""
        self.tell(replay(answer))

    def end(self) -> Answer | None:
        """The answer is whole; what of it may be remembered."""
        if self._flight is not None and self._flight.state in ("quiet", "speaking"):
            self._flight.end()
        return self._collector.answer()

    def fail(self, refused: Refused) -> None:
        """It is not, and will not be."""
        flight = self._flight
        if flight is None or flight.state in ("landed", "failed"):
            return
        if refused.reason in _OWN_FAULT and flight.hand_over():
            return
        flight.fail(refused)

    def leave(self) -> None:
        """The leader's client is gone and nobody waits."""
        flight = self._flight
        if flight is not None and flight.state in ("quiet", "speaking") and not flight.hand_over():
            flight.fail(Refused("upstream_failed", "whoever asked first is gone", retryable=True))


class Telling:
    """Answers a client with events that somebody else's attempt brings."""

    def __init__(self, ask: Ask, fields: Sequence[bytes] = ()) -> None:
        self._ask = ask
        self._fields = list(fields)
        self._guard = ask.guard.stream() if ask.guard is not None and ask.stream else None
        self._encoder = ask.dialect.encoder(ask.chat, ask.told) if ask.stream else None
        self._collector = Collector()

    def write(self, events: Sequence[Event]) -> None:
        """More of the answer."""
        if self._encoder is None:
            self._collector.feed(events)
            return
        if self._guard is not None:
            events = guarded(self._guard, events)
        out = self._encoder.write(events)
        call = self._ask.call
        if not call.answer_sent:
            fields = [*self._fields, b"Cache-Control: no-cache\r\n"]
            call.begin(200, fields, media_type=b"text/event-stream; charset=utf-8", first=out)
        else:
            call.write(out)

    async def drained(self) -> None:
        """Wait while the client reads slower than it is told; the connection's own time limit bounds that."""
        call = self._ask.call
        if not call.client.write_paused:
            return
        caught_up = asyncio.Event()
        call.on_drained = caught_up.set
        await caught_up.wait()
        call.on_drained = None

    def end(self) -> None:
        """All of it was told."""
        from holdfast.gateway.shell.plane.providers import encode

        ask = self._ask
        if self._encoder is not None:
            ask.call.end()
            return
        answer = self._collector.answer()
        if answer is None:
            raise Refused("upstream_failed", "the answer was not whole", retryable=True)
        if ask.guard is not None:
            answer = ask.guard.answer(answer)
        body = encode(ask.dialect.write_answer(answer, ask.chat, ask.told))
        ask.call.send(200, body, self._fields, media_type=b"application/json")

    def fail(self, refused: Refused) -> None:
        """It ended in the middle. Raises ``refused`` when nothing was told yet."""
        call = self._ask.call
        if self._encoder is None or not call.answer_sent:
            raise refused
        call.write(self._encoder.fail(refused))
        call.end()


async def follow(follower: Follower, telling: Telling, timeout_s: float) -> bool:
    """Tell a client what another's attempt brings; ``False`` when this one has to lead from now on."""
    leading = False
    try:
        while True:
            events = await follower.next(timeout_s)
            if isinstance(events, Lead):
                leading = True
                return False
            if events is None:
                telling.end()
                return True
            telling.write(events)
            await telling.drained()
    except Refused as refused:
        telling.fail(refused)
        return True
    except TimeoutError:
        telling.fail(Refused("timeout", "the answer that others wait for as well did not come", retryable=True))
        return True
    finally:
        if not leading:
            follower.leave()
