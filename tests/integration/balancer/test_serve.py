"""Master and real workers together, on real sockets."""

from __future__ import annotations

import asyncio
import os
import signal
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from holdfast.balancer.core.settings import BackendSettings, HealthSettings, PoolSettings, RetrySettings, RouteSettings
from holdfast.balancer.shell.crew import SILENT_LIMIT
from holdfast.balancer.shell.workers import COMMAND
from holdfast.kernel import Duration
from tests.integration.balancer.harness import ask, backend, settings


def test_requests_pass_and_are_counted(start: Callable[..., Any]) -> None:
    """A request goes through a worker to the backend, and its answer shows in the merged metrics."""

    async def scenario() -> None:
        async with backend([200]) as url:
            pool = PoolSettings(
                backends=(BackendSettings(id="x", url=url),), health=HealthSettings(interval=Duration(0.05))
            )
            async with start(settings(pools={"web": pool}), command=COMMAND) as running:
                for _ in range(10):
                    assert (await ask(running.front, "GET", "/")).status == 200
                text = (await running.ask("GET", "/metrics")).body.decode()
                assert 'holdfast_requests_total{backend="x",code="200",pool="web"} 10.0' in text
                assert 'holdfast_request_duration_seconds_bucket{le="+Inf",pool="web"} 10.0' in text
                generation = (await running.ask("POST", "/admin/reload")).json()
                assert generation == {"generation": 2}
                assert (await ask(running.front, "GET", "/")).status == 200
            assert running.task.result() == 0

    asyncio.run(scenario())


def test_a_worker_that_drains_by_itself_answers_the_master_all_along(
    start: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """SIGTERM to a worker: it finishes what is in flight, however often the master asks meanwhile."""
    monkeypatch.setattr("holdfast.balancer.shell.crew.ASK_DEADLINE_S", 0.2)

    async def scenario() -> None:
        arrived, go = asyncio.Event(), asyncio.Event()

        async def slowly(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            arrived.set()
            await go.wait()
            writer.write(b"HTTP/1.1 200 X\r\ncontent-length: 0\r\n\r\n")
            writer.close()

        server = await asyncio.start_server(slowly, "127.0.0.1", 0)
        async with server:
            url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            pool = PoolSettings(
                backends=(BackendSettings(id="x", url=url),),
                health=HealthSettings(enabled=False),
                retry=RetrySettings(per_try_timeout=Duration(10)),
            )
            first = settings(pools={"web": pool}, workers=1, drain_timeout=Duration(10))
            async with start(first, command=COMMAND) as running:
                asked = asyncio.create_task(ask(running.front, "GET", "/"))
                await arrived.wait()
                (pid,) = [slot.pid for slot in running.master._crew._slots.values()]
                os.kill(pid, signal.SIGTERM)
                for _ in range(SILENT_LIMIT + 1):
                    await running.master.metrics()
                assert await running.master.reload() == 2
                go.set()
                assert (await asked).status == 200
                ended = await running.until(
                    lambda: [e for e in running.master.events.since(None) if e.kind == "worker"]
                )
                assert [event.data["ended"] for event in ended] == [0]

    asyncio.run(scenario())


def test_requests_go_on_through_reloads(start: Callable[..., Any]) -> None:
    """A steady client on new connections sees only 200 while the configuration is reloaded."""

    async def scenario() -> None:
        async with backend([200]) as url:
            pool = PoolSettings(
                backends=(BackendSettings(id="x", url=url),), health=HealthSettings(interval=Duration(0.05))
            )
            async with start(settings(pools={"web": pool}), command=COMMAND) as running:
                answers: Counter[tuple[int, bytes]] = Counter()
                reloaded = asyncio.Event()

                async def client() -> None:
                    while not reloaded.is_set():
                        answer = await ask(running.front, "GET", "/")
                        answers[answer.status, answer.body if answer.status != 200 else b""] += 1

                clients = [asyncio.create_task(client()) for _ in range(4)]
                for n in range(8):
                    other = PoolSettings(backends=(BackendSettings(id=f"y{n}", url=url),))
                    running.next_settings(
                        settings(pools={"web": pool, f"extra{n}": other}, routes=(RouteSettings(pool="web"),))
                    )
                    await running.master.reload()
                reloaded.set()
                await asyncio.gather(*clients)
                assert answers.keys() == {(200, b"")}

    asyncio.run(scenario())
