"""The application: the web framework's routes, and the front before them."""

from __future__ import annotations

import functools
from typing import Final, cast

import msgspec
from litestar import Litestar
from litestar.di import Provide
from litestar.types import ASGIApp

from holdfast.execution.shell.api import callbacks, events, jobs, operations
from holdfast.execution.shell.api.document import document
from holdfast.execution.shell.api.front import Front, Hot
from holdfast.execution.shell.api.service import Service
from holdfast.execution.shell.api.workers import REPORT_BYTES, SYNC_BYTES, ReportEndpoint, SyncEndpoint
from holdfast.identity import Scope
from holdfast.web.handlers import HANDLERS
from holdfast.web.openapi import openapi_config

_DESCRIPTION: Final = """Programs come in, wait in a durable queue, run in sandboxes, and leave a result.

An answer to a submission means that the job is on disk. Errors are problem details (RFC 9457); a GET of
`type` explains it. `Retry-After` on 429 and 503 is computed from how fast the queue drains."""


def application(service: Service) -> Front:
    """The ASGI application over a service."""
    app = Litestar(
        route_handlers=[
            jobs.submit_job,
            jobs.submit_batch,
            jobs.read_job,
            jobs.read_program,
            jobs.list_jobs,
            jobs.cancel_job,
            events.job_events,
            operations.read_runtimes,
            operations.read_quotas,
            operations.read_costs,
            operations.read_audit,
            operations.read_dead_letters,
            operations.replay_dead_letters,
            callbacks.read_dead_callbacks,
            callbacks.replay_dead_callbacks,
            callbacks.read_secrets,
            callbacks.rotate_secret,
            operations.read_scaling,
            operations.read_queue,
            operations.healthz,
            operations.readyz,
            operations.read_metrics,
            operations.read_problem,
        ],
        dependencies={"service": Provide(lambda: service, sync_to_thread=False)},
        exception_handlers=dict(HANDLERS),
        openapi_config=openapi_config("Holdfast execution", _DESCRIPTION),
        request_max_body_size=None,  # the front has read it, and counted
        logging_config=None,
    )
    hot = {
        ("POST", "/v1/jobs"): Hot(
            jobs.Submit(service),
            scope=Scope.JOBS_WRITE,
            limit=int(service.settings.payload.body),
            json=True,
            rate=service.rates.submission,
        ),
        ("POST", "/internal/v1/sync"): Hot(SyncEndpoint(service), Scope.WORKER, SYNC_BYTES, json=False, rate=None),
        ("POST", "/internal/v1/report"): Hot(
            ReportEndpoint(service), Scope.WORKER, REPORT_BYTES, json=False, rate=None
        ),
    }

    @functools.cache
    def schema() -> bytes:
        return msgspec.json.encode(document(app.openapi_schema.to_schema()))

    return Front(service, cast("ASGIApp", app), hot, schema)
