"""Limits of a chain: the narrowest holds."""

from __future__ import annotations

from holdfast.gateway.core import limits
from holdfast.gateway.core.budget import windows
from holdfast.gateway.core.limits import Limits, LimitTable
from holdfast.gateway.core.ports import Holder
from holdfast.gateway.core.settings import LimitSettings, LimitsSettings

HOLDER = Holder(tenant="acme", key_id="k", team="ml", user="ann")
SETTINGS = LimitsSettings(
    default=LimitSettings(models=("small-*",)),
    tenants={"acme": LimitSettings(requests_per_minute=2, monthly_usd=100.0)},
    teams={"acme/ml": LimitSettings(tokens_per_minute=100)},
    users={"acme/ann": LimitSettings(priority="batch", daily_usd=1.0)},
)


def test_every_one_of_the_chain_has_to_allow_a_model() -> None:
    chain = LimitTable(SETTINGS).chain(HOLDER)
    assert limits.allows(chain, "small-1") is None
    assert limits.allows(chain, "large-1") == "key:k"


def test_a_key_with_limits_of_its_own_has_not_those_of_all_keys() -> None:
    chain = LimitTable(SETTINGS, lambda _: LimitSettings()).chain(HOLDER)
    assert limits.allows(chain, "large-1") is None


def test_one_that_is_batch_makes_all_of_it_batch() -> None:
    assert limits.priority(LimitTable(SETTINGS).chain(HOLDER)) == "batch"


def test_budgets_are_those_that_are_set() -> None:
    found = limits.budgets(LimitTable(SETTINGS).chain(HOLDER), windows(0.0))
    assert [(account.scope, account.window.period, limit) for account, limit in found] == [
        ("tenant:acme", "month", 100_000_000_000),
        ("user:acme/ann", "day", 1_000_000_000),
    ]


def test_the_slowest_rate_says_how_long_to_wait() -> None:
    rates, chain = Limits(), LimitTable(SETTINGS).chain(HOLDER)
    assert rates.take(chain, 100, 0.0) == 0.0
    assert rates.take(chain, 100, 0.0) == 60.0


def test_a_request_that_is_refused_takes_from_no_rate() -> None:
    rates, chain = Limits(), LimitTable(SETTINGS).chain(HOLDER)
    rates.take(chain, 100, 0.0)
    for _ in range(5):
        assert rates.take(chain, 50, 0.0) == 30.0
    assert rates.take(chain, 50, 30.0) == 0.0
