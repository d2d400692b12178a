"""What all calls of the process share."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from holdfast.gateway.shell.plane.connection import GatewayConnection
from holdfast.proxy.engine import Engine

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from holdfast.gateway.shell.plane.attempt import Attempt
    from holdfast.gateway.shell.plane.call import Call

_SWEEP_S: Final = 0.05
_LAST_WORDS_S: Final = 0.3
"""Before the end of a drain: enough for an error event to be written and read."""


class GatewayEngine(Engine):
    """The proxy's engine, whose connections begin calls; and a sweep over attempts and streams."""

    def __init__(self, *, handle: Callable[[Call], Awaitable[None]], **options: Any) -> None:
        super().__init__(**options)
        self.client = GatewayConnection
        self._handle = handle
        self.calls: set[Call] = set()
        self.attempts: set[Attempt] = set()
        self.arriving_bytes = 0
        """Of bodies that are not whole."""
        self.beat: Callable[[float], None] = lambda now: None  # noqa: ARG005
        """Called about twenty times a second."""
        self.ending: Callable[[], None] = lambda: None
        """Called when a drain is about to cut what is still under way."""
        self._pulse: asyncio.TimerHandle | None = None

    async def handle(self, call: Call) -> None:
        """Answer a call; whatever happens, it is answered or given up."""
        await self._handle(call)

    def start(self) -> None:
        """Begin to sweep."""
        super().start()
        self._look()

    def close(self) -> None:
        """Stop everything at once."""
        if self._pulse is not None:
            self._pulse.cancel()
            self._pulse = None
        super().close()

    async def drain(self, timeout_s: float) -> int:
        """As the proxy's; just before the time is up, streams are told that they end."""
        last = self.loop.call_later(max(0.0, timeout_s - _LAST_WORDS_S), self.ending)
        try:
            return await super().drain(timeout_s)
        finally:
            last.cancel()

    def in_flight(self) -> int:
        """Calls under way."""
        return len(self.calls)

    def _look(self) -> None:
        self._pulse = self.loop.call_later(_SWEEP_S, self._look)
        now = self.clock()
        for attempt in tuple(self.attempts):
            if attempt.expires <= now:
                try:
                    attempt.expired(now)
                except Exception as bug:  # noqa: BLE001 - it is handed to the loop, which logs it
                    self.attempts.discard(attempt)
                    self.loop.call_exception_handler({"message": "an attempt could not be expired", "exception": bug})
        self.beat(now)
