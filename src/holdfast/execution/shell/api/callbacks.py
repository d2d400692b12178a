"""The endpoints of a tenant's callbacks: what could not be delivered, and what they are signed with."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from litestar import get, post
from litestar.params import JSONBody

from holdfast.execution.shell.api.ids import is_job_id
from holdfast.execution.shell.api.jobs import Asking, Cursor, Limit, Svc, job_cursor
from holdfast.execution.shell.api.problems import ProblemError
from holdfast.execution.shell.api.service import require
from holdfast.identity import Scope
from holdfast.kernel import Duration
from holdfast.web.times import timestamp

REPLAY_JOBS: Final = 1000
LONGEST_OVERLAP_S: Final = 30 * 86_400.0


class DeadCallbackBody(msgspec.Struct):
    """A callback that was given up."""

    job: str
    url: str
    attempts: int
    error: str


class DeadCallbacksPage(msgspec.Struct):
    """A page of dead callbacks, newest job first."""

    callbacks: list[DeadCallbackBody]
    next: str | None


class ReplayCallbacksBody(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Which dead callbacks: those of ``jobs``, or ``all``."""

    jobs: list[str] | None = None
    all: bool = False


class CallbacksReplayedBody(msgspec.Struct):
    """How many are due again."""

    replayed: int


class SecretBody(msgspec.Struct):
    """What callbacks are signed with (Standard Webhooks)."""

    secret: str
    created_at: str | None
    expires_at: str | None
    """``null`` for the one in force; others are those it replaced, for as long as they overlap."""


class SecretsBody(msgspec.Struct):
    """Those that are good, newest first. A receiver accepts a signature by any of them."""

    secrets: list[SecretBody]


class RotateBody(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """How long the old secret is used beside the new one."""

    overlap: str = "1d"


@get("/v1/callbacks/dead-letters")
async def read_dead_callbacks(
    request: Asking, service: Svc, limit: Limit = 50, cursor: Cursor = None
) -> DeadCallbacksPage:
    """Callbacks that were given up, newest job first."""
    require(request.user, Scope.JOBS_READ)
    dead = await service.outbox.dead_letters(request.user.tenant, limit=limit, before=job_cursor(cursor))
    return DeadCallbacksPage(
        [DeadCallbackBody(each.job, each.url, each.attempts, each.error) for each in dead],
        dead[-1].job if len(dead) == limit else None,
    )


@post("/v1/callbacks/dead-letters/replay", status_code=200)
async def replay_dead_callbacks(
    request: Asking, service: Svc, data: JSONBody[ReplayCallbacksBody]
) -> CallbacksReplayedBody:
    """Make dead callbacks due again. Repeating it changes nothing."""
    require(request.user, Scope.JOBS_WRITE)
    if (data.jobs is not None) == data.all:
        text = 'jobs: say which: {"jobs": [...]} with ids of jobs, or {"all": true}'
        raise ProblemError("invalid-request", text, field="jobs")
    if data.jobs is not None and not (len(data.jobs) <= REPLAY_JOBS and all(map(is_job_id, data.jobs))):
        raise ProblemError("invalid-request", f"jobs: must be at most {REPLAY_JOBS} ids of jobs", field="jobs")
    count = await service.outbox.replay(request.user.tenant, jobs=data.jobs, now=service.clock())
    service.job_ended()
    asked: dict[str, Any] = {"jobs": data.jobs} if data.jobs is not None else {"all": True}
    await service.note(request.user, "callbacks.replay", f"{count} callbacks", asked)
    return CallbacksReplayedBody(count)


@get("/v1/callbacks/secrets")
async def read_secrets(request: Asking, service: Svc) -> SecretsBody:
    """What the tenant's callbacks are signed with."""
    require(request.user, Scope.KEYS_WRITE)
    return _secrets(await service.identities.callback_secrets(request.user.tenant, now=service.clock()))


@post("/v1/callbacks/secrets/rotate", status_code=200)
async def rotate_secret(request: Asking, service: Svc, data: JSONBody[RotateBody]) -> SecretsBody:
    """Put a fresh secret in force; the old one is used beside it for the overlap."""
    require(request.user, Scope.KEYS_WRITE)
    try:
        overlap_s = float(Duration.parse(data.overlap))
    except ValueError as wrong:
        raise ProblemError("invalid-request", f"overlap: {wrong}", field="overlap") from None
    if overlap_s > LONGEST_OVERLAP_S:
        text = f"overlap: is longer than {Duration(LONGEST_OVERLAP_S)}"
        raise ProblemError("invalid-request", text, field="overlap")
    return _secrets(
        await service.identities.rotate_callback_secret(
            request.user.tenant, overlap_s=overlap_s, now=service.clock(), actor=request.user.key_id
        )
    )


def _secrets(found: list[Any]) -> SecretsBody:
    return SecretsBody([SecretBody(each.text, timestamp(each.created), timestamp(each.expires)) for each in found])
