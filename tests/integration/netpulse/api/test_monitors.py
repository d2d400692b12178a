"""Monitors by HTTP: what is shown to whom, and what is taken."""

from __future__ import annotations

from typing import Any

import pytest

from tests.integration.netpulse.api.harness import looped, running

NEW = {"id": "shop-api", "http": {"url": "https://api.example.com/", "bearer_token": "s3cret-token"}, "interval": "1m"}


@looped
async def test_monitors_are_listed_by_id_with_their_bars() -> None:
    async with running() as api:
        body = await api.ok("GET", "/v1/monitors", key="viewer")
        ids = [each["id"] for each in body["monitors"]]
        assert ids == sorted(ids)
        assert {"web", "checkout", "landing"} <= set(ids)
        assert "theirs" not in ids
        assert body["next"] is None
        assert len(next(each for each in body["monitors"] if each["id"] == "web")["beats"]) == 60


@looped
async def test_a_list_can_be_narrowed_and_paged() -> None:
    async with running() as api:
        down = await api.ok("GET", "/v1/monitors?state=down&beats=false")
        assert {each["state"] for each in down["monitors"]} == {"down"}
        assert all(each["beats"] == [] for each in down["monitors"])
        first = await api.ok("GET", "/v1/monitors?limit=5")
        assert len(first["monitors"]) == 5
        second = await api.ok("GET", f"/v1/monitors?limit=500&after={first['next']}")
        assert not {each["id"] for each in first["monitors"]} & {each["id"] for each in second["monitors"]}
        everything = await api.ok("GET", "/v1/monitors")
        assert first["monitors"] + second["monitors"] == everything["monitors"]


@looped
async def test_a_new_monitor_is_made_written_down_and_its_secret_is_not_given_back() -> None:
    async with running() as api:
        reply = await api.ask("POST", "/v1/monitors", key="editor", json=NEW)
        assert reply.status == 201
        assert reply.headers["location"] == "/v1/monitors/shop-api"
        assert reply.json()["spec"]["http"] == {"url": "https://api.example.com/", "bearer_token": "***"}
        assert b"s3cret" not in reply.body
        assert b"s3cret" not in (await api.ask("GET", "/v1/monitors/shop-api")).body
        assert api.actions == [("k-editor", "monitor.create", "shop-api")]
        assert "s3cret" not in str(api.identities.trail)
        assert "shop-api" in [each["id"] for each in (await api.ok("GET", "/v1/monitors"))["monitors"]]


@looped
async def test_whoever_only_reads_is_not_shown_the_settings() -> None:
    async with running() as api:
        assert "spec" not in await api.ok("GET", "/v1/monitors/landing", key="viewer")
        assert "spec" in await api.ok("GET", "/v1/monitors/landing", key="editor")


@looped
async def test_a_second_monitor_of_the_same_id_is_a_conflict_and_changes_nothing() -> None:
    async with running() as api:
        await api.ok("POST", "/v1/monitors", json=NEW)
        problem = await api.refused("POST", "/v1/monitors", json=NEW | {"interval": "5m"})
        assert (problem["status"], problem["type"]) == (409, "/problems/conflict")
        assert (await api.ok("GET", "/v1/monitors/shop-api"))["interval_s"] == 60.0


@looped
async def test_the_same_put_twice_gives_the_same_and_a_mask_keeps_the_secret() -> None:
    async with running() as api:
        spec = {"http": {"url": "https://api.example.com/v2", "bearer_token": "s3cret-token"}}
        assert (await api.ask("PUT", "/v1/monitors/mine", json=spec)).status == 201
        again = {"http": {"url": "https://api.example.com/v3", "bearer_token": "***"}}
        first = await api.ok("PUT", "/v1/monitors/mine", json=again)
        second = await api.ok("PUT", "/v1/monitors/mine", json=again)
        assert first["spec"] == second["spec"]
        http = api.netpulse.spec("default", "mine").http
        assert http is not None
        assert (http.bearer_token, http.url) == ("s3cret-token", "https://api.example.com/v3")


@pytest.mark.parametrize(
    "http",
    [
        {"url": "https://evil.example.com/", "bearer_token": "***"},
        {"url": "http://api.example.com/", "bearer_token": "***"},
        {"url": "https://api.example.com:444/", "bearer_token": "***"},
        {"url": "https://api.example.com/", "bearer_token": "***", "verify": False},
    ],
)
@looped
async def test_a_kept_secret_goes_nowhere_else(http: dict[str, Any]) -> None:
    async with running() as api:
        await api.ok("POST", "/v1/monitors", json=NEW)
        problem = await api.refused("PUT", "/v1/monitors/shop-api", key="editor", json={"http": http})
        assert problem["status"] == 422
        assert problem["field"] == "http.bearer_token"
        kept = api.netpulse.spec("default", "shop-api").http
        assert kept is not None
        assert kept.url == "https://api.example.com/"


