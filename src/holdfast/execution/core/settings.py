"""The ``execution:`` section of ``holdfast.yaml``.

One frozen struct per section, defaults on the field. What a decoder cannot see (ranges,
references, combinations) is in :mod:`.validate`.

Units: :class:`~holdfast.kernel.Duration` is seconds, :class:`~holdfast.kernel.Size` bytes.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from holdfast.kernel import Duration, Size
from holdfast.kernel.settings import Section


class LimitSettings(Section, frozen=True):
    """What one run of a program may use."""

    wall: Duration = Duration(60.0)
    """From the start to the end. A core may be shared by four jobs: with less than four times ``cpu`` a busy worker
    would end programs that keep their CPU limit."""
    cpu: Duration = Duration(10.0)
    """CPU time of all processes of the job together."""
    memory: Size = Size(256 * 2**20)
    """Memory of all processes together, files in ``/tmp`` and the work directory included; no swap."""
    output: Size = Size(2**20)
    """Bytes of standard output and standard error together; more ends the job with ``output_limit``."""
    processes: int = 64
    """Processes and threads at one time."""


class CompileLimitSettings(LimitSettings, frozen=True):
    """What one run of a compiler may use."""

    wall: Duration = Duration(60.0)
    cpu: Duration = Duration(60.0)
    memory: Size = Size(2**30)
    output: Size = Size(256 * 2**10)
    processes: int = 128


class CeilingSettings(Section, frozen=True):
    """The most that a request may ask for; the default of each limit is in ``limits``."""

    wall: Duration = Duration(300.0)
    cpu: Duration = Duration(300.0)
    memory: Size = Size(2 * 2**30)
    output: Size = Size(16 * 2**20)
    processes: int = 256


class PayloadSettings(Section, frozen=True):
    """How large a submission may be."""

    source: Size = Size(100_000)
    """Bytes of source, all files together."""
    files: int = 50
    stdin: Size = Size(2**20)
    args: int = 64
    """Arguments; together with the environment at most 64 KiB."""
    env: int = 64
    metadata: Size = Size(4096)
    """Bytes of ``metadata`` as JSON."""
    body: Size = Size(16 * 2**20)
    """Bytes of a whole request (a batch of 100 included)."""


class FairnessSettings(Section, frozen=True):
    """Who goes next."""

    scheduling: Literal["fair", "fifo"] = "fair"
    """``fifo`` is there to compare with: first in, first out, without shares and caps."""
    weights: dict[str, float] = msgspec.field(default_factory=dict)
    """Share of a tenant relative to the others; 1 when not listed."""
    tenant_share: float = 0.5
    """Part of all slots that one tenant may hold while others wait."""
    heavy_share: float = 0.75
    """Part of all slots that heavy jobs may hold; at least one slot is always left to light ones."""
    reserve_share: float = 0.25
    """Part of all slots, rounded down, that only tenants that hold none may have."""
    heavy_over: Duration = Duration(2.0)
    """A job whose estimated CPU time is longer is heavy, as is every job that has to be compiled."""
    quantum: Duration = Duration(0.25)
    """CPU time that a tenant of weight 1 is given in each round."""
    ageing: Duration = Duration(30.0)
    """One class of priority is worth this long a wait: a normal job that waited longer goes before a high one."""


class AdmissionSettings(Section, frozen=True):
    """When a submission is refused instead of queued."""

    tenant_backlog: Duration = Duration(60.0)
    """429 when a tenant's queued work would take longer than this at its share of the drain rate."""
    total_backlog: Duration = Duration(120.0)
    """503 when all queued work would take longer than this."""
    min_free: Size = Size(512 * 2**20)
    """503 when the store's file system has less room than this."""
    requests_per_s: float = 200.0
    """Requests of one tenant, bursts of twice as many allowed. 0 switches it off."""
    submits_per_s: float = 100.0
    """Jobs that one tenant may submit per second, with ``submit_burst`` at once. 0 switches it off."""
    submit_burst: int = 10_000
    daily_cpu: Duration = Duration(86_400.0)
    """CPU time that one tenant may use in a day (UTC). 0 switches it off."""


