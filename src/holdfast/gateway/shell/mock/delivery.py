"""One answer on its way to the client: when its head goes out, when its frames do, and where it breaks.

========  ==================================================================================
waiting   the head is held back (``slow_head``, or a whole answer that is still being made)
flowing   frames go out: all at once as far as the socket takes them, or one token at a time
over      finished, broken by an order, or the client has left; nothing is written after that
========  ==================================================================================
"""

from __future__ import annotations

from collections.abc import Iterator
from time import monotonic
from typing import TYPE_CHECKING, Final

from holdfast.gateway.shell.mock import shaping
from holdfast.gateway.shell.mock.answers import Frame
from holdfast.gateway.shell.mock.ledger import Entry, State
from holdfast.gateway.shell.mock.wheel import SLOT_S

if TYPE_CHECKING:
    from holdfast.gateway.shell.mock.connection import Connection

_BATCH_BYTES: Final = 64 * 1024
"""Written in one go, before other connections have their turn."""
_LAST_CHUNK: Final = b"0\r\n\r\n"


class Delivery:
    """Writes one answer. All methods are called by the loop; none waits.

    What the ledger notes is the clock itself; the loop's stands still within a turn, and uvloop's has no microseconds.
    """

    __slots__ = (
        "_chunked",
        "_connection",
        "_due",
        "_frames",
        "_head",
        "_held",
        "_pause",
        "_period",
        "_until_first",
        "entry",
        "over",
        "stalled_by_socket",
    )

    def __init__(
        self,
        connection: Connection,
        entry: Entry,
        head: bytes,
        frames: Iterator[Frame],
        *,
        chunked: bool,
        period: float,
        until_first: float,
    ) -> None:
        """``period``: seconds between tokens; ``until_first``: before the first token."""
        self._connection = connection
        self.entry = entry
        self._head = head
        self._frames = frames
        self._chunked = chunked
        self._period = period
        self._until_first = until_first
        self._held: Frame | None = None
        self._due = 0.0
        self._pause = 0.0
        self.over = False
        self.stalled_by_socket = False

    def begin(self, wait: float, drip: float) -> None:
        """Start, the head after ``wait`` seconds, byte by byte when ``drip`` is a pause between two."""
        provider = self._connection.provider
        self._due = provider.loop.time() + wait
        self._pause = drip
        step = self._drip if drip > 0.0 else self._flow
        if wait > 0.0:
            provider.wheel.at(self._due, step)
        else:
            step()

    def resume(self) -> None:
        """The socket takes bytes again."""
        if self.stalled_by_socket:
            self.stalled_by_socket = False
            self._flow()

    def cancel(self) -> None:
        """The client has left."""
        if not self.over:
            self.entry.cancel_seen = monotonic()
            self._end("cancelled")

    def _drip(self) -> None:
        if self.over:
            return
        if len(self._head) == 1:
            self._flow()
            return
        self._connection.write(self._head[:1])
        self._head = self._head[1:]
        provider = self._connection.provider
        provider.wheel.at(provider.loop.time() + self._pause, self._drip)

    def _flow(self) -> None:  # noqa: C901 - the hot loop of every stream: one branch more beats one call more
        """Write what is due."""
        if self.over:
            return
        connection, entry = self._connection, self.entry
        if connection.paused:
            self.stalled_by_socket = True
            return
        out: list[bytes] = []
        size = tokens = frames = 0
        if self._head:
            out.append(self._head)
            self._head = b""
            connection.provider.ledger.begun(entry)
        chunked, period = self._chunked, self._period
        mark = 0
        ended = later = False
        while True:
            if self._held is not None:
                (data, count), self._held = self._held, None
            else:
                found = next(self._frames, None)
                if found is None:
                    ended = True
                    break
                data, count = found
                if count > 0 and self._until_first > 0.0:
                    self._held, later = found, True
                    self._due = connection.provider.loop.time() + self._until_first
                    self._until_first = 0.0
                    break
            if count < 0:
                mark = count
                break
            if not data:
                continue
            out.append(b"%x\r\n%b\r\n" % (len(data), data) if chunked else data)
            size += len(data)
            frames += 1
            tokens += count
            if count and period:
                self._due = max(self._due, connection.provider.loop.time() - period) + period
                later = True
                break
            if size >= _BATCH_BYTES:
                break
        if ended and chunked:
            out.append(_LAST_CHUNK)
        if tokens:
            connection.provider.ledger.produced(entry, tokens, now=monotonic())
        entry.frames += frames
        entry.body_bytes += size
        if out:
            connection.write(b"".join(out))
        if ended:
            self._end("finished" if entry.status < 400 else "refused")
            connection.answered()
        elif later:
            connection.provider.wheel.at(self._due, self._flow)
        elif mark:
            self._broken(mark)
        else:
            connection.provider.loop.call_soon(self._flow)

    def _broken(self, mark: int) -> None:
        if mark == shaping.PAUSE:
            provider = self._connection.provider
            provider.wheel.at(provider.loop.time() + SLOT_S, self._flow)
        elif mark != shaping.STALL:
            self._end("cut")
            self._connection.end(reset=mark == shaping.RESET)

    def _end(self, state: State) -> None:
        self.over = True
        self._connection.provider.ledger.close(self.entry, state, now=monotonic())
