"""A database whose work is done by threads: what both drivers have in common."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final, Protocol, Self, TypeVar

from holdfast.store.migrations import bring_up_to_date

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from holdfast.store.database import Dialect, Tx
    from holdfast.store.listeners import Listeners
    from holdfast.store.threads import Threads

T = TypeVar("T")

_MIGRATION_S: Final = 60.0
"""Another process may be at it, and an index on a large table takes its time."""


class Beside(Protocol):
    """What a driver runs beside its threads."""

    async def start(self) -> None:
        """Begin."""
        ...

    async def close(self) -> None:
        """End; also when it was never started."""
        ...


class ThreadedDatabase:
    """An open store; ends with ``async with``. Belongs to the loop on which it was opened."""

    def __init__(
        self,
        dialect: Dialect,
        *,
        writes: Threads,
        reads: Threads,
        listeners: Listeners,
        deadline_s: float,
        free_bytes: Callable[[], int | None],
        beside: Beside | None = None,
    ) -> None:
        self.dialect: Dialect = dialect
        self._writes = writes
        self._reads = reads
        self._listeners = listeners
        self._deadline_s = deadline_s
        self._free_bytes = free_bytes
        self._beside = beside

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()

    async def migrate(self, component: str, versions: Sequence[Sequence[str]]) -> None:
        """See :class:`~holdfast.store.Database`."""
        await self.write(partial(bring_up_to_date, component=component, versions=versions), deadline_s=_MIGRATION_S)

    async def write(self, work: Callable[[Tx], T], *, deadline_s: float = 10.0) -> T:
        """See :class:`~holdfast.store.Database`."""
        return await self._writes.call(work, deadline_s)

    async def read(self, work: Callable[[Tx], T], *, deadline_s: float = 10.0) -> T:
        """See :class:`~holdfast.store.Database`."""
        return await self._reads.call(work, deadline_s)

    def listen(self, channel: str) -> AsyncIterator[str]:
        """See :class:`~holdfast.store.Database`."""
        listener = self._listeners.add(channel)
        listener.put("")
        return listener

    def free_bytes(self) -> int | None:
        """See :class:`~holdfast.store.Database`."""
        return self._free_bytes()

    async def open(self) -> None:
        """Connect. Raises ``StoreError``; nothing is left open then."""
        try:
            await self._writes.start()  # first: it makes the file that the others read
            await self._reads.start()
            if self._beside is not None:
                await self._beside.start()
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """See :class:`~holdfast.store.Database`."""
        await self._reads.close(self._deadline_s)
        await self._writes.close(self._deadline_s)
        if self._beside is not None:
            await self._beside.close()
        self._listeners.end()
