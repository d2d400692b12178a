"""The queue as the API and the worker protocol see it. Every method is one transaction.

Times (``now``) are seconds since the epoch, passed in. Methods raise
:class:`~holdfast.store.StoreUnavailable` (retryable) when the store cannot be reached in time;
everything that a caller can expect to happen is a return value.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol, TypeAlias

from holdfast.execution.core.job import Claim, NewJob, Priority, Program, Result, Status, Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """On disk."""

    id: str
    position: int
    """Jobs that will probably be started before it; an estimate."""
    repeated: bool = False
    """The same key and body were posted before: this is that job."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """Not queued."""

    reason: Literal["tenant_backlog", "total_backlog", "daily_cpu", "submit_rate", "storage", "idempotency_conflict"]
    detail: str
    retry_after_s: float | None = None


SubmitOutcome: TypeAlias = Accepted | Refused


@dataclass(frozen=True, slots=True, kw_only=True)
class JobView:
    """A job as its owner may see it."""

    id: str
    tenant: str
    status: Status
    language: str
    priority: Priority
    verdict: Verdict | None = None
    """Of a job that has ended; stays when the result has been removed."""
    submitted: float
    started: float | None = None
    """Of the latest attempt."""
    finished: float | None = None
    expires: float | None = None
    """When the result will be removed; set once the job has ended."""
    expired: bool = False
    """The result was removed."""
    attempts: int = 0
    worker: str | None = None
    deadline: float | None = None
    cancel_requested: bool = False
    metadata: bytes = b"{}"
    callback_url: str | None = None
    result: Result | None = None
    dead_reason: str | None = None
    queued_ms: float | None = None
    cost_us: int = 0
    """Charged so far, all attempts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened to a job. ``seq`` rises by at least one and is the SSE id."""

    seq: int
    kind: Literal["queued", "started", "stdout", "stderr", "retry", "cancelling", "finished", "dead", "replayed"]
    at: float
    data: bytes
    """JSON for the states, raw bytes for output."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """A job whose attempts are used up."""

    id: str
    language: str
    died: float
    reason: str
    attempts: int
    replayed: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """A claim as a worker names it."""

    id: str
    token: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Presence:
    """A worker that is there."""

    worker: str
    epoch: str
    slots: int
    free: int
    languages: Mapping[str, str] = field(default_factory=dict)
    tier: str = "full"
    held: tuple[Lease, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """What a worker is told."""

    claims: tuple[Claim, ...] = ()
    kill: tuple[Lease, ...] = ()
    """Repeated until the job has ended."""
    lost: tuple[Lease, ...] = ()
    seen: int = 0
    """For :meth:`Queue.wait_for_work`: what comes up after this answer was decided ends that wait at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputPiece:
    """Live output. A repeated ``(id, token, seq)`` is ignored."""

    id: str
    token: int
    seq: int
    stream: Literal["stdout", "stderr"]
    data: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Finish:
    """The result of a claim."""

    id: str
    token: int
    result: Result


@dataclass(frozen=True, slots=True, kw_only=True)
class Returned:
    """A claim given back."""

    id: str
    token: int
    reason: str
    counts: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueState:
    """The queue in figures."""

    queued: int
    running: int
    backlog_us: int
    """Estimated CPU time of all queued jobs."""
    oldest_s: float
    slots: int
    """Of live workers."""
    workers: int
    drain_us_per_s: float
    """Measured over the last minute; the slots' capacity while nothing was measured."""
    per_tenant: Mapping[str, TenantBacklog] = field(default_factory=dict)
    """Tenants with queued or running jobs."""
    unrunnable: Mapping[str, int] = field(default_factory=dict)
    """Language -> queued jobs, of languages that no live worker has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TenantBacklog:
    """One tenant's part of it."""

    queued: int
    running: int
    backlog_us: int
    used_today_us: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """One tenant's use on one day (UTC) of one language."""

    day: str
    """``YYYY-MM-DD``"""
    language: str
    jobs: int
    cpu_us: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Tidied:
    """What maintenance did."""

    leases_expired: int = 0
    deadlines_expired: int = 0
    results_removed: int = 0
    jobs_removed: int = 0
    workers_gone: int = 0


class Queue(Protocol):
    """A durable, fair queue of jobs."""

    async def submit(self, jobs: Sequence[NewJob], *, now: float, together: bool = False) -> list[SubmitOutcome]:
        """Queue jobs of any tenants; with ``together`` all of them or none (a batch of one tenant)."""
        ...

    async def job(self, tenant: str, id: str) -> JobView | None:
        """``None`` when there is no such job of this tenant."""
        ...

    async def program(self, tenant: str, id: str) -> Program | None:
        """What was submitted; ``None`` also when it has expired."""
        ...

    async def jobs(
        self,
        tenant: str,
        *,
        status: Status | None = None,
        verdict: Verdict | None = None,
        limit: int,
        before: str | None,
    ) -> list[JobView]:
        """Newest first, without results; ``before`` is the last id of the page before."""
        ...

    async def cancel(self, tenant: str, id: str, *, now: float) -> JobView | None:
        """Cancel in any state: queued ends at once, running is told to, ended stays as it is."""
        ...

    async def events(self, tenant: str, id: str, *, after: int, limit: int = 1000) -> list[Event] | None:
        """What happened after ``seq``; ``None`` when there is no such job."""
        ...

    def watch(self, id: str) -> AsyncIterator[None]:
        """Yields once at first, and whenever something may have happened to the job (spurious wake-ups happen)."""
        ...

    async def dead_letters(self, tenant: str, *, limit: int, before: str | None) -> list[DeadLetter]:
        """Newest first."""
        ...

    async def replay(
        self, tenant: str, *, ids: Sequence[str] | None, reason: str | None, language: str | None, now: float
    ) -> list[str] | Refused:
        """Queue dead jobs again: all that match (``None`` matches everything), or none. Ids of those queued."""
        ...

    async def give(self, presence: Presence, *, now: float) -> Given:
        """Note the worker's presence, renew what it holds, claim for its free slots."""
        ...

    async def report(
        self,
        worker: str,
        *,
        held: Sequence[Lease],
        output: Sequence[OutputPiece],
        finished: Sequence[Finish],
        returned: Sequence[Returned],
        now: float,
    ) -> Given:
        """Take what a worker did. Stale tokens come back in ``lost`` and change nothing."""
        ...

    async def wait_for_work(self, *, deadline_s: float, seen: int | None = None) -> None:
        """Return when there may be work or a cancellation, or after ``deadline_s``.

        With :attr:`Given.seen`, at once when something came up since; without it, only what comes from now on counts.
        """
        ...

    async def state(self, *, now: float) -> QueueState:
        """The queue in figures."""
        ...

    async def costs(self, tenant: str, *, days: int, now: float) -> list[Cost]:
        """Oldest first, whole days of UTC up to today."""
        ...

    async def languages(self, *, now: float) -> Mapping[str, str]:
        """Language -> version, of live workers."""
        ...

    async def tidy(self, *, now: float) -> Tidied:
        """Expire leases, deadlines and old results; forget silent workers. Bounded work per call."""
        ...
