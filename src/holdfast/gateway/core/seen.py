"""What is known of a request when it is over: one value for the log, the metrics and the traces."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from holdfast.gateway.core.ports import Finding, Holder
from holdfast.gateway.core.usage import Usage


@dataclass(slots=True, kw_only=True)
class SeenAttempt:
    """One attempt of a request."""

    id: str
    deployment: str
    provider: str
    upstream_model: str
    protocol: str
    outcome: str
    """``ok``, ``cancelled`` or a :data:`~.outcome.Failure`."""
    status: int
    began_s: float
    """After the request began."""
    first_token_s: float | None
    duration_s: float
    usage: Usage
    cost_nano: int | None
    why: str = ""
    """Why this deployment was chosen."""
    hedge: bool = False
    upstream_id: str = ""
    """What the provider calls it: its support asks for this."""
    message: str = ""


@dataclass(slots=True, kw_only=True)
class Seen:
    """One request, whatever became of it. Nothing that was said in it."""

    request: str
    traceparent: str
    kind: str
    protocol: str
    path: str
    client: str
    """Address."""
    model: str = ""
    holder: Holder | None = None
    stream: bool = False
    wall: float = 0.0
    """When it began."""
    status: int = 0
    """Of the answer; 499 when the client left before one began."""
    reason: str = ""
    """Why it was refused or cut, in a word; empty when it was answered."""
    message: str = ""
    attempts: list[SeenAttempt] = field(default_factory=list)
    cache: str = ""
    """``hit``, ``miss``, ``coalesced``, ``semantic``; empty when no cache was asked."""
    findings: list[Finding] = field(default_factory=list)
    queued_s: float = 0.0
    first_byte_s: float | None = None
    duration_s: float = 0.0
    bytes_in: int = 0
    bytes_out: int = 0
    client_left: bool = False
    content: Any = None
    """The request and answer, redacted, where ``log.content`` asks for it."""
