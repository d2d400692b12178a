"""Time that passes when a test says so."""

from __future__ import annotations

import datetime as dt

import pytest

from holdfast.testing import FakeClock


def test_time_stands_still_until_it_is_advanced() -> None:
    clock = FakeClock(monotonic=5.0, utc=dt.datetime(2030, 1, 1, tzinfo=dt.UTC))
    assert (clock.monotonic(), clock.monotonic()) == (5.0, 5.0)
    clock.advance(1.5)
    assert clock.monotonic() == 6.5
    assert clock.utc() == dt.datetime(2030, 1, 1, 0, 0, 1, 500_000, tzinfo=dt.UTC)


def test_time_never_goes_back() -> None:
    with pytest.raises(ValueError, match="cannot go back"):
        FakeClock().advance(-0.1)
