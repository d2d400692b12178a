"""Live events for whoever listens, bounded for each of them."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Mapping
from typing import Any, Final

Event = tuple[str, Mapping[str, Any]]
PENDING: Final = 1000
"""Events that a listener may be behind; with more it is told to look anew."""
_RESET: Final[Event] = ("reset", {})


class Listener:
    """One subscription. Iterate it; :meth:`close` it."""

    def __init__(self, hub: Hub, tenant: str) -> None:
        self.tenant = tenant
        self._hub = hub
        self._events: deque[Event] = deque()
        self._there = asyncio.Event()
        self._closed = False

    def put(self, event: Event) -> None:
        """Never blocks: a listener that is too slow loses its queue and is told so."""
        if len(self._events) >= PENDING:
            self._events.clear()
            event = _RESET
        self._events.append(event)
        self._there.set()

    def close(self) -> None:
        """No further events; the iteration ends."""
        self._closed = True
        self._there.set()
        self._hub.leave(self)

    async def __aiter__(self) -> AsyncIterator[Event]:
        while True:
            while self._events:
                yield self._events.popleft()
            if self._closed:
                return
            self._there.clear()
            await self._there.wait()


class Hub:
    """Everybody who listens."""

    def __init__(self) -> None:
        self._listeners: set[Listener] = set()

    def __len__(self) -> int:
        return len(self._listeners)

    def subscribe(self, tenant: str) -> Listener:
        """From now on."""
        listener = Listener(self, tenant)
        self._listeners.add(listener)
        return listener

    def leave(self, listener: Listener) -> None:
        """Forget one."""
        self._listeners.discard(listener)

    def publish(self, tenant: str, kind: str, body: Mapping[str, Any]) -> None:
        """To the listeners of a tenant; of all tenants when it is empty."""
        for listener in tuple(self._listeners):
            if not tenant or listener.tenant == tenant:
                listener.put((kind, body))

    def close(self) -> None:
        """End everybody's iteration."""
        for listener in tuple(self._listeners):
            listener.close()
