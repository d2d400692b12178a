"""A job: what it asks for, the states it goes through, what comes out.

    queued --claim--> running --finish--> finished
      |  ^               |
      |  +--backoff------+  lease lost or worker failed, attempts left
      |                  +----> dead        attempts used up; may be replayed (-> queued)
      +--cancel, deadline-----> finished    (verdict cancelled or expired)

Rules:

- ``finished`` and ``dead`` are terminal; a job reaches exactly one of them, except that a replay
  takes a dead job back to ``queued``.
- Every claim raises the fencing ``token``; a result counts only with the token of the last claim
  and while the job is ``running``. So a worker that was paused or cut off cannot write after its
  lease was given on.
- ``attempts`` counts claims since the job was submitted or replayed.
- A job that cannot be run for reasons of its own (wrong program, limits) is ``finished``; only
  failures of ours (``internal_error`` of a worker, lost leases) are attempts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Status(StrEnum):
    """Where a job is."""

    QUEUED = "queued"
    RUNNING = "running"
    FINISHED = "finished"
    DEAD = "dead"


TERMINAL = frozenset({Status.FINISHED, Status.DEAD})


class Verdict(StrEnum):
    """What came of a job that has ended."""

    OK = "ok"
    RUNTIME_ERROR = "runtime_error"
    COMPILE_ERROR = "compile_error"
    TIME_LIMIT = "time_limit"
    MEMORY_LIMIT = "memory_limit"
    OUTPUT_LIMIT = "output_limit"
    KILLED = "killed"
    """Ended by a signal that no limit of ours sent."""
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    """Its deadline passed before it was started."""
    INTERNAL_ERROR = "internal_error"


class Priority(StrEnum):
    """Order within one tenant; between tenants the shares decide."""

    HIGH = "high"
    NORMAL = "normal"
    LOW = "low"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one job may use; every value is set by the time a job is accepted."""

    wall_s: float
    cpu_s: float
    memory_bytes: int
    output_bytes: int
    processes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceFile:
    """A file in the work directory. ``path`` is relative, without ``..``, at most 255 bytes."""

    path: str
    data: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """What is to be run; validated at the edge, immutable from there on."""

    language: str
    files: tuple[SourceFile, ...]
    entry: str
    """The file to start; one of ``files``."""
    stdin: bytes = b""
    args: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    limits: Limits


@dataclass(frozen=True, slots=True, kw_only=True)
class NewJob:
    """A job as the API hands it to the queue. Times are seconds since the epoch."""

    id: str
    """26 characters, sortable by time of submission (ULID)."""
    tenant: str
    program: Program
    priority: Priority = Priority.NORMAL
    deadline: float | None = None
    """Not started after this; a job that runs then is killed."""
    callback_url: str | None = None
    metadata: bytes = b"{}"
    """JSON, given back as it came."""
    idempotency_key: str | None = None
    fingerprint: bytes = b""
    """SHA-256 of the canonical request: tells a repeated post from another one with the same key."""
    key_id: str | None = None
    """The API key that submitted it, for the audit trail."""
    cost_estimate_us: int = 0
    """CPU microseconds reserved for it until the actual figure is known."""
    heavy: bool = False
    submitted: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Compiled:
    """What the compiler said."""

    exit_code: int | None
    signal: int | None
    stdout: bytes
    stderr: bytes
    truncated: bool
    cpu_ms: float
    wall_ms: float
    memory_bytes: int
    cached: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What a worker reports of a job that it ran to its end."""

    verdict: Verdict
    exit_code: int | None = None
    signal: int | None = None
    stdout: bytes = b""
    stderr: bytes = b""
    stdout_truncated: bool = False
    stderr_truncated: bool = False
    compiled: Compiled | None = None
    cpu_ms: float = 0.0
    """Compile and run together: what the tenant is charged."""
    wall_ms: float = 0.0
    memory_bytes: int = 0
    message: str = ""
    """For ``internal_error`` and ``killed``: what happened, for the one who reads it at three in the morning."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A job given to a worker."""

    id: str
    tenant: str
    token: int
    """The fencing token; names this claim and no other."""
    attempt: int
    program: Program
    deadline: float | None
    queued_ms: float
