"""What ``holdfast up`` shows: a table when everything runs, and a line that stays at the bottom."""

from __future__ import annotations

import contextlib
import io
import threading
from collections.abc import Sequence
from typing import TextIO

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from holdfast.app.child import Service
from holdfast.app.supervisor import Addresses


def startup_table(services: Sequence[Service], addresses: Addresses, *, columns: int) -> str:
    """Service, what it is, and where; one row per address. For a terminal of that width."""
    table = Table(title="holdfast is up", title_justify="left")
    table.add_column("service", overflow="fold")
    table.add_column("what", overflow="fold")
    table.add_column("where", no_wrap=True, overflow="fold")  # to be clicked on
    for service in services:
        places = addresses.get(service.name) or {"": ""}
        for index, (what, where) in enumerate(places.items()):
            about = f"{service.about}: {what}" if what and what != service.about else service.about
            table.add_row(*(escape(cell) for cell in (service.name if index == 0 else "", about, where)))
    text = io.StringIO()
    Console(file=text, width=columns, force_terminal=True, highlight=False).print(table)
    return text.getvalue()


class StatusLine:
    """The last line of a terminal; other output scrolls above it. Safe to call from threads.

    Takes ``write`` and ``flush`` like a stream, so that a log handler can use it.
    """

    _ERASE = "\r\x1b[K"

    def __init__(self, stream: TextIO, *, columns: int) -> None:
        self._stream = stream
        self._columns = max(columns - 1, 20)
        self._text = ""
        self._lock = threading.Lock()

    def update(self, text: str) -> None:
        """Replace the line."""
        with self._lock:
            self._text = text[: self._columns]
            self._put(self._ERASE + self._text)

    def write(self, text: str) -> int:
        """Print whole lines above it."""
        with self._lock:
            if text:
                self._put(self._ERASE + text + ("" if text.endswith("\n") else "\n") + self._text)
        return len(text)

    def write_bytes(self, data: bytes) -> None:
        """The same for the raw output of a child."""
        self.write(data.decode("utf-8", "replace"))

    def flush(self) -> None:
        """Every write is flushed already."""

    def isatty(self) -> bool:
        """It stands for a terminal."""
        return True

    def close(self) -> None:
        """Leave the line as it is and go below it."""
        with self._lock:
            if self._text:
                self._text = ""
                self._put("\n")

    def _put(self, text: str) -> None:
        with contextlib.suppress(OSError, ValueError):  # the terminal has gone, which others notice
            self._stream.write(text)
            self._stream.flush()
