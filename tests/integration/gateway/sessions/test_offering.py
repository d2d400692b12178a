"""Tools, sessions and runs over a whole gateway: real keys, the real data plane and its ledger, a scripted provider."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import msgspec
from aiohttp import web
from litestar import Litestar

from holdfast.gateway.shell.sessions import Offering
from holdfast.gateway.shell.tools.problems import ProblemError
from holdfast.store import StoreSettings, open_database
from holdfast.testing.gateway import mock_provider
from holdfast.web.exchange import read_head
from tests.integration.gateway.stack import Stack, running_gateway
from tests.integration.gateway.tools.stage import served, settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from holdfast.identity import Principal


@asynccontextmanager
async def offering(path: Path, provider: Any, **sections: Any) -> AsyncIterator[tuple[Stack, Offering]]:
    async with running_gateway(sections, provider=provider, directory=path) as stack:
        gateway = stack.gateway

        async def who(request: Any) -> Principal:
            key = read_head(request.scope["headers"]).key or ""
            found = await gateway.identities.authenticate(key, now=gateway.wall())
            if found is None:
                raise ProblemError("unauthenticated", "no key")
            return found

        async with await open_database(StoreSettings(url=f"sqlite:{path}/x.db")) as database:
            offered = Offering(gateway, database)
            gateway.control = Litestar(offered.routers(who), logging_config=None, openapi_config=None)
            await offered.open()
            try:
                yield stack, offered
            finally:
                await offered.close()


async def run(stack: Stack, key: str, content: str, **more: Any) -> tuple[dict[str, Any], str]:
    """A session with one message: its run in the end, and its stream."""
    made = await stack.ok("POST", "/v1/sessions", key=key, json={"model": "demo"})
    begun = await stack.ok("POST", f"/v1/sessions/{made['id']}/messages", key=key, json={"content": content, **more})
    stream = await stack.ask("GET", f"/v1/runs/{begun['id']}/stream", key=key)
    return await stack.ok("GET", f"/v1/runs/{begun['id']}", key=key), stream.body.decode()


async def test_what_a_run_says_that_it_cost_is_what_the_ledger_says(tmp_path: Path) -> None:
    async with mock_provider() as provider, offering(tmp_path, provider) as (stack, offered):
        key = await stack.key()
        found, stream = await run(stack, key, "hello")
        assert found["state"] == "succeeded"
        assert found["steps"] == 3
        assert stream.rstrip().splitlines()[-2] == "event: ended"
        await stack.settle()
        rows = await offered.sessions.store._database.read(
            lambda tx: tx.all("SELECT count(*), sum(cost), min(tenant) FROM gateway_attempts")
        )
    attempts, cost, tenant = rows[0]
    assert (attempts, tenant) == (3, "acme")
    assert found["cost"] == f"${cost / 1e9:.9f}".rstrip("0")


async def test_a_run_ends_where_the_budget_of_its_key_does(tmp_path: Path) -> None:
    limits = {"limits": {"tenants": {"acme": {"daily_usd": 0.0}}}}
    async with mock_provider() as provider, offering(tmp_path, provider, **limits) as (stack, _):
        found, _ = await run(stack, await stack.key(), "hello")
    assert (found["state"], found["reason"]) == ("failed", "budget_exhausted")


async def test_a_tool_is_offered_after_a_reload_and_called_over_the_port_of_the_gateway(tmp_path: Path) -> None:
    async def sunny(request: web.Request) -> web.Response:
        return web.json_response({"sun": True})

    async with (
        mock_provider() as provider,
        served(sunny) as url,
        offering(tmp_path, provider) as (stack, offered),
    ):
        key = await stack.key()
        assert await stack.ok("GET", "/v1/tools", key=key) == {"tools": []}
        changed = settings(tools={"weather": {"description": "It.", "http": {"url": url, "private": True}}})
        await offered.reconfigure(msgspec.structs.replace(stack.gateway.settings, tools=changed.tools))
        answer = await stack.ok("POST", "/v1/tools/weather/call", key=key, json={"arguments": {}})
        assert answer == {"result": {"sun": True}, "is_error": False, "findings": []}
        problem = await stack.refused("GET", "/v1/tools")
        assert problem["type"] == "/problems/unauthenticated"
        entries = await stack.gateway.identities.audit_entries("acme", limit=10, action="tool.call")
    assert [entry.target for entry in entries] == ["weather"]
