"""What the API answers with, and the way there from the queue's values.

Times are RFC 3339 in UTC with milliseconds, durations are in the unit of their name, output is
text with replacement at character boundaries, or base64 when that was asked for.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any, Final, Literal

import msgspec

from holdfast.execution.core import text
from holdfast.execution.core.job import Compiled, Program, Result, Status, Verdict
from holdfast.execution.core.ports import Accepted, JobView
from holdfast.web.times import timestamp

Encoding = Literal["text", "base64"]
NO_RESULT: Final = Result(verdict=Verdict.OK)


class Links(msgspec.Struct):
    """Where to go on, relative to the root of the service."""

    self: str
    events: str


class AcceptedBody(msgspec.Struct):
    """The job is on disk."""

    id: str
    status: Status
    position_estimate: int
    """Jobs that will probably be started before it."""
    links: Links


class BatchAcceptedBody(msgspec.Struct):
    """All jobs of the batch are on disk, in the order they were sent."""

    jobs: list[AcceptedBody]


class CompileBody(msgspec.Struct):
    """What the compiler said."""

    exit_code: int | None
    signal: int | None
    stdout: str
    stderr: str
    truncated: bool
    cpu_ms: float
    wall_ms: float
    memory_bytes: int
    cached: bool
    """The program was compiled before; the output is of then."""


class CostBody(msgspec.Struct):
    """What the job was charged."""

    cpu_s: float
    amount: float
    currency: str


class SummaryBody(msgspec.Struct, kw_only=True):
    """A job in a list."""

    id: str
    status: Status
    verdict: Verdict | None
    language: str
    priority: str
    attempts: int
    worker: str | None
    queued_ms: float | None
    cost: CostBody
    cancel_requested: bool
    dead_reason: str | None
    metadata: msgspec.Raw
    submitted_at: str
    started_at: str | None
    finished_at: str | None
    deadline: str | None
    expires_at: str | None
    """When output and files will be removed; known once the job has ended."""
    expired: bool
    """They were removed."""
    links: Links


class JobBody(SummaryBody, kw_only=True):
    """A job and, once it has ended, its result."""

    exit_code: int | None
    signal: int | None
    message: str | None
    """For ``internal_error`` and ``killed``: what happened."""
    stdout: str | None
    stderr: str | None
    encoding: Encoding
    """Of ``stdout`` and ``stderr``."""
    stdout_truncated: bool
    stderr_truncated: bool
    compile: CompileBody | None
    cpu_ms: float | None
    wall_ms: float | None
    memory_bytes: int | None
    callback_url: str | None


class ProgramFileBody(msgspec.Struct, omit_defaults=True, kw_only=True):
    """A file: ``content`` if it is UTF-8, else ``content_base64``."""

    path: str
    content: str | None = None
    content_base64: str | None = None


class ProgramLimitsBody(msgspec.Struct):
    """Limits as they are in force."""

    wall_s: float
    cpu_s: float
    memory_bytes: int
    output_bytes: int
    processes: int


class ProgramBody(msgspec.Struct, omit_defaults=True, kw_only=True):
    """What was submitted, with what was filled in."""

    language: str
    entry: str
    files: list[ProgramFileBody]
    stdin: str | None = None
    stdin_base64: str | None = None
    args: list[str]
    env: dict[str, str]
    limits: ProgramLimitsBody


class JobsBody(msgspec.Struct):
    """A page of jobs, newest first."""

    jobs: list[SummaryBody]
    next: str | None
    """The ``cursor`` of the next page."""


class Prices(msgspec.Struct, frozen=True):
    """What CPU time costs."""

    per_cpu_hour: float
    currency: str

    def cost(self, cpu_us: float) -> CostBody:
        """Rounded to a billionth of the currency: a job of 10 ms costs next to nothing, but not nothing."""
        return CostBody(round(cpu_us / 1e6, 6), round(cpu_us / 3.6e9 * self.per_cpu_hour, 9), self.currency)


def output(data: bytes, encoding: Encoding, *, truncated: bool) -> str:
    """Output as it goes into JSON."""
    if encoding == "base64":
        return base64.b64encode(data).decode("ascii")
    return text.decode(data, truncated=truncated)


def links(id: str) -> Links:
    """The links of a job."""
    return Links(f"/v1/jobs/{id}", f"/v1/jobs/{id}/events")


def accepted(outcome: Accepted, status: Status = Status.QUEUED) -> AcceptedBody:
    """The answer to a submission."""
    return AcceptedBody(outcome.id, status, outcome.position, links(outcome.id))


def summary(job: JobView, prices: Prices) -> SummaryBody:
    """A job without its result."""
    return SummaryBody(**_common(job, prices))


def job_body(job: JobView, prices: Prices, encoding: Encoding) -> JobBody:
    """A job with everything that its owner may see."""
    result = job.result
    shown = NO_RESULT if result is None else result
    gone = result is None or job.expired
    return JobBody(
        **_common(job, prices),
        exit_code=shown.exit_code,
        signal=shown.signal,
        message=shown.message or None,
        stdout=None if gone else output(shown.stdout, encoding, truncated=shown.stdout_truncated),
        stderr=None if gone else output(shown.stderr, encoding, truncated=shown.stderr_truncated),
        encoding=encoding,
        stdout_truncated=shown.stdout_truncated,
        stderr_truncated=shown.stderr_truncated,
        compile=None if shown.compiled is None else _compile(shown.compiled, encoding),
        cpu_ms=None if result is None else result.cpu_ms,
        wall_ms=None if result is None else result.wall_ms,
        memory_bytes=None if result is None else result.memory_bytes,
        callback_url=job.callback_url,
    )


def program_body(program: Program) -> ProgramBody:
    """A program as its owner sent it."""
    stdin, stdin_base64 = _text_or_base64(program.stdin)
    limits = program.limits
    files = []
    for file in program.files:
        content, content_base64 = _text_or_base64(file.data)
        files.append(ProgramFileBody(path=file.path, content=content, content_base64=content_base64))
    return ProgramBody(
        language=program.language,
        entry=program.entry,
        files=files,
        stdin=stdin,
        stdin_base64=stdin_base64,
        args=list(program.args),
        env=dict(program.env),
        limits=ProgramLimitsBody(
            limits.wall_s, limits.cpu_s, limits.memory_bytes, limits.output_bytes, limits.processes
        ),
    )


def _text_or_base64(data: bytes) -> tuple[str | None, str | None]:
    try:
        return data.decode(), None
    except UnicodeDecodeError:
        return None, base64.b64encode(data).decode("ascii")


def _common(job: JobView, prices: Prices) -> Mapping[str, Any]:
    return {
        "id": job.id,
        "status": job.status,
        "verdict": job.verdict,
        "language": job.language,
        "priority": job.priority,
        "attempts": job.attempts,
        "worker": job.worker,
        "queued_ms": job.queued_ms,
        "cost": prices.cost(job.cost_us),
        "cancel_requested": job.cancel_requested,
        "dead_reason": job.dead_reason,
        "metadata": msgspec.Raw(job.metadata),
        "submitted_at": timestamp(job.submitted),
        "started_at": timestamp(job.started),
        "finished_at": timestamp(job.finished),
        "deadline": timestamp(job.deadline),
        "expires_at": timestamp(job.expires),
        "expired": job.expired,
        "links": links(job.id),
    }


def _compile(compiled: Compiled, encoding: Encoding) -> CompileBody:
    return CompileBody(
        exit_code=compiled.exit_code,
        signal=compiled.signal,
        stdout=output(compiled.stdout, encoding, truncated=compiled.truncated),
        stderr=output(compiled.stderr, encoding, truncated=compiled.truncated),
        truncated=compiled.truncated,
        cpu_ms=compiled.cpu_ms,
        wall_ms=compiled.wall_ms,
        memory_bytes=compiled.memory_bytes,
        cached=compiled.cached,
    )
