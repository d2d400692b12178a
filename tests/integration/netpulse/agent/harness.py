"""A scripted engine behind the real listener, and agents as processes."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from holdfast.kernel import Duration
from holdfast.netpulse.core.protocol import encode
from holdfast.netpulse.core.settings import AgentSettings, NetpulseSettings
from holdfast.netpulse.shell.agents import AgentListener
from holdfast.netpulse.shell.certificates import ensure
from tests.unit.netpulse.agent.scripted import ScriptedEngine

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

ROOT = Path(__file__).parents[4]
PROCESS = Path(__file__).with_name("agent_process.py")


@dataclass
class World:
    """An engine, whether it listens or not, and a directory of certificates."""

    engine: ScriptedEngine
    directory: Path
    port: int = 0
    listener: AgentListener | None = None

    @property
    def certificates(self) -> Path:
        return self.directory / "certificates"

    async def up(self) -> AgentListener:
        """Listen, where it listened before."""
        assert self.listener is None
        listener = AgentListener(self.engine, listen=f"127.0.0.1:{self.port}", certificates=self.certificates)
        await listener.start()
        self.listener = listener
        self.port = int(listener.url.rpartition(":")[2])
        return listener

    async def down(self) -> None:
        """Be gone."""
        if self.listener is not None:
            await self.listener.stop()
            self.listener = None

    def settings(self, **agents: Any) -> NetpulseSettings:
        values = {
            "engine": f"https://127.0.0.1:{self.port}",
            "certificates": str(self.certificates),
            "spool": str(self.directory / "spool"),
            "drain_timeout": Duration(1.0),
            **agents,
        }
        return NetpulseSettings(agents=AgentSettings(**values))


@asynccontextmanager
async def world(tmp_path: Path, **engine: Any) -> AsyncIterator[World]:
    """An engine that listens, with an authority and certificates for ``eu`` and ``us``."""
    made = World(ScriptedEngine(**engine), tmp_path)
    await asyncio.to_thread(ensure, made.certificates, ["127.0.0.1", "localhost"], {"eu": "eu", "us": "us"})
    await made.up()
    try:
        yield made
    finally:
        await made.down()


@asynccontextmanager
async def agent(
    world: World, region: str = "eu", *, shift_s: float = 0.0, **agents: Any
) -> AsyncIterator[asyncio.subprocess.Process]:
    """An agent that is ready. If it still runs at the end, it gets SIGTERM and has to leave with 0."""
    file = world.directory / f"{region}.json"
    file.write_bytes(encode(world.settings(**agents)))
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(PROCESS),
        str(file),
        region,
        str(shift_s),
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"},
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(30):
            assert await process.stdout.readline() == b"ready\n"
        yield process
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGTERM)
            async with asyncio.timeout(20):
                assert await process.wait() == 0


async def kill(process: asyncio.subprocess.Process) -> None:
    """kill -9, and reap."""
    process.kill()
    await process.wait()
