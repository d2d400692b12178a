"""What a call meets on its way: who asks, what for, may they, and then whatever answers it."""

from __future__ import annotations

import asyncio
import logging
import re
from typing import TYPE_CHECKING, Any, Final

import msgspec

from holdfast.gateway.core.attempts import ExtraAttempts
from holdfast.gateway.core.cache import replay
from holdfast.gateway.core.deployments import deployments_of, implied, tiers_of
from holdfast.gateway.core.dialect import Told
from holdfast.gateway.core.endpoints import Endpoint, endpoint_of
from holdfast.gateway.core.estimate import Estimator
from holdfast.gateway.core.fleet import DeploymentFleet
from holdfast.gateway.core.guard import Policy, guard_for
from holdfast.gateway.core.money import usd, worst_case
from holdfast.gateway.core.ports import AttemptBegun, Holder, Need
from holdfast.gateway.core.routing import Routes
from holdfast.gateway.core.seen import Seen, SeenAttempt
from holdfast.gateway.core.usage import Usage
from holdfast.gateway.core.wire.dialects import dialects
from holdfast.gateway.errors import Refused
from holdfast.gateway.shell.cache import Follower
from holdfast.gateway.shell.ledger.prices import Offer
from holdfast.gateway.shell.plane import asgi
from holdfast.gateway.shell.plane.answering import Answering
from holdfast.gateway.shell.plane.ask import Ask
from holdfast.gateway.shell.plane.attempt import Attempt
from holdfast.gateway.shell.plane.caching import Caching, Teller, Telling, follow
from holdfast.gateway.shell.plane.call import Call, header
from holdfast.gateway.shell.plane.making import Made, Request, reading_for, request_for
from holdfast.gateway.shell.plane.permits import ANONYMOUS, Permits
from holdfast.gateway.shell.plane.providers import Provider
from holdfast.gateway.shell.plane.transcript import Transcript
from holdfast.gateway.shell.plane.waiting import Waiting
from holdfast.identity import Scope, parse

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from holdfast.gateway.core.conversation import Answer
    from holdfast.gateway.core.deployments import Deployment
    from holdfast.gateway.core.outcome import Rejection
    from holdfast.gateway.core.ports import Chosen
    from holdfast.gateway.core.settings import GatewaySettings, TimeoutSettings
    from holdfast.gateway.shell.ledger import MoneyLedger
    from holdfast.gateway.shell.plane.engine import GatewayEngine
    from holdfast.gateway.shell.plane.reading import Reading
    from holdfast.identity import Identities

log = logging.getLogger(__name__)

_JSON: Final = b"application/json"
_MOST_IMPLIED: Final = 256
"""Models that clients may name as ``PROVIDER/MODEL`` without being configured, each with state of its own."""
_BASE64: Final = re.compile(rb"[A-Za-z0-9+/=]{512,}")
_OUTPUT_GUESS: Final = 1024
"""Tokens that an answer is taken to have when its request bounds it not, for budgets and admission."""


