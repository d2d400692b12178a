"""Who may do what."""

from __future__ import annotations

import json

import pytest

from tests.integration.netpulse.api.harness import looped, running

READS = (
    "/v1/monitors",
    "/v1/monitors/web",
    "/v1/monitors/web/checks",
    "/v1/monitors/web/metrics",
    "/v1/monitors/web/sla",
    "/v1/monitors/web/days",
    "/v1/incidents",
    "/v1/silences",
    "/v1/maintenance",
    "/v1/regions",
    "/v1/channels",
    "/v1/summary",
)
EDITS = (
    ("POST", "/v1/monitors"),
    ("PUT", "/v1/monitors/landing"),
    ("POST", "/v1/incidents/inc_1/ack"),
    ("POST", "/v1/incidents/inc_1/resolve"),
    ("POST", "/v1/incidents/inc_1/notes"),
    ("POST", "/v1/silences"),
    ("DELETE", "/v1/silences/sil_cdn"),
    ("POST", "/v1/simulate"),
    ("POST", "/v1/alertmanager"),
)
ADMINISTERS = (
    ("DELETE", "/v1/monitors/landing"),
    ("POST", "/v1/maintenance"),
    ("PUT", "/v1/maintenance/x"),
    ("DELETE", "/v1/maintenance/x"),
    ("POST", "/v1/channels/ops/test"),
    ("GET", "/v1/channels/ops/test?key=x"),
)


@looped
async def test_a_viewer_reads_and_nothing_else() -> None:
    async with running() as api:
        for path in READS:
            await api.ok("GET", path, key="viewer")
        for method, path in EDITS + ADMINISTERS:
            problem = await api.refused(method, path, key="viewer", json={})
            assert (problem["status"], path) == (403, path)
        assert api.actions == []


@looped
async def test_an_editor_changes_but_does_not_administer() -> None:
    async with running() as api:
        for method, path in EDITS:
            assert (await api.ask(method, path, key="editor", json={})).status != 403
        for method, path in ADMINISTERS:
            assert (await api.refused(method, path, key="editor", json={}))["status"] == 403


@pytest.mark.parametrize("role", ["admin", "owner"])
@looped
async def test_an_admin_and_an_owner_may_everything(role: str) -> None:
    async with running() as api:
        for method, path in EDITS + ADMINISTERS:
            assert (await api.ask(method, path, key=role, json={})).status != 403


@looped
async def test_without_a_good_key_nothing_is_told() -> None:
    async with running() as api:
        for key in (None, "nobody"):
            for path in READS:
                problem = await api.refused("GET", path, key=key)
                assert (problem["status"], problem["type"]) == (401, "/problems/unauthenticated")
        assert (await api.refused("GET", "/v1/summary", key="worker"))["status"] == 403


@looped
async def test_a_public_demonstration_is_read_without_a_key_and_never_written() -> None:
    async with running(public=True) as api:
        for path in READS:
            await api.ok("GET", path, key=None)
        assert "spec" not in await api.ok("GET", "/v1/monitors/landing", key=None)
        for method, path in EDITS + ADMINISTERS:
            status = (await api.refused(method, path, key=None, json={}))["status"]
            assert (status, path) == (403 if method == "GET" else 401, path)
        # A wrong key is not nobody.
        assert (await api.refused("GET", "/v1/summary", key="nobody"))["status"] == 401
        assert api.actions == []


@looped
async def test_a_store_that_is_away_is_said_to_be() -> None:
    async with running() as api:
        api.identities.broken = True
        problem = await api.refused("GET", "/v1/summary")
        assert (problem["status"], problem["retry_after_s"]) == (503, 2.0)


@looped
async def test_a_body_that_is_too_large_or_no_json_is_refused() -> None:
    async with running() as api:
        big = json.dumps({"id": "x", "name": "y" * 300_000})
        headers = {"content-type": "application/json"}
        assert (await api.refused("POST", "/v1/monitors", data=big, headers=headers))["status"] == 413
        assert (await api.refused("POST", "/v1/monitors", data="{}", headers={"content-type": "text/plain"}))[
            "status"
        ] == 415
        assert (await api.refused("POST", "/v1/monitors", data="{", headers=headers))["status"] == 400
        assert (await api.refused("POST", "/v1/monitors", data="[" * 5000, headers=headers))["status"] in {400, 422}


@looped
async def test_a_tenant_that_asks_too_often_is_slowed_down_and_nobody_else() -> None:
    async with running() as api:
        api.service.requests._buckets._burst = 3
        api.service.requests._buckets._per_s = 0.001
        statuses = [(await api.ask("GET", "/v1/channels", key="viewer")).status for _ in range(4)]
        assert statuses == [200, 200, 200, 429]
        assert (await api.ask("GET", "/v1/channels", key="other")).status == 200


@looped
async def test_what_is_not_there_is_a_problem_too() -> None:
    async with running() as api:
        assert (await api.refused("GET", "/v1/nothing"))["status"] == 404
        assert (await api.refused("DELETE", "/v1/summary"))["status"] == 405
