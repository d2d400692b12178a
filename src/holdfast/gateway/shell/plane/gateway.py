"""What a call meets on its way: who asks, what for, may they, and then whatever answers it."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Final

import msgspec

from holdfast.gateway.core.attempts import ExtraAttempts
from holdfast.gateway.core.cache_similar import CalledEmbedder, Embedder
from holdfast.gateway.core.deployments import deployments_of, implied, tiers_of
from holdfast.gateway.core.endpoints import Endpoint, endpoint_of
from holdfast.gateway.core.estimate import Estimator
from holdfast.gateway.core.fleet import DeploymentFleet
from holdfast.gateway.core.guard import Policy
from holdfast.gateway.core.money import worst_case
from holdfast.gateway.core.ports import AttemptBegun, Holder, Need
from holdfast.gateway.core.routing import Routes
from holdfast.gateway.core.seen import Seen, SeenAttempt
from holdfast.gateway.core.usage import Usage
from holdfast.gateway.core.wire.dialects import dialects
from holdfast.gateway.core.wire.responses import Responses
from holdfast.gateway.errors import Refused
from holdfast.gateway.shell.ledger.prices import Offer
from holdfast.gateway.shell.plane import asgi
from holdfast.gateway.shell.plane.ask import Ask
from holdfast.gateway.shell.plane.asking import Asking
from holdfast.gateway.shell.plane.attempt import Attempt
from holdfast.gateway.shell.plane.caching import Caching
from holdfast.gateway.shell.plane.call import Call, header
from holdfast.gateway.shell.plane.delivery import Delivery
from holdfast.gateway.shell.plane.inner import complete, embed
from holdfast.gateway.shell.plane.making import Made, Request, reading_for, request_for
from holdfast.gateway.shell.plane.permits import Permits
from holdfast.gateway.shell.plane.providers import Provider
from holdfast.gateway.shell.plane.trials import Trials
from holdfast.gateway.shell.plane.waiting import Waiting
from holdfast.identity import parse

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from random import Random

    from holdfast.gateway.core.conversation import Answer, Chat
    from holdfast.gateway.core.deployments import Deployment
    from holdfast.gateway.core.ports import Chosen
    from holdfast.gateway.core.settings import GatewaySettings
    from holdfast.gateway.shell.ledger import MoneyLedger
    from holdfast.gateway.shell.plane.engine import GatewayEngine
    from holdfast.gateway.shell.plane.reading import Reading
    from holdfast.identity import Identities

log = logging.getLogger(__name__)

_JSON: Final = b"application/json"
_MOST_IMPLIED: Final = 256
"""Models that clients may name as ``PROVIDER/MODEL`` without being configured, each with state of its own."""
_IDLE_S: Final = 60.0
"""A kept connection to a provider is closed after this."""
_SWEEP_S: Final = 5.0
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
        self.responses = Responses()
        self.engine: GatewayEngine
        self.observe: Callable[[Seen], None] = lambda seen: None  # noqa: ARG005
        """Hears of each request when it is over."""
        self.reloaded: Callable[[GatewaySettings], Awaitable[None]] = _nothing
        """Takes another configuration to the parts that have to wait for something."""
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
        self.cache = Caching(settings.cache, self._embedder(settings), clock)
        self._attempts = 0
        self._sweep_due = 0.0
        self._boot = f"{settings.ledger.instance}-{int(wall() * 1000):x}"
        self.asking = Asking(self)
        self.delivery = Delivery(self)
        self.trials = Trials(self)

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
            method = call.head.method.decode("ascii")
            if endpoint.kind == "control":
                await asgi.serve(self.control, call)
            elif method != endpoint.method and (method, endpoint.method) != ("HEAD", "GET"):
                raise Refused("invalid_request", f"{method} {path[:100]}: use {endpoint.method}", status=405)
            elif endpoint.kind == "models":
                await self.asking.list_models(call, endpoint)
            elif endpoint.kind == "count":
                await self.asking.count(call, endpoint)
            else:
                ask = await self.asking.read(call, endpoint)
                self.trials.place(ask)
                await self.delivery.answer(ask)
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
        if refused.status == 405:
            status = 405  # about the method, of which no protocol of models has a word
        fields = [header("x-should-retry", "true" if refused.retryable else "false")]
        if refused.retry_after_s is not None:
            fields.append(header("retry-after", str(max(1, round(refused.retry_after_s)))))
            fields.append(header("retry-after-ms", str(max(1, round(refused.retry_after_s * 1000)))))
        fields.append(header("x-holdfast-reason", refused.reason))
        if endpoint.protocol == "anthropic":
            fields.append(header("request-id", call.request_id))
        call.send(status, msgspec.json.encode(body), fields, media_type=_JSON)

    async def complete(self, holder: Holder, chat: Chat) -> tuple[Answer, int | None]:
        """A request of the gateway's own: its answer, and what it cost in nano-dollars. See :mod:`.inner`."""
        return await complete(self, holder, chat)

    def _embedder(self, settings: GatewaySettings) -> Embedder | None:
        """The embedding model of the semantic cache; ``None`` for the built-in vectors."""
        semantic = settings.cache.semantic
        if semantic is None or semantic.model is None:
            return None
        model = semantic.model
        # Everybody's questions are embedded on the operator's account: whose cache it is, pays for looking.
        holder = Holder(tenant="gateway", key_id="cache")
        return CalledEmbedder(lambda texts: embed(self, holder, model, texts))

    # Attempts.

    async def make(
        self, ask: Ask, chosen: Chosen, *, deadline: float, hedge: bool, fresh: bool, shadow: bool = False
    ) -> Made:
        """An attempt, paid for and written down; not yet sent. Raises :class:`Refused`."""
        deployment = self.deployments[chosen.deployment]
        provider = self.providers[deployment.provider]
        try:
            request = request_for(self, ask, deployment, provider)
        except BaseException:
            self.fleet.forgo(chosen)
            raise
        price = self.ledger.price(deployment.name)
        made = Made(self, ask, chosen, deployment, request, price, hedge=hedge, shadow=shadow)
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
        self.trials.begun(made)
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
                shadow=made.shadow,
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
        reading, stream_type = reading_for(
            ask, request, self.trials.hearing(made, None if ask.teller is None else ask.teller.tell)
        )
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
                why=made.chosen.why,
                hedge=made.hedge,
                upstream_id=attempt.upstream_id,
                message="" if attempt.rejection is None else attempt.rejection.message,
            )
        )
        call.pending -= 1
        self.trials.ended(made)
        if call.handled and not call.pending:
            self.observe(call.seen)  # the last one went on to be counted after its client had left
        self.waiting.wake(self.clock())

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
        self.delivery.beat(now)
        self.trials.beat(now)
        if now >= self._sweep_due:
            self._sweep_due = now + _SWEEP_S
            for provider in self.providers.values():
                provider.backend.close_idle(now - _IDLE_S)

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
            provider.backend.retire()  # what is in flight there ends as it began
        if settings.cache != self.settings.cache:
            self.cache = Caching(settings.cache, self._embedder(settings), self.clock)
        self.settings = settings
        self.policies = policies
        self.providers = providers
        self.deployments = deployments
        self.permits.reconfigure(settings)
        self.ledger.table = self.permits.table
        self.routes = Routes(settings, tiers, self._implied)
        self.trials.reconfigure(settings)

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


async def _nothing(settings: GatewaySettings) -> None:
    """There is nobody who waits."""
