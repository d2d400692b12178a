"""Whether a job is queued, how fast the queue drains, and how fast a tenant may ask."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from holdfast.execution.core.admission import Load, admit, drain_us_per_s, too_fast
from holdfast.execution.core.ports import Refused
from holdfast.execution.core.settings import AdmissionSettings
from holdfast.kernel import Duration, Size

S = 1_000_000
NOON = 20_000 * 86_400 + 43_200.0
BOUNDS = AdmissionSettings()


def ask(settings: AdmissionSettings = BOUNDS, seed: int = 1, **figures: Any) -> Refused | None:
    defaults: dict[str, Any] = {"tenant_backlog_us": 0, "total_backlog_us": 0, "drain_us_per_s": 4.0 * S, "weight": 1.0}
    return admit(Load(**{**defaults, **figures}), now=NOON, rng=Random(seed), settings=settings)


def refused(**figures: Any) -> Refused:
    outcome = ask(**figures)
    assert outcome is not None
    return outcome


def test_an_idle_system_accepts_a_job() -> None:
    assert ask() is None
    assert ask(drain_us_per_s=1e-9) is None


def test_a_tenant_is_refused_when_its_queue_takes_more_than_a_minute() -> None:
    assert ask(tenant_backlog_us=240 * S, total_backlog_us=240 * S) is None
    assert refused(tenant_backlog_us=240 * S + 1, total_backlog_us=240 * S).reason == "tenant_backlog"


def test_the_share_of_a_tenant_shrinks_with_the_weights_of_others() -> None:
    assert refused(tenant_backlog_us=61 * S, other_weights=3.0).reason == "tenant_backlog"
    assert ask(tenant_backlog_us=61 * S, other_weights=3.0, weight=2.0) is None


def test_all_are_refused_when_the_whole_queue_takes_more_than_two_minutes() -> None:
    assert ask(total_backlog_us=480 * S) is None
    assert refused(total_backlog_us=481 * S).reason == "total_backlog"


def test_a_refusal_names_the_figures() -> None:
    outcome = refused(tenant_backlog_us=500 * S, other_weights=1.0)
    assert "500.0 s of CPU time" in outcome.detail
    assert "takes 250 s at 2.00 s per second" in outcome.detail
    assert "the bound is 60 s" in outcome.detail


def test_nobody_is_told_to_come_back_before_it_helps_or_all_at_once() -> None:
    waits = {refused(seed=seed, total_backlog_us=880 * S).retry_after_s for seed in range(200)}
    assert min(filter(None, waits)) >= 100
    assert max(filter(None, waits)) <= 151
    assert len(waits) > 30


def test_a_short_queue_is_told_one_second_at_least() -> None:
    assert refused(total_backlog_us=480 * S + 1).retry_after_s == 1


def test_storage_running_short_refuses_everybody() -> None:
    outcome = refused(free_bytes=511 * 2**20)
    assert outcome.reason == "storage"
    assert outcome.detail == "the store has 511 MiB of room left; jobs are accepted from 512MiB on"
    assert ask(free_bytes=512 * 2**20) is None
    assert ask(AdmissionSettings(min_free=Size(0)), free_bytes=0) is None


def test_the_daily_quota_counts_what_is_queued_and_ends_at_midnight() -> None:
    outcome = refused(used_today_us=86_400 * S - 5, tenant_backlog_us=5)
    assert outcome.reason == "daily_cpu"
    assert outcome.retry_after_s is not None
    assert 43_200 <= outcome.retry_after_s <= 43_500
    assert ask(used_today_us=86_400 * S - 6, tenant_backlog_us=5) is None


def test_a_daily_quota_of_nothing_is_none() -> None:
    assert ask(AdmissionSettings(daily_cpu=Duration(0.0)), used_today_us=10**15) is None


def test_the_drain_rate_is_the_capacity_while_nothing_was_measured() -> None:
    assert drain_us_per_s(0, 0.0, 4) == 4 * S


def test_without_a_worker_one_slot_is_assumed() -> None:
    assert drain_us_per_s(0, 0.0, 0) == 1 * S


def test_the_drain_rate_follows_what_was_charged() -> None:
    assert drain_us_per_s(120 * S, 60.0, 4) == pytest.approx((120 + 40) / 70 * S)


def test_a_burst_of_long_jobs_is_not_taken_for_standstill() -> None:
    assert drain_us_per_s(0, 50.0, 4) > 0.6 * S


def test_submitting_too_fast_is_a_refusal_with_the_wait() -> None:
    outcome = too_fast(2.0, Random(1), BOUNDS)
    assert outcome.reason == "submit_rate"
    assert outcome.retry_after_s is not None
    assert 2.0 <= outcome.retry_after_s <= 3.0
