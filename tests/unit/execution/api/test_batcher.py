from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from holdfast.execution.core.job import Limits, NewJob, Program, SourceFile
from holdfast.execution.core.ports import Accepted, SubmitOutcome
from holdfast.execution.shell.api import batcher as module
from holdfast.execution.shell.api.batcher import FLIGHTS, LARGEST, Batcher
from holdfast.execution.shell.api.problems import ProblemError
from holdfast.store import StoreError, StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Sequence

LIMITS = Limits(wall_s=1, cpu_s=1, memory_bytes=1, output_bytes=1, processes=1)
PROGRAM = Program(language="python", files=(SourceFile(path="main.py", data=b""),), entry="main.py", limits=LIMITS)


def job(id: str) -> NewJob:
    return NewJob(id=id, tenant="t", program=PROGRAM, submitted=0.0)


class Store:
    """Commits when told to."""

    def __init__(self, *, commits: bool = True) -> None:
        self.groups: list[list[str]] = []
        self.may_commit = asyncio.Event()
        self.raises: dict[str, Exception] = {}
        if commits:
            self.may_commit.set()

    async def submit(self, jobs: Sequence[NewJob], *, now: float, together: bool = False) -> list[SubmitOutcome]:
        self.groups.append([each.id for each in jobs])
        await self.may_commit.wait()
        for each in jobs:
            if each.id in self.raises:
                raise self.raises[each.id]
        return [Accepted(id=each.id, position=0) for each in jobs]


def test_posts_of_one_turn_become_one_group() -> None:
    async def scenario() -> None:
        store = Store()
        batcher = Batcher(store, clock=lambda: 0.0)
        outcomes = await asyncio.gather(*(batcher.submit(job(str(n))) for n in range(5)))
        assert store.groups == [["0", "1", "2", "3", "4"]]
        assert [each.id for each in outcomes if isinstance(each, Accepted)] == ["0", "1", "2", "3", "4"]

    asyncio.run(scenario())


def test_newcomers_gather_while_groups_are_under_way() -> None:
    async def scenario() -> None:
        store = Store(commits=False)
        batcher = Batcher(store, clock=lambda: 0.0)
        posts = []
        for n in range(FLIGHTS + 3):
            posts.append(asyncio.create_task(batcher.submit(job(str(n)))))
            for _ in range(4):
                await asyncio.sleep(0)
        assert store.groups == [["0"], ["1"]]
        store.may_commit.set()
        await asyncio.gather(*posts)
        assert store.groups == [["0"], ["1"], ["2", "3", "4"]]

    asyncio.run(scenario())


def test_a_group_has_a_largest_size() -> None:
    async def scenario() -> None:
        store = Store()
        sizes: list[int] = []
        batcher = Batcher(store, clock=lambda: 0.0, on_group=sizes.append)
        await asyncio.gather(*(batcher.submit(job(str(n))) for n in range(LARGEST + 1)))
        assert sizes == [LARGEST, 1]

    asyncio.run(scenario())


def test_one_job_that_cannot_be_stored_fails_alone() -> None:
    async def scenario() -> None:
        store = Store()
        store.raises["bad"] = ValueError("no")
        batcher = Batcher(store, clock=lambda: 0.0)
        good, bad = await asyncio.gather(
            batcher.submit(job("good")), batcher.submit(job("bad")), return_exceptions=True
        )
        assert good == Accepted(id="good", position=0)
        assert isinstance(bad, StoreError)
        assert not isinstance(bad, StoreUnavailable)

    asyncio.run(scenario())


def test_a_store_that_does_not_answer_is_not_asked_again_for_each_job() -> None:
    async def scenario() -> None:
        store = Store()
        store.raises["a"] = StoreUnavailable("gone")
        batcher = Batcher(store, clock=lambda: 0.0)
        outcomes = await asyncio.gather(*(batcher.submit(job(id)) for id in "abc"), return_exceptions=True)
        assert all(isinstance(each, StoreUnavailable) for each in outcomes)
        assert len(set(map(id, outcomes))) == 3
        assert len(store.groups) == 1

    asyncio.run(scenario())


def test_a_post_whose_client_left_does_not_disturb_its_group() -> None:
    async def scenario() -> None:
        store = Store(commits=False)
        batcher = Batcher(store, clock=lambda: 0.0)
        left, stays = asyncio.create_task(batcher.submit(job("a"))), asyncio.create_task(batcher.submit(job("b")))
        for _ in range(4):
            await asyncio.sleep(0)
        left.cancel()
        store.may_commit.set()
        assert await stays == Accepted(id="b", position=0)

    asyncio.run(scenario())


def test_too_many_that_wait_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WAITING", 1)

    async def scenario() -> None:
        store = Store()
        batcher = Batcher(store, clock=lambda: 0.0)
        first = asyncio.create_task(batcher.submit(job("a")))
        await asyncio.sleep(0)
        with pytest.raises(ProblemError) as caught:
            await batcher.submit(job("b"))
        assert caught.value.kind.name == "overloaded"
        await first

    asyncio.run(scenario())


def test_closing_waits_for_what_is_under_way() -> None:
    async def scenario() -> None:
        store = Store()
        batcher = Batcher(store, clock=lambda: 0.0)
        post = asyncio.create_task(batcher.submit(job("a")))
        await asyncio.sleep(0)
        await batcher.close()
        assert (await post) == Accepted(id="a", position=0)

    asyncio.run(scenario())
