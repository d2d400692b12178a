"""The endpoints around the jobs: runtimes, quotas, costs, audit, dead letters, scaling, health."""

from __future__ import annotations

from typing import Annotated, Any, Final, TypeAlias

import msgspec
from litestar import MediaType, Response, get, post
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter

from holdfast.execution.core.ports import Refused
from holdfast.execution.shell.api.bodies import CostBody
from holdfast.execution.shell.api.ids import is_job_id
from holdfast.execution.shell.api.jobs import Asking, Cursor, Limit, Svc, job_cursor
from holdfast.execution.shell.api.problems import TYPES, ProblemError
from holdfast.execution.shell.api.service import backlog_s, refusal, require
from holdfast.identity import Scope
from holdfast.store import StoreError
from holdfast.web.metrics import CONTENT_TYPE
from holdfast.web.problems import Explanation, explanation
from holdfast.web.times import timestamp

REPLAY_IDS: Final = 1000
LONGEST_DAYS: Final = 400

Days: TypeAlias = Annotated[int, QueryParameter(ge=1, le=LONGEST_DAYS, description="Days of UTC, today included.")]


class RuntimeBody(msgspec.Struct):
    """A language that a job may name."""

    language: str
    title: str
    aliases: list[str]
    default_file: str
    version: str | None
    """Of the workers that are there; ``null`` when none of them offers it now."""
    available: bool
    package: str
    """What to install on a worker that does not offer it."""


class RuntimesBody(msgspec.Struct):
    """Every language, offered or not."""

    runtimes: list[RuntimeBody]


class QuotasBody(msgspec.Struct, kw_only=True):
    """What the tenant may use, and what it uses."""

    queued: int
    running: int
    backlog_cpu_s: float
    """Estimated CPU time of its queued jobs."""
    used_today_cpu_s: float
    daily_cpu_s: float | None
    """``null``: unlimited."""
    requests_per_s: float | None
    submits_per_s: float | None
    tenant_backlog_s: float
    """Submissions are refused while its queue would take longer than this."""
    weight: float
    limits: dict[str, float]
    """Of a job that asks for none; seconds and bytes."""
    ceilings: dict[str, float]
    payload: dict[str, int]


class DayBody(msgspec.Struct):
    """One language on one day (UTC)."""

    day: str
    language: str
    jobs: int
    cost: CostBody


class CostsBody(msgspec.Struct):
    """What the tenant's jobs cost, oldest day first."""

    days: int
    total: CostBody
    costs: list[DayBody]


class AuditBody(msgspec.Struct):
    """One line of the audit trail."""

    seq: int
    at: str | None
    actor: str
    action: str
    target: str
    detail: dict[str, Any]


class AuditPage(msgspec.Struct):
    """A page of the audit trail, newest first."""

    entries: list[AuditBody]
    next: str | None


class DeadLetterBody(msgspec.Struct):
    """A job whose attempts are used up."""

    id: str
    language: str
    died_at: str | None
    reason: str
    attempts: int
    replayed_at: str | None


class DeadLettersPage(msgspec.Struct):
    """A page of dead letters, newest first."""

    dead_letters: list[DeadLetterBody]
    next: str | None


