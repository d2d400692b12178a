"""The scale signal follows the queue without flapping, and never leaves work behind."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.execution.core.ports import QueueState
from holdfast.execution.core.scaling import scale
from holdfast.execution.core.settings import ScalingSettings

SCALING = ScalingSettings()
LOOKS = st.lists(
    st.tuples(st.floats(0.1, 40.0), st.integers(0, 10**9), st.integers(0, 10), st.integers(0, 10)),
    min_size=1,
    max_size=40,
)


@given(LOOKS, st.integers(0, 3), st.integers(3, 9))
@settings(max_examples=100, deadline=None)
def test_bounds_floors_and_cooldowns_hold(looks: list[tuple[float, int, int, int]], least: int, most: int) -> None:
    bounds = ScalingSettings(min_workers=least, max_workers=most)
    state, now, before, changed = None, 0.0, None, -1e9
    needs: list[tuple[float, int]] = []
    for passed, backlog_us, workers, busy in looks:
        now += passed
        queue = QueueState(
            queued=int(backlog_us > 0),
            running=busy,
            backlog_us=backlog_us,
            oldest_s=0.0,
            slots=4 * workers,
            workers=workers,
            drain_us_per_s=4e6,
        )
        state, signal = scale(state, queue, busy_workers=busy, now=now, settings=bounds)
        needs.append((now, signal.needed_workers))
        wanted = signal.wanted_workers
        assert least <= wanted <= most
        assert wanted >= min(busy, most)
        assert wanted or not queue.queued
        if before is not None and wanted > before:
            assert before == 0 or now - changed >= bounds.up_cooldown or wanted == min(busy, most)
        if before is not None and wanted < before:
            recent = [need for at, need in needs if at >= now - bounds.down_cooldown]
            assert wanted >= max(recent)
            assert now - needs[0][0] >= bounds.down_cooldown
        if before is not None and wanted != before and wanted != min(busy, most):
            changed = now
        before = wanted


@given(LOOKS)
@settings(max_examples=50, deadline=None)
def test_an_idle_queue_comes_to_zero_and_stays_there(looks: list[tuple[float, int, int, int]]) -> None:
    state, now = None, 0.0
    for passed, backlog_us, workers, busy in [*looks, *[(30.0, 0, 1, 0)] * 10]:
        now += passed
        queue = QueueState(
            queued=int(backlog_us > 0),
            running=busy,
            backlog_us=backlog_us,
            oldest_s=0.0,
            slots=4 * workers,
            workers=workers,
            drain_us_per_s=4e6,
        )
        state, signal = scale(state, queue, busy_workers=busy, now=now, settings=SCALING)
    assert signal.wanted_workers == 0
