"""Requests that are held open until something happens: who may, and how they wait."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Final, Literal

from holdfast.web.problems import ProblemError

PER_TENANT: Final = 100
"""Streams and long polls of one tenant; pages of a small team and some scripts."""
IN_ALL: Final = 2000


class Held:
    """Places for requests that are held open, bounded per tenant and in all."""

    def __init__(self, *, per_tenant: int = PER_TENANT, in_all: int = IN_ALL) -> None:
        self.per_tenant = per_tenant
        self._in_all = in_all
        self._taken: Counter[str] = Counter()
        self.total = 0
        """Places that are taken."""

    @contextmanager
    def place(self, tenant: str) -> Iterator[None]:
        """Hold a place. Raises :class:`ProblemError` when there is none."""
        if self._taken[tenant] >= self.per_tenant:
            text = f"{self.per_tenant} streams and long polls of this tenant are open; close one"
            raise ProblemError("too-many-streams", text, retry_after_s=5.0)
        if self.total >= self._in_all:
            raise ProblemError("overloaded", "too many streams and long polls are open; try again", retry_after_s=5.0)
        self._taken[tenant] += 1
        self.total += 1
        try:
            yield
        finally:
            self.total -= 1
            self._taken[tenant] -= 1
            if not self._taken[tenant]:
                del self._taken[tenant]


class Watch:
    """Signs that something may have happened, with deadlines, until the process is about to end."""

    def __init__(self, signs: AsyncIterator[None], stopping: asyncio.Future[None]) -> None:
        self._signs = signs
        self._stopping = stopping
        self._next: asyncio.Task[bool] | None = None

    async def sign(self, *, within_s: float) -> Literal["sign", "silence", "stopping"]:
        """Wait for the next sign."""
        if self._next is None:
            # A task that outlives the wait: cancelling an iterator's step would end the iterator.
            self._next = asyncio.create_task(_step(self._signs), name="watch")
        await asyncio.wait((self._next, self._stopping), timeout=within_s, return_when=asyncio.FIRST_COMPLETED)
        if self._next.done():
            step, self._next = self._next, None
            return "sign" if step.result() else "stopping"
        return "stopping" if self._stopping.done() else "silence"

    async def signs(self, *, within_s: float) -> AsyncIterator[None]:
        """Every sign until the time is over or the process is about to end."""
        loop = asyncio.get_running_loop()
        until = loop.time() + within_s
        while await self.sign(within_s=max(0.0, until - loop.time())) == "sign":
            yield

    async def close(self) -> None:
        """Stop looking."""
        if self._next is not None:
            self._next.cancel()
            await asyncio.gather(self._next, return_exceptions=True)
        close: Any = getattr(self._signs, "aclose", None)
        if close is not None:
            await close()


@asynccontextmanager
async def watching(signs: AsyncIterator[None], stopping: asyncio.Future[None]) -> AsyncIterator[Watch]:
    """A :class:`Watch` that is closed in the end."""
    watch = Watch(signs, stopping)
    try:
        yield watch
    finally:
        await watch.close()


async def _step(signs: AsyncIterator[None]) -> bool:
    """Whether there was a sign; false when there will be none any more."""
    try:
        await anext(signs)
    except StopAsyncIteration:
        return False
    return True
