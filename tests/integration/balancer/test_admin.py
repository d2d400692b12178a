"""The admin plane over HTTP: who may ask, and what is answered."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from holdfast.balancer.core.settings import BackendSettings, HealthSettings, PoolSettings
from tests.integration.balancer.harness import Answer, settings

Start = Callable[..., Any]


def run(scenario: Callable[[], Coroutine[Any, Any, None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(60):
            await scenario()

    asyncio.run(bounded())


def refused(answer: Answer, status: int, where: str) -> None:
    assert (answer.status, answer.json()["where"]) == (status, where)
    assert set(answer.json()) == {"error", "where", "remedy"}


def test_a_token_guards_everything_but_the_probes(start: Start) -> None:
    async def scenario() -> None:
        async with start(settings(admin_token="s3cret", workers=1)) as running:
            assert (await running.ask("GET", "/healthz")).status == 200
            assert (await running.ask("GET", "/readyz")).status == 200
            for path in ("/metrics", "/admin/backends", "/admin/config", "/schema", "/nowhere"):
                answer = await running.ask("GET", path)
                refused(answer, 401, "Authorization")
                assert answer.headers["www-authenticate"] == 'Bearer realm="holdfast"'
            for wrong in ("s3cret", "Bearer s3cre", "Bearer s3crets", "Basic s3cret", "Bearer \xfc"):
                refused(await running.ask("GET", "/metrics", headers={"authorization": wrong}), 401, "Authorization")
            right = {"authorization": "Bearer s3cret", "host": "balancer.example.com"}
            assert (await running.ask("GET", "/metrics", headers=right)).status == 200
            config = (await running.ask("GET", "/admin/config", headers=right)).json()
            assert config["admin_token"] == "***"
            running.next_settings(settings(admin_token="other", workers=1))
            assert (await running.ask("POST", "/admin/reload", headers=right)).status == 200
            refused(await running.ask("GET", "/metrics", headers=right), 401, "Authorization")

    run(scenario)


def test_a_browser_cannot_be_used_against_a_plane_on_loopback(start: Start) -> None:
    """Neither by a name that resolves to it nor by a form or script on another page."""

    async def scenario() -> None:
        async with start(settings(workers=1)) as running:
            for host in ("evil.example.com", "evil.example.com:8081", "127.0.0.1.evil.example.com", ""):
                refused(await running.ask("GET", "/admin/backends", headers={"host": host}), 403, "Host")
            for host in ("localhost", "LOCALHOST:1", "127.0.0.1:8081", "[::1]:8081"):
                assert (await running.ask("GET", "/admin/backends", headers={"host": host})).status == 200
            path, drain = "/admin/backends/web/b", {"action": "drain"}
            for origin in ("http://evil.example.com", "null", f"http://{running.admin}.evil.example.com"):
                refused(await running.ask("POST", path, drain, headers={"origin": origin}), 403, "Origin")
            for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""):
                refused(await running.ask("POST", path, drain, headers={"content-type": kind}), 415, "Content-Type")
            bare = {"content-type": "", "origin": f"http://{running.admin}"}
            refused(await running.ask("POST", "/admin/reload", headers=bare), 415, "Content-Type")
            assert (await running.ask("POST", "/admin/reload", headers={"content-type": ""})).status == 200
            own = {"origin": f"http://{running.admin}", "content-type": "application/json; charset=utf-8"}
            assert (await running.ask("POST", path, drain, headers=own)).status == 200

    run(scenario)


def test_bodies_are_bounded(start: Start) -> None:
    async def scenario() -> None:
        async with start(settings(workers=1)) as running:
            big = b'{"pool": "' + b"x" * (64 * 1024) + b'"}'
            answer = await running.ask("POST", "/admin/strategy", raw=big)
            assert answer.status == 413
            assert set(answer.json()) == {"error", "where", "remedy"}

    run(scenario)


@pytest.mark.parametrize(
    ("method", "path", "raw", "status"),
    [
        ("GET", "/nowhere", b"", 404),
        ("GET", "/admin/explain", b"", 400),
        ("GET", "/admin/explain?pool=web&backend=z", b"", 404),
        ("POST", "/admin/strategy", b"{", 400),
        ("POST", "/admin/strategy", b'{"pool": "web", "strategy": "fastest"}', 400),
        ("POST", "/admin/strategy", b'{"pool": "web"}', 400),
        ("POST", "/admin/config", b"{}", 405),
        ("GET", "/admin/reload", b"", 405),
    ],
)
def test_a_mistake_is_answered_with_what_where_and_remedy(
    start: Start, method: str, path: str, raw: bytes, status: int
) -> None:
    async def scenario() -> None:
        async with start(settings(workers=1)) as running:
            answer = await running.ask(method, path, raw=raw)
            assert answer.status == status
            assert set(answer.json()) == {"error", "where", "remedy"}

    run(scenario)


def test_a_browser_gets_a_page_and_everybody_else_json(start: Start) -> None:
    async def scenario() -> None:
        async with start(settings(workers=1)) as running:
            browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
            page = await running.ask("GET", "/admin/backends", headers={"accept": browser})
            assert page.headers["content-type"].startswith("text/html")
            assert "default-src 'none'" in page.headers["content-security-policy"]
            assert b"<!doctype html>" in page.body
            style = await running.ask("GET", "/admin/style.css")
            assert style.headers["content-type"].startswith("text/css")
            for accept in ("*/*", "application/json", "application/json, text/html"):
                answer = await running.ask("GET", "/admin/backends", headers={"accept": accept})
                backends = answer.json()["pools"]["web"]["backends"]
                assert [backend["id"] for backend in backends] == ["a", "b"]

    run(scenario)


def test_the_effective_configuration_has_defaults_and_units_and_no_secrets(start: Start) -> None:
    async def scenario() -> None:
        pool = PoolSettings(
            backends=(BackendSettings(id="a", url="http://user:pass@127.0.0.1:9"),),
            health=HealthSettings(enabled=False),
        )
        async with start(settings(workers=1, pools={"web": pool})) as running:
            config = (await running.ask("GET", "/admin/config")).json()
            assert config["pools"]["web"]["timeout"] == "10s"
            assert config["limits"]["header_block"] == "32KiB"
            assert config["pools"]["web"]["backends"][0]["url"] == "http://***@127.0.0.1:9"
            assert config["admin_token"] is None

    run(scenario)


def test_the_schema_lists_every_endpoint(start: Start) -> None:
    async def scenario() -> None:
        async with start(settings(workers=1)) as running:
            schema = (await running.ask("GET", "/schema")).json()
            assert (await running.ask("GET", "/schema/openapi.json")).json() == schema
            assert {(path, method) for path, methods in schema["paths"].items() for method in methods} == {
                ("/healthz", "get"),
                ("/readyz", "get"),
                ("/metrics", "get"),
                ("/admin/backends", "get"),
                ("/admin/explain", "get"),
                ("/admin/strategy", "get"),
                ("/admin/strategy", "post"),
                ("/admin/backends/{pool}/{backend}", "post"),
                ("/admin/events", "get"),
                ("/admin/reload", "post"),
                ("/admin/config", "get"),
            }

    run(scenario)


def test_a_stream_that_its_reader_left_is_given_up(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("holdfast.balancer.shell.admin.HEARTBEAT_S", 0.05)

    async def scenario() -> None:
        async with start(settings(workers=1)) as running:
            host, _, port = running.admin.rpartition(":")
            reader, writer = await asyncio.open_connection(host, int(port))
            writer.write(f"GET /admin/events HTTP/1.1\r\nhost: {running.admin}\r\n\r\n".encode())
            await reader.readuntil(b": still here")
            assert len(running.master.events._subscribers) == 1
            writer.close()
            await running.until(lambda: not running.master.events._subscribers)

    run(scenario)


def test_one_stream_too_many_is_refused_and_a_drain_ends_all(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("holdfast.balancer.shell.events.SUBSCRIBERS", 1)

    async def scenario() -> None:
        async with start(settings(workers=1)) as running:
            host, _, port = running.admin.rpartition(":")
            reader, writer = await asyncio.open_connection(host, int(port))
            writer.write(f"GET /admin/events HTTP/1.1\r\nhost: {running.admin}\r\n\r\n".encode())
            await reader.readuntil(b": holdfast events")
            refused(await running.ask("GET", "/admin/events"), 503, "/admin/events")
            running.master.stop()
            assert b"event: drain" in await reader.read()
            writer.close()

    run(scenario)
