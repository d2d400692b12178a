"""The whole agent in this process, with an engine that answers as told."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING, Any

import pytest

from holdfast.netpulse.core.protocol import Ask, Batch, Orders, Receipt
from holdfast.netpulse.core.result import Failure, Outcome
from holdfast.netpulse.core.settings import CanarySettings
from holdfast.netpulse.shell.agent import delivery as delivery_module
from holdfast.netpulse.shell.agent.agent import Agent
from holdfast.netpulse.shell.agent.clock import Clock
from holdfast.netpulse.shell.agent.errors import Forbidden, Rejected, Unanswered
from holdfast.netpulse.shell.agent.spool import Spool
from holdfast.testing import eventually
from tests.unit.netpulse.agent.scripted import ScriptedEngine, ScriptedProber, target

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


@dataclass
class ScriptedLink:
    """To the scripted engine, unless something is to go wrong."""

    engine: ScriptedEngine = field(default_factory=ScriptedEngine)
    orders_failure: Exception | None = None
    results_failure: Exception | None = None
    rejects: set[int] = field(default_factory=set)
    attempts: list[tuple[int, ...]] = field(default_factory=list)

    async def orders(self, ask: Ask, *, wait_s: float) -> Orders:
        if self.orders_failure is not None:
            raise self.orders_failure
        return await self.engine.orders(ask)

    async def results(self, batch: Batch) -> Receipt:
        seqs = tuple(each.seq for each in batch.results)
        self.attempts.append(seqs)
        if self.results_failure is not None:
            raise self.results_failure
        if self.rejects.intersection(seqs):
            raise Rejected("number 7 is no good", status=400)
        return await self.engine.take(batch)


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery_module, "BACKOFF_S", (0.01, 0.02))
    monkeypatch.setattr(delivery_module, "FORBIDDEN_S", 0.02)


@asynccontextmanager
async def running(
    path: Path, link: ScriptedLink, clock: Clock | None = None, **agent: Any
) -> AsyncIterator[tuple[Agent, ScriptedProber]]:
    clock = clock or Clock()
    prober = ScriptedProber()
    spool = Spool.open(path / "eu.sqlite", size_bytes=2**20, clock=clock, boot="b")
    made = Agent(
        link,
        spool,
        prober,
        clock,
        name="eu",
        region="eu",
        epoch="e",
        version="1",
        schedule=path / "eu.schedule",
        canaries=(),
        places=16,
        heartbeat_s=5.0,
        drain_s=0.1,
        rng=Random(1),
        **agent,
    )
    task = asyncio.create_task(made.run())
    task.add_done_callback(lambda _: made.stop())
    try:
        yield made, prober
    finally:
        made.stop()
        try:
            async with asyncio.timeout(10):
                assert await task == 0
        finally:
            await spool.close()


def test_a_result_that_is_never_taken_is_dropped_alone(tmp_path: Path) -> None:
    async def scenario() -> None:
        link = ScriptedLink(ScriptedEngine(targets=(target("a"), target("b"))), results_failure=Unanswered("not yet"))
        link.rejects = {7}
        async with running(tmp_path, link) as (agent, _):
            await eventually(lambda: agent._spool.spooled > 20)
            link.results_failure = None
            await eventually(lambda: any(seq > 20 for _, _, seq in link.engine.stored))
            assert set(range(1, 21)) - {seq for _, _, seq in link.engine.stored} == {7}
            assert agent._spool.dropped == 1
            assert (7,) in link.attempts

    asyncio.run(scenario())


def test_a_backlog_arrives_in_order_before_what_is_fresh(tmp_path: Path) -> None:
    async def scenario() -> None:
        link = ScriptedLink(ScriptedEngine(targets=(target("a"), target("b"))), results_failure=Unanswered("cut"))
        async with running(tmp_path, link) as (agent, _):
            await eventually(lambda: agent._spool.spooled > 20)
            link.results_failure = None
            await eventually(lambda: len(link.engine.stored) > 30)
            assert [seq for _, _, seq in link.engine.stored] == list(range(1, len(link.engine.stored) + 1))

    asyncio.run(scenario())


def test_failures_of_the_seconds_before_the_agent_was_found_blind_are_not_believed(tmp_path: Path) -> None:
    async def scenario() -> None:
        canary = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
        address = "{}:{}".format(*canary.sockets[0].getsockname())
        engine = ScriptedEngine(targets=(target("a", "down"),), canaries=(CanarySettings(tcp=address),))
        link = ScriptedLink(engine, results_failure=Unanswered("cut"))
        async with running(tmp_path, link) as (agent, _):
            await eventually(lambda: agent._spool.committed)
            canary.close()
            await eventually(lambda: agent._canaries.sight.blind, within_s=10)
            await canary.wait_closed()
            link.results_failure = None
            await eventually(lambda: len(engine.stored) > 5)
            found = engine.results("a")
            assert {(each.outcome, each.failure) for each in found} == {(Outcome.UNKNOWN, Failure.BLIND)}
            assert any(each.detail == "the agent was found blind just after this" for each in found)

    asyncio.run(scenario())


def test_a_change_of_sight_is_told_at_once(tmp_path: Path) -> None:
    async def scenario() -> None:
        canary = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
        address = "{}:{}".format(*canary.sockets[0].getsockname())
        engine = ScriptedEngine(
            targets=(target("a"), target("b", "down")), canaries=(CanarySettings(tcp=address),), wait_s=3600.0
        )
        async with running(tmp_path, ScriptedLink(engine)):
            await eventually(lambda: len(engine.asks) == 2)
            canary.close()
            await canary.wait_closed()
            await eventually(lambda: engine.asks[-1].sight.blind, within_s=10)
            assert len(engine.asks) == 3, "although the ask before was to be held for an hour"

    asyncio.run(scenario())


def test_an_agent_that_is_refused_stops_watching_keeps_what_it_saw_and_begins_again(tmp_path: Path) -> None:
    renewals: list[int] = []

    async def renew() -> None:
        renewals.append(1)

    async def scenario() -> None:
        link = ScriptedLink(ScriptedEngine(targets=(target("a"),), wait_s=0.1))
        async with running(tmp_path, link, renew=renew) as (agent, prober):
            await eventually(lambda: link.engine.stored)
            link.orders_failure = link.results_failure = Forbidden("revoked")
            await eventually(lambda: renewals)
            await eventually(lambda: agent._watch.probing == 0)
            probes, spooled = prober.probes, agent._spool.spooled
            await eventually(lambda: len(renewals) > 10)
            assert prober.probes == probes
            link.orders_failure = link.results_failure = None
            count = len(link.engine.stored)
            await eventually(lambda: len(link.engine.stored) > count + spooled + 2)
            assert agent._spool.dropped == 0

    asyncio.run(scenario())


def test_a_confirmation_that_is_ordered_again_is_probed_once(tmp_path: Path) -> None:
    async def scenario() -> None:
        engine = ScriptedEngine(targets=(target("a", interval_s=3600.0, offset=3599.0),))
        async with running(tmp_path, ScriptedLink(engine)) as (agent, prober):
            await eventually(lambda: engine.asks and engine.asks[-1].schedule == "1")
            engine.want("a")
            await eventually(lambda: engine.asks[-1].confirmed == 1)
            await eventually(lambda: engine.results("a"))
            agent._confirmed = 0  # the engine has not heard
            asks = len(engine.asks)
            engine.changed.set()
            await eventually(lambda: len(engine.asks) > asks + 1)
            assert prober.probes == 1
            assert [each.confirm for each in engine.results("a")] == [True]

    asyncio.run(scenario())


def test_the_schedule_follows_the_engine_s_clock(tmp_path: Path) -> None:
    async def scenario() -> None:
        engine = ScriptedEngine(targets=(target("a"),), clock_offset_s=3600.0)
        clock = Clock()
        async with running(tmp_path, ScriptedLink(engine), clock):
            await eventually(lambda: clock.offset_s == 3600.0)
            count = len(engine.stored)
            await eventually(lambda: len(engine.stored) > count + 3)
            assert abs(clock.engine_now() - clock.now() - 3600.0) < 1.0

    asyncio.run(scenario())


def test_a_mistake_of_ours_ends_the_agent_instead_of_leaving_it_half_alive(tmp_path: Path) -> None:
    class Broken(ScriptedLink):
        async def orders(self, ask: Ask, *, wait_s: float) -> Orders:
            raise ZeroDivisionError("a bug")

    async def scenario() -> None:
        with pytest.raises(ZeroDivisionError):
            async with running(tmp_path, Broken()) as (agent, _):
                await agent._stopping.wait()

    asyncio.run(scenario())
