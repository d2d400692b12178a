"""Who may ask the admin plane; the rest is asked over HTTP in the integration tests."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, cast

import pytest

from holdfast.balancer.shell.gate import Gate

if TYPE_CHECKING:
    from litestar.types import ASGIApp, Message, Receive, Scope, Send


def status(
    *,
    token: str | None = None,
    client: tuple[str, int] | None = ("127.0.0.1", 5),
    method: str = "GET",
    path: str = "/admin/backends",
    headers: dict[str, str] | None = None,
) -> int:
    """What the gate answers: 200 if it lets the request through."""
    sent: list[dict[str, Any]] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(cast("Message", {"type": "http.response.start", "status": 200, "headers": []}))

    async def send(message: Message) -> None:
        sent.append(cast("dict[str, Any]", message))

    lines = {"host": "127.0.0.1:8081", **(headers or {})}
    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "client": client,
        "headers": [(name.encode(), value.encode("latin-1")) for name, value in lines.items()],
    }

    async def receive() -> Any:
        raise AssertionError("the gate reads no body")

    asyncio.run(Gate(cast("ASGIApp", app), lambda: token)(cast("Scope", scope), receive, send))
    return int(sent[0]["status"])


@pytest.mark.parametrize("address", ["192.0.2.7", "10.0.0.1", "fd00::1", "::ffff:10.0.0.1"])
def test_without_a_token_other_machines_are_refused(address: str) -> None:
    """Also when somebody made the plane listen where they can reach it."""
    assert status(client=(address, 5)) == 403
    assert status(client=(address, 5), path="/healthz") == 200
    assert status(client=(address, 5), token="t", headers={"authorization": "Bearer t"}) == 200


@pytest.mark.parametrize("address", ["127.0.0.1", "127.8.9.1", "::1"])
def test_without_a_token_this_machine_is_answered(address: str) -> None:
    assert status(client=(address, 5)) == 200


def test_a_client_without_an_address_is_refused_without_a_token() -> None:
    assert status(client=None) == 403


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "X"])
def test_whatever_may_change_something_needs_json_or_no_body(method: str) -> None:
    assert status(method=method) == 200
    assert status(method=method, headers={"content-length": "2"}) == 415
    assert status(method=method, headers={"transfer-encoding": "chunked"}) == 415
    assert status(method=method, headers={"content-type": "text/plain"}) == 415
    assert status(method=method, headers={"content-type": "application/json", "content-length": "2"}) == 200
    assert status(method=method, headers={"origin": "http://127.0.0.1:9999"}) == 403
