"""Nights, as the clock on the wall has them."""

from __future__ import annotations

import datetime as dt
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from holdfast.netpulse.core.quiet import quiet_until
from holdfast.netpulse.core.settings import QuietSettings

BERLIN = ZoneInfo("Europe/Berlin")


def at(text: str, *, fold: int = 0) -> float:
    """A time in Berlin."""
    return dt.datetime.fromisoformat(text).replace(tzinfo=BERLIN, fold=fold).timestamp()


def berlin(start: str, end: str, **more: Any) -> QuietSettings:
    return QuietSettings(start=start, end=end, timezone="Europe/Berlin", **more)


NIGHT = berlin("22:00", "07:00")


@pytest.mark.parametrize(
    ("now", "until"),
    [
        ("2026-07-01T12:00", "2026-07-01T12:00"),
        ("2026-07-01T21:59:59", "2026-07-01T21:59:59"),
        ("2026-07-01T22:00", "2026-07-02T07:00"),
        ("2026-07-02T03:00", "2026-07-02T07:00"),
        ("2026-07-02T07:00", "2026-07-02T07:00"),
    ],
)
def test_a_night_lasts_from_its_start_to_its_end(now: str, until: str) -> None:
    assert quiet_until(NIGHT, at(now)) == at(until)


def test_quiet_by_day_ends_the_same_day() -> None:
    lunch = berlin("12:00", "13:00")
    assert quiet_until(lunch, at("2026-07-01T12:30")) == at("2026-07-01T13:00")
    assert quiet_until(lunch, at("2026-07-01T13:30")) == at("2026-07-01T13:30")


def test_a_night_belongs_to_the_day_that_it_begins_on() -> None:
    friday = berlin("22:00", "07:00", days=("fri",))
    assert quiet_until(friday, at("2026-07-04T03:00")) == at("2026-07-04T07:00")  # Saturday morning
    assert quiet_until(friday, at("2026-07-03T03:00")) == at("2026-07-03T03:00")  # Friday morning


@pytest.mark.parametrize(("night", "hours"), [("2026-03-28", 8), ("2026-10-24", 10), ("2026-07-01", 9)])
def test_a_night_is_as_long_as_the_clock_makes_it(night: str, hours: int) -> None:
    start = at(f"{night}T22:00")
    assert quiet_until(NIGHT, start) == start + hours * 3600


def test_an_end_that_the_clock_skips_comes_when_it_would_have_been() -> None:
    assert quiet_until(berlin("22:00", "02:30"), at("2026-03-28T23:00")) == at("2026-03-29T03:30")


def test_an_end_that_the_clock_shows_twice_is_the_first() -> None:
    night = berlin("22:00", "02:30")
    first = at("2026-10-25T02:30", fold=0)
    assert quiet_until(night, at("2026-10-24T23:00")) == first
    assert quiet_until(night, at("2026-10-25T02:30", fold=1)) == first + 3600


def test_nights_that_touch_are_one() -> None:
    weekend = berlin("08:00", "08:00", days=("sat", "sun"))
    assert quiet_until(weekend, at("2026-07-04T09:00")) == at("2026-07-06T08:00")


def test_quiet_for_ever_comes_to_an_end_all_the_same() -> None:
    now = at("2026-07-04T09:00")
    assert now < quiet_until(berlin("08:00", "08:00"), now) < now + 9 * 86_400


@pytest.mark.parametrize(
    "wrong",
    [
        QuietSettings(start="25:00", end="07:00"),
        QuietSettings(start="22:00", end="7:00"),
        QuietSettings(start="22:00", end="07:00", timezone="Mars/Olympus"),
        QuietSettings(start="22:00", end="07:00", timezone="../x"),
    ],
)
def test_what_cannot_be_read_is_said(wrong: QuietSettings) -> None:
    with pytest.raises(ValueError, match=r"not a time|hour must be"):
        quiet_until(wrong, 0.0)
