"""Master and real workers together, on real sockets."""

from __future__ import annotations

import asyncio
import os
import signal
import ssl
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trustme

from holdfast.balancer.core.settings import (
    BackendSettings,
    CertificateSettings,
    HealthSettings,
    PoolSettings,
    RetrySettings,
    RouteSettings,
)
from holdfast.balancer.errors import ReloadError
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


def test_a_reload_replaces_the_certificate_of_every_worker(start: Callable[..., Any], tmp_path: Path) -> None:
    """New handshakes see the new certificate at once, and one that cannot be used changes nothing."""
    authority = trustme.CA()
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"

    def issue() -> bytes:
        issued = authority.issue_cert("shop.test")
        cert.write_bytes(b"".join(pem.bytes() for pem in issued.cert_chain_pems))
        issued.private_key_pem.write_to_path(str(key))
        return ssl.PEM_cert_to_DER_cert(issued.cert_chain_pems[0].bytes().decode())

    async def shown(address: str) -> set[bytes]:
        """What several connections are shown; the kernel spreads them over the workers."""
        context = ssl.create_default_context()
        authority.configure_trust(context)
        host, _, port = address.removeprefix("https://").rpartition(":")
        seen = set()
        for _ in range(12):
            _, writer = await asyncio.open_connection(host, int(port), ssl=context, server_hostname="shop.test")
            seen.add(writer.get_extra_info("ssl_object").getpeercert(binary_form=True))
            writer.close()
            await writer.wait_closed()
        return seen

    async def scenario() -> None:
        first = issue()
        secure = settings(
            listen=("https://127.0.0.1:0",),
            certificates=(CertificateSettings(cert=str(cert), key=str(key)),),
            workers=2,
        )
        async with start(secure, command=COMMAND) as running:
            assert await shown(running.front) == {first}
            second = issue()
            assert await running.master.reload() == 2
            assert await shown(running.front) == {second}
            cert.write_text("nothing")
            with pytest.raises(ReloadError, match="cannot be used together"):
                await running.master.reload()
            assert await shown(running.front) == {second}

    asyncio.run(scenario())


def _peak_kib(pid: int | None) -> int:
    return int(Path(f"/proc/{pid}/status").read_text().partition("VmHWM:")[2].split()[0])


def test_a_gibibyte_passes_both_ways_in_less_than_64_mebibytes(start: Callable[..., Any]) -> None:
    """The peak of the worker's memory, its interpreter and code included."""
    size, block = 1024**3, bytes(1024**2)
    received = 0

    async def both(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal received
        head = await reader.readuntil(b"\r\n\r\n")
        if head.startswith(b"PUT"):
            while received < size:
                received += len(await reader.read(len(block)))
            writer.write(b"HTTP/1.1 200 X\r\nContent-Length: 0\r\n\r\n")
        else:
            writer.write(b"HTTP/1.1 200 X\r\nContent-Length: %d\r\n\r\n" % size)
            for _ in range(size // len(block)):
                writer.write(block)
                await writer.drain()
        writer.close()

    async def client(address: str, *, upload: bool) -> int:
        host, _, port = address.rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        try:
            if upload:
                writer.write(b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % size)
                for _ in range(size // len(block)):
                    writer.write(block)
                    await writer.drain()
            else:
                writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            await reader.readuntil(b"\r\n\r\n")
            got = 0
            while not upload and got < size:
                piece = await reader.read(len(block))
                assert piece, "the answer was cut"
                got += len(piece)
            return got
        finally:
            writer.close()

    async def scenario() -> None:
        server = await asyncio.start_server(both, "127.0.0.1", 0, limit=len(block))
        async with server:
            url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            pool = PoolSettings(backends=(BackendSettings(id="x", url=url),), health=HealthSettings(enabled=False))
            async with start(settings(pools={"web": pool}, workers=1), command=COMMAND) as running:
                (pid,) = [slot.pid for slot in running.master._crew._slots.values()]
                assert await client(running.front, upload=False) == size
                await client(running.front, upload=True)
                assert received == size
                assert _peak_kib(pid) < 64 * 1024

    asyncio.run(scenario())
