"""A fleet under any order of choices, ends and refusals; and those who wait for it."""

from __future__ import annotations

from random import Random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from holdfast.gateway.core.admission import Queue, Tiers
from holdfast.gateway.core.attempts import AttemptBudget, ExtraAttempts, GiveUp
from holdfast.gateway.core.deployments import deployments_of, tiers_of
from holdfast.gateway.core.fleet import DeploymentFleet
from holdfast.gateway.core.hedging import TokenBudget
from holdfast.gateway.core.ports import Chosen, Need
from holdfast.gateway.core.settings import (
    DeploymentSettings,
    GatewaySettings,
    HealthSettings,
    ModelSettings,
    ProviderSettings,
    RetrySettings,
)

ILL = ["connect", "reset", "timeout", "stalled", "cut", "server_error", "protocol"]
INNOCENT = ["auth", "rejected", "filtered"]
needs = st.builds(
    lambda tokens, priority, key: Need(tokens=tokens, input_tokens=tokens, priority=priority, key=key),
    st.integers(1, 50_000),
    st.sampled_from(["interactive", "batch"]),
    st.sampled_from([b"", b"one", b"two"]),
)
pauses = st.floats(0.001, 20.0)


class Attempts(RuleBasedStateMachine):
    """What a data plane does to a fleet."""

    @initialize(seed=st.integers(0, 1000), tiers=st.lists(st.integers(0, 1), min_size=1, max_size=4))
    def begin(self, seed: int, tiers: list[int]) -> None:
        entries = tuple(
            DeploymentSettings(provider=f"p{number}", model="x", tier=tier, tokens_in_flight=100_000)
            for number, tier in enumerate(tiers)
        )
        configuration = GatewaySettings(
            providers={entry.provider: ProviderSettings(max_in_flight=8) for entry in entries},
            models={"m": ModelSettings(deployments=entries)},
            health=HealthSettings(consecutive=3, minimum_volume=5),
        )
        self.now = 100.0
        self.fleet = DeploymentFleet(configuration, deployments_of(configuration), now=self.now, rng=Random(seed))
        self.tiers = tiers_of(configuration)["m"]
        self.names = [name for tier in self.tiers for name in tier]
        self.tickets: dict[int, tuple[str, int, bool]] = {}
        self.not_before: dict[str, float] = {}
        self.flips = dict.fromkeys(self.names, 0)

    def state(self, name: str) -> str:
        return str(self.fleet.explain(name, self.now)["state"])

    @rule(need=needs, tried=st.sets(st.integers(0, 3)), drop=st.booleans())
    def request(self, need: Need, tried: set[int], drop: bool) -> None:
        where = tuple(name for number, name in enumerate(self.names) if number in tried)
        chosen = self.fleet.choose(self.tiers, need, tried=where, now=self.now)
        if not isinstance(chosen, Chosen):
            return
        name = chosen.deployment
        assert self.now >= self.not_before.get(name, 0.0), f"{name} was chosen while it cools down"
        assert self.state(name) not in {"open", "cooling"}
        assert chosen.trial == (self.state(name) == "half_open")
        if drop and chosen.trial:
            self.fleet.forgo(chosen)
            return
        ticket = self.fleet.began(name, need, now=self.now, trial=chosen.trial)
        self.tickets[ticket] = (name, need.tokens, chosen.trial)

    def take(self, data: Any) -> tuple[int, str]:
        ticket = data.draw(st.sampled_from(sorted(self.tickets)))
        return ticket, self.tickets.pop(ticket)[0]

    @precondition(lambda self: self.tickets)
    @rule(data=st.data(), failure=st.sampled_from([*ILL, *INNOCENT]))
    def fail(self, data: Any, failure: Any) -> None:
        self.fleet.failed(self.take(data)[0], failure, now=self.now)

    @precondition(lambda self: self.tickets)
    @rule(data=st.data(), failure=st.sampled_from(["rate_limited", "overloaded"]), after=st.none() | pauses)
    def refuse(self, data: Any, failure: Any, after: float | None) -> None:
        ticket, name = self.take(data)
        self.fleet.failed(ticket, failure, now=self.now, retry_after_s=after)
        if after is not None:
            self.not_before[name] = max(self.not_before.get(name, 0.0), self.now + after)
        until = self.fleet.explain(name, self.now)["until_s"]
        assert until >= self.not_before.get(name, 0.0) - self.now - 0.002, "a deadline moved back"

    @precondition(lambda self: self.tickets)
    @rule(data=st.data(), first=st.booleans())
    def succeed(self, data: Any, first: bool) -> None:
        ticket = self.take(data)[0]
        if first:
            self.fleet.first_token(ticket, now=self.now)
        self.fleet.succeeded(ticket, now=self.now, usage=None)

    @precondition(lambda self: self.tickets)
    @rule(data=st.data())
    def leave(self, data: Any) -> None:
        ticket = self.take(data)[0]
        self.fleet.abandoned(ticket, now=self.now)
        self.fleet.abandoned(ticket, now=self.now)

    @rule(seconds=st.floats(0.0, 30.0))
    def wait(self, seconds: float) -> None:
        self.now += seconds
        for change in self.fleet.tick(self.now):
            assert change["at"] <= self.now

    @invariant()
    def tokens_in_flight_are_those_of_the_attempts(self) -> None:
        for name in self.names:
            explained = self.fleet.explain(name, self.now)
            mine = [tokens for where, tokens, _ in self.tickets.values() if where == name]
            assert explained["tokens_in_flight"] == sum(mine)
            assert explained["in_flight"] == len(mine) <= 8

    @invariant()
    def no_more_than_its_trials_are_out(self) -> None:
        for name in self.names:
            assert len(self.fleet._states[name].breaker.permits) <= 2

    @invariant()
    def flips_only_grow(self) -> None:
        for name in self.names:
            flips = self.fleet.explain(name, self.now)["flips"]
            assert flips >= self.flips[name]
            self.flips[name] = flips

    def teardown(self) -> None:
        for ticket in getattr(self, "tickets", {}):
            self.fleet.abandoned(ticket, now=self.now)
        for name in getattr(self, "names", []):
            state = self.fleet._states[name]
            assert (state.tokens_in_flight, state.batch_tokens, state.in_flight) == (0, 0, 0)


