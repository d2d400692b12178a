"""Keeps the files as the engine knows the world to be."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final

from holdfast.netpulse.core.status import StatusView
from holdfast.netpulse.shell.status.render import render

log = logging.getLogger(__name__)

EVERY_S: Final = 60.0
"""The page is renewed this often though nothing happened: its age is how readers know that somebody still looks."""


class StatusPublisher:
    """Writes views to a directory. ``clock`` is monotonic seconds."""

    def __init__(self, directory: Path, *, clock: Callable[[], float]) -> None:
        self._directory = directory
        self._clock = clock
        self._last: StatusView | None = None
        self._written = float("-inf")
        self._turn = asyncio.Lock()

    async def publish(self, view: StatusView) -> bool:
        """Write the page if it says something new or has become old; whether it was written.

        A disk that is full or read-only is logged and tried again with the next view: the engine's work goes on.
        """
        async with self._turn:
            what = _without_time(view)
            if what == self._last and self._clock() - self._written < EVERY_S:
                return False
            try:
                await asyncio.to_thread(render, view, self._directory)
            except OSError as error:
                log.warning(
                    "the status page cannot be written to %s: %s; it is tried again",
                    self._directory,
                    error,
                    extra={"action": "status_page"},
                )
                return False
            self._last, self._written = what, self._clock()
            return True


def _without_time(view: StatusView) -> StatusView:
    """The view without what only time changes, so that two of them can be compared."""
    groups = tuple(
        replace(
            group,
            components=tuple(
                replace(component, uptime=None, days=tuple(replace(day, watched_s=0.0) for day in component.days[:-1]))
                for component in group.components
            ),
        )
        for group in view.groups
    )
    return replace(view, generated=0.0, groups=groups)
