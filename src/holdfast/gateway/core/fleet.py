"""All deployments of one process: where an attempt goes, and what its end says.

Decides; opens nothing. Implements :class:`.ports.Fleet`; time and chance are passed in.

**Choosing.** Tiers in their order; within one, of those that can do what is asked, may be asked (:mod:`.fleet_health`)
and have room for the tokens:

1. a half-open one, for a first attempt: somebody has to try it;
2. the one that the request's key belongs to (weighted rendezvous hashing), because the provider has its prompt in its
   cache; not when that one carries more than its share, fails, or is much slower than another;
3. the cheaper of two random ones, by expected time to a success and weight. A repeated attempt goes to the safest.

A tier whose deployments are full is passed over like one whose deployments are out: reserved capacity first, what is
paid by use behind it. Where this request has been already is chosen again only if everything else is out.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from holdfast.gateway.core.fleet_explain import explain
from holdfast.gateway.core.fleet_health import BUSY, ILL, DeploymentHealth, outlier_policy
from holdfast.gateway.core.hedging import TokenBudget
from holdfast.gateway.core.ports import Chosen, Nowhere, Wait
from holdfast.resilience import Correlation, CorrelationPolicy, safest, strategy

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from random import Random

    from holdfast.gateway.core.deployments import Deployment
    from holdfast.gateway.core.outcome import Failure
    from holdfast.gateway.core.ports import Need
    from holdfast.gateway.core.settings import GatewaySettings
    from holdfast.gateway.core.usage import Usage

IMPLIED: Final = 1024
"""Deployments that clients named and no configuration does: the one that was idle longest makes room for a new one."""
INTERACTIVE_S: Final = 5.0
"""Interactive requests "come" while the last one is not older than this."""
BALANCE: Final = 1.25
"""How far above its fair share a key's deployment may be loaded (bounded loads, as :mod:`.selection.ring`)."""
SLOWER: Final = 3.0
"""A key's deployment is given up when another one answers in a third of the time: a cache saves no more."""
DOUBTFUL: Final = 0.5
"""... or when it is as likely to fail as not."""
WAIT_S: Final = 0.25
"""What is told to who has to wait; any attempt that ends wakes the queue before."""


Standing: TypeAlias = Literal["ready", "half_open", "suppressed", "tried", "full", "out"]
"""What a deployment is to one request."""


@dataclass(slots=True)
class _Attempt:
    state: DeploymentHealth
    tokens: int
    input_tokens: int
    began: float
    batch: bool
    permit: int | None
    first_at: float | None = None


