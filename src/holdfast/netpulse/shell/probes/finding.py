"""What a probe says, and the way to say that it failed."""

from __future__ import annotations

import errno
import ssl
from dataclasses import dataclass
from typing import Final

from holdfast.netpulse.core.result import NO_PHASES, Failure, Outcome, Phases

DETAIL_LIMIT: Final = 200
"""Characters of a detail (:class:`~holdfast.netpulse.core.result.Result`)."""
QUOTE_LIMIT: Final = 60
"""Characters of something a target sent, or was expected to send, inside a detail."""

_BY_ERRNO: Final = {
    errno.ECONNREFUSED: (Failure.REFUSED, "refused the connection"),
    errno.ECONNRESET: (Failure.RESET, "reset the connection"),
    errno.ECONNABORTED: (Failure.RESET, "reset the connection"),
    errno.EPIPE: (Failure.RESET, "closed the connection while it was written to"),
    errno.ETIMEDOUT: (Failure.TIMEOUT, "did not take the connection in the time of the system"),
    errno.EHOSTUNREACH: (Failure.UNREACHABLE, "is unreachable (no route to the host)"),
    errno.ENETUNREACH: (Failure.UNREACHABLE, "is unreachable (no route to its network)"),
    errno.EHOSTDOWN: (Failure.UNREACHABLE, "is unreachable (host down)"),
    errno.ENOPROTOOPT: (Failure.UNREACHABLE, "is unreachable (protocol not available)"),
}


class Failed(Exception):
    """The probe is over, and did not find its target up. Stays in this room: the prober always catches it."""

    def __init__(self, failure: Failure, detail: str) -> None:
        super().__init__(detail)
        self.failure = failure
        self.detail = detail


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What one probe found, in the words of :class:`~holdfast.netpulse.core.result.Result`."""

    outcome: Outcome
    failure: Failure = Failure.NONE
    total_ms: float = 0.0
    phases: Phases = NO_PHASES
    status: int = 0
    detail: str = ""
    address: str = ""
    cert_days: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Leave:
    """What this agent may do."""

    allow_private: bool = False
    """Ask private, loopback and link-local addresses, for monitors that say so."""
    allow_commands: bool = False
    """Run the programs of command checks."""


def printable(text: str, limit: int = DETAIL_LIMIT) -> str:
    """At most ``limit`` characters, all of them printable and on one line."""
    clean = text if text.isprintable() else "".join(each if each.isprintable() else " " for each in text)
    return clean if len(clean) <= limit else clean[: limit - 1] + "…"


def quoted(text: str) -> str:
    """Something that somebody else wrote, short and between quotes."""
    return f'"{printable(text, QUOTE_LIMIT)}"'


def from_os_error(error: OSError) -> Failed:
    """The verdict in an error of the system. What is not the network's or the target's doing is the agent's."""
    if isinstance(error, ssl.SSLError):
        return from_tls_error(error)
    known = _BY_ERRNO.get(error.errno or 0)
    if known is not None:
        return Failed(known[0], f"the target {known[1]}")
    remedy = {
        errno.EMFILE: "; raise the limit of open files of the agent (ulimit -n, LimitNOFILE=)",
        errno.ENFILE: "; raise fs.file-max",
        errno.EADDRNOTAVAIL: "; widen net.ipv4.ip_local_port_range, or probe less often",
        errno.EACCES: "; a rule of this machine forbids it",
        errno.EPERM: "; a rule of this machine forbids it",
    }.get(error.errno or 0, "")
    return Failed(Failure.AGENT, f"the agent could not probe: {error.strerror or error}{remedy}")


def from_tls_error(error: ssl.SSLError) -> Failed:
    """The verdict in a failed handshake or a broken TLS connection."""
    if isinstance(error, ssl.SSLCertVerificationError):
        # The library's message repeats the name that was wanted, which is what the reader needs.
        return Failed(Failure.CERTIFICATE, f"the certificate is not valid: {error.verify_message}")
    if isinstance(error, ssl.SSLEOFError):
        return Failed(Failure.TLS, "the target closed the connection in the middle of TLS")
    reason = (error.reason or "").replace("_", " ").lower()
    return Failed(Failure.TLS, f"TLS could not be agreed on: {reason or 'the handshake broke'}")
