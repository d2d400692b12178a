"""A monitor over time, by HTTP."""

from __future__ import annotations

import pytest

from tests.integration.netpulse.api.harness import looped, running


@looped
async def test_checks_come_in_pages_newest_first() -> None:
    async with running() as api:
        first = await api.ok("GET", "/v1/monitors/web/checks?limit=10", key="viewer")
        second = await api.ok("GET", f"/v1/monitors/web/checks?limit=10&cursor={first['next']}", key="viewer")
        times = [each["at"] for each in first["checks"] + second["checks"]]
        assert times == sorted(times, reverse=True)
        assert len(times) == 20
        assert first["checks"][0]["outcome"] in {"up", "down", "unknown"}
        assert set(first["checks"][0]["phases_ms"]) <= {"resolve", "connect", "tls", "first_byte", "transfer"}


@looped
async def test_a_stretch_of_time_is_given_as_times_or_as_ages() -> None:
    async with running() as api:
        page = await api.ok("GET", "/v1/monitors/web/checks?since=2m")
        assert 8 <= len(page["checks"]) <= 20
        none = await api.ok(
            "GET", "/v1/monitors/web/checks?since=2020-01-01T00:00:00Z&until=2020-01-01T01:00:00%2B00:00"
        )
        assert none["next"] is None or none["checks"]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("checks?since=yesterday", "since"),
        ("checks?until=2026-13-01T00:00:00Z", "until"),
        ("checks?since=1h&until=2h", "since"),
        ("checks?since=20000d", "since"),
        ("checks?cursor=nonsense", "cursor"),
        ("checks?limit=100000", "limit"),
        ("metrics?step=1s", "step"),
        ("metrics?step=often", "step"),
        ("days?days=100000", "days"),
    ],
)
@looped
async def test_a_question_that_makes_no_sense_is_refused_by_its_parameter(query: str, field: str) -> None:
    async with running() as api:
        problem = await api.refused("GET", f"/v1/monitors/web/{query}")
        assert (problem["status"], problem["field"]) == (422, field)


@looped
async def test_metrics_are_a_series_for_each_region() -> None:
    async with running() as api:
        body = await api.ok("GET", "/v1/monitors/web/metrics?since=6h&step=15m")
        assert body["step_s"] == 900.0
        assert set(body["regions"]) == {"ap", "eu", "sa", "us"}
        bar = body["regions"]["eu"][0]
        assert bar["p50_ms"] <= bar["p95_ms"] <= bar["p99_ms"]
        assert set(bar["phases_ms"]) == {"resolve", "connect", "tls", "first_byte", "transfer"}
        assert 200 <= len((await api.ok("GET", "/v1/monitors/web/metrics"))["regions"]["eu"]) <= 301


@looped
async def test_the_sla_has_uptime_percentiles_and_what_is_promised() -> None:
    async with running() as api:
        body = await api.ok("GET", "/v1/monitors/checkout/sla")
        assert set(body["uptime"]) == set(body["downtime_s"]) == set(body["checks"]) == {"24h", "7d", "30d", "90d"}
        assert body["downtime_s"]["24h"] == pytest.approx(720, abs=5)
        assert body["checks"]["24h"]["good"] < body["checks"]["24h"]["all"]
        assert body["objective"]["target"] == 0.9995
        assert body["regions"]["eu"]["p99_ms"] is None or body["regions"]["eu"]["p99_ms"] > 0
        assert (await api.ok("GET", "/v1/monitors/db/sla"))["objective"] is None


@looped
async def test_days_are_bars_of_downtime() -> None:
    async with running() as api:
        body = await api.ok("GET", "/v1/monitors/checkout/days")
        assert len(body["days"]) == 90
        assert body["days"] == sorted(body["days"], key=lambda each: each["day"])
        assert sum(each["downtime_s"] for each in body["days"][-2:]) >= 719
        assert len((await api.ok("GET", "/v1/monitors/checkout/days?days=7"))["days"]) == 7
