"""A bucket keeps its promise in every window, and its word about when to come back."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.resilience import RateLimit


@given(st.floats(0.1, 1000), st.integers(1, 50), st.lists(st.tuples(st.floats(0, 2), st.integers(1, 5)), max_size=60))
@settings(max_examples=100, deadline=None)
def test_no_window_gets_more_than_burst_and_rate(per_s: float, burst: int, asked: list[tuple[float, int]]) -> None:
    limit, now = RateLimit(per_s, burst), 0.0
    granted: list[tuple[float, int]] = []
    for passed, count in asked:
        now += passed
        wait_s = limit.take(now, count)
        if wait_s == 0:
            granted.append((now, count))
        else:
            assert granted_at(limit, now + wait_s, count)
    for start, _ in granted:
        taken = sum(count for at, count in granted if at >= start)
        # One request larger than the bucket may overdraw it.
        assert taken <= burst + per_s * (now - start) + 5 + 1e-6


def granted_at(limit: RateLimit, at: float, count: int) -> bool:
    """Whether a limit in the same state grants this at that time; it is asked a copy."""
    copy = RateLimit(limit._per_s, limit._burst)
    copy._tokens, copy._at = limit._tokens, limit._at
    return copy.take(at, count) == 0
