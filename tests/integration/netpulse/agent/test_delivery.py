"""Agents as processes, an engine that comes and goes: what was seen arrives, once."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sqlite3
import time
from typing import TYPE_CHECKING

import pytest

from holdfast.kernel import Duration
from holdfast.netpulse.core.protocol import Batch, Target
from holdfast.netpulse.core.result import Failure, Outcome
from holdfast.netpulse.core.settings import CanarySettings, MonitorSettings, TcpCheck
from holdfast.netpulse.shell.agent import AgentError, serve_agent
from holdfast.netpulse.shell.agent import serve as serve_module
from holdfast.netpulse.shell.certificates import make_agent, revoke
from holdfast.testing import eventually
from tests.integration.netpulse.agent.harness import World, agent, kill, world
from tests.unit.netpulse.agent.scripted import ScriptedProber, target

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


def test_a_receipt_that_is_lost_makes_no_result_count_twice(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path, targets=WATCHED) as it:
            cut = 0

            def vanish(_: Batch) -> None:
                """After the commit, before the receipt."""
                nonlocal cut
                if cut < 3 and it.listener is not None and it.listener._server is not None:
                    cut += 1
                    for connection in it.listener._server.connections:
                        connection.force_close()

            it.engine.on_take = vanish
            async with agent(it):
                await eventually(lambda: cut == 3 and len(it.engine.results("a")) > 20, within_s=20)
            assert it.engine.repeated >= 3, "they came again, and were known"
            assert_nothing_is_missing([seq for _, _, seq in it.engine.stored])

    asyncio.run(scenario())


def test_an_agent_that_is_killed_again_and_again_loses_nothing_it_had_committed(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path, targets=WATCHED) as it:
            for _ in range(3):
                async with agent(it) as process:
                    await ten_more(it)
                    await kill(process)
            async with agent(it):
                await ten_more(it)
            assert_nothing_is_missing([seq for _, _, seq in it.engine.stored])

    asyncio.run(scenario())


def test_what_was_seen_while_stopping_is_delivered(tmp_path: Path) -> None:
    async def scenario() -> None:
        slow = target("slow", "hang", interval_s=3600.0, timeout_s=0.5)
        async with world(tmp_path, targets=(slow,)) as it:
            async with agent(it) as process:
                await eventually(lambda: it.engine.asks and it.engine.asks[-1].schedule == "1", within_s=20)
                it.engine.want("slow")
                await eventually(lambda: it.engine.asks[-1].confirmed == 1, within_s=20)
                process.send_signal(signal.SIGTERM)
                assert await process.wait() == 0
            assert [each.failure for each in it.engine.results("slow")] == [Failure.TIMEOUT]

    asyncio.run(scenario())


def test_an_agent_whose_clock_is_an_hour_off_is_told_so_and_goes_on(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path, targets=WATCHED, clock_offset_s=3600.0) as it, agent(it, shift_s=-3600.0):
            await eventually(lambda: len(it.engine.results("a")) > 10, within_s=20)
            batch = it.engine.batches[-1]
            assert abs(batch.now + 3600.0 - time.time()) < 30.0
            assert all(abs(each.at + 3600.0 - time.time()) < 60.0 for each in it.engine.results())

    asyncio.run(scenario())


def test_an_agent_that_reaches_no_canary_reports_itself_and_not_its_targets(tmp_path: Path) -> None:
    async def scenario() -> None:
        canary = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
        address = "{}:{}".format(*canary.sockets[0].getsockname())
        canaries = (CanarySettings(tcp=address),)
        async with world(tmp_path, targets=WATCHED, canaries=canaries) as it, agent(it):
            await eventually(lambda: it.engine.results("b"), within_s=20)
            assert {each.outcome for each in it.engine.results("b")} == {Outcome.DOWN}
            canary.close()
            await canary.wait_closed()
            await eventually(lambda: it.engine.asks[-1].sight.blind, within_s=20)
            assert "ConnectionRefusedError" in it.engine.asks[-1].sight.reason
            count = len(it.engine.results("b"))
            await eventually(lambda: len(it.engine.results("b")) > count + 5, within_s=20)
            fresh = it.engine.results("b")[count + 2 :]
            assert {(each.outcome, each.failure) for each in fresh} == {(Outcome.UNKNOWN, Failure.BLIND)}
            assert {each.outcome for each in it.engine.results("a")} == {Outcome.UP}, "which it did reach"

    asyncio.run(scenario())


def test_a_third_of_the_targets_hanging_delays_nobody_else(tmp_path: Path) -> None:
    async def scenario() -> None:
        hanging = [target(f"h{n}", f"hang{n}", timeout_s=30.0, offset=n / 200) for n in range(10)]
        others = [target(f"a{n}", f"up{n}", offset=n / 200) for n in range(20)]
        async with world(tmp_path, targets=(*hanging, *others)) as it, agent(it, drain_timeout=Duration(0.1)):
            await eventually(lambda: all(len(it.engine.results(f"a{n}")) > 10 for n in range(20)), within_s=30)
            counts = [len(it.engine.results(f"a{n}")) for n in range(20)]
            assert max(counts) - min(counts) <= 3
            assert not any(it.engine.results(f"h{n}") for n in range(10))

    asyncio.run(scenario())


def test_a_new_schedule_is_taken_up_at_once_and_a_confirmation_once(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path, targets=WATCHED) as it, agent(it):
            await eventually(lambda: it.engine.results("a"), within_s=20)
            it.engine.order(target("d"), target("e", interval_s=3600.0))
            await eventually(lambda: it.engine.results("d"), within_s=20)
            count = len(it.engine.results("a"))
            it.engine.want("e")
            await eventually(lambda: it.engine.results("e"), within_s=20)
            await eventually(lambda: len(it.engine.results("d")) > 10, within_s=20)
            assert [each.confirm for each in it.engine.results("e")] == [True]
            assert len(it.engine.results("a")) == count

    asyncio.run(scenario())


def test_a_revoked_agent_asks_nobody_anything_until_it_is_let_in_again(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path, targets=WATCHED) as it, agent(it):
            await eventually(lambda: it.engine.results("a"), within_s=20)
            await asyncio.to_thread(revoke, it.certificates, "eu")
            it.engine.order(*WATCHED)  # the next ask is refused
            count = len(it.engine.stored)
            async with asyncio.timeout(20):
                while await grows(tmp_path / "spool" / "eu.sqlite"):
                    pass
            assert len(it.engine.stored) == count

    asyncio.run(scenario())


def test_two_agents_of_a_region_have_a_name_and_a_spool_each(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path, targets=WATCHED) as it:
            await asyncio.to_thread(make_agent, it.certificates, "eu", "eu-2")
            async with agent(it), agent(it):
                await eventually(lambda: {each[0] for each in it.engine.stored} == {"eu", "eu-2"}, within_s=20)
                with pytest.raises(AgentError, match="every agent of eu that has a certificate is running"):
                    await serve_agent(
                        it.settings(), region="eu", name=None, ready=lambda _: None, prober=ScriptedProber()
                    )

    asyncio.run(scenario())


def test_an_agent_waits_for_its_certificate(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path, targets=WATCHED) as it:
            starting = asyncio.create_task(started(it, "ap"))
            await asyncio.to_thread(make_agent, it.certificates, "ap")
            await starting
            assert any(each.region == "ap" for each in it.engine.asks)

    async def started(it: World, region: str) -> None:
        async with agent(it, region):
            await eventually(lambda: it.engine.results("a"), within_s=20)

    asyncio.run(scenario())


def test_an_agent_without_a_certificate_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serve_module, "BUNDLE_S", 0.2)

    async def scenario() -> None:
        async with world(tmp_path) as it:
            with pytest.raises(AgentError, match="no certificate of an agent of mars; make it with"):
                await serve_agent(
                    it.settings(), region="mars", name=None, ready=lambda _: None, prober=ScriptedProber()
                )
            copied = it.certificates / "agents" / "eu"
            with pytest.raises(AgentError, match="is of the agent eu in eu, not of one in us"):
                await serve_agent(
                    it.settings(certificates=str(copied)),
                    region="us",
                    name=None,
                    ready=lambda _: None,
                    prober=ScriptedProber(),
                )

    asyncio.run(scenario())


def test_a_schedule_that_cannot_be_read_is_asked_for_again(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path, targets=WATCHED) as it:
            (tmp_path / "spool").mkdir()
            (tmp_path / "spool" / "eu.schedule").write_bytes(b"\xc1")
            async with agent(it):
                await eventually(lambda: it.engine.results("a"), within_s=20)
                assert it.engine.asks[0].schedule == ""
            async with agent(it):
                count = len(it.engine.asks)
                await eventually(lambda: len(it.engine.asks) > count, within_s=20)
                assert it.engine.asks[count].schedule == "1", "it is on disk now"

    asyncio.run(scenario())


async def ten_more(it: World) -> None:
    count = len(it.engine.stored)
    await eventually(lambda: len(it.engine.stored) > count + 10, within_s=20)


def spooled_upto(path: Path) -> int:
    with contextlib.closing(sqlite3.connect(path)) as spool:
        return int(spool.execute("SELECT next FROM spool").fetchone()[0]) - 1


async def grows(path: Path) -> bool:
    """Whether anything was spooled in a time in which the watched targets would be probed several times."""
    before = spooled_upto(path)
    await asyncio.sleep(0.5)  # there is no event for what does not happen
    return spooled_upto(path) != before


def test_without_another_prober_targets_are_really_asked(tmp_path: Path) -> None:
    async def scenario() -> None:
        there = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
        spec = MonitorSettings(
            interval=Duration(0.1),
            allow_private=True,
            tcp=TcpCheck(address="{}:{}".format(*there.sockets[0].getsockname())),
        )
        async with there, world(tmp_path, targets=(Target(monitor="t/a", spec=spec, offset=0.0),)) as it:
            settings = it.settings(allow_private=True)
            serving = asyncio.create_task(serve_agent(settings, region="eu", name="eu", ready=lambda _: None))
            await eventually(lambda: it.engine.results("a"), within_s=20)
            os.kill(os.getpid(), signal.SIGTERM)
            assert await serving == 0
        found = it.engine.results("a")[0]
        assert (found.outcome, found.address) == (Outcome.UP, "127.0.0.1")

    asyncio.run(scenario())
