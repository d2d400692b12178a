"""Redirects: how far, where to, and what goes with them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from holdfast.netpulse.core.result import Failure, Outcome
from holdfast.netpulse.core.settings import HttpCheck
from holdfast.netpulse.shell.probes.wire import judge as judge_address
from tests.integration.netpulse.probes.targets import Serve, answer, get, monitor, probe, saying, target

pytestmark = pytest.mark.anyio


def routing(route: Callable[[str], bytes], seen: list[bytes] | None = None) -> Serve:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if seen is not None:
            seen.append(head)
        writer.write(route(head.split(b" ")[1].decode()))
        await writer.drain()
        writer.close()

    return serve


def to(location: str, status: str = "302 Found") -> bytes:
    return answer(status=status, headers=f"Location: {location}\r\n")


async def test_a_redirect_is_followed_to_its_end() -> None:
    routes = {"/": to("/a"), "/a": to("b?c"), "/b?c": to("//127.0.0.1:{}/d"), "/d": answer(b"there")}
    async with target(routing(lambda path: routes[path].replace(b"{}", str(port).encode()))) as port:
        found = await get(port, contains="there")
    assert (found.outcome, found.status) == (Outcome.UP, 200), found


async def test_without_redirects_the_redirect_is_the_answer() -> None:
    async with target(saying(to("/elsewhere", "301 Moved"))) as port:
        assert (await get(port, redirects=0, status=("301",))).outcome is Outcome.UP
        assert (await get(port, redirects=0)).failure is Failure.STATUS


async def test_a_loop_is_found_at_its_first_return() -> None:
    seen: list[bytes] = []
    async with target(routing(lambda path: to("/b" if path == "/a" else "/a"), seen)) as port:
        found = await get(port, redirects=50)
    assert found.failure is Failure.REDIRECT
    assert "loop" in found.detail
    assert len(seen) == 3


async def test_one_redirect_too_many_is_one_too_many() -> None:
    seen: list[bytes] = []
    async with target(routing(lambda path: to(f"/{len(path)}{path[1:]}x"), seen)) as port:
        found = await get(port, redirects=3)
    assert found.failure is Failure.REDIRECT
    assert "more than 3 redirects" in found.detail
    assert len(seen) == 4


@pytest.mark.parametrize(
    "location",
    ["ftp://example.com/", "javascript:alert(1)", "http://[::", "http://exa mple.com/", "http://a:b:c/", "\x01"],
)
async def test_a_redirect_to_where_nobody_can_go_is_a_failure_of_its_own(location: str) -> None:
    async with target(saying(to(location))) as port:
        found = await get(port)
    assert found.outcome is Outcome.DOWN
    assert found.failure in {Failure.REDIRECT, Failure.PROTOCOL}, found


@pytest.mark.parametrize(
    "location",
    [
        "http://127.0.0.1:{}/",
        "http://[::1]:{}/",
        "http://[::ffff:127.0.0.1]:{}/",
        "http://169.254.169.254/latest/meta-data/",
        "http://10.0.0.1/",
        "http://[fd00::1]/",
        "http://[64:ff9b::a00:1]/",
        "http://localhost:{}/",
    ],
)
async def test_a_redirect_to_a_private_address_is_blocked(location: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # The first hop stands for a public address, which a test has none of: it alone is let through.
    hops = 0

    def judge(address: str, *, allow_private: bool) -> None:
        nonlocal hops
        hops += 1
        judge_address(address, allow_private=allow_private or hops == 1)

    monkeypatch.setattr("holdfast.netpulse.shell.probes.wire.judge", judge)
    seen: list[bytes] = []
    async with target(routing(lambda path: to(location.format(port)), seen)) as port:
        url = f"http://127.0.0.1:{port}/start"
        found = await probe(monitor(http=HttpCheck(url=url), allow_private=False))
    assert (found.outcome, found.failure) == (Outcome.DOWN, Failure.BLOCKED), found
    assert len(seen) == 1


async def test_credentials_stay_with_their_origin() -> None:
    here: list[bytes] = []
    there: list[bytes] = []
    async with target(routing(lambda path: answer(), there)) as other:
        routes = {"/": to("/second"), "/second": to(f"http://127.0.0.1:{other}/third", "307 Temporary")}
        async with target(routing(routes.__getitem__, here)) as port:
            found = await get(
                port, bearer_token="s3cret", headers={"X-Api-Key": "k3y", "Cookie": "c00kie", "Accept": "text/x"}
            )
    assert found.outcome is Outcome.UP
    for head in here:
        assert b"s3cret" in head
        assert b"k3y" in head
    assert len(here) == 2
    assert len(there) == 1
    for secret in (b"s3cret", b"k3y", b"c00kie", b"Authorization"):
        assert secret not in there[0]
    assert b"Accept: text/x" in there[0]


@pytest.mark.parametrize(
    ("status", "method", "then"),
    [
        ("303 See Other", "POST", "GET"),
        ("302 Found", "POST", "GET"),
        ("302 Found", "PUT", "PUT"),
        ("307 Temporary", "POST", "POST"),
        ("303 See Other", "HEAD", "HEAD"),
    ],
)
async def test_the_method_after_a_redirect_is_that_of_the_standard(status: str, method: str, then: str) -> None:
    seen: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        seen.append(head)
        writer.write(answer() if len(seen) == 2 else to("/two", status))
        await writer.drain()
        await reader.read()

    async with target(serve) as port:
        found = await get(port, method=method, body="" if method == "HEAD" else "data")
    assert found.outcome is Outcome.UP, found
    assert seen[1].startswith(then.encode() + b" /two ")
    assert (b"Content-Length: 4" in seen[1]) == (then == method and method != "HEAD")


async def test_no_detail_repeats_a_secret() -> None:
    routes = {"/p4th?t0ken=1": to("ftp://us3r:pa55@example.com/p4th?t0ken=2")}
    async with target(routing(lambda path: routes.get(path, to("/p4th?t0ken=1")))) as port:
        for redirects in (0, 1, 5):
            found = await get(
                port,
                url=f"http://us3r:pa55@127.0.0.1:{port}/?s3cret=1",
                headers={"X-Key": "h3ader"},
                redirects=redirects,
            )
            assert found.outcome is Outcome.DOWN
            for secret in ("us3r", "pa55", "p4th", "t0ken", "s3cret", "h3ader"):
                assert secret not in found.detail
