"""All monitors of a tenant as JSON, made once for everybody who asks within a second.

A thousand monitors with their heartbeat bars are some megabytes. They are encoded one by one, with pauses in which
the loop does other things, and kept for a second: however many pages are open, this is done once per second.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from holdfast.netpulse.core.ports import Netpulse
from holdfast.netpulse.core.views import MonitorView
from holdfast.netpulse.shell.api.bodies import encode

AGE_S: Final = 1.0
TENANTS: Final = 100
"""Whose overviews are kept."""
AT_A_TIME: Final = 50
"""Monitors that are encoded without a pause: about a millisecond."""


class Row(NamedTuple):
    """A monitor in JSON, and what it can be found by."""

    id: str
    state: str
    group: str
    whole: bytes
    brief: bytes
    """Without its heartbeat bars."""


class Overview:
    """See the module."""

    def __init__(self, netpulse: Netpulse, *, monotonic: Callable[[], float]) -> None:
        self._netpulse = netpulse
        self._monotonic = monotonic
        self._of: dict[str, tuple[float, Sequence[Row]]] = {}
        self._making: dict[str, asyncio.Lock] = {}

    def changed(self, tenant: str) -> None:
        """Somebody changed something: what they read next is new."""
        self._of.pop(tenant, None)

    async def rows(self, tenant: str) -> Sequence[Row]:
        """By id."""
        lock = self._making.setdefault(tenant, asyncio.Lock())
        async with lock:
            kept = self._of.get(tenant)
            if kept is not None and self._monotonic() - kept[0] < AGE_S:
                return kept[1]
            began = self._monotonic()
            rows = []
            for number, view in enumerate(await self._netpulse.monitors(tenant), 1):
                rows.append(_row(view))
                if number % AT_A_TIME == 0:
                    await asyncio.sleep(0)
            rows.sort()
            self._of[tenant] = began, rows
            if len(self._of) > TENANTS:
                oldest = next(iter(self._of))
                del self._of[oldest]
                self._making.pop(oldest, None)
            return rows


def _row(view: MonitorView) -> Row:
    # The bars are a field among others; leaving them out is cheaper than encoding the monitor twice.
    bars = encode(view.beats)
    whole = encode(view)
    return Row(view.id, view.state, view.group, whole, whole.replace(b'"beats":' + bars, b'"beats":[]', 1))
