"""Two deployments in virtual time: one flaps, one refuses, one is slow one time in twenty.

Run as a program for the figures: ``python -m tests.unit.gateway.test_hedging_in_virtual_time``.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any

import pytest

from holdfast.gateway.core.attempts import AttemptBudget, ExtraAttempts, Retry
from holdfast.gateway.core.deployments import deployments_of, tiers_of
from holdfast.gateway.core.fleet import DeploymentFleet
from holdfast.gateway.core.ports import Chosen, Need
from holdfast.gateway.core.settings import (
    DeploymentSettings,
    GatewaySettings,
    HedgeSettings,
    ModelSettings,
    ProviderSettings,
    RetrySettings,
)

pytestmark = pytest.mark.usefixtures("at_full_speed")

SLOW_S = 5.0
Provider = Callable[[float, Random], tuple[float, str | None]]
"""At a time: seconds to the first token or the failure, and which failure."""


def usual(rng: Random) -> float:
    return 0.2 + rng.expovariate(1 / 0.1)


def sound(now: float, rng: Random) -> tuple[float, str | None]:
    return usual(rng), None


def slow_at_times(now: float, rng: Random) -> tuple[float, str | None]:
    """Whole seconds of it, one in twenty: a provider is slow in spells, not by the toss of a coin for each request."""
    spell = Random(int(now)).random() < 0.05
    return (SLOW_S if spell else usual(rng)), None


def flapping(now: float, rng: Random) -> tuple[float, str | None]:
    return (0.05, "server_error") if int(now / 7) % 2 else (usual(rng), None)


def limited(now: float, rng: Random) -> tuple[float, str | None]:
    return (0.02, "rate_limited") if int(now / 3) % 3 == 0 else (usual(rng), None)


@dataclass
class Outcome:
    """Of a run."""

    first_tokens: list[float] = field(default_factory=list)
    errors: int = 0
    attempts: int = 0
    tokens: int = 0
    hedge_tokens: int = 0
    asked_while_cooling: int = 0
    flips: dict[str, int] = field(default_factory=dict)

    def p99(self) -> float:
        return sorted(self.first_tokens)[int(0.99 * len(self.first_tokens))]


@dataclass
class Call:
    budget: AttemptBudget
    began: float
    tried: list[str]
    running: set[int] = field(default_factory=set)
    done: bool = False


class World:
    """Requests come at random, 20 a second; everything else is an event in a heap."""

    need = Need(tokens=1000, input_tokens=500)

    def __init__(
        self, providers: Mapping[str, Provider], *, hedge: bool, seed: int = 5, seconds: float = 300.0
    ) -> None:
        hedging = HedgeSettings(enabled=hedge)
        entries = tuple(DeploymentSettings(provider=name, model="x") for name in providers)
        configuration = GatewaySettings(
            providers={name: ProviderSettings() for name in providers},
            models={"m": ModelSettings(deployments=entries, hedge=hedging)},
        )
        self.rng = Random(seed)
        self.providers = {f"{name}/x": provider for name, provider in providers.items()}
        self.fleet = DeploymentFleet(configuration, deployments_of(configuration), now=0.0, rng=Random(seed))
        self.tiers = tiers_of(configuration)["m"]
        self.shared = ExtraAttempts()
        self.outcome = Outcome()
        self.events: list[tuple[float, int, Callable[[float], None]]] = []
        self.count = 0
        at = 0.0
        while at < seconds:
            self.at(at, self.arrive)
            at += self.rng.expovariate(20.0)
        for tick in range(int(seconds * 10)):
            self.at(tick / 10, self.tick)

    def at(self, when: float, what: Callable[[float], None]) -> None:
        self.count += 1
        heapq.heappush(self.events, (when, self.count, what))

    def tick(self, now: float) -> None:
        self.fleet.tick(now)

    def run(self) -> Outcome:
        while self.events:
            now, _, what = heapq.heappop(self.events)
            what(now)
        for name in self.providers:
            explained = self.fleet.explain(name, 1e6)
            assert explained["tokens_in_flight"] == 0
            self.outcome.flips[name] = explained["flips"]
        return self.outcome

    def arrive(self, now: float) -> None:
        budget = AttemptBudget(RetrySettings(), self.shared, deadline=now + 30.0, now=now, rng=self.rng)
        self.outcome.tokens += self.need.tokens
        self.send(Call(budget, now, []), now, hedge=False)

    def send(self, call: Call, now: float, *, hedge: bool) -> bool:
        chosen = self.fleet.choose(self.tiers, self.need, tried=tuple(call.tried), now=now)
        if not isinstance(chosen, Chosen):
            if not call.running and not call.done:
                call.done = True
                self.outcome.errors += 1
            return False
        name = chosen.deployment
        self.outcome.asked_while_cooling += self.fleet.explain(name, now)["state"] in {"cooling", "open"}
        ticket = self.fleet.began(name, self.need, now=now, trial=chosen.trial, hedge=hedge)
        call.running.add(ticket)
        call.tried.append(name)
        self.outcome.attempts += 1
        elapsed_s, failure = self.providers[name](now, self.rng)
        self.at(now + elapsed_s, lambda then: self.end(call, ticket, failure, then))
        if chosen.hedge_after_s is not None and not hedge:
            self.at(now + chosen.hedge_after_s, lambda then: self.late(call, ticket, then))
        return True

    def again(self, call: Call, now: float) -> None:
        self.send(call, now, hedge=False)

    def late(self, call: Call, ticket: int, now: float) -> None:
        if call.done or ticket not in call.running:
            return
        if self.fleet.may_hedge(self.need, now=now) and call.budget.hedge(now):
            self.outcome.hedge_tokens += self.need.tokens * self.send(call, now, hedge=True)

    def end(self, call: Call, ticket: int, failure: Any, now: float) -> None:
        if ticket not in call.running:
            return
        call.running.discard(ticket)
        if failure is None:
            call.done = True
            self.outcome.first_tokens.append(now - call.began)
            self.fleet.first_token(ticket, now=now)
            self.fleet.succeeded(ticket, now=now, usage=None)
            for other in call.running:
                self.fleet.abandoned(other, now=now)
            call.running.clear()
            return
        self.fleet.failed(ticket, failure, now=now)
        if call.running:
            return
        step = call.budget.next_step(failure, now=now, others=True, fallbacks=False)
        if isinstance(step, Retry):
            self.at(now + step.after_s, lambda then: self.again(call, then))
        else:
            call.done = True
            self.outcome.errors += 1


def compare() -> tuple[Outcome, Outcome]:
    providers: dict[str, Provider] = {"slow": slow_at_times, "sound": sound}
    return World(providers, hedge=False).run(), World(providers, hedge=True).run()


def test_hedging_cuts_the_slowest_first_tokens_for_five_percent_of_the_tokens() -> None:
    without, with_hedges = compare()
    assert without.p99() > 4.0
    assert with_hedges.p99() < 0.5 * without.p99()
    assert without.hedge_tokens == 0
    assert 0 < with_hedges.hedge_tokens <= 0.05 * with_hedges.tokens
    assert without.errors == with_hedges.errors == 0


def test_a_deployment_that_flaps_costs_few_errors_and_few_attempts() -> None:
    outcome = World({"flapping": flapping, "sound": sound}, hedge=False).run()
    requests = len(outcome.first_tokens) + outcome.errors
    assert outcome.errors <= 0.002 * requests
    assert outcome.attempts <= 1.1 * requests
    assert outcome.asked_while_cooling == 0
    assert outcome.flips["flapping/x"] > 0


def test_a_deployment_that_is_at_its_rate_limit_is_left_alone_while_it_cools() -> None:
    outcome = World({"limited": limited, "sound": sound}, hedge=False).run()
    requests = len(outcome.first_tokens) + outcome.errors
    assert outcome.errors == 0
    assert outcome.attempts <= 1.1 * requests
    assert outcome.asked_while_cooling == 0


if __name__ == "__main__":
    for title, outcome in zip(("without", "with hedges"), compare(), strict=True):
        extra = outcome.hedge_tokens / outcome.tokens
        print(f"{title}: p99 {outcome.p99():.2f} s, {extra:.1%} more tokens, {outcome.attempts} attempts")
    for other in ({"flapping": flapping, "sound": sound}, {"limited": limited, "sound": sound}):
        outcome = World(other, hedge=False).run()
        requests = len(outcome.first_tokens) + outcome.errors
        print(f"{next(iter(other))}: {outcome.errors} errors of {requests}, {outcome.attempts / requests:.3f} attempts")
        print(outcome.flips)
