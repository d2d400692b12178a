"""The endpoints of a tenant's jobs."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Annotated, Any, Final, Literal, TypeAlias

import msgspec
from litestar import Request, Response, delete, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, HeaderParameter, JSONBody, QueryParameter, SkipValidation
from litestar.types import Receive

from holdfast.execution.core.job import TERMINAL, NewJob, Status, Verdict
from holdfast.execution.core.ports import Accepted, JobView
from holdfast.execution.shell.api import bodies
from holdfast.execution.shell.api.ids import is_job_id
from holdfast.execution.shell.api.problems import ProblemError
from holdfast.execution.shell.api.requests import BatchBody, SubmissionBody, fingerprint
from holdfast.execution.shell.api.service import Service, require
from holdfast.execution.shell.api.submission import BATCH, idempotency_key
from holdfast.identity import Principal, Scope
from holdfast.kernel import Duration
from holdfast.web.decoding import decode_json
from holdfast.web.exchange import Answer, Head
from holdfast.web.watching import watching

LONGEST_WAIT_S: Final = 60.0
PAGE: Final = 200

Svc: TypeAlias = NamedDependency[SkipValidation[Service]]
Asking: TypeAlias = Request[Principal, Any, Any]
IdempotencyKey: TypeAlias = Annotated[str | None, HeaderParameter(name="Idempotency-Key")]
Limit: TypeAlias = Annotated[int, QueryParameter(ge=1, le=PAGE, description="Most entries in the page.")]
Cursor: TypeAlias = Annotated[str | None, QueryParameter(description="`next` of the page before.")]
Encoding: TypeAlias = Annotated[
    Literal["text", "base64"], QueryParameter(description="How output is given; text replaces what is not UTF-8.")
]

_submission = msgspec.json.Decoder(SubmissionBody)


class Submit:
    """``POST /v1/jobs`` as the front calls it."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def __call__(self, principal: Principal, head: Head, body: bytes, _: Receive) -> Answer:
        """Queue one program; answered once it is on disk."""
        submission = decode_json(_submission, body)
        outcome, status = await submitted(self._service, principal, submission, head.idempotency_key)
        id = outcome.id.encode("ascii")
        text = (
            b'{"id":"%b","status":"%b","position_estimate":%d,'
            b'"links":{"self":"/v1/jobs/%b","events":"/v1/jobs/%b/events"}}'
        ) % (id, status.encode("ascii"), outcome.position, id, id)
        return Answer(202, text, [(b"location", b"/v1/jobs/" + id)])


async def submitted(
    service: Service, principal: Principal, submission: SubmissionBody, key: str | None
) -> tuple[Accepted, Status]:
    """Queue one program. Raises :class:`ProblemError` and ``StoreUnavailable``."""
    job = service.new_job(submission, principal, key=None if key is None else idempotency_key(key))
    outcome = await service.accept(job)
    if not outcome.repeated:
        return outcome, Status.QUEUED
    found = await service.queue.job(principal.tenant, outcome.id)
    return outcome, Status.QUEUED if found is None else found.status


@post("/v1/jobs", status_code=202)
async def submit_job(
    request: Asking, service: Svc, data: JSONBody[SubmissionBody], idempotency_key: IdempotencyKey = None
) -> Response[bodies.AcceptedBody]:
    """Queue a program. The answer comes after the commit; the same Idempotency-Key and body make one job."""
    require(request.user, Scope.JOBS_WRITE)
    outcome, status = await submitted(service, request.user, data, idempotency_key)
    return Response(bodies.accepted(outcome, status), headers={"location": f"/v1/jobs/{outcome.id}"})


@post("/v1/batches", status_code=202)
async def submit_batch(
    request: Asking, service: Svc, data: JSONBody[BatchBody], idempotency_key: IdempotencyKey = None
) -> bodies.BatchAcceptedBody:
    """Queue up to 100 programs in one transaction: all of them, or none."""
    require(request.user, Scope.JOBS_WRITE)
    if not 0 < len(data.jobs) <= BATCH:
        text = f"jobs: has {len(data.jobs)} entries; 1 to {BATCH} are accepted, so send several batches"
        raise ProblemError("invalid-request", text, field="jobs")
    jobs = [service.new_job(each, request.user, key=None, at=f"jobs[{index}].") for index, each in enumerate(data.jobs)]
    service.rates.submission(request.user.tenant, len(jobs))
    if idempotency_key is not None:
        jobs = _keyed(jobs, data, idempotency_key)
    return bodies.BatchAcceptedBody([bodies.accepted(each) for each in await service.accept_together(jobs)])


