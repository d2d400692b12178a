"""Budgets: all or none, overdrawn by the truth only, windows that no clock opens twice."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from holdfast.gateway.core.budget import Account, Held, Shares, Window, WindowClock, grant, scopes, windows
from holdfast.gateway.core.ports import Holder

MIDNIGHT = datetime(2026, 12, 1, tzinfo=UTC).timestamp()
DAY, MONTH = windows(MIDNIGHT)
TENANT = Account("tenant:acme", DAY)
KEY = Account("key:k1", DAY)


def shares(**granted: int) -> Shares:
    made = Shares()
    made.open(TENANT, 1000).granted = granted.get("tenant", 1000)
    made.open(KEY, 1000).granted = granted.get("key", 1000)
    return made


CHAIN = ((TENANT, 1000), (KEY, 1000))


def test_a_reservation_fits_in_every_budget_or_is_not_made() -> None:
    made = shares(tenant=1000, key=10)
    assert made.reserve(CHAIN, 11) == [KEY]
    share = made.get(TENANT)
    assert share is not None
    assert share.reserved == 0


def test_what_it_cost_takes_the_place_of_what_was_reserved() -> None:
    made = shares()
    held = made.reserve(CHAIN, 600)
    assert isinstance(held, Held)
    assert made.reserve(CHAIN, 401) == [TENANT, KEY]
    made.settle(held, 100)
    assert isinstance(made.reserve(CHAIN, 900), Held)


def test_an_attempt_that_costs_more_overdraws_the_budget_and_everything_else_is_refused() -> None:
    made = shares()
    held = made.reserve(CHAIN, 600)
    assert isinstance(held, Held)
    made.settle(held, 1500)
    assert made.reserve(CHAIN, 0) == [TENANT, KEY]


def test_what_was_never_sent_is_given_back() -> None:
    made = shares()
    held = made.reserve(CHAIN, 1000)
    assert isinstance(held, Held)
    made.release(held)
    assert isinstance(made.reserve(CHAIN, 1000), Held)


@pytest.mark.parametrize(
    ("free", "needed", "lease", "granted"),
    [
        pytest.param(1000, 1, 100, 100, id="plenty"),
        pytest.param(1000, 300, 100, 300, id="one reservation needs more than a lease"),
        pytest.param(100, 10, 100, 50, id="at most half of the rest"),
        pytest.param(100, 80, 100, 80, id="what is needed goes before halves"),
        pytest.param(100, 101, 100, 0, id="not enough is nothing"),
        pytest.param(-5, 0, 100, 0, id="overdrawn"),
    ],
)
def test_grants_leave_something_for_the_others(free: int, needed: int, lease: int, granted: int) -> None:
    assert grant(free, needed, lease) == granted


def test_windows_end_at_midnight_and_at_the_first_of_the_month_in_utc() -> None:
    day, month = windows(MIDNIGHT - 0.001)
    assert (day.name, month.name) == ("2026-11-30", "2026-11")
    assert day.ends == month.ends == MIDNIGHT
    assert (DAY.name, MONTH.name) == ("2026-12-01", "2026-12")
    assert MONTH.ends == datetime(2027, 1, 1, tzinfo=UTC).timestamp()
    assert Window("day", 0).name == "1970-01-01"


def test_a_clock_set_back_opens_no_old_window_again() -> None:
    clock = WindowClock()
    assert clock.read(MIDNIGHT + 5, 0.0) == MIDNIGHT + 5
    assert clock.read(MIDNIGHT - 3600, 1.0) == MIDNIGHT + 5
    assert clock.read(MIDNIGHT + 6, 3700.0) == MIDNIGHT + 6


def test_a_leap_ahead_is_believed_only_after_a_minute() -> None:
    clock = WindowClock()
    clock.read(MIDNIGHT - 3600, 0.0)
    assert clock.read(MIDNIGHT + 10, 10.0) == MIDNIGHT - 3590
    assert clock.read(MIDNIGHT + 60, 60.0) == MIDNIGHT - 3540
    assert clock.read(MIDNIGHT + 71, 71.0) == MIDNIGHT + 71


def test_a_leap_that_is_taken_back_leaves_nothing_behind() -> None:
    clock = WindowClock()
    clock.read(MIDNIGHT - 100, 0.0)
    clock.read(MIDNIGHT + 10, 10.0)
    assert clock.read(MIDNIGHT - 80, 20.0) == MIDNIGHT - 80
    assert clock.read(MIDNIGHT + 100, 80.0) < MIDNIGHT, "the minute begins anew"


def test_time_that_really_passed_is_not_doubted() -> None:
    clock = WindowClock()
    clock.read(MIDNIGHT - 1, 0.0)
    assert clock.read(MIDNIGHT + 1, 2.0) == MIDNIGHT + 1


def test_a_restart_knows_how_late_it_was() -> None:
    assert WindowClock(MIDNIGHT + 5).read(MIDNIGHT - 3600, 0.0) == MIDNIGHT + 5


def test_anonymous_callers_of_two_tenants_share_nothing() -> None:
    one, other = (scopes(Holder(tenant=name, key_id="anonymous")) for name in ("a", "b"))
    assert not set(one) & set(other)


def test_teams_and_users_are_those_of_their_tenant() -> None:
    holder = Holder(tenant="acme", key_id="k", team="ml", user="ann")
    assert scopes(holder) == ("tenant:acme", "team:acme/ml", "user:acme/ann", "key:k")
