"""Active health checks against scripted servers on loopback."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from random import Random
from typing import Any

import pytest
import trustme

from holdfast.balancer.core.health import ProbeResult
from holdfast.balancer.core.messages import BackendRef, Endpoint
from holdfast.balancer.core.settings import (
    BackendSettings,
    BalancerSettings,
    HealthSettings,
    PoolSettings,
    UpstreamTlsSettings,
)
from holdfast.balancer.shell.probes import HEAD_LIMIT, Prober, Target, probe, targets
from holdfast.kernel import Duration
from tests.machine import free_port

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


def run(scenario: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(scenario())


@asynccontextmanager
async def server(
    answer: bytes | None, *, host: str = "127.0.0.1", context: ssl.SSLContext | None = None
) -> AsyncIterator[tuple[str, list[bytes]]]:
    """A server that sends ``answer`` and closes; ``None`` stays silent."""
    heard: list[bytes] = []
    over = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.readuntil(b"\r\n\r\n"))
        if answer is None:
            await over.wait()
        else:
            writer.write(answer)
        writer.close()

    listener = await asyncio.start_server(serve, host, 0, ssl=context)
    port = listener.sockets[0].getsockname()[1]
    netloc = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    try:
        yield f"http{'s' if context else ''}://{netloc}", heard
    finally:
        over.set()
        listener.close()
        await listener.wait_closed()


def target(url: str, tls: UpstreamTlsSettings | None = None, **health: Any) -> Target:
    return Target(url, HealthSettings(**{"timeout": Duration(2.0), **health}), tls or UpstreamTlsSettings())


def test_a_passing_check_sends_a_plain_request_that_closes() -> None:
    async def scenario() -> None:
        async with server(OK) as (url, heard):
            result = await probe(target(url, path="/up"))
            assert (result.passed, result.kind, result.status) == (True, "pass", 200)
            assert 0 < result.latency_s < 2
            head = heard[0].decode()
            assert head.startswith("GET /up HTTP/1.1\r\n")
            assert f"\r\nHost: {url.removeprefix('http://')}\r\n" in head
            assert "\r\nConnection: close\r\n" in head

    run(scenario)


def test_the_host_header_can_be_set() -> None:
    async def scenario() -> None:
        async with server(OK) as (url, heard):
            assert (await probe(target(url, host="example.com"))).passed
            assert b"\r\nHost: example.com\r\n" in heard[0]

    run(scenario)


@pytest.mark.parametrize(
    ("answer", "kind", "status"),
    [
        (b"HTTP/1.1 503 Busy\r\n\r\n", "status", 503),
        (b"HTTP/1.1 301 Elsewhere\r\n\r\n", "status", 301),
        (b"HTTP/1.0 204\r\n\r\n", "pass", 204),
        (b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", "pass", 200),
        (b"HTTP/1.1 100 Continue\r\n\r\n" * 6, "protocol", None),
        (b"SSH-2.0-OpenSSH_9.6\r\n\r\n", "protocol", None),
        (b"HTTP/2 200\r\n\r\n", "protocol", None),
        (b"HTTP/1.1 200 OK\r\nx: " + b"y" * (2 * HEAD_LIMIT), "protocol", None),
        (b"HTTP/1.1 200 OK\r\ncontent-le", "reset", None),
        (b"", "reset", None),
    ],
)
def test_an_answer_is_judged_by_its_head(answer: bytes, kind: str, status: int | None) -> None:
    async def scenario() -> None:
        async with server(answer) as (url, _):
            result = await probe(target(url))
            assert (result.kind, result.status, result.passed) == (kind, status, kind == "pass")

    run(scenario)


def test_a_refused_connection_is_told_from_a_slow_answer() -> None:
    async def scenario() -> None:
        refused = await probe(target(f"http://127.0.0.1:{free_port()}"))
        assert refused.kind == "connect"
        async with server(None) as (url, _):
            slow = await probe(target(url, timeout=Duration(0.05)))
            assert slow.kind == "timeout"
            assert 0.04 < slow.latency_s < 20

    run(scenario)


def test_a_name_that_does_not_resolve_is_a_failed_connection() -> None:
    async def scenario() -> None:
        assert (await probe(target("http://does-not-exist.invalid:80"))).kind == "connect"

    run(scenario)


def test_ipv6_backends_are_checked() -> None:
    async def scenario() -> None:
        async with server(OK, host="::1") as (url, heard):
            assert (await probe(target(url))).passed
            assert b"\r\nHost: [::1]:" in heard[0]

    run(scenario)


def test_tls_to_a_backend_is_verified_unless_switched_off(tmp_path: Any) -> None:
    authority = trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("backend.test").configure_cert(context)
    ca = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(ca))

    async def scenario() -> None:
        async with server(OK, context=context) as (url, _):
            for tls, passed in (
                (UpstreamTlsSettings(), False),
                (UpstreamTlsSettings(ca=str(ca)), False),  # the certificate is for another name
                (UpstreamTlsSettings(ca=str(ca), server_name="backend.test"), True),
                (UpstreamTlsSettings(verify=False), True),
                (UpstreamTlsSettings(ca=str(tmp_path / "missing.pem")), False),
            ):
                result = await probe(target(url, tls))
                assert (result.passed, result.kind) == (passed, "pass" if passed else "connect"), tls

    run(scenario)


def test_the_targets_are_all_backends_of_pools_with_checks() -> None:
    listed = PoolSettings(backends=(BackendSettings(id="a", url="http://a:1"),))
    unchecked = PoolSettings(
        backends=(BackendSettings(id="b", url="http://b:1"),), health=HealthSettings(enabled=False)
    )
    found = targets(
        BalancerSettings(pools={"web": listed, "quiet": unchecked}), [Endpoint("web", "c", "http://c:1", 1.0)]
    )
    assert {(ref.pool, ref.backend): target.url for ref, target in found.items()} == {
        ("web", "a"): "http://a:1",
        ("web", "c"): "http://c:1",
    }


class Checks:
    """Stands in for :func:`probe` and counts."""

    def __init__(self) -> None:
        self.results: asyncio.Queue[BackendRef] = asyncio.Queue()
        self.made: list[Target] = []

    async def check(self, target: Target) -> ProbeResult:
        self.made.append(target)
        if target.url == "http://broken:1" and len(self.made) == 1:
            raise RuntimeError("a bug")
        return ProbeResult(passed=True)

    def result(self, ref: BackendRef, result: ProbeResult) -> None:
        self.results.put_nowait(ref)

    async def next(self) -> BackendRef:
        async with asyncio.timeout(5):
            return await self.results.get()


def test_retargeting_keeps_the_schedule_of_those_that_stay() -> None:
    a, b = BackendRef("web", "a"), BackendRef("web", "b")
    fast = target("http://a:1", interval=Duration(0.001))

    async def scenario() -> None:
        checks = Checks()
        check: Callable[[Target], Awaitable[ProbeResult]] = checks.check
        prober = Prober(checks.result, Random(1), check=check)
        prober.retarget({a: fast})
        assert await checks.next() == a
        kept = prober._tasks[a]
        prober.retarget({a: fast, b: target("http://b:1", interval=Duration(0.001))})
        assert prober._tasks[a] is kept
        while await checks.next() != b:
            pass
        prober.retarget({b: target("http://b:2", interval=Duration(0.001))})
        while checks.made[-1].url != "http://b:2":
            await checks.next()
        await prober.close()
        assert not prober._tasks

    run(scenario)


def test_a_check_that_breaks_is_made_again(caplog: pytest.LogCaptureFixture) -> None:
    ref = BackendRef("web", "a")

    async def scenario() -> None:
        checks = Checks()
        prober = Prober(checks.result, Random(1), check=checks.check)
        prober.retarget({ref: target("http://broken:1", interval=Duration(0.001))})
        assert await checks.next() == ref
        assert len(checks.made) >= 2
        await prober.close()

    run(scenario)
    assert "check broke" in caplog.text
