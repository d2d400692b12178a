"""A gate that many pass at once, until somebody needs everybody out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Gate:
    """Nothing is awaited on the way out, so that whoever is cancelled, waiting or inside, leaves it as it was."""

    def __init__(self) -> None:
        self._inside = 0
        self._unlocked = asyncio.Event()
        self._unlocked.set()
        self._empty = asyncio.Event()
        self._empty.set()

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Be inside, together with others."""
        await self._turn()
        self._inside += 1
        self._empty.clear()
        try:
            yield
        finally:
            self._inside -= 1
            if not self._inside:
                self._empty.set()

    @asynccontextmanager
    async def closed(self) -> AsyncIterator[None]:
        """Have nobody inside; who comes meanwhile waits."""
        await self._turn()
        self._unlocked.clear()
        try:
            await self._empty.wait()
            yield
        finally:
            self._unlocked.set()

    async def _turn(self) -> None:
        while not self._unlocked.is_set():  # somebody who woke up first may have locked it again
            await self._unlocked.wait()
