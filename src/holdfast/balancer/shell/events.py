"""State transitions as a stream: the last ones are kept, every subscriber has a bound.

A subscriber that falls :data:`SUBSCRIBER_QUEUE` events behind is dropped rather than
waited for: it can come back with the last id it saw and read on from the kept events.
"""

from __future__ import annotations

import asyncio
import datetime as dt
from collections import deque
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any, Final

import msgspec

KEPT: Final = 1000
SUBSCRIBER_QUEUE: Final = 256
SUBSCRIBERS: Final = 64
"""Streams served at once; each holds a connection of the admin plane open."""


class Event(msgspec.Struct, frozen=True):
    """Something that an operator may want to know."""

    id: str
    """``BOOT-NUMBER``: the number grows by one, the boot part changes when the master starts anew."""
    at: dt.datetime
    kind: str
    """transition, worker, reload, strategy, discovery or drain."""
    data: dict[str, Any]


class TooManySubscribersError(Exception):
    """Every place for a stream is taken."""


class Subscriber:
    """One reader of the stream."""

    def __init__(self, backlog: list[Event]) -> None:
        """``backlog`` is what it missed; it does not count against the bound."""
        self._backlog = backlog
        self._queue: asyncio.Queue[Event | None] = asyncio.Queue(SUBSCRIBER_QUEUE + 1)
        self.dropped = False
        """Set when it fell behind; what is queued can still be read, then the stream ends."""

    def offer(self, event: Event) -> None:
        """Queue an event, or drop the subscriber if its queue is full."""
        if self.dropped:
            return
        if self._queue.qsize() >= SUBSCRIBER_QUEUE:
            self.end()
        else:
            self._queue.put_nowait(event)

    def end(self) -> None:
        """Let the stream end after what is queued."""
        if not self.dropped:
            self.dropped = True
            self._queue.put_nowait(None)

    async def events(self, heartbeat_s: float) -> AsyncIterator[Event | None]:
        """Events in order; ``None`` after each silence of ``heartbeat_s``, so that a dead reader is noticed."""
        for event in self._backlog:
            yield event
        self._backlog = []
        while True:
            try:
                async with asyncio.timeout(heartbeat_s):
                    event_or_end = await self._queue.get()
            except TimeoutError:
                yield None
                continue
            if event_or_end is None:
                return
            yield event_or_end


class EventLog:
    """The last :data:`KEPT` events and who listens."""

    def __init__(self, boot: str) -> None:
        """``boot`` tells this run of the master from others; it must not contain ``-``."""
        self._boot = boot
        self._count = 0
        self._kept: deque[Event] = deque(maxlen=KEPT)
        self._subscribers: set[Subscriber] = set()

    def append(self, kind: str, data: dict[str, Any], at: dt.datetime) -> Event:
        """Keep an event and hand it to every subscriber."""
        self._count += 1
        event = Event(f"{self._boot}-{self._count}", at, kind, data)
        self._kept.append(event)
        for subscriber in self._subscribers:
            subscriber.offer(event)
        return event

    def since(self, last_id: str | None) -> list[Event]:
        """The kept events after ``last_id``; all of them when the id is unknown, of another boot or ``None``."""
        boot, _, number = (last_id or "").rpartition("-")
        if boot != self._boot or not number.isascii() or not number.isdigit():
            return list(self._kept)
        first_kept = self._count - len(self._kept) + 1
        return list(self._kept)[max(0, int(number) + 1 - first_kept) :]

    @contextmanager
    def subscribe(self, last_id: str | None) -> Iterator[Subscriber]:
        """Read on after ``last_id`` for as long as the block runs. Raises :class:`TooManySubscribersError`."""
        if len(self._subscribers) >= SUBSCRIBERS:
            raise TooManySubscribersError
        subscriber = Subscriber(self.since(last_id))
        self._subscribers.add(subscriber)
        try:
            yield subscriber
        finally:
            self._subscribers.discard(subscriber)

    def close(self) -> None:
        """End every stream, so that the server under it can stop."""
        for subscriber in self._subscribers:
            subscriber.end()
