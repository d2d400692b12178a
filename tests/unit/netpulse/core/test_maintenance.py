"""Maintenance windows in local time, where clocks are changed as well."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from holdfast.kernel import Duration
from holdfast.netpulse.core.maintenance import Window, problems
from holdfast.netpulse.core.settings import MaintenanceSettings

HOUR = 3_600.0


def utc(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def window(start: str, *, rrule: str = "", timezone: str = "Europe/Berlin", hours: float = 2) -> Window:
    return Window(MaintenanceSettings(start=start, duration=Duration(hours * HOUR), rrule=rrule, timezone=timezone))


def starts(of: Window, count: int, now: float) -> list[str]:
    found = []
    for _ in range(count):
        coming = of.coming(now)
        if coming is None:
            break
        found.append(f"{datetime.fromtimestamp(coming.since, UTC):%m-%dT%H:%M}")
        now = coming.since
    return found


def test_a_window_is_open_from_its_start_until_just_before_its_end() -> None:
    once = window("2027-01-15T02:00")
    assert once.next_change(utc("2027-01-01")) == utc("2027-01-15T01:00")
    assert once.at(utc("2027-01-15T00:59:59")) is None
    assert once.at(utc("2027-01-15T01:00")) is not None
    assert once.next_change(utc("2027-01-15T01:00")) == utc("2027-01-15T03:00")
    assert once.at(utc("2027-01-15T03:00")) is None
    assert once.next_change(utc("2027-01-15T03:00")) is None


def test_a_recurrence_keeps_the_time_on_the_wall_in_summer_and_winter() -> None:
    weekly = window("2027-03-21T04:00", rrule="FREQ=WEEKLY;BYDAY=SU")
    assert starts(weekly, 2, utc("2027-03-20")) == ["03-21T03:00", "03-28T02:00"]


def test_a_time_that_the_spring_change_skips_is_an_hour_later() -> None:
    daily = window("2027-03-27T02:30", rrule="FREQ=DAILY")  # on the 28th clocks go from 2:00 to 3:00
    assert starts(daily, 3, utc("2027-03-26")) == ["03-27T01:30", "03-28T01:30", "03-29T00:30"]


def test_a_time_that_the_autumn_change_repeats_is_the_first_of_the_two() -> None:
    daily = window("2027-10-30T02:30", rrule="FREQ=DAILY")  # on the 31st clocks go from 3:00 back to 2:00
    assert starts(daily, 3, utc("2027-10-29")) == ["10-30T00:30", "10-31T00:30", "11-01T01:30"]


def test_a_window_over_a_change_lasts_as_long_as_it_says() -> None:
    over = window("2027-03-28T01:00", hours=4).coming(utc("2027-03-01"))
    assert over is not None
    assert over.until - over.since == 4 * HOUR


def test_a_rule_ends_when_it_says_also_when_it_says_so_in_utc() -> None:
    daily = window("2027-07-01T02:00", rrule="FREQ=DAILY;UNTIL=20270702T000000Z")  # the second is at exactly that time
    assert starts(daily, 5, utc("2027-06-01")) == ["07-01T00:00", "07-02T00:00"]


def test_occurrences_that_overlap_leave_no_gap() -> None:
    daily = window("2027-01-01T00:00", rrule="FREQ=DAILY", timezone="UTC", hours=30)
    assert daily.at(utc("2027-01-02T03:00")) is not None
    assert daily.at(utc("2027-01-05T00:00")) is not None


@pytest.mark.parametrize(
    ("settings", "key"),
    [
        ({"start": "tomorrow"}, "start"),
        ({"start": "2027-02-30T02:00"}, "start"),
        ({"start": "2027-01-15T02:00+01:00"}, "start"),
        ({"timezone": "Mars/Olympus"}, "timezone"),
        ({"timezone": "../etc/passwd"}, "timezone"),
        ({"duration": Duration(0.0)}, "duration"),
        ({"duration": Duration(1e9)}, "duration"),
        ({"match": {str(number): "x" for number in range(20)}}, "match"),
        ({"rrule": "FREQ=SECONDLY"}, "rrule"),
        ({"rrule": "FREQ=DAILY;BYHOUR=3"}, "rrule"),
        ({"rrule": "FREQ=DAILY;FREQ=DAILY"}, "rrule"),
        ({"rrule": "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30"}, "rrule"),
        ({"rrule": "FREQ=DAILY;BYMONTH=13"}, "rrule"),
        ({"rrule": "FREQ=MONTHLY;BYDAY=6MO"}, "rrule"),
        ({"rrule": "FREQ=DAILY;UNTIL=20200101T000000"}, "rrule"),
        ({"rrule": "FREQ=DAILY;INTERVAL=0"}, "rrule"),
        ({"rrule": "FREQ=DAILY;COUNT=x"}, "rrule"),
        ({"rrule": "every day"}, "rrule"),
    ],
)
def test_what_is_wrong_is_named(settings: dict[str, object], key: str) -> None:
    given = {"start": "2027-01-15T02:00", "duration": Duration(60.0)} | settings
    wrong = MaintenanceSettings(**given)  # type: ignore[arg-type]
    assert [problem.path for problem in problems(wrong)] == [(key,)]
    with pytest.raises(ValueError, match="maintenance"):
        Window(wrong)