class LeaseSettings(Section, frozen=True):
    """How long a worker may be silent, and how often a job is tried."""

    duration: Duration = Duration(15.0)
    renew: Duration = Duration(5.0)
    attempts: int = 3
    backoff_min: Duration = Duration(1.0)
    backoff_max: Duration = Duration(60.0)


class RetentionSettings(Section, frozen=True):
    """How long things are kept after a job has ended."""

    results: Duration = Duration(7 * 86_400.0)
    """Output, source and files; the job itself stays visible as expired until ``jobs``."""
    jobs: Duration = Duration(30 * 86_400.0)
    costs: Duration = Duration(400 * 86_400.0)
    """Daily sums per tenant and language; the longest report that ``/v1/costs`` gives."""
    audit: Duration = Duration(400 * 86_400.0)


class CallbackSettings(Section, frozen=True):
    """Requests to a job's ``callback_url``."""

    attempts: int = 8
    backoff_min: Duration = Duration(1.0)
    backoff_max: Duration = Duration(600.0)
    timeout: Duration = Duration(10.0)
    allow_private: bool = False
    """Whether private, loopback and link-local addresses may be called."""
    concurrency: int = 16


class ScalingSettings(Section, frozen=True):
    """The signal that an orchestrator scales workers by."""

    target_backlog: Duration = Duration(10.0)
    """Queued work that one more worker is wanted for."""
    min_workers: int = 0
    max_workers: int = 8
    slots_per_worker: int = 8
    """Assumed of a worker that is not there yet."""
    up_cooldown: Duration = Duration(15.0)
    down_cooldown: Duration = Duration(120.0)
    """A worker is given up only when it was not wanted for this long."""


class WorkerSettings(Section, frozen=True):
    """A worker: it runs jobs, and knows of the world only the API's address."""

    api: str | None = None
    """``http://HOST:PORT`` of the execution API; the one of this file when absent."""
    api_key: str | None = None
    """API key with the scope ``worker``; ``holdfast up`` makes one per run."""
    name: str | None = None
    """Host name and process id when absent."""
    count: int = 1
    """Worker processes that ``holdfast up`` starts. 0 leaves them to an orchestrator."""
    slots: int = 0
    """Jobs at a time; 0 means four times the cores, at least 8: most jobs wait for something most of the time."""
    tier: Literal["full", "degraded"] = "full"
    """``degraded`` lets a worker start where limits or namespaces are missing. For development only."""
    uid_base: int = 1_900_000_000
    """A worker that runs as root gives slot N the user and group id ``uid_base + N``."""
    cache: str = "holdfast-cache"
    """Directory of compiled programs."""
    cache_size: Size = Size(2 * 2**30)
    work_size: Size = Size(64 * 2**20)
    """Size of the work directory, and of ``/tmp``."""
    work_files: int = 4096
    """Files in the work directory, and in ``/tmp``."""
    recycle_after: int = 500
    """Jobs after which a slot's prepared interpreter is replaced."""
    profiles: str | None = None
    """Directory of language profiles that are added to, or replace, those that come along."""
    drain_timeout: Duration = Duration(30.0)
    """On SIGTERM running jobs may finish for this long; then they are given back to the queue."""


class ExecutionSettings(Section, frozen=True):
    """Queue-first code execution."""

    listen: str = "127.0.0.1:8083"
    limits: LimitSettings = LimitSettings()
    ceilings: CeilingSettings = CeilingSettings()
    compile_limits: CompileLimitSettings = CompileLimitSettings()
    payload: PayloadSettings = PayloadSettings()
    fairness: FairnessSettings = FairnessSettings()
    admission: AdmissionSettings = AdmissionSettings()
    lease: LeaseSettings = LeaseSettings()
    retention: RetentionSettings = RetentionSettings()
    callbacks: CallbackSettings = CallbackSettings()
    scaling: ScalingSettings = ScalingSettings()
    worker: WorkerSettings = WorkerSettings()
    cost_per_cpu_hour: float = 0.05
    """Price in ``currency`` that costs are reported with."""
    currency: str = "USD"
    drain_timeout: Duration = Duration(10.0)
    """On SIGTERM requests under way may finish for this long."""
