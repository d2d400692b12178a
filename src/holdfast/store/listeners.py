"""Who wants to hear of what. Everything here runs on the loop."""

from __future__ import annotations

import asyncio
import re
import weakref
from collections import deque
from typing import TYPE_CHECKING, Final

from holdfast.store.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from holdfast.store.group import Note

PAYLOAD_BYTES: Final = 4000
"""PostgreSQL takes 8000 with the channel's name in it; half of that leaves no doubt."""

MISSED: Final[Note] = ("", "")
"""Told instead of what nobody knows: every listener gets the empty payload."""

_BACKLOG: Final = 1000
"""Payloads that a listener may have before it; one more, and it gets the empty one instead of all of them."""

_CHANNEL: Final = re.compile(r"[a-z][a-z0-9_]{0,62}")


def check_channel(channel: str) -> None:
    """Raise ``StoreError`` unless the name is made of lower-case letters, digits and ``_``."""
    if not _CHANNEL.fullmatch(channel):
        raise StoreError(f"{channel!r} is no channel: write up to 63 of a-z, 0-9 and _, beginning with a letter")


def check_note(channel: str, payload: str) -> None:
    """Raise ``StoreError`` unless every driver could deliver it: later it would be the trouble of the whole group."""
    check_channel(channel)
    try:
        encoded = payload.encode()
    except UnicodeEncodeError:
        encoded = b"\0"
    if b"\0" in encoded:
        raise StoreError(f"a payload for {channel} has a zero byte or half of a surrogate pair")
    if len(encoded) > PAYLOAD_BYTES:
        raise StoreError(f"a payload for {channel} has {len(encoded)} bytes; send an id, {PAYLOAD_BYTES} fit")


class Listener:
    """Payloads of one channel; forgotten by the listeners when nobody holds it any more."""

    def __init__(self, channel: str) -> None:
        self.channel = channel
        self._payloads: deque[str] = deque()
        self._waiting: asyncio.Future[None] | None = None
        self._ended = False

    def __aiter__(self) -> Listener:
        return self

    async def __anext__(self) -> str:
        while not self._payloads:
            if self._ended:
                raise StopAsyncIteration
            self._waiting = asyncio.get_running_loop().create_future()
            try:
                await self._waiting
            finally:
                self._waiting = None
        return self._payloads.popleft()

    async def aclose(self) -> None:
        """Hear no more."""
        self.end()

    def put(self, payload: str) -> None:
        """Add a payload, once while it has not been read."""
        if len(self._payloads) >= _BACKLOG:
            self._payloads.clear()
            payload = ""
        if not (payload == "" and self._payloads and self._payloads[-1] == ""):
            self._payloads.append(payload)
        self._wake()

    def end(self) -> None:
        """What has come is still given, then the iteration ends."""
        self._ended = True
        self._wake()

    def _wake(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)


class Listeners:
    """All listeners of a database in this process."""

    def __init__(self) -> None:
        self._listeners: dict[str, weakref.WeakSet[Listener]] = {}

    def __bool__(self) -> bool:
        return any(self._listeners.values())

    def add(self, channel: str) -> Listener:
        """A new listener, which has heard nothing yet."""
        check_channel(channel)
        listener = Listener(channel)
        self._listeners.setdefault(channel, weakref.WeakSet()).add(listener)
        return listener

    def tell(self, notes: Iterable[Note]) -> None:
        """Give each listener what is for it, repetitions once."""
        for note in dict.fromkeys(notes):
            if note == MISSED:
                self.tell_all()
                continue
            channel, payload = note
            for listener in self._listeners.get(channel, ()):
                listener.put(payload)

    def tell_all(self) -> None:
        """Something may have been missed."""
        for channel in self._listeners:
            for listener in self._listeners[channel]:
                listener.put("")

    def end(self) -> None:
        """No more will come."""
        for listeners in self._listeners.values():
            for listener in listeners:
                listener.end()
        self._listeners.clear()
