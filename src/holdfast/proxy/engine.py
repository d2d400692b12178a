"""What all connections of one process share: configuration, pools, clock, counters, listeners.

One sweep every 25 ms enforces the time limits of all exchanges; another, twenty times rarer,
those of clients and idle connections. That costs a few microseconds per sweep and open
connection, and saves creating and cancelling timers on every request.
"""

from __future__ import annotations

import asyncio
import socket
from email.utils import formatdate
from typing import TYPE_CHECKING, Final

from holdfast.proxy.client import ClientConnection
from holdfast.proxy.exchange import QUEUED, TUNNEL, WAITING

if TYPE_CHECKING:
    import ssl as tls
    from collections.abc import Callable
    from random import Random

    from holdfast.http1 import RequestHead
    from holdfast.proxy.accesslog import AccessLog
    from holdfast.proxy.exchange import Exchange
    from holdfast.proxy.plan import Routed
    from holdfast.proxy.policy import EdgePolicy
    from holdfast.proxy.pool import Pool

_SWEEP_S: Final = 0.025
_TICKS: Final = 2
"""Sweeps per tick of the backends' estimates."""
_RARE: Final = 20
"""Sweeps per look at clients and idle connections."""
_BACKLOG: Final = 4096


class Engine:
    """The state of one data-plane process.

    ``clock`` is monotonic seconds, ``utc`` seconds since the epoch (for logs and ``Date`` only).
    ``urgent`` is called after a failed attempt or a trial, so that whoever decides about
    backends hears of it at once.
    """

    def __init__(
        self,
        *,
        edge: EdgePolicy,
        rng: Random,
        clock: Callable[[], float],
        utc: Callable[[], float],
        log: AccessLog | None = None,
    ) -> None:
        self.loop = asyncio.get_running_loop()
        self.edge = edge
        self.rng = rng
        self.clock = clock
        self.utc = utc
        self.access_log = log
        self.log_lines_dropped = 0
        """By access logs that were replaced."""
        self.log_sample = edge.log_sample if log is not None else None
        self.pools: dict[str, Pool] = {}
        self.route: Callable[[str, str], Routed | None] = lambda host, target: None  # noqa: ARG005
        self.epoch = object()
        self.urgent: Callable[[], None] = lambda: None
        self.client: Callable[..., ClientConnection] = ClientConnection
        """Makes the connection of a client that was accepted; another data plane puts its own here."""
        self.active: set[Exchange] = set()
        self.clients: set[ClientConnection] = set()
        self.requests = 0
        self.accepted = 0
        self.client_errors: dict[str, int] = {}
        self.draining = False
        self.drained = asyncio.Event()
        self.http_date = b""
        self._listeners: list[tuple[asyncio.Server, socket.socket, tls.SSLContext | None]] = []
        self._sweeps = 0
        self._timer: asyncio.TimerHandle | None = None
        self._late: set[asyncio.Task[None]] = set()

    def reconfigure(
        self, *, edge: EdgePolicy, pools: dict[str, Pool], route: Callable[[str, str], Routed | None]
    ) -> None:
        """Use another configuration from the next request on; exchanges under way keep theirs."""
        self.edge = edge
        self.log_sample = edge.log_sample if self.access_log is not None else None
        self.pools = pools
        self.route = route
        self.epoch = object()

    def log_to(self, log: AccessLog | None) -> None:
        """Use another access log, from the next :meth:`reconfigure` on; the present one writes what it holds."""
        before, self.access_log = self.access_log, log
        if before is not None:
            self.log_lines_dropped += before.dropped
            before.close(wait_s=0.0)

    def forget_plans(self) -> None:
        """Make every kept plan void (after a strategy was switched)."""
        self.epoch = object()

    # Listening.

    def start(self) -> None:
        """Begin to sweep."""
        self._sweep()

    async def listen(self, sock: socket.socket, context: tls.SSLContext | None = None) -> None:
        """Accept clients on a bound socket."""
        server = await self.loop.create_server(
            lambda: self.client(self, secure=context is not None),
            sock=sock,
            ssl=context,
            backlog=_BACKLOG,
            ssl_handshake_timeout=self.edge.header_timeout_s if context is not None else None,
        )
        self._listeners.append((server, sock, context))

    def stop_listening(self) -> None:
        """Take no more clients; those that the kernel has accepted already are served."""
        listeners, self._listeners = self._listeners, []
        for server, sock, context in listeners:
            self._take_pending(sock, context)
            server.close()

    def _take_pending(self, sock: socket.socket, context: tls.SSLContext | None) -> None:
        """Accept what waits in the kernel's queue; closing the listener would reset it."""
        sock.setblocking(False)
        for _ in range(_BACKLOG):
            try:
                accepted, _ = sock.accept()
            except OSError:
                return
            task = self.loop.create_task(self._adopt(accepted, context))
            self._late.add(task)
            task.add_done_callback(self._late.discard)

    async def _adopt(self, accepted: socket.socket, context: tls.SSLContext | None) -> None:
        try:
            await self.loop.connect_accepted_socket(
                lambda: self.client(self, secure=context is not None), accepted, ssl=context
            )
        except OSError:
            accepted.close()

    async def drain(self, timeout_s: float) -> int:
        """Stop accepting, let answers finish, close idle connections. Returns the requests cut."""
        self.draining = True
        self.stop_listening()
        if self._late:
            await asyncio.wait(tuple(self._late), timeout=1.0)
        for client in tuple(self.clients):
            if client.exchange is None and not client.reader.mid_head and not client.closing:
                client.close()
        if self.clients:
            try:
                await asyncio.wait_for(self.drained.wait(), timeout_s)
            except TimeoutError:
                pass
        cut = self.in_flight()
        for client in tuple(self.clients):
            client.abort()
        return cut

    def close(self) -> None:
        """Stop everything at once."""
        self.draining = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self.stop_listening()
        for client in tuple(self.clients):
            client.abort()
        for pool in self.pools.values():
            for backend in pool.backends:
                backend.close_idle()

    # Time.

    def _sweep(self) -> None:
        self._timer = self.loop.call_later(_SWEEP_S, self._sweep)
        now = self.clock()
        self._sweeps += 1
        ticking = self._sweeps % _TICKS == 0
        for exchange in tuple(self.active):
            if exchange.expires <= now:
                self._expire(exchange, now)
            elif ticking and exchange.phase == WAITING and exchange.request_sent and exchange.backend is not None:
                age_s = now - exchange.attempt_began
                exchange.backend.oldest_s = max(exchange.backend.oldest_s, age_s)
        if ticking:
            for pool in self.pools.values():
                for backend in pool.backends:
                    backend.tick(now, backend.oldest_s)
                    backend.oldest_s = 0.0
                if pool.queue:
                    pool.wake(now)
        if self._sweeps % _RARE == 1:
            self._rarely(now)

    def _expire(self, exchange: Exchange, now: float) -> None:
        try:
            exchange.expired(now)
        except Exception as bug:  # noqa: BLE001 - it is handed to the loop, which logs it
            # It would be met again in every sweep, before the others had their turn.
            self.active.discard(exchange)
            exchange.client.abort()
            self.loop.call_exception_handler({"message": "an exchange could not be expired", "exception": bug})

    def _rarely(self, now: float) -> None:
        self.http_date = formatdate(self.utc(), usegmt=True).encode("ascii")
        for client in tuple(self.clients):
            client.sweep(now)
        for pool in self.pools.values():
            before = now - pool.policy.idle_timeout_s
            for backend in pool.backends:
                if backend.idle:
                    backend.close_idle(before)

    # Counting.

    def count_client_error(self, reason: str) -> None:
        """Count a client that broke a rule or a limit."""
        self.client_errors[reason] = self.client_errors.get(reason, 0) + 1

    def in_flight(self) -> int:
        """Requests under way, waiting and tunnelled ones included."""
        return len(self.active)

    def tunnels(self) -> int:
        """Upgraded connections."""
        return sum(exchange.phase == TUNNEL for exchange in self.active)

    def waiting(self) -> int:
        """Requests that wait for a place."""
        return sum(exchange.phase == QUEUED for exchange in self.active)

    def log_refusal(
        self, client: ClientConnection, status: int, reason: str, request_id: bytes, head: RequestHead | None = None
    ) -> None:
        """Write the access-log line of a request that found no pool; always, as nobody else tells of it."""
        if self.log_sample is not None and self.access_log is not None:
            self.access_log.refused(client, status, reason, request_id, head)

    def log(self, exchange: Exchange, now: float) -> None:
        """Write the access-log line of a finished exchange, if it is one to be written."""
        sample = self.log_sample
        log = self.access_log
        if sample is None or log is None:
            return
        if sample >= 1.0 or exchange.attempts > 1 or exchange.answer_status >= 500 or self.rng.random() < sample:
            log.write(exchange, now)
