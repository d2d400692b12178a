"""Results on disk: none lost, none numbered twice, never more than there is room for."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from holdfast.netpulse.core.result import Outcome, Result
from holdfast.netpulse.shell.agent import spool as spool_module
from holdfast.netpulse.shell.agent.clock import Clock
from holdfast.netpulse.shell.agent.errors import AgentError
from holdfast.netpulse.shell.agent.spool import Spool, SpoolBusy

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class Hands:
    """Both hands of a clock, to be set."""

    def __init__(self) -> None:
        self.wall, self.steady = 1_000_000.0, 50.0

    def clock(self) -> Clock:
        return Clock(wall=lambda: self.wall, steady=lambda: self.steady)


def result(at: float = 1_000_000.0, outcome: Outcome = Outcome.UP, monitor: str = "t/a") -> Result:
    return Result(monitor=monitor, seq=0, at=at, outcome=outcome)


@asynccontextmanager
async def opened(
    path: Path, clock: Clock | None = None, *, size: int = 2**20, boot: str = "b", memory: int = 20_000
) -> AsyncIterator[Spool]:
    """A spool that commits by itself until the block ends."""
    spool = Spool.open(path / "eu.sqlite", size_bytes=size, clock=clock or Clock(), boot=boot, memory=memory)
    running = asyncio.create_task(spool.run())
    try:
        yield spool
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await spool.close()


async def drained(spool: Spool) -> list[Result]:
    found = []
    while spool.committed:
        part = await spool.head(1000)
        found += part
        spool.taken(part[-1].seq)
    return found


def test_what_is_added_is_numbered_and_comes_out_in_order(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path) as spool:
            for _ in range(5):
                spool.add(result(), hurry=False)
            assert spool.spooled == 5
            assert [each.seq for each in await spool.head(3)] == [1, 2, 3]
            assert [each.seq for each in await spool.head(9)] == [1, 2, 3, 4, 5], "until there is a receipt"
            spool.taken(4)
            assert [each.seq for each in await spool.head(9)] == [5]

    asyncio.run(scenario())


def test_nothing_is_given_out_before_it_is_committed(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path) as spool:
            spool.add(result(), hurry=True)
            assert not spool.committed
            await spool.head(1)
            with sqlite3.connect(tmp_path / "eu.sqlite") as other:
                assert other.execute("SELECT first, last FROM groups").fetchall() == [(1, 1)]
            other.close()

    asyncio.run(scenario())


def test_numbers_go_on_after_a_restart_also_when_all_was_received(tmp_path: Path) -> None:
    async def scenario() -> None:
        ids = set()
        for turn in range(3):
            async with opened(tmp_path) as spool:
                ids.add(spool.id)
                spool.add(result(), hurry=True)
                found = await spool.head(9)
                assert [each.seq for each in found] == [turn + 1]
                spool.taken(found[-1].seq)
        assert len(ids) == 1

    asyncio.run(scenario())


def test_what_was_not_received_is_there_after_a_restart(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path) as spool:
            for _ in range(2500):
                spool.add(result(), hurry=False)
        async with opened(tmp_path) as spool:
            assert spool.spooled == 2500
            spool.add(result(), hurry=True)
            assert [each.seq for each in await spool.head(1000)][:1000] == list(range(1, 1001))
            spool.taken(500)
            await spool.flush()
            assert [each.seq for each in await drained(spool)] == list(range(501, 2502))
            await spool.flush()
            assert spool.spooled == 0

    asyncio.run(scenario())


def test_a_long_cut_takes_disk_and_no_more_memory(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path, memory=100) as spool:
            for _ in range(20):
                for _ in range(20):
                    spool.add(result(), hurry=False)
                await spool.flush()
            assert spool._recent_results <= 100
            assert [each.seq for each in await drained(spool)] == list(range(1, 401))

    asyncio.run(scenario())


def test_a_full_spool_drops_the_oldest_and_counts_them(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path, size=10_000) as spool:
            for _ in range(50):
                for _ in range(20):
                    spool.add(result(), hurry=False)
                await spool.flush()
            found = [each.seq for each in await drained(spool)]
            assert found[-1] == 1000
            assert found == list(range(found[0], 1001))
            assert spool.dropped == found[0] - 1 > 500
            dropped = spool.dropped
        async with opened(tmp_path) as spool:
            assert spool.dropped == dropped

    asyncio.run(scenario())


def test_a_disk_that_takes_nothing_delays_results_and_loses_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spool_module, "AGAIN_S", 0.01)

    async def scenario() -> None:
        async with opened(tmp_path) as spool:
            commit, attempts = spool._file.commit, itertools.count()

            def failing(change: Any) -> tuple[int, int]:
                if next(attempts) < 3:
                    raise sqlite3.OperationalError("database or disk is full")
                return commit(change)

            monkeypatch.setattr(spool._file, "commit", failing)
            spool.add(result(), hurry=True)
            spool.add(result(), hurry=True)
            assert [each.seq for each in await spool.head(9)][:2] == [1, 2]

    asyncio.run(scenario())


def test_results_that_no_disk_takes_are_bounded(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path, memory=100) as spool:
            for _ in range(250):
                spool.add(result(), hurry=False)
            assert spool.spooled <= 100
            assert spool.spooled + spool.dropped == 250

    asyncio.run(scenario())


def test_a_correction_reaches_what_waits_and_what_is_on_disk_but_not_what_has_a_receipt(tmp_path: Path) -> None:
    def blind(each: Result) -> Result | None:
        if each.outcome is not Outcome.DOWN or each.at < 99.0:
            return None
        return msgspec.structs.replace(each, outcome=Outcome.UNKNOWN)

    async def scenario() -> None:
        async with opened(tmp_path) as spool:
            spool.add(result(100.0, Outcome.DOWN), hurry=True)
            assert len(await spool.head(9)) == 1
            spool.taken(1)
            spool.add(result(50.0, Outcome.DOWN), hurry=False)
            spool.add(result(100.0, Outcome.DOWN), hurry=False)
            await spool.flush()
            spool.add(result(100.0, Outcome.UP), hurry=False)
            spool.add(result(101.0, Outcome.DOWN), hurry=False)
            assert spool.amend(blind) == 2
        async with opened(tmp_path) as spool:
            down, unknown = Outcome.DOWN, Outcome.UNKNOWN
            assert [each.outcome for each in await drained(spool)] == [down, unknown, Outcome.UP, unknown]

    asyncio.run(scenario())


def test_times_are_told_by_the_clock_of_the_day_they_are_sent(tmp_path: Path) -> None:
    hands = Hands()

    async def scenario() -> None:
        clock = hands.clock()
        async with opened(tmp_path, clock) as spool:
            spool.add(result(clock.now()), hurry=False)
            await spool.flush()
            spool.add(result(clock.now()), hurry=False)
            hands.wall += 3600.0  # somebody sets the clock; nothing has happened in between
            step = clock.adjust()
            assert step == 3600.0
            spool.clock_set(step)
            assert [each.at for each in await drained(spool)] == [1_000_000.0 + 3600.0]
            await spool.flush()
            assert [each.at for each in await drained(spool)] == [1_000_000.0 + 3600.0]
            spool.add(result(clock.now()), hurry=False)
        hands.wall += 7200.0  # once more, while the agent is not running
        async with opened(tmp_path, hands.clock()) as spool:
            assert [each.at for each in await drained(spool)] == [1_000_000.0 + 3600.0 + 7200.0]

    asyncio.run(scenario())


def test_times_of_another_boot_are_left_as_they_are(tmp_path: Path) -> None:
    hands = Hands()

    async def scenario() -> None:
        async with opened(tmp_path, hands.clock()) as spool:
            spool.add(result(), hurry=False)
        hands.steady, hands.wall = 1.0, 2_000_000.0
        async with opened(tmp_path, hands.clock(), boot="c") as spool:
            assert [each.at for each in await drained(spool)] == [1_000_000.0]

    asyncio.run(scenario())


def test_a_spool_belongs_to_one_agent(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path):
            with pytest.raises(SpoolBusy, match="is in use by another agent"):
                Spool.open(tmp_path / "eu.sqlite", size_bytes=1, clock=Clock(), boot="")

    asyncio.run(scenario())


def test_a_damaged_spool_is_named_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "eu.sqlite").write_bytes(b"no database at all, although it is long enough to be looked at" * 20)
    with pytest.raises(AgentError, match=r"eu\.sqlite cannot be used .* move it away"):
        Spool.open(tmp_path / "eu.sqlite", size_bytes=1, clock=Clock(), boot="")


def test_files_are_for_their_owner_only(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path / "spool") as spool:
            spool.add(result(), hurry=True)
            await spool.head(1)
            assert (tmp_path / "spool").stat().st_mode & 0o77 == 0
            for each in (tmp_path / "spool").iterdir():
                assert each.stat().st_mode & 0o77 == 0, each

    asyncio.run(scenario())


KILLED = """
import asyncio, sys
from pathlib import Path
from holdfast.netpulse.core.result import Outcome, Result
from holdfast.netpulse.shell.agent.clock import Clock
from holdfast.netpulse.shell.agent.spool import Spool

