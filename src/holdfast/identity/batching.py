"""Many small requests, one call to the store at a time."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from holdfast.store import StoreUnavailable

T = TypeVar("T")
R = TypeVar("R")


class Batcher(Generic[T, R]):
    """Collects what arrives while a call is under way and makes of it the next call.

    So the load on the store is one call at a time, whatever comes in, and a request waits for at most
    the call before its own. With little traffic every request is a call, at once.
    """

    def __init__(
        self, call: Callable[[Sequence[T]], Awaitable[Sequence[R]]], *, largest: int, waiting: int, what: str
    ) -> None:
        """``call`` answers a batch of at most ``largest`` in order; ``waiting`` bounds the queue; ``what`` names it."""
        self._call = call
        self._largest = largest
        self._bound = waiting
        self._what = what
        self._waiting: deque[tuple[T, asyncio.Future[R]]] = deque()
        self._task: asyncio.Task[None] | None = None

    async def __call__(self, item: T) -> R:
        """The answer for one item. Raises what the call raises, or ``StoreUnavailable`` when too many wait."""
        if len(self._waiting) >= self._bound:
            raise StoreUnavailable(f"more than {self._bound} {self._what} wait for the store; try again later")
        future: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        if self._task is None:
            self._task = asyncio.create_task(self._drain(), name=f"identity {self._what}")
        return await future

    async def close(self) -> None:
        """Answer what waits, then return."""
        if self._task is not None:
            await self._task

    async def _drain(self) -> None:
        try:
            while self._waiting:
                batch = [self._waiting.popleft() for _ in range(min(self._largest, len(self._waiting)))]
                await self._answer(batch)
        finally:
            self._task = None
            while self._waiting:  # cancelled: nobody is left to answer them
                self._waiting.popleft()[1].cancel()

    async def _answer(self, batch: list[tuple[T, asyncio.Future[R]]]) -> None:
        try:
            answers = await self._call([item for item, _ in batch])
        except asyncio.CancelledError:
            for _, future in batch:
                future.cancel()
            raise
        except Exception as error:  # noqa: BLE001 - it is the askers' to handle
            for _, future in batch:
                if not future.done():
                    future.set_exception(error)
            return
        for (_, future), answer in zip(batch, answers, strict=True):
            if not future.done():  # the asker may have gone
                future.set_result(answer)
