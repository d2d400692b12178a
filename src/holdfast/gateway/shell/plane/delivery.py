"""The answer of a call: from memory, from somebody else's flight, or from a provider; whole or as a stream."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

import msgspec

from holdfast.gateway.core.cache import replay
from holdfast.gateway.core.money import usd
from holdfast.gateway.errors import Refused
from holdfast.gateway.shell.cache import Follower
from holdfast.gateway.shell.plane.answering import Answering
from holdfast.gateway.shell.plane.asking import excerpt
from holdfast.gateway.shell.plane.caching import Teller, Telling, follow
from holdfast.gateway.shell.plane.call import Call, header
from holdfast.gateway.shell.plane.transcript import Transcript

if TYPE_CHECKING:
    from holdfast.gateway.core.conversation import Answer
    from holdfast.gateway.core.outcome import Rejection
    from holdfast.gateway.core.settings import TimeoutSettings
    from holdfast.gateway.shell.plane.ask import Ask
    from holdfast.gateway.shell.plane.attempt import Attempt
    from holdfast.gateway.shell.plane.gateway import Gateway
    from holdfast.gateway.shell.plane.making import Made

log = logging.getLogger(__name__)

_JSON: Final = b"application/json"


class Delivery:
    """Brings answers to clients."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._relayed: set[_Relayed] = set()
        self._beats = 0

    async def answer(self, ask: Ask) -> None:
        """Answer a request. Raises :class:`Refused` while nothing was told to the client."""
        key = self._gateway.cache.key(ask)
        if key is None:
            await self._fetch(ask, None)
            return
        call = ask.call
        found = self._gateway.cache.find(ask, key)
        near = None
        how = "hit"
        if found is None:
            near = await self._gateway.cache.similar(ask)
            found, how = (None if near is None else near[2]), "semantic"
        if found is not None:
            self._tell_cached(ask, found, how)
            return
        call.seen.cache = "miss"
        seat = self._gateway.cache.join(key)
        if isinstance(seat, Follower):
            call.seen.cache = "coalesced"
            self._gateway.ledger.cached(ask.holder, ask.model, wall=ask.wall, request=call.request_id)
            telling = Telling(ask, [header("x-holdfast-cache", "coalesced")])
            if await follow(seat, telling, float(self._gateway.settings.timeouts.answer)):
                return
            call.seen.cache = "miss"
        flight = seat.flight if isinstance(seat, Follower) else seat
        teller = Teller(flight)
        if flight is not None:
            call.is_wanted = lambda: flight.is_followed
        try:
            await self._fetch(ask, teller)
        except Refused as refused:
            teller.fail(refused)
            raise
        except BaseException:
            teller.leave()
            raise
        self._gateway.cache.keep(ask, key, teller.end(), near)

    def _tell_cached(self, ask: Ask, answer: Answer, how: str) -> None:
        call = ask.call
        call.seen.cache = how
        self._gateway.ledger.cached(ask.holder, ask.model, wall=ask.wall, request=call.request_id)
        telling = Telling(ask, [header("x-holdfast-cache", how), header("x-holdfast-cost", usd(0))])
        telling.write(replay(answer))
        telling.end()

    async def _fetch(self, ask: Ask, teller: Teller | None) -> None:
        """Ask a provider. ``teller`` hears what it says."""
        call = ask.call
        ask.teller = teller
        ask.keeps_answer = teller is not None
        timeouts = self._gateway.settings.timeouts
        route = ask.route.settings
        if ask.stream and ask.endpoint.kind == "chat" and route is not None and route.continue_cut and ask.chat.n == 1:
            ask.transcript = Transcript()
        answering = Answering(self._gateway, ask, deadline=self._gateway.clock() + timeouts.answer)
        call.on_gone = answering.give_up
        made = await answering.first()
        attempt = made.attempt
        call.on_gone = attempt.give_up
        call.seen.first_byte_s = self._gateway.clock() - call.started
        fields = self._fields(ask, made, answering.attempts)
        if attempt.reading is None:
            self._send_whole(ask, made, fields)
            return
        await self._stream(ask, made, fields)

    def _send_whole(self, ask: Ask, made: Made, fields: list[bytes]) -> None:
        call = ask.call
        body = made.attempt.body
        media_type = _JSON
        if made.answer is not None:
            if ask.teller is not None:
                ask.teller.tell_all(made.answer)
            answer = made.answer if ask.guard is None else ask.guard.answer(made.answer)
            body = msgspec.json.encode(ask.dialect.write_answer(answer, ask.chat, ask.told))
        elif made.plain is not None:
            body = made.plain
        elif ask.endpoint.kind in ("transcription", "speech"):
            media_type = _media_type(made) or media_type
        if call.seen.content is not None and media_type == _JSON:
            call.seen.content += "\n" + excerpt(body, int(self._gateway.settings.log.bound) // 2)
        call.send(200, body, fields, media_type=media_type)

    async def _stream(self, ask: Ask, made: Made, fields: list[bytes]) -> None:
        call, attempt = ask.call, made.attempt
        reading = attempt.reading
        if reading is None:
            raise AssertionError("a stream is read as it comes")
        media_type = b"text/event-stream; charset=utf-8"
        if ask.endpoint.kind == "speech":
            media_type = _media_type(made) or b"application/octet-stream"
        else:
            fields.append(b"Cache-Control: no-cache\r\nX-Accel-Buffering: no\r\n")
        try:
            first = attempt.attach(call.write)
        except Refused:
            attempt.give_up()
            raise
        call.begin(200, fields, media_type=media_type, first=first)
        rejection = await self._until_over(call, made)
        while rejection is not None and rejection.code not in ("blocked", "revoked", "shutdown"):
            follower = await self._go_on(ask, made)
            if follower is None:
                break
            made = follower
            rejection = await self._until_over(call, made)
        if rejection is not None:
            call.seen.reason, call.seen.message = "cut", rejection.message
            refused = Refused("cut", f"the answer was cut: {rejection.message}", retryable=True)
            if rejection.code == "blocked":
                refused = Refused("blocked", rejection.message)
            elif rejection.code == "revoked":
                refused = Refused("unauthenticated", rejection.message)
            if ask.teller is not None:
                ask.teller.fail(refused)
            last = reading.fail(refused) if made.attempt.reading is None else made.attempt.reading.fail(refused)
            if not last:
                call.abort()
                return
            call.write(last)
        call.end(self._trailers(made) if call.wants_trailers else b"")

    async def _until_over(self, call: Call, made: Made) -> Rejection | None:
        """Relay to the end of an attempt; how it failed, if it did."""
        attempt = made.attempt
        call.upstream = attempt.upstream
        if call.upstream is not None and call.client.write_paused:
            call.upstream.transport.pause_reading()
        entry = _Relayed(call, attempt)
        self._relayed.add(entry)
        try:
            return await attempt.ended
        finally:
            self._relayed.discard(entry)
            call.upstream = None

    async def _go_on(self, ask: Ask, made: Made) -> Made | None:
        """Have another deployment continue an answer that was cut; ``None`` when that cannot be."""
        transcript = ask.transcript
        call = ask.call
        if transcript is None or not transcript.can_go_on or len(transcript.continued) >= 2:
            return None
        rest = ask.rest(transcript.rest_of(ask.chat))
        transcript.resume(made.deployment.name, made.usage)
        deadline = self._gateway.clock() + self._gateway.settings.timeouts.answer
        answering = Answering(self._gateway, rest, deadline=deadline, tried=[made.deployment.name])
        call.on_gone = answering.give_up
        try:
            follower = await answering.first()
        except Refused as refused:
            log.info(
                "a cut answer was not continued: %s", refused, extra={"action": "continue", "request": call.request_id}
            )
            return None
        call.on_gone = follower.attempt.give_up
        call.write(b": continued by %b\n\n" % follower.deployment.name.encode("utf-8"))
        call.write(follower.attempt.attach(call.write))
        return follower

    def _fields(self, ask: Ask, made: Made, attempts: int) -> list[bytes]:
        call = ask.call
        fields = [
            header("x-holdfast-deployment", made.deployment.name),
            header("x-holdfast-attempts", str(attempts)),
        ]
        if ask.endpoint.protocol == "anthropic":
            fields.append(header("request-id", ask.call.request_id))
        if call.seen.cache:
            fields.append(header("x-holdfast-cache", call.seen.cache))
        if made.outcome:
            fields.append(header("x-holdfast-cost", "unknown" if made.cost_nano is None else usd(made.cost_nano)))
        if made.request.outgoing.dropped:
            fields.append(header("x-holdfast-dropped", ", ".join(made.request.outgoing.dropped)))
        return fields

    def _trailers(self, made: Made) -> bytes:
        return header("x-holdfast-cost", "unknown" if made.cost_nano is None else usd(made.cost_nano))

    def beat(self, now: float) -> None:
        """About twenty times a second."""
        self._beats += 1
        if self._beats % 10 == 0:
            for entry in self._relayed:
                entry.beat(now, self._gateway.settings.timeouts)

    def shut_down(self) -> None:
        """The gateway ends: streams that are still under way are told so, in their protocol."""
        for entry in tuple(self._relayed):
            entry.attempt.stop("shutdown", "the gateway is shutting down; ask again")

    def revoked(self, key_id: str) -> None:
        """A key has ended: so do the streams that it began."""
        for entry in tuple(self._relayed):
            if entry.belongs_to(key_id):
                entry.attempt.stop("revoked", "the key was revoked")


class _Relayed:
    """A stream under way, and when its client last heard of it."""

    __slots__ = ("_at", "_call", "_sent", "attempt")

    def __init__(self, call: Call, attempt: Attempt) -> None:
        self._call = call
        self.attempt = attempt
        self._sent = call.bytes_out
        self._at = attempt.engine.clock()

    def belongs_to(self, key_id: str) -> bool:
        """Whether it was begun with this key."""
        holder = self._call.seen.holder
        return holder is not None and holder.key_id == key_id

    def beat(self, now: float, timeouts: TimeoutSettings) -> None:
        """Say that the stream is alive when nothing else did for a while."""
        call, reading = self._call, self.attempt.reading
        if call.bytes_out != self._sent:
            self._sent, self._at = call.bytes_out, now
        elif now - self._at >= timeouts.keep_alive and reading is not None and not call.client.write_paused:
            call.write(reading.keep_alive())
            self._sent, self._at = call.bytes_out, now


def _media_type(made: Made) -> bytes:
    head = made.attempt.head
    if head is None:
        return b""
    for line in head.block.split(b"\r\n"):
        if line[:13].lower() == b"content-type:":
            return line[13:].strip()
    return b""
