"""Agents as processes, an engine that comes and goes: what was seen arrives, once."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from holdfast.testing import eventually
from tests.integration.netpulse.agent.harness import agent, kill, world
from tests.unit.netpulse.agent.scripted import target

if TYPE_CHECKING:
    from pathlib import Path

WATCHED = (target("a"), target("b", "down"), target("c"))


def assert_nothing_is_missing(seqs: list[int]) -> None:
    assert sorted(seqs) == list(range(1, len(seqs) + 1))


def test_what_an_agent_sees_arrives(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path, targets=WATCHED) as it, agent(it):
            await eventually(lambda: len(it.engine.results("b")) > 2, within_s=20)
            ask = it.engine.asks[-1]
            assert (ask.agent, ask.region, ask.sight.blind) == ("eu", "eu", False)
        assert_nothing_is_missing([seq for _, _, seq in it.engine.stored])
        assert {each.monitor for each in it.engine.results()} == {"t/a", "t/b", "t/c"}

    asyncio.run(scenario())


def test_a_cut_delays_results_and_loses_none(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path, targets=WATCHED) as it:
            async with agent(it) as process:
                await eventually(it.engine.results, within_s=20)
                await it.down()
                cut_at, before = time.time(), len(it.engine.stored)
                spool = tmp_path / "spool" / "eu.sqlite-wal"
                size = spool.stat().st_size
                await eventually(lambda: spool.stat().st_size > size + 40_000, within_s=20)
                await kill(process)
            async with agent(it):  # which knows its schedule although nobody answers
                size = spool.stat().st_size
                await eventually(lambda: spool.stat().st_size > size + 20_000, within_s=20)
                await it.up()
                back_at = time.time()
                await eventually(lambda: any(each.at > back_at for each in it.engine.results()), within_s=20)
            assert_nothing_is_missing([seq for _, _, seq in it.engine.stored])
            assert len({spool for _, spool, _ in it.engine.stored}) == 1
            assert sum(cut_at < each.at < back_at for each in it.engine.results()) > 10
            assert len(it.engine.stored) > before + 10

    asyncio.run(scenario())
