"""Health, metrics and the meaning of problems: open to everybody who reaches the port."""

from __future__ import annotations

import asyncio
from typing import Final

from litestar import MediaType, Response, get
from litestar.params import FromPath

from holdfast.gateway.shell.control.problems import TYPES, ProblemError
from holdfast.gateway.shell.control.service import Svc
from holdfast.store import StoreError
from holdfast.web.metrics import CONTENT_TYPE
from holdfast.web.problems import Explanation, explanation

READY_WITHIN_S: Final = 2.0


@get("/healthz", media_type=MediaType.TEXT, sync_to_thread=False)
def healthz() -> str:
    """The process answers."""
    return "ok\n"


@get("/readyz", media_type=MediaType.TEXT)
async def readyz(service: Svc) -> str:
    """Requests can be served: the store answers, the journal can be written, and the process is not about to end."""
    gateway = service.gateway
    if gateway.engine.draining:
        raise ProblemError("shutting-down", "this process is about to end; another one answers soon")
    if gateway.ledger.totals().unwritten:
        raise ProblemError("not-ready", "the journal cannot be written; see the log, and whether the disk is full")
    try:
        async with asyncio.timeout(READY_WITHIN_S):
            await service.reports.ready()
    except (StoreError, TimeoutError):
        raise ProblemError("not-ready", "the store does not answer") from None
    return "ok\n"


@get("/metrics", sync_to_thread=False)
def read_metrics(service: Svc) -> Response[bytes]:
    """Figures in the Prometheus text format. They name models and deployments; no tenant, no key."""
    return Response(service.exposition.render(), media_type=CONTENT_TYPE)


@get("/problems/{name:str}", sync_to_thread=False)
def read_problem(name: FromPath[str]) -> Explanation:
    """What a problem type means."""
    return explanation(name, TYPES)
