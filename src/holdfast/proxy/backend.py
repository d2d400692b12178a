"""One backend as this process sees it: its load, its idle connections, what happened there.

Whether it gets traffic at all is decided elsewhere and arrives as ``weight`` and ``trials``;
this side only acts and reports.
"""

from __future__ import annotations

import asyncio
import dataclasses
import math
import ssl as tls
from typing import TYPE_CHECKING, Literal

from holdfast.http1 import Limits
from holdfast.proxy.upstream import UpstreamConnection
from holdfast.resilience import Target

if TYPE_CHECKING:
    from collections.abc import Callable

Failure = Literal["connect", "reset", "timeout", "status", "protocol"]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where a backend listens, and how to speak to it."""

    host: str
    port: int
    context: tls.SSLContext | None = None
    server_name: str | None = None

    @property
    def authority(self) -> bytes:
        """``HOST:PORT`` as it stands in a ``Host`` field."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}".encode("ascii")


@dataclasses.dataclass(frozen=True, slots=True)
class OutcomeRun:
    """Successive attempts with one outcome (``failure`` ``None`` is success).

    ``requests``: of failures, the numbers of all requests; of successes, of those that had failed before.
    """

    failure: Failure | None
    count: int
    requests: tuple[int, ...] = ()


class Outcomes:
    """The attempts since the last report, as runs, so that their order survives.

    ``ok`` counts successes since the last failure; the hot path adds to it directly.
    """

    __slots__ = ("_failed", "_failure", "_redeemed", "_runs", "ok")

    def __init__(self) -> None:
        self.ok = 0
        self._runs: list[OutcomeRun] = []
        self._failure: Failure | None = None
        self._failed: list[int] = []
        self._redeemed: list[int] = []

    def failed(self, failure: Failure, request: int) -> None:
        """Note a failed attempt of the request with this number."""
        if self.ok or self._failure != failure:
            self._close()
        self._failure = failure
        self._failed.append(request)

    def redeemed(self, request: int) -> None:
        """Note a success of a request that had failed elsewhere: it was not the request's fault."""
        self.ok += 1
        self._redeemed.append(request)

    def take(self) -> tuple[OutcomeRun, ...]:
        """The runs so far, oldest first; forgets them."""
        self._close()
        runs, self._runs = tuple(self._runs), []
        return runs

    def _close(self) -> None:
        # Failures end the successes before them (see failed), so what is open here are failures
        # and the successes after them, in this order.
        if self._failure is not None:
            self._runs.append(OutcomeRun(self._failure, len(self._failed), tuple(self._failed)))
            self._failure, self._failed = None, []
        if self.ok:
            self._runs.append(OutcomeRun(None, self.ok, tuple(self._redeemed)))
            self.ok, self._redeemed = 0, []


class Backend(Target):
    """The runtime state of one backend in this process."""

    __slots__ = (
        "address",
        "codes",
        "connections",
        "cut",
        "failures",
        "hangs_up",
        "host_line",
        "idle",
        "oldest_s",
        "outcomes",
        "response_limits",
        "retired",
        "state",
        "trial_outcomes",
        "trials",
        "trials_in_flight",
        "trials_since",
    )

    def __init__(self, name: str, address: Address, *, weight: float = 1.0, limit: int = 1024) -> None:
        super().__init__(name, weight, limit)
        self.address = address
        self.host_line = b"Host: %b\r\n" % address.authority
        self.idle: list[UpstreamConnection] = []
        self.connections = 0
        self.hangs_up = False
        """Closes connections soon after an answer without announcing it; until one that was kept is of use again."""
        self.cut = 0
        """Answers below 500 that were not finished, whoever left."""
        self.trials = 0
        self.trials_in_flight = 0
        self.trials_since = math.inf
        self.state = "up"
        self.retired = False
        self.oldest_s = 0.0
        self.outcomes = Outcomes()
        self.trial_outcomes = Outcomes()
        self.codes: dict[int, int] = {}
        self.failures: dict[str, int] = {}
        self.response_limits = Limits()

    async def connect(self, timeout_s: float, protocol: Callable[[], UpstreamConnection]) -> UpstreamConnection:
        """Open a connection. Raises ``OSError`` (which includes ``TimeoutError`` and TLS errors)."""
        address = self.address
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(timeout_s):
            if address.context is not None:
                _, connection = await loop.create_connection(
                    protocol,
                    address.host,
                    address.port,
                    ssl=address.context,
                    server_hostname=address.server_name or address.host,
                )
            else:
                _, connection = await loop.create_connection(protocol, address.host, address.port)
        # Counted here and not in connection_made(): when this is cancelled in between, uvloop closes the
        # connection without telling the protocol.
        if connection.lost:
            raise ConnectionResetError("closed as soon as it was made")
        connection.open = True
        self.connections += 1
        return connection

    def retire(self) -> None:
        """Send nothing more here; what is in flight may finish."""
        self.retired = True
        self.weight = 0.0
        self.trials = 0
        self.close_idle()

    def absorb(self, predecessor: Backend) -> None:
        """Count on from where another backend of this name ended, so that no counter goes back."""
        self.cut += predecessor.cut
        for status, answers in predecessor.codes.items():
            self.codes[status] = self.codes.get(status, 0) + answers
        for failure, attempts in predecessor.failures.items():
            self.failures[failure] = self.failures.get(failure, 0) + attempts

    def close_idle(self, before: float = float("inf")) -> None:
        """Close the kept connections that have been idle since before that time."""
        kept = [connection for connection in self.idle if connection.idle_since >= before]
        if len(kept) != len(self.idle):
            stale = [connection for connection in self.idle if connection.idle_since < before]
            self.idle = kept
            for connection in stale:
                connection.close()
