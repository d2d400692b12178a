from __future__ import annotations

import pytest

from holdfast.web.times import moment, timestamp


def test_a_time_is_written_in_utc_to_the_millisecond() -> None:
    assert timestamp(1.5) == "1970-01-01T00:00:01.500Z"
    assert timestamp(None) is None


@pytest.mark.parametrize(
    ("text", "at"),
    [("1970-01-01T00:00:01.500Z", 1.5), ("1970-01-01T02:00:00+02:00", 0.0), ("1969-12-31T23:59:59Z", -1.0)],
)
def test_a_time_is_read_with_its_offset(text: str, at: float) -> None:
    assert moment(text) == at


@pytest.mark.parametrize("text", ["", "yesterday", "2026-11-22", "2026-11-22T10:00:00", "\ud800"])
def test_what_is_no_time_or_has_no_offset_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a time; write one like"):
        moment(text)