class Gateway:
    """The data plane's state, and its one entry: :meth:`handle`."""

    def __init__(
        self,
        settings: GatewaySettings,
        *,
        ledger: MoneyLedger,
        permits: Permits,
        identities: Identities,
        clock: Callable[[], float],
        wall: Callable[[], float],
        rng: Random,
    ) -> None:
        self.clock = clock
        self.wall = wall
        self.rng = rng
        self.ledger = ledger
        self.permits = permits
        self.identities = identities
        self.dialects = dialects()
        self.engine: GatewayEngine
        self.observe: Callable[[Seen], None] = lambda seen: None  # noqa: ARG005
        """Hears of each request when it is over."""
        self.control: Any = None
        """The ASGI application of everything that is no model's work."""
        self.settings = settings
        self.providers = {name: Provider(name, each) for name, each in settings.providers.items()}
        self.deployments: dict[str, Deployment] = dict(deployments_of(settings))
        self.fleet = DeploymentFleet(settings, self.deployments, now=clock(), rng=rng)
        self.routes = Routes(settings, tiers_of(settings), self._implied)
        self.budget = ExtraAttempts(
            percent=settings.retry.budget_percent, floor_per_s=float(settings.retry.budget_floor_per_s)
        )
        self.estimator = Estimator()
        self.waiting = Waiting(self.fleet, settings.admission.queue, clock)
        self.policies = policies_of(settings)
        self.cache = Caching(settings.cache, None, clock)
        self._attempts = 0
        self._boot = f"{settings.ledger.instance}-{int(wall() * 1000):x}"
        self._relayed: set[_Relayed] = set()
        self._beats = 0

    # The one entry.

    async def handle(self, call: Call) -> None:
        """Answer a call; whatever happens, it is answered or given up."""
        path = call.head.target.partition(b"?")[0].decode("ascii")
        endpoint = endpoint_of(path)
        call.seen = seen = Seen(
            request=call.request_id,
            traceparent=call.traceparent,
            kind=endpoint.kind,
            protocol=endpoint.protocol,
            path=path,
            client=call.client.address,
            wall=self.wall(),
        )
        try:
            if endpoint.kind == "control" or endpoint.method != call.head.method.decode("ascii"):
                await asgi.serve(self.control, call)
            elif endpoint.kind == "models":
                await self._models(call, endpoint)
            else:
                await self._model_work(call, endpoint)
        except Refused as refused:
            self.refuse(call, endpoint, refused)
        except asyncio.CancelledError:
            if not call.gone:
                raise
        except Exception:
            log.exception("a call failed", extra={"action": "call", "path": path, "request": call.request_id})
            self.refuse(call, endpoint, Refused("internal", "an error of the gateway; its log says more"))
        finally:
            seen.status = call.answer_status or 499
            seen.client_left = call.gone
            seen.duration_s = self.clock() - call.started
            seen.bytes_in, seen.bytes_out = call.bytes_in, call.bytes_out
            call.handled = True
            if not call.pending:
                self.observe(seen)

    def refuse(self, call: Call, endpoint: Endpoint, refused: Refused) -> None:
        """Answer with an error in the client's protocol."""
        call.seen.reason, call.seen.message = refused.reason, str(refused)
        if call.answer_sent:
            call.abort()
            return
        dialect = self.dialects[endpoint.protocol]
        status, body = dialect.write_error(refused, request_id=call.request_id)
        fields = [header("x-should-retry", "true" if refused.retryable else "false")]
        if refused.retry_after_s is not None:
            fields.append(header("retry-after", str(max(1, round(refused.retry_after_s)))))
            fields.append(header("retry-after-ms", str(max(1, round(refused.retry_after_s * 1000)))))
        fields.append(header("x-holdfast-reason", refused.reason))
        if endpoint.protocol == "anthropic":
            fields.append(header("request-id", call.request_id))
        call.send(status, msgspec.json.encode(body), fields, media_type=_JSON)

    # Who.

    async def who(self, call: Call) -> Holder:
        """Whom a call is for. Raises :class:`Refused`."""
        key = _presented(call)
        principal = await self.identities.authenticate(key, now=self.wall()) if key else None
        if principal is None:
            anonymous = self.settings.anonymous
            if anonymous is None or key.startswith("hf_"):
                raise Refused(
                    "unauthenticated",
                    "no valid API key; send 'Authorization: Bearer hf_...' (`holdfast key create` makes one)",
                    code="invalid_api_key",
                )
            return Holder(tenant=anonymous.tenant, key_id=ANONYMOUS, tags=_tags(call))
        if not principal.may(Scope.GATEWAY_USE):
            raise Refused("forbidden", "this key may not ask models; it lacks the scope gateway:use")
        return await self.permits.holder(principal, _tags(call))

    # What.

    async def _models(self, call: Call, endpoint: Endpoint) -> None:
        holder = await self.who(call)
        names = [name for name in self.routes.models if self.permits.allows(holder, name)]
        anthropic = bool(call.field(b"anthropic-version"))
        if endpoint.model is not None:
            if endpoint.model not in names:
                self.routes.find(endpoint.model)
            call.send(200, msgspec.json.encode(_model(endpoint.model, anthropic=anthropic)), media_type=_JSON)
            return
        data = [_model(name, anthropic=anthropic) for name in names]
        body: dict[str, Any] = {"object": "list", "data": data}
        if anthropic:
            body = {
                "data": data,
                "has_more": False,
                "first_id": names[0] if names else None,
                "last_id": names[-1] if names else None,
            }
        call.send(200, msgspec.json.encode(body), media_type=_JSON)

    async def _model_work(self, call: Call, endpoint: Endpoint) -> None:
        holder = call.seen.holder = await self.who(call)
        if len(self.engine.calls) > self.settings.admission.max_in_flight:
            raise Refused("overloaded", "the gateway has too many requests in flight", retry_after_s=1, retryable=True)
        body = call.take_body()
        ask = Ask(call, endpoint, self.dialects[endpoint.protocol], body)
        ask.holder = holder
        ask.wall = call.seen.wall
        call.seen.model, call.seen.stream = ask.model, ask.stream
        ask.route = self.routes.find(ask.model)
        if not self.permits.allows(holder, ask.model):
            raise Refused("forbidden", f"this key may not use the model {ask.model[:100]!r}", param="model")
        ask.told = Told(id=call.request_id.removeprefix("req_"), model=ask.model, created=int(ask.wall))
        ask.need = self._need(ask)
        wait_s = self.permits.take(holder, ask.need.tokens, self.clock())
        if wait_s > 0:
            raise Refused(
                "rate_limited",
                f"more requests or tokens a minute than this key may; come back in {wait_s:.1f} s",
                retry_after_s=wait_s,
                retryable=True,
            )
        if endpoint.kind == "count":
            self._count(ask)
            return
        if endpoint.kind == "chat":
            self._watch(ask)
        await self._answer(ask)

    def _watch(self, ask: Ask) -> None:
        """The guardrails of the route: before the request goes anywhere. Raises :class:`Refused` (``blocked``)."""
        settings = ask.route.settings
        name = "default" if settings is None or settings.guardrails is None else settings.guardrails
        policy = self.policies.get(name)
        if policy is None:
            return
        guard = guard_for(policy)
        chat = guard.before(ask.chat)
        if chat is not ask.chat:
            ask.chat = chat
            ask.rewritten = True
        ask.call.seen.findings = guard.findings
        if not guard.stream().is_idle:
            ask.guard = guard

    def _need(self, ask: Ask) -> Need:
        first = ask.route.tiers[0][0]
        endpoint = ask.endpoint
        if endpoint.kind != "chat":
            tokens = max(1, self.estimate(first, ask.body))
            return Need(tokens=tokens, input_tokens=tokens, priority=self.permits.priority(ask.holder))
        most = ask.count("max_completion_tokens", "max_tokens", "max_output_tokens")
        read = self.estimate(first, ask.body)
        return Need(
            tokens=read + self.estimator.expected_output(first, most),
            input_tokens=read,
            max_output=most,
            tools=ask.has("tools"),
            vision=_has_images(ask.body),
            json_schema=b'"json_schema"' in ask.body,
            priority="batch"
            if ask.call.field(b"x-holdfast-priority") == "batch"
            else self.permits.priority(ask.holder),
            key=ask.affinity(),
        )

    def _count(self, ask: Ask) -> None:
        """``count_tokens``: our estimate, said to be one."""
        tokens = ask.need.input_tokens
        body = {"totalTokens": tokens} if ask.endpoint.protocol == "gemini" else {"input_tokens": tokens}
        ask.call.send(200, msgspec.json.encode(body), [header("x-holdfast-estimated", "true")], media_type=_JSON)

    # The answer.

    async def _answer(self, ask: Ask) -> None:
        key = self.cache.key(ask)
        if key is None:
            await self._fetch(ask, None)
            return
        call = ask.call
        found = self.cache.find(ask, key)
        near = None
        how = "hit"
        if found is None:
            near = await self.cache.similar(ask)
            found, how = (None if near is None else near[2]), "semantic"
        if found is not None:
            self._tell_cached(ask, found, how)
            return
        call.seen.cache = "miss"
        seat = self.cache.join(key)
        if isinstance(seat, Follower):
            call.seen.cache = "coalesced"
            self.ledger.cached(ask.holder, ask.model, wall=ask.wall, request=call.request_id)
            telling = Telling(ask, [header("x-holdfast-cache", "coalesced")])
            if await follow(seat, telling, float(self.settings.timeouts.answer)):
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
        self.cache.keep(ask, key, teller.end(), near)

    def _tell_cached(self, ask: Ask, answer: Answer, how: str) -> None:
        call = ask.call
        call.seen.cache = how
        self.ledger.cached(ask.holder, ask.model, wall=ask.wall, request=call.request_id)
        telling = Telling(ask, [header("x-holdfast-cache", how), header("x-holdfast-cost", usd(0))])
        telling.write(replay(answer))
        telling.end()

    async def _fetch(self, ask: Ask, teller: Teller | None) -> None:
        """Ask a provider. ``teller`` hears what it says."""
        call = ask.call
        ask.teller = teller
        ask.keeps_answer = teller is not None
        timeouts = self.settings.timeouts
        route = ask.route.settings
        if ask.stream and ask.endpoint.kind == "chat" and route is not None and route.continue_cut and ask.chat.n == 1:
            ask.transcript = Transcript()
        answering = Answering(self, ask, deadline=self.clock() + timeouts.answer)
        call.on_gone = answering.give_up
        made = await answering.first()
        attempt = made.attempt
        call.on_gone = attempt.give_up
        call.seen.first_byte_s = self.clock() - call.started
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
        elif ask.endpoint.kind in ("transcription", "speech"):
            media_type = _media_type(made) or media_type
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
        while rejection is not None and rejection.code not in ("blocked", "revoked"):
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
        deadline = self.clock() + self.settings.timeouts.answer
        answering = Answering(self, rest, deadline=deadline, tried=[made.deployment.name])
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

    # Attempts.

    async def make(self, ask: Ask, chosen: Chosen, *, deadline: float, hedge: bool, fresh: bool) -> Made:
        """An attempt, paid for and written down; not yet sent. Raises :class:`Refused`."""
        deployment = self.deployments[chosen.deployment]
        provider = self.providers[deployment.provider]
        try:
            request = request_for(self, ask, deployment, provider)
        except BaseException:
            self.fleet.forgo(chosen)
            raise
        price = self.ledger.price(deployment.name)
        made = Made(self, ask, chosen, deployment, request, price, hedge=hedge)
        self._attempts += 1
        name = f"{self._boot}-{self._attempts:x}"
        need = ask.need
        if price is None and self.settings.ledger.unknown_price == "refuse" and self.ledger.budgeted(ask.holder):
            self.fleet.forgo(chosen)
            raise Refused(
                "unsupported",
                f"nobody knows what {deployment.name} costs, and this key has a budget; set its price, or "
                "ledger.unknown_price: free",
            )
        nano = 0 if price is None else worst_case(need.input_tokens, need.max_output or _OUTPUT_GUESS, price)
        now = self.clock()
        try:
            reservation = await self.ledger.reserve(
                ask.holder, name, nano, wall=ask.wall, deadline_s=max(0.05, min(2.0, deadline - now))
            )
        except BaseException:
            self.fleet.forgo(chosen)
            raise
        try:
            self._begin(ask, made, name, nano, need, hedge=hedge)
        except BaseException:
            self.fleet.forgo(chosen)
            self.ledger.release(reservation)
            raise
        made.ticket = self.fleet.began(chosen.deployment, need, now=now, trial=chosen.trial, hedge=hedge)
        self._attempt(ask, made, provider, request, name, deadline, fresh=fresh)
        ask.call.pending += 1
        return made

    def _begin(self, ask: Ask, made: Made, name: str, nano: int, need: Need, *, hedge: bool) -> None:
        deployment = made.deployment
        self.ledger.begin(
            AttemptBegun(
                attempt=name,
                request=ask.call.request_id,
                holder=ask.holder,
                model=ask.model,
                deployment=deployment.name,
                upstream_model=deployment.model,
                wall=ask.wall,
                reserved_nano=nano,
                input_tokens=need.input_tokens,
                kind=ask.endpoint.kind,
                hedge=hedge,
            )
        )

    def _attempt(
        self, ask: Ask, made: Made, provider: Provider, request: Request, name: str, deadline: float, *, fresh: bool
    ) -> None:
        call = ask.call
        settings = self.settings
        whole_s = settings.timeouts.request
        if ask.route.settings is not None and ask.route.settings.timeout is not None:
            whole_s = ask.route.settings.timeout
        reading, stream_type = reading_for(ask, request, None if ask.teller is None else ask.teller.tell)
        first = made.deployment.first_token_timeout_s or float(settings.timeouts.first_token)
        made.attempt = attempt = Attempt(
            call,
            id=name,
            name=made.deployment.name,
            provider=provider.backend,
            wire=provider.request(
                request.outgoing,
                request.body,
                attempt=name,
                traceparent=call.traceparent,
                wall=ask.wall,
                extra=request.extra,
            ),
            reading=reading,
            stream_type=stream_type,
            timeouts=settings.timeouts,
            first_token_s=first,
            deadline=deadline,
            total=call.started + whole_s,
            limit=settings.max_answer,
            read_whole=made.read_whole,
            read_error=request.dialect.read_error,
            on_over=made.over,
        )
        attempt.fresh = fresh

    def ended(self, made: Made) -> None:
        """An attempt is over: whoever waits for its place may have it."""
        attempt, call = made.attempt, made.ask.call
        call.seen.attempts.append(
            SeenAttempt(
                id=attempt.id,
                deployment=made.deployment.name,
                provider=made.deployment.provider,
                upstream_model=made.deployment.model,
                protocol=made.dialect.name,
                outcome=made.outcome,
                status=0 if attempt.head is None else attempt.head.status,
                began_s=attempt.began - call.started,
                first_token_s=attempt.first_token_s,
                duration_s=self.clock() - attempt.began,
                usage=made.usage or Usage(),
                cost_nano=made.cost_nano,
                hedge=made.hedge,
                message="" if attempt.rejection is None else attempt.rejection.message,
            )
        )
        call.pending -= 1
        if call.handled and not call.pending:
            self.observe(call.seen)  # the last one went on to be counted after its client had left
        self.waiting.wake(self.clock())

    def estimate(self, deployment: str, body: bytes) -> int:
        """Input tokens of a body, before anybody counts them."""
        images, media = _media(body) if b"base64" in body or b'"data"' in body else (0, 0)
        return self.estimator.estimate(len(body), deployment, images=images, media_bytes=media)

    def learn(self, made: Made) -> None:
        """What a good answer teaches about the bytes of a token."""
        usage = made.usage
        ask = made.ask
        if usage is not None and not usage.estimated and ask.endpoint.kind == "chat" and b"base64" not in ask.body:
            self.estimator.learn(
                made.deployment.name,
                text_bytes=len(ask.body),
                input_tokens=usage.input_tokens,
                output_tokens=usage.output_tokens,
            )

    def output_tokens(self, deployment: str, reading: Reading) -> int:
        """Tokens that a part of an answer has: one a frame with words, or by bytes where frames are larger."""
        return max(reading.deltas, round(reading.output_bytes / 8))

    def beat(self, now: float) -> None:
        """About twenty times a second."""
        for change in self.fleet.tick(now):
            log.info("deployment changed", extra={"action": "deployment", **change})
        self.waiting.expire(now)
        self._beats += 1
        if self._beats % 10 == 0:
            for entry in self._relayed:
                entry.beat(now, self.settings.timeouts)

    def revoked(self, key_id: str) -> None:
        """A key has ended: so do the streams that it began."""
        for entry in tuple(self._relayed):
            if entry.belongs_to(key_id):
                entry.attempt.revoke()

    def reconfigure(self, settings: GatewaySettings) -> None:
        """Take another configuration, or raise and keep the present one. What is under way goes on as it began."""
        providers = {name: Provider(name, each) for name, each in settings.providers.items()}
        deployments = dict(deployments_of(settings))
        tiers = tiers_of(settings)
        self.ledger.prices.load({name: offer(each) for name, each in deployments.items()})
        policies = policies_of(settings)
        now = self.clock()
        fleet = self.fleet
        fleet.reconfigure(settings, deployments, now=now)
        for provider in self.providers.values():
            provider.backend.close_idle()
        if settings.cache != self.settings.cache:
            self.cache = Caching(settings.cache, None, self.clock)
        self.settings = settings
        self.policies = policies
        self.providers = providers
        self.deployments = deployments
        self.permits.reconfigure(settings)
        self.ledger.table = self.permits.table
        self.routes = Routes(settings, tiers, self._implied)

    def _implied(self, provider: str, model: str) -> str | None:
        name = f"{provider}/{model}"
        if name not in self.deployments:
            if sum(each.implied for each in self.deployments.values()) >= _MOST_IMPLIED:
                return None
            deployment = implied(provider, model)
            self.deployments[name] = deployment
            self.fleet.add(deployment, self.clock())
            self.ledger.prices.load({name: offer(deployment)})
        return name


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