@get("/v1/jobs/{id:str}")
async def read_job(
    request: Asking,
    service: Svc,
    id: FromPath[str],
    wait: Annotated[
        str | None, QueryParameter(description="Hold the answer until the job ends: `10s`, up to `60s`.")
    ] = None,
    encoding: Encoding = "text",
) -> bodies.JobBody:
    """A job and, once it has ended, its result."""
    require(request.user, Scope.JOBS_READ)
    job = await found(service, request.user, id)
    if wait is not None and job.status not in TERMINAL:
        with service.held.place(request.user.tenant):
            job = await _ended(service, job, _duration(wait))
    return bodies.job_body(job, service.prices, encoding)


@get("/v1/jobs/{id:str}/program")
async def read_program(request: Asking, service: Svc, id: FromPath[str]) -> bodies.ProgramBody:
    """What was submitted, until it expires."""
    require(request.user, Scope.JOBS_READ)
    await found(service, request.user, id)
    program = await service.queue.program(request.user.tenant, id)
    if program is None:
        raise ProblemError("expired", f"the program of job {id} was removed after its time")
    return bodies.program_body(program)


@get("/v1/jobs")
async def list_jobs(
    request: Asking,
    service: Svc,
    status: FromQuery[Status | None] = None,
    verdict: FromQuery[Verdict | None] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> bodies.JobsBody:
    """The tenant's jobs, newest first, without their results."""
    require(request.user, Scope.JOBS_READ)
    page = await service.queue.jobs(
        request.user.tenant, status=status, verdict=verdict, limit=limit, before=job_cursor(cursor)
    )
    return bodies.JobsBody(
        [bodies.summary(job, service.prices) for job in page], page[-1].id if len(page) == limit else None
    )


@delete("/v1/jobs/{id:str}", status_code=200)
async def cancel_job(request: Asking, service: Svc, id: FromPath[str]) -> bodies.JobBody:
    """Cancel in any state: queued ends at once, running is told to end, ended stays as it is."""
    require(request.user, Scope.JOBS_WRITE)
    now = service.clock()
    job = await service.queue.cancel(request.user.tenant, id, now=now) if is_job_id(id) else None
    if job is None:
        raise missing(id)
    service.job_ended()
    await service.note(request.user, "job.cancel", id, {"status": job.status})
    return bodies.job_body(job, service.prices, "text")


def job_cursor(cursor: str | None) -> str | None:
    """A cursor that is the id of a job. Raises :class:`ProblemError`."""
    if cursor is not None and not is_job_id(cursor):
        raise ProblemError("invalid-request", "cursor: is not ours; use `next` of the page before", field="cursor")
    return cursor


async def found(service: Service, principal: Principal, id: str) -> JobView:
    """The tenant's job. Raises :class:`ProblemError`."""
    job = await service.queue.job(principal.tenant, id) if is_job_id(id) else None
    if job is None:
        raise missing(id)
    return job


def missing(id: str) -> ProblemError:
    """Said of jobs that do not exist and of other tenants' alike."""
    return ProblemError("not-found", f"there is no job {id[:40]!r}; GET /v1/jobs lists those that there are")


async def _ended(service: Service, job: JobView, wait_s: float) -> JobView:
    """The job when it has ended, or as it is when the time is over."""
    async with watching(service.queue.watch(job.id), service.stopping) as watch:
        async for _ in watch.signs(within_s=wait_s):
            now = await service.queue.job(job.tenant, job.id)
            if now is None:
                raise missing(job.id)
            job = now
            if job.status in TERMINAL:
                break
    return job


def _duration(text: str) -> float:
    try:
        wait_s = float(Duration.parse(text))
    except ValueError as wrong:
        raise ProblemError("invalid-request", f"wait: {wrong}", field="wait") from None
    if wait_s > LONGEST_WAIT_S:
        text = f"wait: is longer than {Duration(LONGEST_WAIT_S)}; ask again, or read the job's events"
        raise ProblemError("invalid-request", text, field="wait")
    return wait_s


def _keyed(jobs: list[NewJob], data: BatchBody, key: str) -> list[NewJob]:
    """Give each job of a batch a key of its own, and the fingerprint of the whole batch."""
    name = hashlib.sha256(idempotency_key(key).encode()).hexdigest()
    whole = hashlib.sha256(b"".join(fingerprint(each) for each in data.jobs)).digest()
    return [replace(job, idempotency_key=f"batch:{name}:{index}", fingerprint=whole) for index, job in enumerate(jobs)]
