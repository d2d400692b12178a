"""What workers and the API say to each other: MessagePack over HTTP, the worker always asks.

Two requests, both with ``Authorization: Bearer`` and a key of the scope ``worker``:

``POST /internal/v1/sync``
    :class:`Sync` -> :class:`Orders`. Held open up to ``wait_s`` until there is a job for a free slot, a
    cancellation, or a lost lease. A worker always has one of these open; it also says the worker is alive.
``POST /internal/v1/report``
    :class:`Report` -> :class:`Receipt`. Output, results and lease renewals; answered after the commit. A worker
    repeats a report until it gets a receipt: ``(job, token)`` makes a repetition harmless.

A worker that cannot reach the API goes on with what it has, keeps the results (bounded by its slots,
because a slot is free only after its result was received) and repeats with backoff.
"""

from __future__ import annotations

from typing import Literal

import msgspec


class Message(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """Base of all messages."""


class WireFile(Message, frozen=True):
    """A source file."""

    path: str
    data: bytes


class WireLimits(Message, frozen=True):
    """Limits of one run."""

    wall_s: float
    cpu_s: float
    memory_bytes: int
    output_bytes: int
    processes: int


class WireJob(Message, frozen=True):
    """A claimed job, with everything that is needed to run it."""

    id: str
    tenant: str
    token: int
    attempt: int
    language: str
    files: tuple[WireFile, ...]
    entry: str
    limits: WireLimits
    compile_limits: WireLimits
    stdin: bytes = b""
    args: tuple[str, ...] = ()
    env: dict[str, str] = msgspec.field(default_factory=dict)
    deadline: float | None = None
    """Seconds since the epoch; after it the job is killed."""
    live: bool = True
    """Whether output is wanted while the job runs."""


class Held(Message, frozen=True):
    """A claim that the worker says it holds."""

    id: str
    token: int


class Sync(Message, frozen=True):
    """I am here and have this much room."""

    worker: str
    epoch: str
    """Random, one per start of the process: after a restart the old claims are given on at once."""
    slots: int
    free: int
    """Slots for which a job can be started now. At most so many jobs come back."""
    held: tuple[Held, ...] = ()
    languages: dict[str, str] = msgspec.field(default_factory=dict)
    """Language -> version, only what this worker can run."""
    tier: str = "full"
    wait_s: float = 20.0


class Orders(Message, frozen=True):
    """What to do."""

    jobs: tuple[WireJob, ...] = ()
    kill: tuple[Held, ...] = ()
    """Cancelled jobs: kill them and report ``cancelled``."""
    lost: tuple[Held, ...] = ()
    """Leases given on: kill these and say nothing."""


class Output(Message, frozen=True):
    """A piece of live output."""

    id: str
    token: int
    seq: int
    """From 0, per claim, over both streams."""
    stream: Literal["stdout", "stderr"]
    data: bytes


class WireCompiled(Message, frozen=True):
    """What the compiler said."""

    exit_code: int | None = None
    signal: int | None = None
    stdout: bytes = b""
    stderr: bytes = b""
    truncated: bool = False
    cpu_ms: float = 0.0
    wall_ms: float = 0.0
    memory_bytes: int = 0
    cached: bool = False


class WireResult(Message, frozen=True):
    """A job that was run to its end."""

    id: str
    token: int
    verdict: str
    exit_code: int | None = None
    signal: int | None = None
    stdout: bytes = b""
    stderr: bytes = b""
    stdout_truncated: bool = False
    stderr_truncated: bool = False
    compiled: WireCompiled | None = None
    cpu_ms: float = 0.0
    wall_ms: float = 0.0
    memory_bytes: int = 0
    message: str = ""


class GivenBack(Message, frozen=True):
    """A claim that the worker could not bring to an end through no fault of the job's."""

    id: str
    token: int
    reason: str
    counts: bool = True
    """Whether it is an attempt; not so on an orderly shutdown."""


class Report(Message, frozen=True):
    """What happened."""

    worker: str
    epoch: str
    held: tuple[Held, ...] = ()
    """Leases to renew."""
    output: tuple[Output, ...] = ()
    results: tuple[WireResult, ...] = ()
    given_back: tuple[GivenBack, ...] = ()


class Receipt(Message, frozen=True):
    """Committed. ``lost`` and ``kill`` as in :class:`Orders`; a refused result is in ``lost``."""

    lost: tuple[Held, ...] = ()
    kill: tuple[Held, ...] = ()
