"""Regions, channels, simulation, summary, alerts of another system, health."""

from __future__ import annotations

from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from holdfast.netpulse.core.incident import Notice
from tests.integration.netpulse.api.harness import looped, running

ALERT = {
    "status": "firing",
    "labels": {"alertname": "DiskFull", "instance": "h3"},
    "annotations": {"summary": "The disk of h3 is full"},
    "startsAt": "2026-01-01T00:00:00.123456789Z",
    "endsAt": "0001-01-01T00:00:00Z",
    "generatorURL": "http://prometheus/graph",
    "fingerprint": "c4f1a1b2c3d4e5f6",
}
WEBHOOK = {"version": "4", "groupKey": "{}", "status": "firing", "receiver": "holdfast", "alerts": [ALERT]}


@looped
async def test_the_summary_counts_monitors_by_state() -> None:
    async with running() as api:
        body = await api.ok("GET", "/v1/summary", key="viewer")
        assert body["monitors"]["down"] == 5
        assert body["regions"]["ap"] == "blind"


@looped
async def test_regions_show_their_agents() -> None:
    async with running() as api:
        regions = {each["region"]: each for each in await api.ok("GET", "/v1/regions")}
        assert regions["ap"]["state"] == "blind"
        assert regions["eu"]["agents"][0]["agent"] == "eu-1"


@looped
async def test_channels_are_names_and_kinds_and_no_more_and_only_their_tenants() -> None:
    async with running() as api:
        reply = await api.ask("GET", "/v1/channels", key="viewer")
        assert {"id": "ops", "kind": "slack"} in reply.json()["channels"]
        assert all(set(each) == {"id", "kind"} for each in reply.json()["channels"])
        assert (await api.ok("GET", "/v1/channels", key="other"))["channels"] == []
        assert (await api.refused("POST", "/v1/channels/ops/test", key="other"))["status"] == 404


@looped
async def test_a_channel_is_tried_through_the_outbox_and_what_became_of_it_can_be_asked() -> None:
    async with running() as api:
        made = await api.ok("POST", "/v1/channels/ops/test")
        assert made["state"] == "waiting"
        notice = Notice(
            key=made["key"],
            incident="",
            tenant="default",
            channel="ops",
            event="test",
            at=0,
            not_before=0,
            snapshot=None,
        )
        api.netpulse.scene.notices[""] = [(notice, "failed", "500")]
        after = await api.ok("GET", f"/v1/channels/ops/test?key={made['key']}")
        assert (after["state"], after["error"]) == ("failed", "500")
        assert (await api.refused("GET", f"/v1/channels/mail/test?key={made['key']}"))["status"] == 404
        assert api.actions == [("k-admin", "channel.test", "ops")]


@looped
async def test_tests_of_channels_are_not_a_way_to_flood_somebody() -> None:
    async with running() as api:
        statuses = [(await api.ask("POST", "/v1/channels/ops/test")).status for _ in range(6)]
        assert statuses == [202] * 5 + [429]


@looped
async def test_a_simulation_is_marked_and_ends() -> None:
    async with running() as api:
        view = await api.ok("POST", "/v1/simulate", key="editor", json={"monitor": "web", "kind": "slow", "for": "1m"})
        assert view["simulated"] == "slow"
        view = await api.ok("POST", "/v1/simulate", json={"monitor": "web", "for": "0"})
        assert view["simulated"] is None
        assert (await api.refused("POST", "/v1/simulate", json={"monitor": "theirs"}))["status"] == 404
        problem = await api.refused("POST", "/v1/simulate", json={"monitor": "web", "kind": "gone"})
        assert problem["field"] == "kind"
        problem = await api.refused("POST", "/v1/simulate", json={"monitor": "web", "for": "2d"})
        assert problem["field"] == "for"


@looped
async def test_alerts_of_alertmanager_are_taken_in_its_own_form() -> None:
    async with running() as api:
        assert (await api.ok("POST", "/v1/alertmanager", key="editor", json=WEBHOOK))["accepted"] == 1
        ((tenant, alert),) = api.netpulse.alerted
        assert (tenant, alert.title, alert.active) == ("default", "The disk of h3 is full", True)
        assert alert.labels == {"alertname": "DiskFull", "instance": "h3"}
        assert alert.starts == pytest.approx(1_767_225_600.123)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"version": "5"}, "version"),
        ({"alerts": [ALERT | {"fingerprint": "../x"}]}, "alerts[0].fingerprint"),
        ({"alerts": [ALERT, ALERT | {"status": "odd"}]}, "alerts[1].status"),
        ({"alerts": [ALERT | {"startsAt": "then"}]}, "alerts[0].startsAt"),
        ({"alerts": [ALERT | {"labels": {str(n): "x" for n in range(65)}}]}, "alerts[0].labels"),
        ({"alerts": [ALERT] * 1001}, "alerts"),
        ({"alerts": [{"status": "firing"}]}, "alerts[0].labels"),
    ],
)
@looped
async def test_alerts_in_another_form_are_refused_by_their_path(change: dict[str, Any], field: str) -> None:
    async with running() as api:
        problem = await api.refused("POST", "/v1/alertmanager", json=WEBHOOK | change)
        assert (problem["status"], problem["field"]) == (422, field)
        assert api.netpulse.alerted == []


@looped
async def test_health_and_readiness_need_no_key() -> None:
    async with running() as api:
        assert (await api.ask("GET", "/healthz", key=None)).body == b"ok\n"
        assert (await api.ask("GET", "/readyz", key=None)).body == b"ok\n"
        api.service.stop()
        assert (await api.refused("GET", "/readyz", key=None))["type"] == "/problems/shutting-down"


@looped
async def test_figures_name_monitors_only_to_whoever_may_read_them() -> None:
    async with running() as api:
        await api.ok("GET", "/v1/channels")
        reply = await api.ask("GET", "/metrics", key=None)
        assert reply.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
        nobodys = reply.body.decode()
        assert "monitor=" not in nobodys
        families = {each.name for each in text_string_to_metric_families(nobodys)}
        assert {"holdfast_netpulse_region", "holdfast_netpulse_results"} <= families
        theirs = (await api.ask("GET", "/metrics", key="viewer")).body.decode()
        assert 'holdfast_netpulse_monitor_up{group="Shop",monitor="checkout"} 0.0' in theirs
        assert 'monitor="docs"' not in "".join(
            line for line in theirs.splitlines() if line.startswith("holdfast_netpulse_monitor_up")
        )  # nothing is known of it yet
        assert (await api.ask("GET", "/metrics", key="nobody")).status == 401
