"""What one probe found."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Final

import msgspec


class Outcome(IntEnum):
    """Of one probe. ``UNKNOWN``: the probe itself is in doubt, so it says nothing about its target."""

    UP = 0
    DOWN = 1
    UNKNOWN = 2


class Failure(StrEnum):
    """Why a probe did not find its target up."""

    NONE = ""
    RESOLVE = "resolve"
    """The name leads nowhere."""
    REFUSED = "refused"
    UNREACHABLE = "unreachable"
    RESET = "reset"
    TIMEOUT = "timeout"
    TLS = "tls"
    """The handshake failed, but not for the certificate."""
    CERTIFICATE = "certificate"
    PROTOCOL = "protocol"
    """What came back is not what the protocol allows."""
    STATUS = "status"
    CONTENT = "content"
    REDIRECT = "redirect"
    """A loop, or too many."""
    BLOCKED = "blocked"
    """The address may not be asked: private, and not allowed."""
    MISSING = "missing"
    """A heartbeat did not come."""
    EXIT = "exit"
    """A command's exit code."""
    BLIND = "blind"
    """The agent reaches none of its canaries (outcome unknown)."""
    AGENT = "agent"
    """The agent could not probe: no descriptors, no permission, a program that is not there (outcome unknown)."""


class Phases(msgspec.Struct, frozen=True, array_like=True):
    """Milliseconds of each part; ``None`` for what there was none of. Of the last request when redirected."""

    resolve: float | None = None
    connect: float | None = None
    tls: float | None = None
    first_byte: float | None = None
    """From the request's last byte to the answer's first."""
    transfer: float | None = None


NO_PHASES: Final = Phases()


class Result(msgspec.Struct, frozen=True, array_like=True, omit_defaults=True):
    """One probe, as an agent reports it. Arrays on the wire: the order of the fields is the format."""

    monitor: str
    """``TENANT/ID``."""
    seq: int
    """Counts the agent's results, without gaps, for as long as its spool lives."""
    at: float
    """When the probe began: seconds since the epoch by the agent's clock."""
    outcome: Outcome
    failure: Failure = Failure.NONE
    total_ms: float = 0.0
    phases: Phases = Phases()
    status: int = 0
    """Of HTTP, gRPC or an exit code; 0 when there was none."""
    detail: str = ""
    """At most 200 characters, printable; nothing secret."""
    address: str = ""
    """That was asked."""
    cert_days: float | None = None
    """Until the first certificate of the chain expires; negative when it has."""
    confirm: bool = False
    """Sent at once, because another region saw a failure."""


def one_line(text: str, most: int) -> str:
    """What an agent said, as every store, mail and page takes it: printable, on one line, so many characters."""
    text = text[:most]
    return text if text.isprintable() else "".join(each if each.isprintable() else " " for each in text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """A result as the engine believes it: who saw it, and when by the engine's clock."""

    monitor: str
    region: str
    domain: str
    """Failure domain of the region."""
    agent: str
    at: float
    """Start of the probe, seconds since the epoch, corrected for the agent's clock."""
    received: float
    outcome: Outcome
    failure: Failure
    total_ms: float
    phases: Phases = NO_PHASES
    status: int = 0
    detail: str = ""
    address: str = ""
    cert_days: float | None = None
    confirm: bool = False
    late: bool = False
    """Too old to decide by (it was spooled): counted for uptime, not for detection."""
    simulated: bool = False
    """Made by ``/v1/simulate``."""
