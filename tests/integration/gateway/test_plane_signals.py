"""The gateway's process: SIGTERM lets answers finish, SIGHUP changes the configuration under streams."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import msgspec

from holdfast.app.readiness import READY_FD, decode
from holdfast.testing.client import RawClient
from holdfast.testing.gateway import MockProvider, chat_request, mock_provider, request
from tests.integration.gateway.plane import events, provider_settings, text_of
from tests.integration.gateway.stack import PRICE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from holdfast.testing.client import Answer


def configuration(provider: MockProvider, directory: Path, model: str) -> bytes:
    """A file with one model of this name."""
    return msgspec.json.encode(
        {
            "gateway": {
                "listen": "127.0.0.1:0",
                "providers": {"mock": provider_settings(provider)},
                "models": {model: {"deployments": [{"provider": "mock", "model": "mock-small", "price": PRICE}]}},
                "anonymous": {"tenant": "local"},
                "ledger": {"path": str(directory / "ledger")},
            },
            "store": {"url": f"sqlite:{directory / 'x.db'}"},
        }
    )


@asynccontextmanager
async def gateway_process(file: Path) -> AsyncIterator[tuple[asyncio.subprocess.Process, int]]:
    """The process and its port; killed at the end if it still runs."""
    here, there = os.pipe()
    environ = os.environ | {READY_FD: str(there), "PYTHONPATH": os.pathsep.join(sys.path)}
    command = (sys.executable, "-P", "-m", "holdfast", "run", "gateway", "-c", str(file))
    process = await asyncio.create_subprocess_exec(
        *command, env=environ, pass_fds=(there,), stderr=asyncio.subprocess.PIPE
    )
    os.close(there)
    with os.fdopen(here, "rb") as ready:
        line = await asyncio.to_thread(ready.readline)
    addresses = decode(line)
    assert addresses is not None, await process.communicate()
    try:
        yield process, int(addresses["gateway"].rpartition(":")[2])
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def ask(client: RawClient, model: str, text: str) -> Answer:
    path, body = chat_request("openai", model, text, stream=True)
    return await client.ask(request(path, body))


async def begun(provider: MockProvider) -> None:
    async with asyncio.timeout(5):
        while provider.ledger.tokens_out < 3:  # noqa: ASYNC110 - the ledger has no event
            await asyncio.sleep(0.005)


async def test_signals_reload_and_stop_without_touching_the_streams_under_way(tmp_path: Path) -> None:
    file = tmp_path / "gateway.json"
    async with mock_provider() as provider:
        file.write_bytes(configuration(provider, tmp_path, "before"))
        async with gateway_process(file) as (process, port):
            async with await RawClient.connect("127.0.0.1", port) as stream:
                answer = asyncio.create_task(ask(stream, "before", "[[mock: words=120,pace=80]]"))
                await begun(provider)
                file.write_bytes(b"gateway: {nonsense: 1}")
                process.send_signal(signal.SIGHUP)
                assert process.stderr is not None
                await said(process.stderr, b"reload_refused")
                file.write_bytes(configuration(provider, tmp_path, "after"))
                process.send_signal(signal.SIGHUP)
                await said(process.stderr, b'"reloaded"')
                async with await RawClient.connect("127.0.0.1", port) as other:
                    assert (await ask(other, "after", "hello")).status == 200
                    assert (await ask(other, "before", "hello")).status == 404
                process.send_signal(signal.SIGTERM)
                whole = await answer
                assert len(text_of("openai", events(whole.body)).split()) == 120
            async with asyncio.timeout(10):
                await process.stderr.read()
                assert await process.wait() == 0


async def said(stream: Any, word: bytes) -> None:
    """Read the log to a line with this word."""
    async with asyncio.timeout(10):
        while word not in (line := await stream.readline()):
            assert line