def policies_of(settings: GatewaySettings) -> dict[str, Policy]:
    """The guardrails of a configuration, compiled. Raises :class:`~holdfast.gateway.errors.Invalid`."""
    return {
        name: Policy(each, path=("guardrails", name), is_own_key=lambda text: parse(text) is not None)
        for name, each in settings.guardrails.items()
    }


def offer(deployment: Deployment) -> Offer:
    """What the price of a deployment is found by."""
    return Offer(
        provider=deployment.provider,
        model=deployment.model,
        price=deployment.price,
        setting=f"gateway.models: price of {deployment.name}",
    )


def _presented(call: Call) -> str:
    """The key that a client shows, in whichever way its protocol has."""
    authorization = call.field(b"authorization")
    if authorization[:7].lower() == "bearer ":
        return authorization[7:].strip()
    return call.field(b"x-api-key") or call.field(b"api-key") or call.field(b"x-goog-api-key")


def _tags(call: Call) -> tuple[str, ...]:
    text = call.field(b"x-holdfast-tags")
    if not text:
        return ()
    tags = tuple(tag.strip() for tag in text.split(",") if tag.strip())
    if len(tags) > 8 or any(len(tag) > 64 or not tag.isprintable() for tag in tags):
        raise Refused("invalid_request", "x-holdfast-tags: at most 8 tags of at most 64 printable characters")
    return tags


def _media(body: bytes) -> tuple[int, int]:
    """How many pictures or files stand in a body, and about how many bytes of it they are."""
    found = [match.end() - match.start() for match in _BASE64.finditer(body)]
    return len(found), sum(found)


def _has_images(body: bytes) -> bool:
    return b'"image' in body or b'"input_image"' in body or b'"inlineData"' in body


def _model(name: str, *, anthropic: bool) -> dict[str, Any]:
    if anthropic:
        return {"type": "model", "id": name, "display_name": name, "created_at": "2025-01-01T00:00:00Z"}
    return {"id": name, "object": "model", "created": 0, "owned_by": "holdfast"}


def _media_type(made: Made) -> bytes:
    head = made.attempt.head
    if head is None:
        return b""
    for line in head.block.split(b"\r\n"):
        if line[:13].lower() == b"content-type:":
            return line[13:].strip()
    return b""
