"""A master in this process with stub workers, and a small HTTP client."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import msgspec

from holdfast.balancer.core.decisions import BackendStatus, ProbeResult, Transition
from holdfast.balancer.core.messages import BackendRef, BackendReport, View
from holdfast.balancer.core.settings import BackendSettings, BalancerSettings, HealthSettings, PoolSettings
from holdfast.balancer.shell.master import Addresses, Master
from holdfast.balancer.shell.workers import RestartPolicy
from holdfast.kernel import Duration

STUB = (sys.executable, str(Path(__file__).with_name("stub_worker.py")))


class FakePool:
    """Takes a backend out after five failed attempts in one report or one failed check; an operator can too."""

    def __init__(self, name: str, settings: PoolSettings, rng: Random, now: float) -> None:
        """The shape of :class:`holdfast.balancer.core.decisions.PoolFactory`."""
        self.name = name
        self.backends: dict[str, BackendSettings] = {b.id: b for b in settings.backends}
        self.state: dict[str, str] = {}
        self.weights: dict[str, float] = {}

    def _to(self, backend: str, state: str, rule: str, why: str) -> list[Transition]:
        before = self.state.get(backend, "up")
        self.state[backend] = state
        return [] if before == state else [Transition(self.name, backend, before, state, rule, why)]

    def on_probe(self, backend: str, result: ProbeResult, now: float) -> Sequence[Transition]:
        """One check decides, unless traffic spoke."""
        if self.state.get(backend) in ("open", "drained"):
            return []
        return self._to(backend, "up" if result.ok else "down", "health", result.detail or "passed")

    def on_reports(self, worker: int, reports: Sequence[BackendReport], now: float) -> Sequence[Transition]:
        """Five failures open the breaker for good."""
        found: list[Transition] = []
        for report in reports:
            failures = sum(run.count for run in report.runs if run.failure)
            if failures >= 5:
                found += self._to(report.ref.backend, "open", "outlier", f"{failures} failures in a row")
        return found

    def tick(self, now: float) -> Sequence[Transition]:
        """Nothing changes by itself."""
        return []

    def _weight(self, backend: str) -> float:
        full = self.weights.get(backend, self.backends[backend].weight)
        return full if self.state.get(backend, "up") == "up" else 0.0

    def views(self, workers: Sequence[int]) -> dict[int, tuple[View, ...]]:
        """The same for every worker."""
        views = tuple(
            View(BackendRef(self.name, b), self._weight(b), 0, self.state.get(b, "up")) for b in self.backends
        )
        return dict.fromkeys(workers, views)

    def pool_limit(self) -> int | None:
        """No bound."""
        return None

    def explain(self, backend: str, now: float) -> Any:
        """The state."""
        return {"backend": backend, "state": self.state.get(backend, "up")}

    def snapshot(self, now: float) -> Sequence[BackendStatus]:
        """Every backend."""
        return [
            BackendStatus(
                pool=self.name,
                backend=b.id,
                url=b.url,
                state=self.state.get(b.id, "up"),
                weight=self.weights.get(b.id, b.weight),
                effective_weight=self._weight(b.id),
                penalty=0.0,
                breaker="open" if self.state.get(b.id) == "open" else "closed",
                success_ratio=None,
                in_flight=0,
                latency_s=None,
                why="because",
            )
            for b in self.backends.values()
        ]

    def set_drain(self, backend: str, on: bool, now: float) -> Sequence[Transition]:
        """Out and in."""
        return self._to(backend, "drained" if on else "up", "operator", "asked")

    def set_weight(self, backend: str, weight: float, now: float) -> Sequence[Transition]:
        """Remember it."""
        self.weights[backend] = weight
        return []

    def reconfigure(
        self, settings: PoolSettings, backends: Sequence[BackendSettings], now: float
    ) -> Sequence[Transition]:
        """Keep the state of what stays."""
        self.backends = {b.id: b for b in backends}
        self.state = {b: state for b, state in self.state.items() if b in self.backends}
        return []


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
    addresses: Addresses
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
            while not (found := reached()):
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
        assert self.addresses.admin is not None
        return await ask(self.addresses.admin, method, path, body, headers=headers, raw=raw)


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

    is_ready: asyncio.Future[Addresses] = asyncio.get_running_loop().create_future()
    master = Master(
        first or settings(),
        reload=read,
        ready=is_ready.set_result,
        pools=FakePool,
        command=STUB,
        restarts=options.pop("restarts", RestartPolicy(first_s=0.01, longest_s=0.02)),
        rng=Random(1),
        **options,
    )
    task = asyncio.create_task(master.run())
    try:
        either: set[asyncio.Future[Any]] = {task, is_ready}
        await asyncio.wait(either, timeout=20, return_when=asyncio.FIRST_COMPLETED)
        if is_ready.done():
            yield Running(master, is_ready.result(), task, log, upcoming.append)
        else:
            task.result()
    finally:
        is_ready.cancel()
        if not task.done():
            master.stop()
            async with asyncio.timeout(15):
                await task