async def main():
    spool = Spool.open(Path(sys.argv[1]) / "eu.sqlite", size_bytes=2**20, clock=Clock(), boot="b")
    running = asyncio.create_task(spool.run())
    while True:
        for _ in range(7):
            spool.add(Result(monitor="t/a", seq=0, at=0.0, outcome=Outcome.UP), hurry=True)
        sent = await spool.head(1000)
        print(sent[-1].seq, flush=True)
        if sent[-1].seq % 2:
            spool.taken(sent[-1].seq)

asyncio.run(main())
"""


def test_a_number_that_was_given_out_is_never_given_to_another_after_a_kill(tmp_path: Path) -> None:
    async def scenario() -> None:
        highest = 0
        for _ in range(3):
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-c", KILLED, str(tmp_path), stdout=subprocess.PIPE, env=_environment()
            )
            assert process.stdout is not None
            for _ in range(20):
                highest = max(highest, int(await process.stdout.readline()))
            process.send_signal(signal.SIGKILL)
            rest = await process.stdout.read()
            highest = max([highest, *map(int, rest.split(b"\n")[:-1])])
            await process.wait()
            async with opened(tmp_path) as spool:
                assert spool._next > highest
                left = [each.seq for each in await drained(spool)]
                assert left == list(range(left[0], left[-1] + 1)) if left else True

    asyncio.run(scenario())


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(Path(__file__).parents[4] / "src")}