class DeploymentFleet:
    """The deployments and the state of their policies.

    Args:
        settings: Health, admission, timeouts and providers are used.
        deployments: By name, from :func:`.deployments.deployments_of`.
        now: Monotonic seconds.
        rng: Source of chance.
    """

    __slots__ = (
        "_attempts",
        "_correlation",
        "_hedges",
        "_implied",
        "_next_ticket",
        "_provider_in_flight",
        "_rng",
        "_settings",
        "_states",
        "_strategy",
    )

    def __init__(
        self, settings: GatewaySettings, deployments: Mapping[str, Deployment], *, now: float, rng: Random
    ) -> None:
        self._settings = settings
        self._rng = rng
        self._correlation = Correlation(outlier_policy(settings.health), CorrelationPolicy(settle_s=0.0))
        self._strategy = strategy("p2c")
        self._states: dict[str, DeploymentHealth] = {}
        self._implied: OrderedDict[str, None] = OrderedDict()
        self._provider_in_flight: dict[str, int] = {}
        self._attempts: dict[int, _Attempt] = {}
        self._next_ticket = 1
        self._hedges = TokenBudget(_extra_percent(settings))
        for deployment in deployments.values():
            self.add(deployment, now)

    @property
    def deployments(self) -> dict[str, Deployment]:
        """All of them, by name."""
        return {name: state.deployment for name, state in self._states.items()}

    @property
    def in_flight(self) -> int:
        """Attempts that were begun and did not end."""
        return len(self._attempts)

    def add(self, deployment: Deployment, now: float) -> None:
        """Know one more; without effect when one of that name is known."""
        if deployment.name in self._states:
            return
        if deployment.implied:
            self._make_room()
            self._implied[deployment.name] = None
        self._correlation.add(deployment.name)
        window = self._correlation.window(deployment.name)
        self._states[deployment.name] = DeploymentHealth(deployment, self._settings, window, now)

    def reconfigure(self, settings: GatewaySettings, deployments: Mapping[str, Deployment], *, now: float) -> None:
        """Take other settings; a deployment that keeps its name keeps what was learned of it.

        Attempts at one that is gone run on; their end is heard by nobody.
        """
        if _extra_percent(settings) != _extra_percent(self._settings):
            self._hedges = TokenBudget(_extra_percent(settings))
        self._settings = settings
        self._correlation.reconfigure(outlier_policy(settings.health), CorrelationPolicy(settle_s=0.0))
        for name in [name for name in self._states if name not in deployments and name not in self._implied]:
            del self._states[name]
            self._correlation.remove(name)
        for name, deployment in deployments.items():
            self._implied.pop(name, None)
            self.add(deployment, now)
        for name, state in self._states.items():
            deployment = deployments.get(name, state.deployment)
            state.reconfigure(deployment, settings, self._correlation.window(name), now)

    # ------------------------------------------------------------ choosing

    def choose(
        self, tiers: Sequence[Sequence[str]], need: Need, *, tried: Sequence[str], now: float
    ) -> Chosen | Wait | Nowhere:
        """Where an attempt goes. A trial's place is taken here: begin it, or :meth:`forgo` it."""
        detail: dict[str, str] = {}
        spare: list[tuple[Standing, DeploymentHealth]] = []
        for tier in tiers:
            ready: list[DeploymentHealth] = []
            trial: DeploymentHealth | None = None
            for name in tier:
                state = self._states.get(name)
                if state is None:
                    detail[name] = "is not known"
                    continue
                standing, why = self._standing(state, need, tried, now)
                if standing == "ready":
                    ready.append(state)
                    continue
                detail[name] = why
                if standing == "half_open":
                    trial = state
                elif standing != "out":
                    spare.append((standing, state))
            if trial is not None and (not tried or not ready) and (chosen := self._try(trial, now)) is not None:
                return chosen
            if ready:
                state, why = self._pick(ready, need, bool(tried), now)
                return self._chosen(state, why, now)
        return self._last_resort(spare, now) or self._nowhere(tiers, tried, detail, now)

    def _standing(self, state: DeploymentHealth, need: Need, tried: Sequence[str], now: float) -> tuple[Standing, str]:
        """What it is to this request, and in words why."""
        if (why := state.deployment.unsuited(need)) is not None:
            return "out", f"unsuited: {why}"
        if (why := self._out(state, now)) is not None:
            return "out", why
        if not self._has_room(state, need, now):
            return "full", f"full: {state.tokens_in_flight} of {state.tokens.limit} tokens in flight"
        if state.id in tried:
            return "tried", "was tried"
        if state.state == "half_open":
            return "half_open", "half-open: its trials are running"
        if state.state == "suppressed":
            return "suppressed", "suppressed: it flapped"
        return "ready", ""

    def _last_resort(self, spare: Sequence[tuple[Standing, DeploymentHealth]], now: float) -> Chosen | Wait | None:
        """No tier has one that is ready: wait for a place, else what flapped, else once more where it was tried."""
        for wanted in ("full", "suppressed", "tried"):
            for standing, state in spare:
                if standing != wanted:
                    continue
                if standing == "full":
                    return Wait(retry_after_s=WAIT_S)
                if state.state != "half_open":
                    why = "all were tried" if standing == "tried" else "it flapped, but nothing else is left"
                    return self._chosen(state, why, now)
                if (chosen := self._try(state, now)) is not None:
                    return chosen
        return None

    def forgo(self, chosen: Chosen) -> None:
        """What was chosen is not begun after all: a trial's place is free again."""
        state = self._states.get(chosen.deployment)
        if chosen.trial and state is not None and state.offered:
            permit, _ = state.offered.popitem()
            state.breaker.release(permit)

    def room(self, now: float) -> Callable[[Sequence[Sequence[str]], Need], bool]:
        """For :meth:`.admission.Queue.wake`: whether there is a place; it is taken for this wake."""
        taken: dict[str, int] = {}

        def fits(tiers: Sequence[Sequence[str]], need: Need) -> bool:
            for tier in tiers:
                for name in tier:
                    state = self._states.get(name)
                    if state is None or state.deployment.unsuited(need) or self._out(state, now) is not None:
                        continue
                    if self._has_room(state, need, now, taken.get(name, 0)):
                        taken[name] = taken.get(name, 0) + need.tokens
                        return True
            # Nobody to wait for: it goes, and hears why nobody will do.
            return not any(
                (state := self._states.get(name)) is not None
                and not state.deployment.unsuited(need)
                and self._out(state, now) is None
                for tier in tiers
                for name in tier
            )

        return fits

    def _out(self, state: DeploymentHealth, now: float) -> str | None:
        """Why it gets nothing at all now."""
        if state.deployment.weight <= 0:
            return "its weight is 0"
        if state.cooling(now):
            return f"cooling: {state.cooling_rule.partition('.')[2]}, {state.cooling_until - now:.1f} s left"
        breaker = state.breaker
        if breaker.state == "open":
            if breaker.until is None or now < breaker.until:
                return f"open: it failed, {max(0.0, (breaker.until or now) - now):.1f} s left"
            state.tick(now, 0.0)
        if breaker.state == "half_open" and len(breaker.permits) >= self._settings.health.trials:
            return "half-open: its trials are running"
        if state.state == "cooling":
            state.tick(now, 0.0)
        return None

    def _has_room(self, state: DeploymentHealth, need: Need, now: float, taken: int = 0) -> bool:
        provider = self._settings.providers.get(state.deployment.provider)
        if provider is not None:
            in_flight = self._provider_in_flight.get(state.deployment.provider, 0)
            if in_flight >= provider.max_in_flight:
                return False
        held = state.tokens_in_flight + taken
        limit = state.tokens.limit
        # What is larger than the whole limit goes when there is nothing else, or it would wait for ever.
        if held and held + need.tokens > limit:
            return False
        if need.priority == "batch" and state.batch_tokens + taken and now - state.interactive_at <= INTERACTIVE_S:
            return state.batch_tokens + taken + need.tokens <= self._settings.admission.batch_share * limit
        return True

    def _try(self, state: DeploymentHealth, now: float) -> Chosen | None:
        permit = state.breaker.admit(now)
        if permit is None:
            return None
        state.offered[permit] = now
        return replace(self._chosen(state, "a trial: it is half-open", now), trial=True)

    def _pick(self, ready: list[DeploymentHealth], need: Need, again: bool, now: float) -> tuple[DeploymentHealth, str]:
        if len(ready) == 1:
            return ready[0], "the only one left of its tier"
        if again and (safe := safest(ready, ())) is not None:
            return safe, "the safest after a failure"  # type: ignore[return-value]  # one of those that were given
        if need.key and (own := self._own(ready, need.key)) is not None:
            return own, "its key belongs there"
        picked = self._strategy.pick(ready, (), now, self._rng, None) or ready[0]
        return picked, "the cheaper of two"  # type: ignore[return-value]

    def _own(self, ready: list[DeploymentHealth], key: bytes) -> DeploymentHealth | None:
        """The key's deployment, unless something speaks against it (weighted rendezvous hashing)."""
        best = ready[0]
        most = -1.0
        weights = 0.0
        in_flight = 1
        fastest = math.inf
        for state in ready:
            digest = blake2b(state.id.encode(), digest_size=8, key=key[:64]).digest()
            share = (int.from_bytes(digest, "big") + 1) / 2.0**64
            score = state.weight / -math.log(share) if share < 1.0 else math.inf
            if score > most:
                best, most = state, score
            weights += state.weight
            in_flight += state.in_flight
            if 0.0 < state.latency_s < fastest:
                fastest = state.latency_s
        if best.success < DOUBTFUL or best.latency_s > SLOWER * fastest:
            return None
        return best if best.in_flight < math.ceil(BALANCE * in_flight * best.weight / weights) else None

    def _chosen(self, state: DeploymentHealth, why: str, now: float) -> Chosen:
        return Chosen(deployment=state.id, hedge_after_s=self._hedge_after(state, now), why=why)

    def _hedge_after(self, state: DeploymentHealth, now: float) -> float | None:
        hedge = state.deployment.hedge
        if not hedge.enabled or round(state.first_tokens.volume(now)) < hedge.minimum_samples:
            return None
        late = state.first_tokens.quantile(hedge.quantile, now)
        return None if late is None else max(float(hedge.least), late)

    def _nowhere(
        self, tiers: Sequence[Sequence[str]], tried: Sequence[str], detail: dict[str, str], now: float
    ) -> Nowhere:
        if detail and all(why.startswith("unsuited") for why in detail.values()):
            message = "no deployment can do what is asked: "
            message += "; ".join(f"{name} {why.partition(': ')[2]}" for name, why in detail.items())
            return Nowhere(reason="unsuited", message=message, detail=detail)
        ends = [
            end - now
            for tier in tiers
            for name in tier
            if (state := self._states.get(name)) is not None and (end := state.until(now)) is not None
        ]
        after_s = max(0.0, min(ends)) if ends else None
        suited = [name for name, why in detail.items() if not why.startswith("unsuited")]
        reason = "tried" if suited and all(name in tried for name in suited) else "cooling"
        message = "no deployment takes requests now"
        if after_s is not None:
            message += f"; the first one will in {after_s:.1f} s"
        return Nowhere(reason=reason, message=message, retry_after_s=after_s, detail=detail)

    # ------------------------------------------------------------ what happens to an attempt

    def began(self, deployment: str, need: Need, *, now: float, trial: bool = False, hedge: bool = False) -> int:
        """See :meth:`.ports.Fleet.began`. ``KeyError`` for an unknown one."""
        state = self._states[deployment]
        permit = None
        if trial:
            permit = state.offered.popitem()[0] if state.offered else state.breaker.admit(now)
        state.began()
        state.used_at = now
        state.tokens_in_flight += need.tokens
        state.most_tokens = max(state.most_tokens, state.tokens_in_flight)
        if need.priority == "batch":
            state.batch_tokens += need.tokens
        else:
            state.interactive_at = now
        provider = state.deployment.provider
        self._provider_in_flight[provider] = self._provider_in_flight.get(provider, 0) + 1
        if deployment in self._implied:
            self._implied.move_to_end(deployment)
        if not hedge:
            self._hedges.request(need.tokens, now)
        ticket = self._next_ticket
        self._next_ticket += 1
        self._attempts[ticket] = _Attempt(state, need.tokens, need.input_tokens, now, need.priority == "batch", permit)
        return ticket

    def first_token(self, ticket: int, *, now: float) -> None:
        """Its commit point was reached. A trial has shown what it had to."""
        attempt = self._attempts.get(ticket)
        if attempt is None or attempt.first_at is not None:
            return
        attempt.first_at = now
        state = attempt.state
        elapsed_s = now - attempt.began
        # Streams last for minutes: selection and trials learn from their beginning. In flight it stays.
        state.succeeded(now, elapsed_s)
        state.began()
        if attempt.permit is not None:
            state.healthy(attempt.permit, now, self._rng)
            attempt.permit = None
        state.first_tokens.observe(elapsed_s, now)
        state.tokens.first_token(elapsed_s, attempt.input_tokens, state.tokens_in_flight, now)

    def succeeded(self, ticket: int, *, now: float, usage: Usage | None) -> None:
        """It ended as it should."""
        attempt = self._end(ticket)
        if attempt is None:
            return
        state = attempt.state
        state.tokens.answered(attempt.tokens, state.tokens_in_flight + attempt.tokens)
        if attempt.first_at is None:
            state.succeeded(now, now - attempt.began)
        else:
            state.abandoned()
        if self._states.get(state.id) is not state:
            return
        self._correlation.succeeded(state.id, 1, (), now)
        state.healthy(attempt.permit, now, self._rng)

    def failed(self, ticket: int, failure: Failure, *, now: float, retry_after_s: float | None = None) -> None:
        """It failed; what that says depends on the failure (:mod:`.fleet_health`)."""
        attempt = self._end(ticket)
        if attempt is None:
            return
        state = attempt.state
        if self._states.get(state.id) is not state:
            return
        if failure in ILL:
            state.failed(now, now - attempt.began)
            self._correlation.failed(state.id, failure, 1, (), now)
            state.ill(attempt.permit, now, self._rng)
            self._judge(now)
            return
        if attempt.permit is not None:  # it answered, but not whether it works
            state.breaker.release(attempt.permit)
        if failure in BUSY:
            state.failed(now, now - attempt.began)
            state.busy(failure, attempt.began, retry_after_s, now)
        elif failure == "auth":
            state.failed(now, now - attempt.began)
            state.refuses_key(now)
        else:
            state.abandoned()

    def abandoned(self, ticket: int, *, now: float) -> None:
        """It was given up for reasons that say nothing about the deployment, except how long it had taken by then."""
        attempt = self._end(ticket)
        if attempt is None:
            return
        state = attempt.state
        state.abandoned()
        if attempt.permit is not None:
            state.breaker.release(attempt.permit)
        if attempt.first_at is None:
            elapsed_s = now - attempt.began
            late = state.first_tokens.quantile(state.deployment.hedge.quantile, now)
            if late is not None and elapsed_s >= late:
                state.first_tokens.observe(elapsed_s, now)

    def may_hedge(self, need: Need, *, now: float) -> bool:
        """Whether a hedge can be afforded; takes its tokens when it can."""
        return self._hedges.try_spend(need.tokens, now)

    def tick(self, now: float) -> list[Mapping[str, Any]]:
        """Let time work; what changed since. Call it about ten times a second."""
        oldest: dict[str, float] = {}
        for attempt in self._attempts.values():
            if attempt.first_at is None and attempt.state.id not in oldest:  # tickets are in the order of time
                oldest[attempt.state.id] = now - attempt.began
        for state in self._states.values():
            state.tick(now, oldest.get(state.id, 0.0))
        self._correlation.settle(now)
        self._judge(now)
        changes: list[Mapping[str, Any]] = []
        for state in self._states.values():
            if state.changes:
                changes += state.changes
                state.changes = []
        changes.sort(key=lambda change: change["at"])
        return changes

    def explain(self, deployment: str, now: float) -> Mapping[str, Any]:
        """Why it is in or out. ``KeyError`` for an unknown one."""
        return explain(self._states[deployment], self._settings, now)

    def _end(self, ticket: int) -> _Attempt | None:
        attempt = self._attempts.pop(ticket, None)
        if attempt is None:
            return None
        state = attempt.state
        state.tokens_in_flight -= attempt.tokens
        if attempt.batch:
            state.batch_tokens -= attempt.tokens
        self._provider_in_flight[state.deployment.provider] -= 1
        return attempt

    def _judge(self, now: float) -> None:
        active = [state.id for state in self._states.values() if state.breaker.state == "closed"]
        out = [state.id for state in self._states.values() if state.breaker.state != "closed"]
        for judgement in self._correlation.judge(active, out, now):
            state = self._states[judgement.backend]
            if judgement.eject:
                state.trip(judgement, now, self._rng)
                continue
            for peer in self._states.values():
                peer.pardon(now)
            state.correlated(judgement, now)

    def _make_room(self) -> None:
        if len(self._implied) < IMPLIED:
            return
        for name in self._implied:
            if not self._states[name].in_flight:
                del self._implied[name]
                del self._states[name]
                self._correlation.remove(name)
                return


def _extra_percent(settings: GatewaySettings) -> float:
    """Hedges of all models draw on one budget, so the most careful model sets it."""
    return min((model.hedge.extra_percent for model in settings.models.values() if model.hedge.enabled), default=5.0)
