"""Pipes out of a sandbox, read as they fill, up to a limit and never beyond."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable, Sequence
from typing import Final, Generic, TypeVar

_CHUNK: Final = 64 * 1024
"""The size of a pipe: one read empties it."""

Name = TypeVar("Name", bound=str)


class Drain(Generic[Name]):
    """Makes pipes and reads them to their ends, ``limit`` bytes in all."""

    def __init__(
        self,
        names: Sequence[Name],
        limit: int,
        *,
        owner: tuple[int, int],
        on_data: Callable[[Name, bytes], None] | None = None,
        on_overflow: Callable[[], None],
    ) -> None:
        """Start to read. ``owner`` (user, group) may open ``/dev/stdout`` anew, as shell scripts do."""
        self.data: dict[Name, bytearray] = {name: bytearray() for name in names}
        self.truncated: set[Name] = set()
        """Streams that had more than there was room for."""
        self.writes: list[int] = []
        """The writing ends, in the order of the names, until they were handed over."""
        self._reads: set[int] = set()
        self._left = limit
        self._on_data = on_data
        self._on_overflow = on_overflow
        self._loop = asyncio.get_running_loop()
        self._finished = self._loop.create_future()
        try:
            for name in names:
                read, write = os.pipe()
                self._reads.add(read)
                self.writes.append(write)
                os.set_blocking(read, False)
                os.fchown(write, *owner)
                self._loop.add_reader(read, self._readable, read, name)
        except BaseException:
            self.close()
            raise

    def handed_over(self) -> None:
        """Close our copies of the writing ends: from now on only the sandbox can write."""
        while self.writes:
            os.close(self.writes.pop())

    async def finish(self, timeout_s: float) -> None:
        """Wait for the ends of all pipes, that is, for the last of the processes that could write."""
        if self._reads:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(timeout_s):
                    await self._finished

    def close(self) -> None:
        """Stop reading; close everything."""
        self.handed_over()
        for read in list(self._reads):
            self._forget(read)

    def _readable(self, read: int, name: Name) -> None:
        try:
            data = os.read(read, _CHUNK)
        except (BlockingIOError, InterruptedError):
            return
        if not data:
            self._forget(read)
            if not self._reads and not self._finished.done():
                self._finished.set_result(None)
            return
        if len(data) > self._left:
            data = data[: self._left]
            self.truncated.add(name)
            self._on_overflow()
        self._left -= len(data)
        if data:
            self.data[name] += data
            if self._on_data is not None:
                self._on_data(name, data)

    def _forget(self, read: int) -> None:
        self._loop.remove_reader(read)
        os.close(read)
        self._reads.discard(read)