@looped
async def test_a_monitor_of_the_file_is_read_only_and_says_where_it_is_written() -> None:
    async with running() as api:
        spec = {"http": {"url": "https://www.example.com/"}}
        for method, path, body in (("PUT", "/v1/monitors/web", spec), ("DELETE", "/v1/monitors/web", None)):
            problem = await api.refused(method, path, json=body)
            assert (problem["status"], problem["type"]) == (409, "/problems/read-only")
            assert "netpulse.monitors.web" in problem["detail"]
        assert api.actions == []


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"htp": {}}, "htp"),
        ({"http": {"url": "https://x.example.com/", "verfy": True}}, "http.verfy"),
        ({"interval": 30}, "interval"),
        ({"interval": "30"}, "interval"),
        ({"timeout": "2m", "interval": "1m"}, "timeout"),
        ({"http": {"url": "ftp://x"}}, "http.url"),
        ({"regions": ["eu", "mars"]}, "regions[1]"),
        ({"depends_on": ["nothing"]}, "depends_on[0]"),
        ({"http": {"url": "https://x.example.com/", "bearer_token": "***"}}, "http.bearer_token"),
        ({"http": {"url": "https://x.example.com/", "ca_file": "/etc/shadow"}}, "http.ca_file"),
        ({"http": None, "command": {"argv": ["/bin/sh"]}}, "command"),
    ],
)
@looped
async def test_what_is_wrong_is_refused_with_its_path_and_a_remedy(change: dict[str, Any], path: str) -> None:
    async with running() as api:
        problem = await api.refused("POST", "/v1/monitors", json=NEW | change)
        assert problem["status"] == 422
        assert problem["field"] == path
        assert problem["errors"][0]["path"] == path
        assert all(each["remedy"] for each in problem["errors"])


@looped
async def test_every_problem_of_a_monitor_is_told_at_once() -> None:
    async with running() as api:
        body = {"id": "x", "http": {"url": "nope", "status": ["9xx"]}, "regions": ["mars"]}
        problem = await api.refused("POST", "/v1/monitors", json=body)
        assert {"http.url", "http.status[0]", "regions[0]"} <= {each["path"] for each in problem["errors"]}


@looped
async def test_only_an_admin_lets_a_monitor_reach_inside() -> None:
    async with running() as api:
        inside = NEW | {"allow_private": True}
        problem = await api.refused("POST", "/v1/monitors", key="editor", json=inside)
        assert problem["field"] == "allow_private"
        await api.ok("POST", "/v1/monitors", key="admin", json=inside)
        body = {name: value for name, value in inside.items() if name != "id"}
        path = f"/v1/monitors/{inside['id']}"
        await api.ok("PUT", path, key="editor", json=body | {"name": "Inside"})
        elsewhere = body | {"http": {"url": "http://169.254.169.254/latest"}}
        problem = await api.refused("PUT", path, key="editor", json=elsewhere)
        assert problem["field"] == "allow_private"
        await api.ok("PUT", path, key="admin", json=elsewhere)


@looped
async def test_the_token_of_a_heartbeat_is_told_once() -> None:
    async with running() as api:
        token = "made-by-the-one-who-asks"
        body = {"id": "job", "heartbeat": {"period": "1h", "token": token}}
        made = await api.ok("POST", "/v1/monitors", json=body)
        assert made["heartbeat_path"] == f"/v1/heartbeats/{token}"
        assert made["spec"]["heartbeat"]["token"] == "***"
        again = await api.ok("PUT", "/v1/monitors/job", json={"heartbeat": {"period": "1h"}})
        assert "heartbeat_path" not in again
        assert (await api.ask("GET", f"/v1/heartbeats/{token}", key=None)).status == 200


@looped
async def test_a_monitor_is_removed_by_an_admin() -> None:
    async with running() as api:
        assert (await api.refused("DELETE", "/v1/monitors/landing", key="editor"))["status"] == 403
        assert (await api.ask("DELETE", "/v1/monitors/landing")).status == 204
        assert (await api.refused("GET", "/v1/monitors/landing"))["status"] == 404
        assert api.actions == [("k-admin", "monitor.delete", "landing")]


@pytest.mark.parametrize("path", ["", "/checks", "/metrics", "/sla", "/days"])
@looped
async def test_another_tenants_monitor_does_not_exist(path: str) -> None:
    async with running() as api:
        theirs = await api.refused("GET", f"/v1/monitors/theirs{path}", key="owner")
        nobodys = await api.refused("GET", f"/v1/monitors/nobodys{path}", key="owner")
        assert theirs["status"] == nobodys["status"] == 404
        assert theirs["detail"].replace("theirs", "") == nobodys["detail"].replace("nobodys", "")
        await api.ok("GET", f"/v1/monitors/theirs{path}", key="other")
