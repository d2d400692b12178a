"""A master in this process with stub workers, and a small HTTP client."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import msgspec

from holdfast.balancer.core.settings import (
    BackendSettings,
    BalancerSettings,
    HealthSettings,
    OutlierSettings,
    PoolSettings,
)
from holdfast.balancer.shell.master import Master
from holdfast.balancer.shell.workers import RestartPolicy
from holdfast.kernel import Duration

STUB = (sys.executable, str(Path(__file__).with_name("stub_worker.py")))


class EndedError(Exception):
    """The master ended before it was ready, with this exit code."""


class Answer(msgspec.Struct):
    """Of the admin plane."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        """The body as JSON."""
        return msgspec.json.decode(self.body)


@dataclass
class Running:
    """A master that serves."""

    master: Master
    front: str
    """Address of the listener, with its real port."""
    admin: str
    """Address of the admin plane."""
    task: asyncio.Task[int]
    log: Path
    next_settings: Callable[[BalancerSettings | Exception], None]
    """Sets what the next reload reads, or how reading fails."""

    def heard(self, kind: str | None = None) -> list[dict[str, Any]]:
        """What the stub workers heard."""
        lines = [json.loads(line) for line in self.log.read_bytes().splitlines()] if self.log.exists() else []
        return [line for line in lines if kind in (None, line["kind"])]

    async def until(self, reached: Callable[[], Any], timeout_s: float = 10.0) -> Any:
        """Wait for something that another process brings about."""
        async with asyncio.timeout(timeout_s):
            while not (found := reached()):  # noqa: ASYNC110 - what is awaited happens in another process
                await asyncio.sleep(0.01)
        return found

    async def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        headers: dict[str, str] | None = None,
        raw: bytes | None = None,
    ) -> Answer:
        """One request to the admin plane on a connection of its own."""
        return await ask(self.admin, method, path, body, headers=headers, raw=raw)


async def ask(
    address: str,
    method: str,
    path: str,
    body: Any = None,
    *,
    headers: dict[str, str] | None = None,
    raw: bytes | None = None,
) -> Answer:
    """One HTTP/1.1 request."""
    host, _, port = address.rpartition(":")
    async with asyncio.timeout(10):
        reader, writer = await asyncio.open_connection(host.strip("[]"), int(port))
        payload = raw if raw is not None else b"" if body is None else msgspec.json.encode(body)
        lines = {"host": address, "connection": "close", "content-length": str(len(payload))}
        if method == "POST":
            lines["content-type"] = "application/json"
        lines.update(headers or {})
        head = f"{method} {path} HTTP/1.1\r\n" + "".join(f"{k}: {v}\r\n" for k, v in lines.items()) + "\r\n"
        writer.write(head.encode() + payload)
        try:
            answer = await reader.read()
        finally:
            writer.close()
    top, _, rest = answer.partition(b"\r\n\r\n")
    first, *fields = top.decode().split("\r\n")
    parsed = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in fields)}
    return Answer(int(first.split(" ")[1]), parsed, rest)


def settings(**changes: Any) -> BalancerSettings:
    """One pool with two backends that nobody checks, on free ports."""
    pool = PoolSettings(
        backends=(
            BackendSettings(id="a", url="http://127.0.0.1:9"),
            BackendSettings(id="b", url="http://127.0.0.1:9", weight=2.0),
        ),
        health=HealthSettings(enabled=False),
        outlier=OutlierSettings(sustained=Duration(0.0)),
    )
    defaults: dict[str, Any] = {
        "pools": {"web": pool},
        "listen": ("127.0.0.1:0",),
        "admin": "127.0.0.1:0",
        "drain_timeout": Duration(2.0),
    }
    return BalancerSettings(**{**defaults, **changes})


@asynccontextmanager
async def start_master(log: Path, first: BalancerSettings | None = None, **options: Any) -> AsyncIterator[Running]:
    """A master that is ready; drained at the end."""
    upcoming: list[BalancerSettings | Exception] = [first or settings()]

    def read() -> BalancerSettings:
        if isinstance(upcoming[-1], Exception):
            raise upcoming[-1]
        return upcoming[-1]

    is_ready: asyncio.Future[Mapping[str, str]] = asyncio.get_running_loop().create_future()
    master = Master(
        first or settings(),
        reload=read,
        ready=is_ready.set_result,
        rng=Random(1),
        **{"command": STUB, "restarts": RestartPolicy(first_s=0.01, longest_s=0.02), **options},
    )
    task = asyncio.create_task(master.run())
    try:
        either: set[asyncio.Future[Any]] = {task, is_ready}
        await asyncio.wait(either, timeout=60, return_when=asyncio.FIRST_COMPLETED)
        if is_ready.done():
            urls = is_ready.result()
            yield Running(
                master=master,
                front=urls["front door"].removeprefix("http://"),
                admin=urls["admin plane"].removeprefix("http://").removesuffix("/admin/backends"),
                task=task,
                log=log,
                next_settings=upcoming.append,
            )
        else:
            raise EndedError(task.result())
    finally:
        is_ready.cancel()
        if not task.done():
            master.stop()
            async with asyncio.timeout(15):
                await task


@asynccontextmanager
async def backend(status: list[int]) -> AsyncIterator[str]:
    """A backend that answers every request with the status in the list."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 %d X\r\ncontent-length: 0\r\n\r\n" % status[0])
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
