"""One request to one deployment.

States::

    CONNECTING -> WAITING -> READING -> COMMITTED -> OVER
         |           |          |           |
         +-----------+----------+-----------+--> DRAINING -> OVER     (given up: client gone, hedge lost)
         +-----------+----------+-----------+--> OVER                 (failed)

Rules:

- The journal knows of an attempt before a byte of it is sent, and hears of its end exactly once (:meth:`_over`),
  whichever way it ends.
- Nothing goes to the client before the first meaningful token. What came until then waits here, and is thrown away when
  the attempt fails: a failure before the commit point can be repeated without anybody noticing.
- Given up, an attempt ends its sending side at once, which tells the provider to stop, and reads for a moment more what
  is on its way: what was produced is billed, so it is counted.
- A kept connection that dies before a byte of answer says nothing about the deployment (``stale``).
"""

from __future__ import annotations

import asyncio
import math
import re
from typing import TYPE_CHECKING, Final

from holdfast.gateway.core.outcome import Rejection
from holdfast.gateway.errors import Refused

if TYPE_CHECKING:
    from collections.abc import Callable

    from holdfast.gateway.core.outcome import Failure
    from holdfast.gateway.core.settings import TimeoutSettings
    from holdfast.gateway.shell.plane.call import Call
    from holdfast.gateway.shell.plane.connection import GatewayConnection
    from holdfast.gateway.shell.plane.engine import GatewayEngine
    from holdfast.gateway.shell.plane.reading import Reading
    from holdfast.http1 import BadMessage, ResponseHead
    from holdfast.proxy.backend import Backend
    from holdfast.proxy.upstream import UpstreamConnection

CONNECTING: Final = 0
WAITING: Final = 1
READING: Final = 2
COMMITTED: Final = 3
DRAINING: Final = 4
OVER: Final = 5

_ERROR_BYTES: Final = 64 * 1024
"""What is read of an answer that is an error."""
_HELD_BYTES: Final = 1024 * 1024
"""What may come before the first meaningful token."""
_DRAIN_S: Final = 0.5
"""How long an attempt that was given up is read on."""
_DRAIN_BYTES: Final = 256 * 1024
_REQUEST_ID: Final = re.compile(rb"\r\n(?:x-request-id|request-id|x-amzn-requestid): *([!-~]{1,128})", re.IGNORECASE)
REUSE_S: Final = 20.0
"""A kept connection is used again within this time; providers keep them for a minute and more."""


