"""A refusal is justified, and says when it will not be any more."""

from __future__ import annotations

from dataclasses import replace
from random import Random

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from holdfast.execution.core.admission import Load, admit
from holdfast.execution.core.settings import AdmissionSettings

BOUNDS = AdmissionSettings()
BACKLOG = st.integers(0, 10**12)


@given(BACKLOG, BACKLOG, st.floats(1e3, 1e8), st.floats(0.001, 1000), st.floats(0, 1000), st.integers(0, 2**32))
@settings(max_examples=100, deadline=None)
def test_whoever_comes_back_when_told_is_let_in_if_the_queue_was_worked_off_meanwhile(
    own_us: int, others_us: int, rate: float, weight: float, other_weights: float, seed: int
) -> None:
    load = Load(
        tenant_backlog_us=own_us,
        total_backlog_us=own_us + others_us,
        drain_us_per_s=rate,
        weight=weight,
        other_weights=other_weights,
    )
    refused = admit(load, now=0.0, rng=Random(seed), settings=BOUNDS)
    share = weight / (weight + other_weights)
    too_long = own_us > 60 * rate * share or load.total_backlog_us > 120 * rate
    assert (refused is not None) == too_long
    if refused is not None:
        assert refused.retry_after_s is not None
        assume(refused.retry_after_s < 2_400)  # from there on the hour that is the longest may cut it
        own = refused.reason == "tenant_backlog"
        left_us = load.tenant_backlog_us if own else load.total_backlog_us
        left_us = max(0, round(left_us - refused.retry_after_s * rate * (share if own else 1.0)))
        later = replace(load, tenant_backlog_us=left_us) if own else replace(load, total_backlog_us=left_us)
        again = admit(later, now=0.0, rng=Random(seed), settings=BOUNDS)
        assert again is None or again.reason != refused.reason


@given(st.floats(1e-3, 1e9), st.floats(0.001, 1e6), st.floats(0, 1e6), st.floats(0, 1e9))
@settings(max_examples=50, deadline=None)
def test_where_nothing_is_queued_a_job_is_accepted(rate: float, weight: float, others: float, now: float) -> None:
    load = Load(tenant_backlog_us=0, total_backlog_us=0, drain_us_per_s=rate, weight=weight, other_weights=others)
    assert admit(load, now=now, rng=Random(1), settings=BOUNDS) is None
