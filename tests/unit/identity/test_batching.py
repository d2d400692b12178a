"""Many requests, one call at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from holdfast.identity.batching import Batcher
from holdfast.store import StoreUnavailable


class Store:
    """Answers when it is told to."""

    def __init__(self) -> None:
        self.calls: list[list[int]] = []
        self.under_way = 0
        self.most = 0
        self.called = asyncio.Event()
        self.go = asyncio.Event()

    async def call(self, items: Sequence[int]) -> Sequence[int]:
        self.calls.append(list(items))
        self.called.set()
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        try:
            await self.go.wait()
        finally:
            self.under_way -= 1
        if 13 in items:
            raise StoreUnavailable("down")
        return [item * 10 for item in items]


def test_what_arrives_during_a_call_is_the_next_call() -> None:
    async def scenario() -> None:
        store = Store()
        batcher = Batcher(store.call, largest=3, waiting=10, what="questions")
        async with asyncio.TaskGroup() as group:
            first = group.create_task(batcher(1))
            await store.called.wait()
            others = [group.create_task(batcher(n)) for n in range(2, 7)]
            await asyncio.sleep(0)
            store.go.set()
        assert store.calls == [[1], [2, 3, 4], [5, 6]]
        assert store.most == 1
        assert [first.result(), *(task.result() for task in others)] == [10, 20, 30, 40, 50, 60]

    asyncio.run(scenario())


def test_more_than_may_wait_are_refused_at_once() -> None:
    async def scenario() -> None:
        store = Store()
        batcher = Batcher(store.call, largest=1, waiting=2, what="questions")
        async with asyncio.TaskGroup() as group:
            group.create_task(batcher(1))
            await store.called.wait()
            for n in (2, 3):
                group.create_task(batcher(n))
            await asyncio.sleep(0)
            with pytest.raises(StoreUnavailable, match="more than 2 questions wait"):
                await batcher(4)
            store.go.set()

    asyncio.run(scenario())


def test_a_failed_call_fails_its_own_batch_only() -> None:
    async def scenario() -> None:
        store = Store()
        store.go.set()
        batcher = Batcher(store.call, largest=2, waiting=10, what="questions")
        answers = await asyncio.gather(*(batcher(n) for n in (1, 2, 13, 3, 4)), return_exceptions=True)
        assert [answer if isinstance(answer, int) else type(answer) for answer in answers] == [
            10,
            20,
            StoreUnavailable,
            StoreUnavailable,
            40,
        ]

    asyncio.run(scenario())


def test_one_who_leaves_takes_nobody_along() -> None:
    async def scenario() -> None:
        store = Store()
        batcher = Batcher(store.call, largest=5, waiting=10, what="questions")
        leaver, stayer = asyncio.create_task(batcher(1)), asyncio.create_task(batcher(2))
        await store.called.wait()
        leaver.cancel()
        await asyncio.gather(leaver, return_exceptions=True)
        store.go.set()
        assert await stayer == 20
        await batcher.close()

    asyncio.run(scenario())
