"""Tools of MCP servers: a real one, made with the SDK, as a child process and over HTTP on loopback."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from holdfast.gateway.errors import Refused
from tests.integration.gateway.tools.stage import brokering, caller

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from holdfast.gateway.shell.tools import Broker

pytestmark = pytest.mark.anyio
SCRIPT = str(Path(__file__).parent / "mcp_server.py")


def as_child(marks: Path, **more: Any) -> dict[str, Any]:
    return {"here": {"command": [sys.executable, SCRIPT], "environment": {"MARKS": str(marks)}, **more}}


@asynccontextmanager
async def over_http(marks: Path) -> AsyncIterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            SCRIPT,
            str(sock.fileno()),
            env={**os.environ, "MARKS": str(marks)},
            pass_fds=[sock.fileno()],
        )
        try:
            yield f"http://127.0.0.1:{sock.getsockname()[1]}/mcp"
        finally:
            process.kill()
            await process.wait()


async def until(so: Callable[[], bool]) -> None:
    """Wait for what another process does, of which nobody tells."""
    async with asyncio.timeout(20.0):
        while not so():  # noqa: ASYNC110 - there is no event to wait for
            await asyncio.sleep(0.02)


async def seen(broker: Broker, name: str) -> None:
    """Wait until there is a tool of this name."""
    await until(lambda: name in broker.tools)


async def test_the_tools_of_a_child_process_are_ours_under_its_name(tmp_path: Path) -> None:
    async with brokering(mcp=as_child(tmp_path)) as broker:
        await seen(broker, "here.add")
        spec = broker.tools["here.add"]
        assert (spec.kind, spec.scope, spec.description) == ("mcp", "write", "Adds two numbers.")
        assert spec.schema["required"] == ["a", "b"]
        result = await broker.call(caller(), "here.add", '{"a": 40, "b": 2}')
        assert msgspec.json.decode(result.text) == {"result": 42}
        with pytest.raises(Refused, match="schema"):
            await broker.call(caller(), "here.add", '{"a": "x"}')
        failed = await broker.call(caller(), "here.fail", "{}")
        assert failed.is_error
        assert "fail" in failed.text


async def test_a_child_process_gets_its_path_and_what_was_configured_and_no_more(tmp_path: Path) -> None:
    os.environ["HOLDFAST_SECRET_OF_A_TEST"] = "x"
    try:
        async with brokering(mcp=as_child(tmp_path)) as broker:
            await seen(broker, "here.environment")
            result = await broker.call(caller(), "here.environment", "{}")
    finally:
        del os.environ["HOLDFAST_SECRET_OF_A_TEST"]
    names = set(msgspec.json.decode(result.text)["result"])
    assert names - {"LC_CTYPE"} == {"PATH", "MARKS"}  # the interpreter sets LC_CTYPE for itself


async def test_a_call_that_times_out_is_cancelled_in_the_server_which_lives_on(tmp_path: Path) -> None:
    async with brokering(mcp=as_child(tmp_path, timeout="300ms")) as broker:
        await seen(broker, "here.wait")
        with pytest.raises(Refused) as refused:
            await broker.call(caller(), "here.wait", "{}")
        assert refused.value.reason == "timeout"
        await until((tmp_path / "cancelled").exists)
        assert not (await broker.call(caller(), "here.add", '{"a": 1, "b": 1}')).is_error


async def test_a_server_that_hears_nothing_any_more_is_killed_and_started_anew(tmp_path: Path) -> None:
    async with brokering(mcp=as_child(tmp_path, timeout="300ms")) as broker:
        await seen(broker, "here.stuck")
        with pytest.raises(Refused):
            await broker.call(caller(), "here.stuck", "{}")
        await until(lambda: "here.add" not in broker.tools)
        await seen(broker, "here.add")
        assert not (await broker.call(caller(), "here.add", '{"a": 1, "b": 1}')).is_error


async def test_a_server_that_dies_is_started_anew(tmp_path: Path) -> None:
    async with brokering(mcp=as_child(tmp_path)) as broker:
        await seen(broker, "here.die")
        with pytest.raises(Refused) as refused:
            await broker.call(caller(), "here.die", "{}")
        assert refused.value.reason == "upstream_failed"
        async with asyncio.timeout(20.0):
            while True:
                try:
                    result = await broker.call(caller(), "here.add", '{"a": 1, "b": 1}')
                except Refused:
                    await asyncio.sleep(0.05)
                else:
                    break
        assert not result.is_error


async def test_a_server_that_cannot_be_started_leaves_the_others_alone(tmp_path: Path) -> None:
    servers = {**as_child(tmp_path), "gone": {"command": ["/nonexistent/program"]}}
    async with brokering(mcp=servers) as broker:
        await seen(broker, "here.add")
        assert not [name for name in broker.tools if name.startswith("gone.")]


async def test_a_tool_that_a_server_adds_is_there_when_it_says_so(tmp_path: Path) -> None:
    async with brokering(mcp=as_child(tmp_path)) as broker:
        await seen(broker, "here.grow")
        assert "here.more" not in broker.tools
        await broker.call(caller(), "here.grow", "{}")
        await seen(broker, "here.more")


async def test_the_tools_of_a_server_over_http_are_ours_too(tmp_path: Path) -> None:
    async with (
        over_http(tmp_path) as url,
        brokering(mcp={"there": {"url": url, "private": True, "timeout": "500ms"}}) as broker,
    ):
        await seen(broker, "there.add")
        result = await broker.call(caller(), "there.add", '{"a": 40, "b": 2}')
        assert msgspec.json.decode(result.text) == {"result": 42}
        with pytest.raises(Refused) as refused:
            await broker.call(caller(), "there.wait", "{}")
        assert refused.value.reason == "timeout"
        await until((tmp_path / "cancelled").exists)


async def test_a_server_whose_name_leads_inside_is_not_called_unless_that_is_meant(tmp_path: Path) -> None:
    async with over_http(tmp_path) as url:
        for address in (url, url.replace("127.0.0.1", "localhost")):
            async with brokering(mcp={"there": {"url": address}}) as broker:
                assert broker.tools == {}
