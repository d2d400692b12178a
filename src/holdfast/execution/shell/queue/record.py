"""A job's row as a value that transitions change, and what its owner sees of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import msgspec

from holdfast.execution.core.job import Priority, Program, Result, Status, Verdict
from holdfast.execution.core.ports import JobView

encode: Final = msgspec.msgpack.Encoder().encode
decode_program: Final = msgspec.msgpack.Decoder(Program).decode
decode_result: Final = msgspec.msgpack.Decoder(Result).decode


@dataclass(slots=True)
class Record:
    """A row of ``queue_jobs``, column by column (``sql.JOB_COLUMNS``; the tables say what they mean)."""

    id: str
    tenant: str
    language: str
    priority: str
    compiled: int
    cpu_limit_us: int
    submitted: float
    deadline: float | None
    callback_url: str | None
    metadata: bytes
    key_id: str | None
    fingerprint: bytes
    output_limit: int
    idempotency_key: str | None
    estimate_us: int
    heavy: int
    status: str
    queued_at: float
    order_key: float
    not_before: float
    ready: int
    attempts: int
    token: int
    settled: int
    worker: str | None
    epoch: str | None
    started: float | None
    lease_until: float | None
    stop: str | None
    verdict: str | None
    finished: float | None
    sweep: float | None
    expired: int
    dead_reason: str | None
    queued_ms: float | None
    cost_us: int
    seq: int
    pieces: int
    output_left: int

    def changes(self) -> tuple[Any, ...]:
        """Parameters of ``sql.UPDATE_JOB``."""
        return (
            self.idempotency_key,
            self.estimate_us,
            self.heavy,
            self.status,
            self.queued_at,
            self.order_key,
            self.not_before,
            self.ready,
            self.attempts,
            self.token,
            self.settled,
            self.worker,
            self.epoch,
            self.started,
            self.lease_until,
            self.stop,
            self.verdict,
            self.finished,
            self.sweep,
            self.expired,
            self.dead_reason,
            self.queued_ms,
            self.cost_us,
            self.seq,
            self.pieces,
            self.output_left,
            self.id,
        )

    def holds(self, worker: str, token: int) -> bool:
        """Whether that claim is the current one."""
        return self.status == Status.RUNNING and self.token == token and self.worker == worker

    def has_settled(self, token: int) -> bool:
        """Whether that claim's end was taken already: the report is a repetition."""
        return self.settled == token


def view(job: Record, *, results_kept_s: float, result: Result | None = None) -> JobView:
    """What the job's owner sees."""
    return JobView(
        id=job.id,
        tenant=job.tenant,
        status=Status(job.status),
        language=job.language,
        priority=Priority(job.priority),
        verdict=None if job.verdict is None else Verdict(job.verdict),
        submitted=job.submitted,
        started=job.started,
        finished=job.finished,
        expires=None if job.finished is None else job.finished + results_kept_s,
        expired=bool(job.expired),
        attempts=job.attempts,
        worker=job.worker,
        deadline=job.deadline,
        cancel_requested=job.stop == Verdict.CANCELLED,
        metadata=bytes(job.metadata),
        callback_url=job.callback_url,
        result=result,
        dead_reason=job.dead_reason,
        queued_ms=job.queued_ms,
        cost_us=job.cost_us,
    )