class Attempt:
    """See the module. ``whole`` collects the body instead of reading it as a stream."""

    __slots__ = (
        "_arrived",
        "_body",
        "_body_bytes",
        "_connecting",
        "_held",
        "_limit",
        "_read_whole",
        "_stream_type",
        "_total",
        "_upstream",
        "began",
        "call",
        "committed",
        "ended",
        "engine",
        "expires",
        "first_token_s",
        "fresh",
        "head",
        "id",
        "name",
        "on_over",
        "output",
        "provider",
        "read_error",
        "reading",
        "rejection",
        "stale",
        "state",
        "timeouts",
        "tunnel",
        "wire",
    )

    def __init__(
        self,
        call: Call,
        *,
        id: str,
        name: str,
        provider: Backend,
        wire: bytes,
        reading: Reading | None,
        stream_type: bytes,
        timeouts: TimeoutSettings,
        first_token_s: float,
        deadline: float,
        total: float,
        limit: int,
        read_whole: Callable[[bytes], None],
        read_error: Callable[[int, dict[str, str], bytes], Rejection],
        on_over: Callable[[Attempt, str, Rejection | None], None],
    ) -> None:
        """Prepare; :meth:`start` sends.

        ``deadline`` is for the commit point, ``total`` for the end (monotonic). ``read_whole`` looks at a body that was
        collected and raises ``ValueError`` for one that will not do. ``on_over`` hears how it ended: ``ok``,
        ``cancelled`` or a failure. It settles; it is called once.
        """
        engine: GatewayEngine = call.client.gateway
        self.call = call
        self.engine = engine
        self.id = id
        self.name = name
        self.provider = provider
        self.wire = wire
        self.reading = reading
        self.timeouts = timeouts
        self.tunnel = None
        self.read_error = read_error
        self.on_over = on_over
        self.state = CONNECTING
        self.began = engine.clock()
        self.first_token_s: float | None = None
        self.head: ResponseHead | None = None
        self.rejection: Rejection | None = None
        self.stale = False
        self.fresh = False
        """Use no kept connection."""
        self.output: Callable[[bytes], None] | None = None
        """Takes what the client gets, once this attempt has won."""
        self.committed: asyncio.Future[bool] = engine.loop.create_future()
        """``True``: it can be attached, or its body is whole. ``False``: it failed; ``rejection`` says how."""
        self.ended: asyncio.Future[Rejection | None] = engine.loop.create_future()
        self._stream_type = stream_type
        self._total = total
        self._read_whole = read_whole
        first = timeouts.whole if reading is None else first_token_s
        self.expires = min(deadline, self.began + first)
        self._limit = limit
        self._held: list[bytes] = []
        self._body: list[bytes] = []
        self._body_bytes = 0
        self._arrived = 0
        self._connecting: asyncio.Task[None] | None = None
        self._upstream: UpstreamConnection | None = None

    # What an upstream connection asks of what it carries.

    @property
    def client(self) -> GatewayConnection:
        """For whom."""
        return self.call.client

    @property
    def upstream(self) -> UpstreamConnection | None:
        """The connection, while there is one."""
        return self._upstream

    @property
    def upstream_id(self) -> str:
        """What the provider calls this request, if it says so."""
        found = None if self.head is None else _REQUEST_ID.search(b"\r\n" + self.head.block)
        return "" if found is None else found[1].decode("latin-1")

    @property
    def body(self) -> bytes:
        """Of an answer that was collected."""
        return b"".join(self._body)

    def start(self) -> None:
        """Send it, on a kept connection if there is one."""
        self.engine.attempts.add(self)
        backend = self.provider
        backend.began()
        idle = backend.idle
        now = self.began
        while idle and not self.fresh:
            upstream = idle.pop()
            if now - upstream.idle_since < REUSE_S:
                self._send(upstream)
                return
            upstream.close()
        self._connecting = self.engine.loop.create_task(self._connect(), name="connect to a provider")

    async def _connect(self) -> None:
        from holdfast.proxy.upstream import UpstreamConnection

        backend = self.provider
        limits = backend.response_limits
        try:
            upstream = await backend.connect(float(self.timeouts.connect), lambda: UpstreamConnection(backend, limits))
        except (OSError, UnicodeError) as error:  # includes TimeoutError, ssl.SSLError, and names that are none
            self._connecting = None
            why = "no connection in time" if isinstance(error, TimeoutError) else str(error) or type(error).__name__
            self.fail("connect", f"{backend.address.host}:{backend.address.port}: {why}", 502)
            return
        self._connecting = None
        if self.state != CONNECTING:
            upstream.close()
            return
        self._send(upstream)

    def _send(self, upstream: UpstreamConnection) -> None:
        upstream.exchange = self
        upstream.uses += 1
        upstream.reader.expect(to_head=False)
        self._upstream = upstream
        self.state = WAITING
        upstream.transport.write(self.wire)
        self.wire = b""

    def answer_progress(self, upstream: UpstreamConnection) -> None:
        """Bytes of the answer were read."""
        reader = upstream.reader
        if self.head is None:
            if reader.interim:
                reader.interim = []
            head = reader.head
            if head is None:
                return
            self.head = head
            self.state = self.state if self.state == DRAINING else READING
            if self.reading is not None and 200 <= head.status < 300 and not self._speaks(head):
                # Not a stream at all: an error page, or an answer of another kind. Read it, then say so.
                self.reading = None
                self.rejection = Rejection(failure="protocol", status=502, message="")
        pieces = reader.pieces
        if pieces:
            reader.pieces = []
            data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
            self._take(bytes(data) if isinstance(data, memoryview) else data)
        if reader.complete and self.state != OVER:
            self._complete(upstream)

    def _speaks(self, head: ResponseHead) -> bool:
        if not self._stream_type:
            return True
        for line in head.block.split(b"\r\n"):
            if line[:13].lower() == b"content-type:":
                return self._stream_type in line.lower()
        return False

    def _take(self, data: bytes) -> None:
        self._arrived += len(data)
        if self.state == DRAINING and self._arrived > _DRAIN_BYTES:
            self._settle("cancelled", None)
            return
        head = self.head
        reading = self.reading
        if reading is None or head is None or not 200 <= head.status < 300:
            self._collect(data)
            return
        if self._arrived > self._limit:
            self.fail("protocol", f"the answer has more than {self._limit} bytes", 502)
            return
        try:
            out = reading.feed(data)
        except ValueError as error:
            self.fail("protocol", str(error), 502)
            return
        except Refused as refused:
            self._refused(refused)
            return
        if reading.broken is not None:
            self._broken(reading.broken, out)
            return
        if self.state == COMMITTED:
            if out and self.output is not None:
                self.output(out)
            elif out:
                self._held.append(out)
            self.expires = min(self._total, self.engine.clock() + self.timeouts.stall)
            return
        if out:
            self._held.append(out)
        if self._arrived > _HELD_BYTES and not reading.committed:
            self.fail("protocol", f"{_HELD_BYTES} bytes without a meaningful token", 502)
            return
        if reading.committed and self.state == READING:
            self._commit()

    def _collect(self, data: bytes) -> None:
        status = 0 if self.head is None else self.head.status
        is_error = self.rejection is not None or not 200 <= status < 300
        self._body_bytes += len(data)
        if is_error and self._body_bytes > _ERROR_BYTES:
            return  # enough to know what went wrong
        if self._body_bytes > self._limit:
            self.fail("protocol", f"the answer has more than {self._limit} bytes", 502)
            return
        self._body.append(data)

    def _commit(self) -> None:
        now = self.engine.clock()
        self.state = COMMITTED
        self.first_token_s = now - self.began
        self.expires = min(self._total, now + self.timeouts.stall)
        if not self.committed.done():
            self.committed.set_result(True)

    def attach(self, output: Callable[[bytes], None]) -> bytes:
        """It has won: what was held is returned, what comes from now on goes to ``output``."""
        self.output = output
        held, self._held = b"".join(self._held), []
        return held if self.reading is None else held + self.reading.attach()

    def _complete(self, upstream: UpstreamConnection) -> None:
        """The provider's message is whole."""
        head, reading = self.head, self.reading
        if head is None:
            return
        self._upstream = None
        upstream.release(self.engine.clock(), keep=256 if self.state != DRAINING else 0, sent=True)
        if not 200 <= head.status < 300 or self.rejection is not None:
            self._rejected(head)
            return
        if reading is None:
            if self.state == READING:
                self.first_token_s = self.engine.clock() - self.began
            try:
                self._read_whole(self.body)  # also of what nobody waits for any more: it says what it cost
            except ValueError as error:
                self.fail("protocol", f"not an answer of the provider's protocol: {error}"[:300], 502)
                return
            self._settle("ok" if self.state != DRAINING else "cancelled", None)
            return
        try:
            out = reading.end()
        except (ValueError, Refused) as error:
            self._refused(error) if isinstance(error, Refused) else self.fail("protocol", str(error), 502)
            return
        if reading.finished and reading.broken is None:
            if not reading.committed and self.state == READING:
                self.fail("protocol", "the stream ended without saying anything", 502)
                return
            if out:
                self._give(out)
            if self.state == READING:
                self._commit()
            self._settle("ok" if self.state != DRAINING else "cancelled", None)
            return
        if out:
            self._give(out)
        self.fail("cut" if self.state == COMMITTED else "reset", "the stream ended before its end", 502)

    def _give(self, out: bytes) -> None:
        if self.output is not None:
            self.output(out)
        else:
            self._held.append(out)

    def _rejected(self, head: ResponseHead) -> None:
        if self.rejection is None:
            fields = {
                name.lower().decode("latin-1"): value.strip().decode("latin-1")
                for name, colon, value in (line.partition(b":") for line in head.block.split(b"\r\n"))
                if colon
            }
            self.rejection = self.read_error(head.status, fields, self.body)
        else:
            told = self.body[:200].decode("utf-8", "replace")
            self.rejection = Rejection(
                failure="protocol", status=502, message=f"not a stream of the provider's protocol: {told!r}"
            )
        self._settle(self.rejection.failure, self.rejection)

    def _broken(self, rejection: Rejection, out: bytes) -> None:
        if out and self.state == COMMITTED:
            self._give(out)
        self._close()
        if self.state == DRAINING:
            self._settle("cancelled", None)
        else:
            self._settle(rejection.failure, rejection)

    def _refused(self, refused: Refused) -> None:
        """A guardrail stopped the answer: the provider has nothing to do with it."""
        self._close()
        self._settle(
            "cancelled",
            Rejection(failure="filtered", status=refused.status, message=str(refused), code=refused.code or "blocked"),
        )

    def answer_broken(self, upstream: UpstreamConnection, error: BadMessage) -> None:
        """The answer is not valid HTTP."""
        self.fail("protocol", str(error), 502)

    def upstream_lost(self, upstream: UpstreamConnection, exc: Exception | None) -> None:
        """The provider closed its connection."""
        self._upstream = None
        if self.state == OVER:
            return
        reader = upstream.reader
        if self.head is not None and exc is None and reader.eof():
            if reader.pieces:
                self.answer_progress(upstream)
            if self.state != OVER:
                self._complete(upstream)
            return
        if self.state == DRAINING:
            self._settle("cancelled", None)
            return
        self.stale = self.head is None and upstream.uses > 1 and not reader.mid_message
        failure: Failure = "cut" if self.state == COMMITTED else "reset"
        self.fail(failure, f"the provider closed the connection ({exc or 'end of file'})", 502)

    def expired(self, now: float) -> None:
        """The time of the present state is over."""
        if self.state == DRAINING:
            self._close()
            self._settle("cancelled", None)
        elif self.state == COMMITTED:
            if now >= self._total:
                self.fail("timeout", f"the whole answer took longer than {now - self.call.started:.0f} s", 504)
            elif self.client.write_paused:
                self.expires = now + self.timeouts.stall  # the client is the slow one, and has a timeout of its own
            elif self.reading is not None and self.reading.finished:
                self._close()
                self._settle("ok", None)
            else:
                self.fail("stalled", f"silent for {self.timeouts.stall:g} s in the middle of a stream", 504)
        else:
            what = "no connection" if self.state == CONNECTING else "no answer" if self.head is None else "no token"
            self.fail("timeout", f"{what} after {now - self.began:.1f} s", 504)

    def fail(self, failure: Failure, message: str, status: int) -> None:
        """It failed. Without effect on one that is over."""
        if self.state == OVER:
            return
        self._close()
        if self.state == DRAINING:
            self._settle("cancelled", None)
            return
        self._settle(failure, Rejection(failure=failure, status=status, message=message))

    def stop(self, code: str, message: str) -> None:
        """Nothing more may be said, by no fault of the deployment: its key has ended, or the gateway does."""
        if self.state in (DRAINING, OVER):
            return
        self._close()
        self._settle("cancelled", Rejection(failure="auth", status=503, message=message, code=code))

    def give_up(self) -> None:
        """Nobody wants the answer any more: tell the provider at once, and count what it produced."""
        if self.state in (DRAINING, OVER):
            return
        upstream = self._upstream
        self.output = None
        self._held = []
        if upstream is None or upstream.lost or not upstream.transport.can_write_eof():
            self._close()
            self._settle("cancelled", None)
            return
        self.state = DRAINING
        self.expires = self.engine.clock() + _DRAIN_S
        upstream.transport.resume_reading()
        upstream.transport.write_eof()

    def _close(self) -> None:
        if self._connecting is not None:
            self._connecting.cancel()
            self._connecting = None
        upstream, self._upstream = self._upstream, None
        if upstream is not None:
            upstream.close()

    def _settle(self, outcome: str, rejection: Rejection | None) -> None:
        """The one end."""
        if self.state == OVER:
            return
        self.state = OVER
        self.expires = math.inf
        self.engine.attempts.discard(self)
        self.provider.abandoned()
        self.rejection = rejection
        self._close()
        self.on_over(self, outcome, rejection)
        # What it was made with refers back to it. Let go here, memory is free at once, without a collection.
        del self.on_over, self._read_whole, self.read_error
        self.output = None
        if not self.committed.done():
            self.committed.set_result(outcome == "ok")
        if not self.ended.done():
            self.ended.set_result(rejection)
