"""kill -9 at each step of telling: nothing is lost, and what comes twice comes with the same key."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random

import pytest
from aiohttp import web

from holdfast.netpulse.core.incident import Decisions, State, Transition
from holdfast.netpulse.core.settings import RetentionSettings
from holdfast.netpulse.shell.notify.dispatcher import LEASE_S
from holdfast.netpulse.shell.records import NetpulseRecords as Records
from holdfast.store import StoreSettings, open_database
from holdfast.testing import eventually
from tests.integration.netpulse.notify.services import Service, serving
from tests.unit.netpulse.notify.memory import NOW, incident, notice

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).parents[4]
INCIDENTS = [incident(f"inc_{number}") for number in range(6)]
KEYS = {notice(of=about).key for about in INCIDENTS}


async def decide(path: Path) -> None:
    """Six pages, stored with their incidents in one transaction."""
    async with await open_database(StoreSettings(url=f"sqlite:{path}")) as database:
        records = Records(database, RetentionSettings(), rng=Random(1))
        await records.open(NOW)
        steps = [
            Transition(incident=about.id, number=number, at=NOW, rule="incident.open", before=None, after=State.OPEN)
            for about in INCIDENTS
            for number in (1, 2)
        ]
        pages = tuple(notice(of=about) for about in INCIDENTS)
        await records.decide(Decisions(incidents=tuple(INCIDENTS), transitions=tuple(steps), notices=pages))
        await records.close()


async def states(path: Path) -> set[str]:
    async with await open_database(StoreSettings(url=f"sqlite:{path}")) as database:
        records = Records(database, RetentionSettings(), rng=Random(1))
        found = {state for about in INCIDENTS for _, state, _ in await records.notices(about.id)}
        await records.close()
    return found


async def all_are_marked(path: Path) -> None:
    async with asyncio.timeout(20):
        while await states(path) != {"sent"}:
            pass


@asynccontextmanager
async def notifying(path: Path, service: Service, now: float, *mark: str) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.integration.netpulse.notify.notifier_process",
        str(path),
        service.url,
        str(now),
        *mark,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)])},
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await asyncio.wait_for(process.wait(), 10)


def keys(service: Service) -> list[str]:
    return [call.body["key"] for call in service.calls]


async def test_killed_while_it_sends_nothing_is_lost(tmp_path: Path) -> None:
    released = asyncio.Event()

    async def hang() -> web.Response:
        await released.wait()
        return web.Response()

    path = tmp_path / "pulse.db"
    await decide(path)
    async with serving(lambda _: web.Response(status=204)) as service:
        service.trouble = [hang] * 4
        async with notifying(path, service, NOW) as process:
            await eventually(lambda: len(service.calls) >= 4, within_s=20)
            process.kill()
        released.set()
        assert await states(path) == {"waiting"}
        async with notifying(path, service, NOW + LEASE_S):
            await eventually(lambda: set(keys(service)[4:]) == KEYS, within_s=20)
            await all_are_marked(path)
    assert len(keys(service)) == 4 + len(KEYS)


async def test_killed_between_the_send_and_the_mark_it_sends_the_same_key_again(tmp_path: Path) -> None:
    path = tmp_path / "pulse.db"
    await decide(path)
    async with serving(lambda _: web.Response(status=204)) as service:
        async with notifying(path, service, NOW, "mark") as process:
            assert await asyncio.wait_for(process.wait(), 20) == -9
        first = len(service.calls)
        assert first >= 1
        assert await states(path) == {"waiting"}
        async with notifying(path, service, NOW + LEASE_S):
            await eventually(lambda: set(keys(service)[first:]) == KEYS, within_s=20)
            await all_are_marked(path)
    assert set(keys(service)) == KEYS
