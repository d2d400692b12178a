"""Lines of JSON for each request, written by a thread, because a file or a pipe can block.

The lines wait in a bounded queue; when the reader of the log is slower than the traffic, lines are dropped and counted,
and a line says how many. Serving goes on.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from typing import Final

HELD_LINES: Final = 50_000
_FLUSH_S: Final = 0.1


def opened(path: str) -> int:
    """A descriptor that appends to a file (``-``: standard output). Raises ``OSError`` when it cannot be opened."""
    if path == "-":
        return os.dup(1)
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)


class LineLog:
    """Writes lines to a file descriptor from a thread of its own."""

    def __init__(self, fd: int, *, name: str) -> None:
        """``name`` is that of the thread, and of the ``action`` that says how many lines were dropped."""
        self._fd = fd
        self._name = name
        self._lines: deque[bytes] = deque()
        self._stop = threading.Event()
        self._second = -1
        self._stamp = ""
        self.dropped = 0
        self._reported = 0
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def has_room(self) -> bool:
        """Whether one more line can be taken; if not, it is counted as dropped. To be asked before it is encoded."""
        if len(self._lines) >= HELD_LINES:
            self.dropped += 1
            return False
        return True

    def put(self, line: bytes) -> None:
        """Queue a line, without its end."""
        self._lines.append(line)

    def stamp(self, utc: float) -> str:
        """RFC 3339 in UTC, to the millisecond."""
        second = int(utc)
        if second != self._second:
            self._second = second
            self._stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
        return f"{self._stamp}.{int((utc - second) * 1000):03d}Z"

    def close(self, wait_s: float = 2.0) -> None:
        """Write what is queued and stop; waits so long at most. A loop that serves traffic must not wait."""
        self._stop.set()
        self._thread.join(wait_s)

    def _run(self) -> None:
        while not self._stop.wait(_FLUSH_S):
            self._flush()
        self._flush()
        os.close(self._fd)

    def _flush(self) -> None:
        lines = self._lines
        while lines:
            batch = [lines.popleft() for _ in range(min(len(lines), 512))]
            if self.dropped != self._reported:
                missing, self._reported = self.dropped - self._reported, self.dropped
                batch.append(b'{"action":"%b_dropped","lines":%d}' % (self._name.encode(), missing))
            data = b"\n".join(batch) + b"\n"
            try:
                while data:
                    data = data[os.write(self._fd, data) :]
            except OSError:
                # A full disk or a closed pipe must not stop the traffic.
                self.dropped += len(batch)
                return
