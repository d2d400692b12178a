"""One probe under way: what it may use, and what it has noted so far.

A check fills in what it measures as it goes, so that a probe that is cut short still says how far it came.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from holdfast.netpulse.core.result import Phases

if TYPE_CHECKING:
    import ssl
    from asyncio import AbstractEventLoop

    from holdfast.netpulse.shell.probes.examiner import Examiner
    from holdfast.netpulse.shell.probes.names import Names
    from holdfast.netpulse.shell.probes.trust import Trust


class Trip:
    """State of one probe. Times in milliseconds, as they are reported."""

    __slots__ = (
        "address",
        "allow_private",
        "began",
        "cert_days",
        "clock",
        "connect_ms",
        "deadline",
        "doing",
        "examiner",
        "first_byte_ms",
        "loop",
        "names",
        "resolve_ms",
        "status",
        "tls_ms",
        "transfer_ms",
        "trust",
        "wall",
    )

    def __init__(
        self,
        *,
        loop: AbstractEventLoop,
        clock: Callable[[], float],
        wall: Callable[[], float],
        timeout_s: float,
        allow_private: bool,
        names: Names,
        trust: Trust,
        examiner: Examiner,
    ) -> None:
        self.loop = loop
        self.clock = clock
        self.wall = wall
        self.began = clock()
        self.deadline = self.began + timeout_s
        self.allow_private = allow_private
        self.names = names
        self.trust = trust
        self.examiner = examiner
        self.doing = "the probe to begin"
        """What is being waited for: the end of "no end within 10s, waiting for ..."."""
        self.status = 0
        self.address = ""
        self.cert_days: float | None = None
        self.restart()

    def restart(self) -> None:
        """Another request of the same probe (a redirect): the phases are those of the last one."""
        self.resolve_ms: float | None = None
        self.connect_ms: float | None = None
        self.tls_ms: float | None = None
        self.first_byte_ms: float | None = None
        self.transfer_ms: float | None = None

    def since(self, start: float) -> float:
        """Milliseconds since ``start``."""
        return round((self.clock() - start) * 1e3, 3)

    def note_certificate(self, sock: ssl.SSLSocket) -> None:
        """After a handshake: until when its chain is good. Of several (redirects), the one that expires first."""
        days = self.trust.days_left(sock, self.wall())
        if days is not None and (self.cert_days is None or days < self.cert_days):
            self.cert_days = days

    def left(self) -> float:
        """Seconds until the deadline; not negative."""
        return max(0.0, self.deadline - self.clock())

    def phases(self) -> Phases:
        """As far as they have been measured."""
        return Phases(self.resolve_ms, self.connect_ms, self.tls_ms, self.first_byte_ms, self.transfer_ms)
