from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from holdfast.web.problems import ProblemError
from holdfast.web.watching import Held, watching

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


async def signs(queue: asyncio.Queue[None]) -> AsyncIterator[None]:
    while True:
        await queue.get()
        yield


def test_a_sign_a_silence_and_the_end_are_told_apart() -> None:
    async def scenario() -> None:
        queue: asyncio.Queue[None] = asyncio.Queue()
        stopping: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        async with watching(signs(queue), stopping) as watch:
            assert await watch.sign(within_s=0) == "silence"
            queue.put_nowait(None)
            assert await watch.sign(within_s=5) == "sign"
            stopping.set_result(None)
            assert await watch.sign(within_s=5) == "stopping"

    asyncio.run(scenario())


def test_a_silence_loses_no_sign() -> None:
    async def scenario() -> None:
        queue: asyncio.Queue[None] = asyncio.Queue()
        stopping: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        async with watching(signs(queue), stopping) as watch:
            for _ in range(3):
                assert await watch.sign(within_s=0) == "silence"
            queue.put_nowait(None)
            assert await watch.sign(within_s=5) == "sign"
            assert await watch.sign(within_s=0) == "silence"

    asyncio.run(scenario())


def test_places_are_bounded_per_tenant_and_in_all() -> None:
    held = Held(per_tenant=1, in_all=2)
    with held.place("a"):
        with pytest.raises(ProblemError) as own, held.place("a"):
            pass
        with held.place("b"), pytest.raises(ProblemError) as everybody, held.place("c"):
            pass
    assert (own.value.kind.name, everybody.value.kind.name) == ("too-many-streams", "overloaded")
    with held.place("a"):
        pass
