"""Whatever several gateways do with one budget, it is not overshot; and every sum is the sum of its parts."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from holdfast.gateway.core.budget import Account, Held, Shares, WindowClock, grant, windows

DAY, _ = windows(0.0)
NARROW, WIDE = Account("key:k", DAY), Account("tenant:t", DAY)
LIMITS = {NARROW: 500, WIDE: 1000}
CHAIN = tuple(LIMITS.items())
GATEWAYS = st.integers(0, 2)
AMOUNTS = st.integers(0, 300)


class SharedBudgets(RuleBasedStateMachine):
    """Three gateways, a store that grants, and a model that adds up."""

    held = Bundle("held")

    def __init__(self) -> None:
        super().__init__()
        self.gateways = [Shares() for _ in range(3)]
        self.stored = [dict.fromkeys(LIMITS, 0) for _ in range(3)]
        """What the store believes that each gateway holds."""
        self.settled = dict.fromkeys(LIMITS, 0)
        self.reserved = dict.fromkeys(LIMITS, 0)
        self.overdrawn = dict.fromkeys(LIMITS, 0)

    @rule(target=held, gateway=GATEWAYS, amount=AMOUNTS)
    def reserve(self, gateway: int, amount: int) -> tuple[int, Held | None]:
        got = self.gateways[gateway].reserve(CHAIN, amount)
        if isinstance(got, list):
            return gateway, None
        for account in LIMITS:
            self.reserved[account] += amount
        return gateway, got

    @rule(gateway=GATEWAYS, amount=AMOUNTS, lease=st.integers(0, 400))
    def lease(self, gateway: int, amount: int, lease: int) -> None:
        for account, limit in LIMITS.items():
            share = self.gateways[gateway].open(account, limit)
            others = sum(stored[account] for number, stored in enumerate(self.stored) if number != gateway)
            part = share.committed
            share.granted = part + grant(limit - others - part, max(0, amount - max(0, share.room)), lease)
            self.stored[gateway][account] = share.granted

    @rule(gateway=GATEWAYS)
    def give_back(self, gateway: int) -> None:
        for account, share in self.gateways[gateway]:
            if share.room > 0:
                share.granted = share.spent + share.reserved
                self.stored[gateway][account] = share.granted

    @rule(one=consumes(held), share=st.floats(0, 1))
    def settle(self, one: tuple[int, Held | None], share: float) -> None:
        gateway, held = one
        if held is not None:
            cost = int(held.nano * share)
            self.gateways[gateway].settle(held, cost)
            for account in LIMITS:
                self.reserved[account] -= held.nano
                self.settled[account] += cost

    @rule(one=consumes(held))
    def release(self, one: tuple[int, Held | None]) -> None:
        gateway, held = one
        if held is not None:
            self.gateways[gateway].release(held)
            for account in LIMITS:
                self.reserved[account] -= held.nano

    @invariant()
    def nothing_is_overshot(self) -> None:
        for account, limit in LIMITS.items():
            assert self.settled[account] + self.reserved[account] <= limit

    @invariant()
    def sums_are_sums(self) -> None:
        for account in LIMITS:
            shares = [share for each in self.gateways if (share := each.get(account)) is not None]
            assert sum(share.spent for share in shares) == self.settled[account]
            assert sum(share.reserved for share in shares) == self.reserved[account]


class BelievedTime(RuleBasedStateMachine):
    """A wall clock that somebody plays with."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = WindowClock()
        self.now = 0.0
        self.wall = self.latest = 1e9
        self.clock.read(self.wall, self.now)

    @rule(seconds=st.floats(0, 5000))
    def passes(self, seconds: float) -> None:
        self.now += seconds
        self.wall += seconds

    @rule(seconds=st.floats(-100_000, 100_000))
    def is_set(self, seconds: float) -> None:
        self.wall += seconds

    @rule()
    def is_read(self) -> None:
        told = self.clock.read(self.wall, self.now)
        assert told >= self.latest
        self.latest = told

    @rule()
    def settles(self) -> None:
        """A clock that nobody touches for two minutes is right, unless it was ahead before."""
        for _ in range(13):
            self.now += 10.0
            self.wall += 10.0
            self.is_read()
        assert self.latest >= self.wall


TestSharedBudgets = SharedBudgets.TestCase
TestSharedBudgets.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestBelievedTime = BelievedTime.TestCase
TestBelievedTime.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