TestAttempts = Attempts.TestCase
TestAttempts.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)


class Waiting(RuleBasedStateMachine):
    """Items are numbers; two models share the deployment ``b``."""

    tiers: tuple[Tiers, ...] = ((("a", "b"),), (("b",),), (("c",),))

    @initialize()
    def begin(self) -> None:
        self.now = 0.0
        self.queue: Queue[int] = Queue(20)
        self.waiting: dict[int, tuple[Need, float, float, Tiers]] = {}
        self.number = 0

    @rule(need=needs, lane=st.integers(0, 2), patience=st.floats(0.1, 30.0))
    def push(self, need: Need, lane: int, patience: float) -> None:
        self.number += 1
        pushed = self.queue.push(self.number, need, self.now + patience, tiers=self.tiers[lane], now=self.now)
        assert pushed == (len(self.waiting) < 20)
        if pushed:
            self.waiting[self.number] = (need, self.now, self.now + patience, self.tiers[lane])

    @rule(count=st.integers(0, 5))
    def wake(self, count: int) -> None:
        left = [count]

        def fits(tiers: Tiers, need: Need) -> bool:
            left[0] -= 1
            return left[0] >= 0

        woken = self.queue.wake(self.now, fits)
        assert len(woken) <= count
        for item, served in woken:
            need, since, deadline, tiers = self.waiting.pop(item)
            assert deadline > self.now
            for other, since_other, deadline_other, tiers_other in self.waiting.values():
                if deadline_other <= self.now or tiers_other != tiers:
                    continue
                if other.priority == "interactive":
                    aged = served.priority == "interactive" and need.priority == "batch"
                    assert aged or (need.priority == "interactive" and since <= since_other)
                elif need.priority == "batch":
                    assert since <= since_other

    @rule(seconds=st.floats(0.0, 10.0))
    def wait(self, seconds: float) -> None:
        self.now += seconds
        for item in self.queue.expired(self.now):
            assert self.waiting.pop(item)[2] <= self.now
        assert all(deadline > self.now for _, _, deadline, _ in self.waiting.values())

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def leave(self, data: Any) -> None:
        item = data.draw(st.sampled_from(sorted(self.waiting)))
        del self.waiting[item]
        assert self.queue.remove(item)
        assert not self.queue.remove(item)

    @invariant()
    def nobody_is_lost(self) -> None:
        assert len(self.queue) == len(getattr(self, "waiting", ()))


TestWaiting = Waiting.TestCase
TestWaiting.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)


@settings(max_examples=100, deadline=None)
@given(
    steps=st.lists(st.tuples(st.integers(1, 10_000), st.booleans(), st.floats(0.0, 5.0)), max_size=200),
    percent=st.floats(0.0, 50.0),
)
def test_hedges_never_take_more_than_their_share(steps: list[tuple[int, bool, float]], percent: float) -> None:
    budget = TokenBudget(percent, window_s=1e6)
    now, asked, granted = 0.0, 0, 0
    for tokens, hedge, pause in steps:
        now += pause
        if not hedge:
            budget.request(tokens, now)
            asked += tokens
        elif budget.try_spend(tokens, now):
            granted += tokens
        assert granted <= asked * percent / 100 + 1e-6


@settings(max_examples=60, deadline=None)
@given(
    paces=st.lists(st.tuples(st.integers(1, 30), st.sampled_from([0.0, 0.01, 0.1, 0.3, 2.0])), max_size=8),
    failure=st.sampled_from(["connect", "timeout", "server_error", "overloaded", "rate_limited"]),
    hedged=st.booleans(),
)
def test_a_full_outage_costs_one_fifth_more_attempts_or_the_floor(
    paces: list[tuple[int, float]], failure: Any, hedged: bool
) -> None:
    """In any window, at any pace, with hedges or without."""
    shared = ExtraAttempts()
    now = 0.0
    begun: list[float] = []
    extra: list[float] = []
    for number, pause in ((n, pause) for count, pause in paces for n in range(count)):
        now += pause
        one = AttemptBudget(RetrySettings(), shared, deadline=now + 30, now=now, rng=Random(number))
        begun.append(now)
        if hedged:
            one.hedge(now)
        while not isinstance(one.next_step(failure, now=now, others=True, fallbacks=True), GiveUp):
            pass
        assert one.made <= 4
        extra += [now] * (one.made - 1)
        granted = sum(at > now - 10.0 for at in extra)
        assert one.made == 1 or granted <= max(0.2 * sum(at >= now - 11.0 for at in begun), 5.0) + 1e-9