class ReplayBody(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Which dead letters: by ``ids``, by ``reason`` and/or ``language``, or ``all``."""

    ids: list[str] | None = None
    reason: str | None = None
    language: str | None = None
    all: bool = False


class ReplayedBody(msgspec.Struct):
    """Queued again; those that had been replayed before are not among them."""

    replayed: list[str]


class ScalingBody(msgspec.Struct, kw_only=True):
    """How many workers there should be."""

    wanted_workers: int
    needed_workers: int
    """Without hysteresis and cooldown."""
    workers: int
    """That are there."""
    slots: int
    queued: int
    running: int
    backlog_s: float
    """How long the queue takes to drain at the present rate."""
    oldest_s: float
    why: str
    """``steady``, ``up``, ``from zero``, ``down``, ``up cooldown``, ``down cooldown`` or ``bounds``."""


class TenantBody(msgspec.Struct):
    """One tenant's part of the queue."""

    tenant: str
    queued: int
    running: int
    backlog_cpu_s: float
    used_today_cpu_s: float


class QueueBody(msgspec.Struct, kw_only=True):
    """The queue in figures."""

    queued: int
    running: int
    slots: int
    workers: int
    backlog_cpu_s: float
    backlog_s: float
    oldest_s: float
    drain_cpu_s_per_s: float
    tenants: list[TenantBody]


@get("/v1/runtimes", sync_to_thread=False)
def read_runtimes(request: Asking, service: Svc) -> RuntimesBody:
    """Languages, and which of them the workers that are there offer."""
    require(request.user, Scope.JOBS_READ)
    return RuntimesBody(
        [
            RuntimeBody(
                language=name,
                title=known.title,
                aliases=list(known.aliases),
                default_file=known.file,
                version=service.live.get(name),
                available=name in service.live,
                package=known.packages,
            )
            for name, known in service.languages.items()
        ]
    )


@get("/v1/quotas")
async def read_quotas(request: Asking, service: Svc) -> QuotasBody:
    """Limits and use of the tenant."""
    require(request.user, Scope.JOBS_READ)
    tenant, settings = request.user.tenant, service.settings
    own = (await service.state()).per_tenant.get(tenant)
    admission, payload = settings.admission, settings.payload
    return QuotasBody(
        queued=0 if own is None else own.queued,
        running=0 if own is None else own.running,
        backlog_cpu_s=0.0 if own is None else own.backlog_us / 1e6,
        used_today_cpu_s=0.0 if own is None else own.used_today_us / 1e6,
        daily_cpu_s=float(admission.daily_cpu) or None,
        requests_per_s=admission.requests_per_s or None,
        submits_per_s=admission.submits_per_s or None,
        tenant_backlog_s=float(admission.tenant_backlog),
        weight=settings.fairness.weights.get(tenant, 1.0),
        limits=msgspec.structs.asdict(settings.limits),
        ceilings=msgspec.structs.asdict(settings.ceilings),
        payload=msgspec.structs.asdict(payload),
    )


@get("/v1/costs")
async def read_costs(request: Asking, service: Svc, days: Days = 30) -> CostsBody:
    """CPU time and money by day and language, for as long as sums are kept (400 days by default)."""
    require(request.user, Scope.JOBS_READ)
    costs = await service.queue.costs(request.user.tenant, days=days, now=service.clock())
    return CostsBody(
        days,
        service.prices.cost(sum(each.cpu_us for each in costs)),
        [DayBody(each.day, each.language, each.jobs, service.prices.cost(each.cpu_us)) for each in costs],
    )


@get("/v1/audit")
async def read_audit(
    request: Asking, service: Svc, limit: Limit = 50, cursor: Cursor = None, action: FromQuery[str | None] = None
) -> AuditPage:
    """Who did what to what the tenant owns, newest first."""
    require(request.user, Scope.AUDIT_READ)
    if cursor is not None and not (cursor.isascii() and cursor.isdigit() and len(cursor) < 19):
        raise ProblemError(
            "invalid-request", "cursor: is not one of ours; use `next` of the page before", field="cursor"
        )
    if action is not None and not action.isprintable():  # PostgreSQL takes no NUL in a text
        raise ProblemError("invalid-request", "action: has control characters; leave them out", field="action")
    before = None if cursor is None else int(cursor)
    entries = await service.identities.audit_entries(request.user.tenant, limit=limit, before=before, action=action)
    return AuditPage(
        [AuditBody(e.seq, timestamp(e.at), e.actor, e.action, e.target, dict(e.detail)) for e in entries],
        str(entries[-1].seq) if len(entries) == limit else None,
    )


@get("/v1/dead-letters")
async def read_dead_letters(request: Asking, service: Svc, limit: Limit = 50, cursor: Cursor = None) -> DeadLettersPage:
    """Jobs whose attempts are used up, newest first."""
    require(request.user, Scope.JOBS_READ)
    letters = await service.queue.dead_letters(request.user.tenant, limit=limit, before=job_cursor(cursor))
    return DeadLettersPage(
        [
            DeadLetterBody(e.id, e.language, timestamp(e.died), e.reason, e.attempts, timestamp(e.replayed))
            for e in letters
        ],
        letters[-1].id if len(letters) == limit else None,
    )


@post("/v1/dead-letters/replay", status_code=200)
async def replay_dead_letters(request: Asking, service: Svc, data: JSONBody[ReplayBody]) -> ReplayedBody:
    """Queue dead jobs again: all that are named, or none. Repeating it changes nothing."""
    require(request.user, Scope.JOBS_WRITE)
    _check_replay(data)
    outcome = await service.queue.replay(
        request.user.tenant, ids=data.ids, reason=data.reason, language=data.language, now=service.clock()
    )
    if isinstance(outcome, Refused):
        raise refusal(outcome)
    asked = {name: value for name, value in msgspec.to_builtins(data).items() if value}
    await service.note(request.user, "dead_letters.replay", f"{len(outcome)} jobs", asked)
    return ReplayedBody(outcome)


@get("/v1/scaling")
async def read_scaling(request: Asking, service: Svc) -> ScalingBody:
    """How many workers there should be, for an orchestrator; 0 when there is nothing to do."""
    if Scope.WORKER not in request.user.scopes:
        require(request.user, Scope.OPERATE)
    state = await service.state()
    signal = service.scale(state)
    return ScalingBody(
        wanted_workers=signal.wanted_workers,
        needed_workers=signal.needed_workers,
        workers=signal.workers,
        slots=state.slots,
        queued=signal.queued,
        running=signal.running,
        backlog_s=signal.backlog_s,
        oldest_s=signal.oldest_s,
        why=signal.why,
    )


@get("/v1/queue")
async def read_queue(request: Asking, service: Svc) -> QueueBody:
    """Figures of the whole queue, for who operates it."""
    require(request.user, Scope.OPERATE)
    state = await service.state()
    return QueueBody(
        queued=state.queued,
        running=state.running,
        slots=state.slots,
        workers=state.workers,
        backlog_cpu_s=state.backlog_us / 1e6,
        backlog_s=backlog_s(state),
        oldest_s=state.oldest_s,
        drain_cpu_s_per_s=state.drain_us_per_s / 1e6,
        tenants=[
            TenantBody(name, each.queued, each.running, each.backlog_us / 1e6, each.used_today_us / 1e6)
            for name, each in sorted(state.per_tenant.items())
        ],
    )


@get("/healthz", sync_to_thread=False)
def healthz() -> dict[str, str]:
    """The process answers."""
    return {"status": "ok"}


@get("/readyz")
async def readyz(service: Svc) -> Response[dict[str, str]]:
    """Whether jobs are accepted: the store answers, and the process is not ending. Workers do not count."""
    if service.stopping.done():
        raise ProblemError("shutting-down", "the process is about to end", retry_after_s=1.0)
    try:
        await service.state()
    except StoreError:
        raise ProblemError("store-unavailable", "the store does not answer", retry_after_s=2.0) from None
    return Response({"status": "ready"})


@get("/metrics", media_type=MediaType.TEXT, sync_to_thread=False)
def read_metrics(service: Svc) -> Response[bytes]:
    """Figures in the Prometheus text format; none of them names a tenant."""
    return Response(service.metrics.render(), media_type=CONTENT_TYPE)


@get("/problems/{name:str}", sync_to_thread=False)
def read_problem(name: FromPath[str]) -> Explanation:
    """What a problem type means."""
    return explanation(name, TYPES)


def _check_replay(data: ReplayBody) -> None:
    by_filter = data.reason is not None or data.language is not None
    if (data.ids is not None) + by_filter + data.all != 1:
        text = 'ids: say which: {"ids": [...]}, {"reason": ..., "language": ...}, or {"all": true}'
        raise ProblemError("invalid-request", text, field="ids")
    for index, id in enumerate(data.ids or ()):
        if not is_job_id(id):
            raise ProblemError("invalid-request", f"ids[{index}]: is not the id of a job", field=f"ids[{index}]")
    if data.ids is not None and len(data.ids) > REPLAY_IDS:
        raise ProblemError(
            "invalid-request", f"ids: at most {REPLAY_IDS} are accepted; repeat the request", field="ids"
        )
