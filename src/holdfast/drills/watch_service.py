"""NetPulse under test: an engine and agents, each a process as ``holdfast run`` starts it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import aiohttp

from holdfast.drills.errors import DrillError
from holdfast.drills.process import Child, free_port
from holdfast.identity import Identities
from holdfast.netpulse import make_agent
from holdfast.store import StoreSettings, Tx, open_database

TENANT: Final = "drill"
_REQUEST_S: Final = 30.0
_START_S: Final = 60.0
"""A world of 10,000 monitors takes seconds to read."""


class WatchService:
    """One engine on one store, and its agents."""

    def __init__(
        self,
        name: str,
        directory: Path,
        *,
        agents: Mapping[str, str],
        section: Mapping[str, Any],
        store: str | None = None,
        heartbeat_s: float = 5.0,
        concurrency: int | None = None,
        link_port: int | None = None,
    ) -> None:
        """``agents`` are names and their regions, each region a failure domain of its own.

        ``section`` is what else is below ``netpulse:``. Agents find the engine on ``link_port`` of loopback, if
        something of the drill stands between.
        """
        self.name = name
        self.directory = directory / name
        self.directory.mkdir()
        self.port, self.agents_port = free_port(), free_port()
        self.store = store or f"sqlite:{self.directory / 'drill.db'}"
        self.agents = dict(agents)
        self.key = ""
        self.engine: Child | None = None
        self.watching: dict[str, Child] = {}
        self._section = section
        self._starts = 0
        self._link: dict[str, Any] = {
            "listen": f"127.0.0.1:{self.agents_port}",
            "engine": f"https://127.0.0.1:{link_port or self.agents_port}",
            "certificates": str(self.certificates),
            "spool": str(self.spools),
            "heartbeat": f"{heartbeat_s:g}s",
            "allow_private": True,
        }
        if concurrency is not None:
            self._link["concurrency"] = concurrency

    @property
    def url(self) -> str:
        """Of the API."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def agents_url(self) -> str:
        """Where the engine waits for agents."""
        return f"https://127.0.0.1:{self.agents_port}"

    @property
    def certificates(self) -> Path:
        """Of the authority and of the agents."""
        return self.directory / "certificates"

    @property
    def spools(self) -> Path:
        """Of the agents."""
        return self.directory / "spool"

    async def __aenter__(self) -> Self:
        """Make certificates and a key, then start the engine. Raises :class:`DrillError`."""
        regions = {region: {"domain": f"domain-{region}"} for region in self.agents.values()}
        shared = {"listen": f"127.0.0.1:{self.port}", "tenant": TENANT, "regions": regions, "agents": self._link}
        self._write("engine", {**shared, **self._section})
        self._write("agent", shared)  # what an agent is to watch it hears from the engine
        for agent, region in self.agents.items():
            await asyncio.to_thread(make_agent, self.certificates, region, agent)
        async with await open_database(StoreSettings(url=self.store)) as database:
            identities = Identities(database)
            await identities.open()
            _, self.key = await identities.create_key(TENANT, role="admin", now=time.time())
            await identities.close()
        try:
            await asyncio.to_thread(self.start_engine)
        except BaseException:
            self.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End everything."""
        await asyncio.to_thread(self.close)

    def _write(self, name: str, netpulse: Mapping[str, Any]) -> None:
        document = {"store": {"url": self.store}, "netpulse": netpulse}
        (self.directory / f"{name}.yaml").write_text(json.dumps(document, separators=(",", ":")))

    def _child(self, *words: str, config: str, log: str) -> Child:
        self._starts += 1
        return Child(
            [sys.executable, "-P", "-m", "holdfast", "run", *words, "-c", str(self.directory / f"{config}.yaml")],
            log=self.directory / f"{log}-{self._starts}.log",
            environment={"HOLDFAST_LOG_FORMAT": "json"},
        )

    # -- the engine

    def start_engine(self, *, wait: bool = True) -> None:
        """Start it, and wait until it serves. Raises :class:`DrillError`."""
        self.engine = self._child("netpulse", config="engine", log="engine")
        if wait:
            self.engine.wait_until_listening(self.port, timeout_s=_START_S)
            self.engine.wait_until_listening(self.agents_port, timeout_s=_START_S)

    def kill_engine(self) -> None:
        """SIGKILL, and reap it."""
        if self.engine is not None:
            self.engine.kill()
            self.engine = None

    def revive(self) -> int:
        """Start again what has ended by itself, as a supervisor does; how many those were."""
        count = 0
        if self.engine is not None and self.engine.over:
            self.start_engine(wait=False)
            count += 1
        for agent in [agent for agent, child in self.watching.items() if child.over]:
            self.start_agent(agent)
            count += 1
        return count

    # -- agents

    def start_agent(self, agent: str) -> Child:
        """Start one; it watches as soon as the engine says what."""
        words = ("agent", "--region", self.agents[agent], "--name", agent)
        child = self.watching[agent] = self._child(*words, config="agent", log=f"agent-{agent}")
        return child

    def kill_agent(self, agent: str) -> None:
        """SIGKILL, and reap it. Its spool stays."""
        self.watching.pop(agent).kill()

    async def wait_for_agents(self, session: aiohttp.ClientSession, *, within_s: float = 30.0) -> None:
        """Return when every region sees. Raises :class:`DrillError`."""
        try:
            async with asyncio.timeout(within_s):
                while any(region["state"] != "seeing" for region in await self.regions(session)):  # noqa: ASYNC110 - it happens elsewhere
                    await asyncio.sleep(0.05)
        except TimeoutError:
            raise DrillError(f"{self.name}: not every region saw after {within_s:g} s: {self._words()}") from None

    def _words(self) -> str:
        logs = sorted(self.directory.glob("*.log"))
        return " | ".join(line for log in logs for line in log.read_text(errors="replace").splitlines()[-2:])

    # -- what can be asked

    def session(self) -> aiohttp.ClientSession:
        """A client of the API; connections are not bounded."""
        return aiohttp.ClientSession(
            self.url,
            connector=aiohttp.TCPConnector(limit=0),
            timeout=aiohttp.ClientTimeout(total=_REQUEST_S),
            headers={"Authorization": f"Bearer {self.key}"},
        )

    async def get(self, session: aiohttp.ClientSession, path: str) -> Any:
        """The body of an answer. Raises :class:`DrillError`, ``aiohttp.ClientError`` and ``TimeoutError``."""
        async with session.get(path) as response:
            body = await response.json(content_type=None)
            if response.status != 200:
                raise DrillError(f"{self.name}: GET {path} answered {response.status}: {body}")
            return body

    async def regions(self, session: aiohttp.ClientSession) -> list[dict[str, Any]]:
        """All regions and their agents."""
        body = await self.get(session, "/v1/regions")
        found: list[dict[str, Any]] = body["regions"] if isinstance(body, dict) else body
        return found

    async def rows(self, statement: str, *values: float) -> list[tuple[Any, ...]]:
        """What the store has: the drill counts in it, and does not believe what the engine says of itself."""

        def read(tx: Tx) -> list[tuple[Any, ...]]:
            return [tuple(row) for row in tx.all(statement, *values)]

        async with await open_database(StoreSettings(url=self.store)) as database:
            return await database.read(read)

    def close(self) -> None:
        """End the agents, then the engine, in order."""
        for child in self.watching.values():
            with_signal(child, signal.SIGCONT)
            with_signal(child, signal.SIGTERM)
        for child in self.watching.values():
            child.stop()
        self.watching.clear()
        if self.engine is not None:
            with_signal(self.engine, signal.SIGCONT)
            self.engine.stop()
            self.engine = None


def with_signal(child: Child, number: signal.Signals) -> None:
    """Send a signal to a child that lives."""
    if not child.over:
        os.kill(child.pid, number)
