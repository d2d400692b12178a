"""The gateway under test and the scripted providers behind it, each a process as ``holdfast run`` starts it."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import msgspec

from holdfast.drills.errors import DrillError
from holdfast.drills.process import Child, free_port

MODEL: Final = "demo"
"""What clients ask for."""
PRICE: Final = {"input": 1.0, "output": 2.0}
"""Dollars for a million tokens."""
_REQUEST_S: Final = 30.0


class MockEntry(msgspec.Struct, kw_only=True):
    """What the drills read of an attempt in the provider's own ledger."""

    attempt: str
    model: str
    started: float
    """Monotonic seconds, the same clock as the drill's."""
    state: str
    status: int
    tokens_in: int
    tokens_out: int
    cached: int
    reasoning: int
    cancel_seen: float | None = None


_ENTRIES: Final = msgspec.json.Decoder(MockEntry)


class Provider:
    """A scripted provider. A context manager; leaving it ends its process."""

    def __init__(self, name: str, directory: Path, *, seed: int, faults: Sequence[str] = ()) -> None:
        self.name = name
        self.port = free_port()
        self._argv = [
            *(sys.executable, "-P", "-m", "holdfast", "run", "mock-provider"),
            *("--listen", f"127.0.0.1:{self.port}", "--seed", str(seed)),
            *(word for fault in faults for word in ("--fault", fault)),
        ]
        self._log = directory / f"{name}-{self.port}.log"
        self._child: Child | None = None

    def __enter__(self) -> Self:
        self._child = Child(self._argv, log=self._log)
        try:
            self._child.wait_until_listening(self.port)
        except BaseException:
            self._child.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._child is not None:
            self._child.stop()

    async def entries(self) -> list[MockEntry]:
        """Its ledger, oldest first."""
        lines = await self._ask("GET", "/mock/ledger")
        return [_ENTRIES.decode(line) for line in lines.splitlines() if line]

    async def stats(self) -> dict[str, Any]:
        """Its totals."""
        found: dict[str, Any] = json.loads(await self._ask("GET", "/mock/stats"))
        return found

    async def forget(self) -> None:
        """Begin a new ledger, without faults."""
        await self._ask("DELETE", "/mock/ledger")
        await self._ask("DELETE", "/mock/faults")

    async def fail(self, *faults: str) -> None:
        """These faults from now on, and no others."""
        await self._ask("DELETE", "/mock/faults")
        if faults:
            await self._ask("POST", "/mock/faults", "\n".join(faults).encode())

    async def wait_until_idle(self, within_s: float = 20.0) -> None:
        """Return when it answers nothing any more. Raises :class:`DrillError`."""
        deadline = time.monotonic() + within_s
        while (await self.stats())["in_flight"]:
            if time.monotonic() > deadline:
                raise DrillError(f"{self.name} was still answering after {within_s:g} s")
            await asyncio.sleep(0.05)

    async def _ask(self, method: str, path: str, body: bytes = b"") -> bytes:
        status, answer = await asyncio.to_thread(request, self.port, method, path, body)
        if status != 200:
            raise DrillError(f"{self.name}: {method} {path} answered {status}: {answer[:200]!r}")
        return answer


class Gateway:
    """Our gateway as a contender. A context manager; leaving it ends its process."""

    def __init__(
        self,
        name: str,
        directory: Path,
        deployments: Mapping[str, Mapping[str, Any]],
        *,
        section: Mapping[str, Any] | None = None,
        model: Mapping[str, Any] | None = None,
        limit: Mapping[str, Any] | None = None,
    ) -> None:
        """``deployments``: provider name to its settings (``url``, ``protocol``).

        ``section`` is what else is below ``gateway:``, ``model`` below the only model, ``limit`` the one of its only
        tenant.
        """
        self.name = name
        self.directory = directory / name
        self.directory.mkdir(exist_ok=True)
        self.port = free_port()
        self.store = f"sqlite:{self.directory / 'drill.db'}"
        self.journal = self.directory / "journal"
        self._starts = 0
        self._child: Child | None = None
        self.config = self.directory / "gateway.yaml"
        self.section = {
            "listen": f"127.0.0.1:{self.port}",
            "providers": {
                provider: {"protocol": "openai", "private": True, "auth": "none", **settings}
                for provider, settings in deployments.items()
            },
            "models": {
                MODEL: {
                    "deployments": [
                        {"provider": provider, "model": "mock-small", "price": PRICE} for provider in deployments
                    ],
                    **(model or {}),
                }
            },
            "anonymous": {"tenant": "drill", "limit": dict(limit or {})},
            "ledger": {"path": str(self.journal)},
            **(section or {}),
        }
        document = {"store": {"url": self.store}, "gateway": self.section}
        self.config.write_text(json.dumps(document, indent=2))

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def pids(self) -> list[int]:
        """Its processes."""
        if self._child is None:
            raise DrillError(f"{self.name} is not running")
        return self._child.tree()

    def start(self) -> float:
        """Start it; seconds until its first 200. Raises :class:`~holdfast.drills.errors.ProcessFailedError`."""
        self._starts += 1
        began = time.monotonic()
        self._child = Child(
            [sys.executable, "-P", "-m", "holdfast", "run", "gateway", "-c", str(self.config)],
            log=self.directory / f"gateway-{self._starts}.log",
            environment={"HOLDFAST_LOG_FORMAT": "json"},
        )
        try:
            self._child.wait_until_listening(self.port)
            wait_for_answer(self.port, "/v1/models")
        except BaseException:
            self.stop()
            raise
        return time.monotonic() - began

    def kill(self) -> None:
        """SIGKILL, and reap it."""
        child, self._child = self._child, None
        if child is not None:
            child.kill()

    def stop(self) -> int:
        """SIGTERM; its exit code."""
        child, self._child = self._child, None
        return 0 if child is None else child.stop()


def url(provider: Provider) -> dict[str, str]:
    """Where an OpenAI-compatible (or Anthropic) deployment is."""
    return {"url": f"http://127.0.0.1:{provider.port}/v1"}


def request(
    port: int, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None
) -> tuple[int, bytes]:
    """One request on a connection of its own. Raises ``OSError``."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_REQUEST_S)
    try:
        connection.request(method, path, body or None, dict(headers or {}))
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def wait_for_answer(
    port: int,
    path: str,
    *,
    body: bytes = b"",
    headers: Mapping[str, str] | None = None,
    within_s: float = 60.0,
) -> None:
    """Return once a request is answered with 200. Raises :class:`DrillError`."""
    deadline = time.monotonic() + within_s
    last = "nothing"
    while time.monotonic() < deadline:
        try:
            status, answer = request(port, "POST" if body else "GET", path, body, headers)
        except (OSError, http.client.HTTPException) as error:
            last = str(error)
        else:
            if status == 200:
                return
            last = f"{status}: {answer[:200]!r}"
        time.sleep(0.01)
    raise DrillError(f"no 200 of port {port} for {path} within {within_s:g} s, but {last}")


def resident_bytes(pids: Sequence[int]) -> int:
    """Resident memory of these processes together; pages that they share count once for each."""
    page = os.sysconf("SC_PAGE_SIZE")
    return sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * page for pid in pids)
