"""Any stretch of time is covered once, by few buckets, from what is kept."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from holdfast.netpulse.shell.records.reading import BUCKETS, fitting, pieces

times = st.integers(0, 100 * 86_400).map(float)


@given(times, times)
def test_pieces_cover_a_stretch_to_the_minute_without_gap_or_overlap(since: float, length: float) -> None:
    found = pieces(since, since + length, {})
    assert all(begin % size == 0 and end % size == 0 and begin < end for size, begin, end in found)
    assert all(left[2] == right[1] for left, right in pairwise(found))
    if found:
        assert 0 <= since - found[0][1] < 60
        assert 0 <= found[-1][2] - (since + length) < 60
    assert sum((end - begin) // size for size, begin, end in found if size < 86_400) <= 2 * (59 + 23) + 24


@given(times, times, times)
def test_pieces_use_only_what_is_kept(since: float, length: float, kept: float) -> None:
    for size, begin, _ in pieces(since, since + length, {60: kept, 3600: kept / 2}):
        assert begin >= {60: kept, 3600: kept / 2, 86_400: 0.0}[size] // size * size


@given(times, st.floats(60, 1e8), st.floats(0.001, 1e6), times)
def test_steps_are_whole_buckets_and_not_too_many(since: float, length: float, step_s: float, kept: float) -> None:
    size, step = fitting(since, since + length, step_s, {60: kept, 3600: kept / 2})
    assert step % size == 0
    assert step >= step_s or size > 60
    assert length / step <= BUCKETS


def test_the_coarsest_that_gives_the_same_is_read() -> None:
    assert fitting(0.0, 86_400.0, 3600.0, {}) == (3600, 3600)
    assert fitting(0.0, 86_400.0, 5400.0, {}) == (60, 5400)
    assert fitting(0.0, 86_400.0, 86_400.0, {}) == (86_400, 86_400)
    assert fitting(0.0, 86_400.0, 60.0, {60: 1.0}) == (3600, 3600)
