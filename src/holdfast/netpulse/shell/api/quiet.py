"""When nobody is told: silences and maintenance."""

from __future__ import annotations

from typing import Any, Final

from litestar import Response, delete, get, post, put
from litestar.params import FromPath

from holdfast.identity import Scope
from holdfast.netpulse.core.forms import ID, matcher
from holdfast.netpulse.core.settings import MaintenanceSettings
from holdfast.netpulse.core.validate import validate_maintenance
from holdfast.netpulse.shell.api.asked import time_of
from holdfast.netpulse.shell.api.bodies import (
    NewMaintenance,
    OutSilence,
    SilenceBody,
    SilencesBody,
    decode,
    decoder,
    plain,
    silence,
)
from holdfast.netpulse.shell.api.monitors import known_id
from holdfast.netpulse.shell.api.problems import ProblemError, invalid
from holdfast.netpulse.shell.api.service import Asking, Service, Svc, answer, require

LONGEST_S: Final = 90 * 86_400.0
COMMENT: Final = 1_000
"""Characters."""
MOST: Final = 1_000
"""Silences, and maintenance windows, of a tenant: every signal is compared with all of them."""
_SILENCE: Final = decoder(SilenceBody)
_WINDOW: Final = decoder(MaintenanceSettings)
_NEW_WINDOW: Final = decoder(NewMaintenance)


@get("/v1/silences")
async def list_silences(request: Asking, service: Svc) -> Response[SilencesBody]:
    """Those that have not ended."""
    require(request.user, Scope.NETPULSE_READ)
    return answer(SilencesBody(silences=[silence(each) for each in service.netpulse.silences(request.user.tenant)]))


@post("/v1/silences", status_code=201)
async def create_silence(request: Asking, service: Svc) -> Response[OutSilence]:
    """Tell nobody of what matches, until it ends. It is watched, and stays on record, all the same."""
    require(request.user, Scope.NETPULSE_WRITE)
    body = decode(_SILENCE, await request.body())
    now = service.clock()
    starts, ends = _times(body, now)
    if problems := [*matcher(("match",), body.match)]:
        raise invalid(problems, what="the silence is not sound")
    if not body.match:
        text = 'match: would silence everything; name something, like {"monitor": "web"} or {"monitor": "*"}'
        raise ProblemError("invalid-request", text, field="match")
    if len(body.comment) > COMMENT:
        raise ProblemError("invalid-request", f"comment: more than {COMMENT} characters", field="comment")
    if len(service.netpulse.silences(request.user.tenant)) >= MOST:
        raise ProblemError("conflict", f"there are {MOST} silences; end some, or match more with one")
    made = await service.netpulse.silence(
        request.user.tenant, body.match, starts=starts, ends=ends, comment=body.comment, actor=request.user.key_id
    )
    await service.note(request.user, "silence.create", made.id, {"match": body.match, "ends": ends})
    return answer(silence(made), status=201, headers={"location": f"/v1/silences/{made.id}"})


@delete("/v1/silences/{id:str}", status_code=204)
async def end_silence(request: Asking, service: Svc, id: FromPath[str]) -> None:
    """End it now."""
    require(request.user, Scope.NETPULSE_WRITE)
    if len(id) > 64:
        raise ProblemError("not-found", "there is no such silence")
    await service.netpulse.unsilence(request.user.tenant, id)
    await service.note(request.user, "silence.end", id)


@get("/v1/maintenance")
async def list_maintenance(request: Asking, service: Svc) -> Response[dict[str, Any]]:
    """Windows of the file and of the API, with who wrote each."""
    require(request.user, Scope.NETPULSE_READ)
    tenant = request.user.tenant
    return answer(
        {"maintenance": [_shown(service, tenant, each) for each in sorted(service.netpulse.maintenances(tenant))]}
    )


@post("/v1/maintenance", status_code=201)
async def create_maintenance(request: Asking, service: Svc) -> Response[dict[str, Any]]:
    """Make a window. One of that id that exists is left as it is: 409."""
    require(request.user, Scope.NETPULSE_ADMIN)
    body = decode(_NEW_WINDOW, await request.body())
    if not ID.fullmatch(body.id):
        remedy = "use up to 64 lower-case letters, digits, dots, hyphens and underscores"
        raise ProblemError("invalid-request", f"id: not an id; {remedy}", field="id")
    if body.id in service.netpulse.maintenances(request.user.tenant):
        raise ProblemError("conflict", f"maintenance {body.id} exists; PUT it to change it")
    spec = MaintenanceSettings(**{name: getattr(body, name) for name in MaintenanceSettings.__struct_fields__})
    return await _put(request, service, body.id, spec)


@put("/v1/maintenance/{id:str}")
async def put_maintenance(request: Asking, service: Svc, id: FromPath[str]) -> Response[dict[str, Any]]:
    """Make or change a window; the same body twice gives the same."""
    require(request.user, Scope.NETPULSE_ADMIN)
    return await _put(request, service, known_id(id), decode(_WINDOW, await request.body()))


@delete("/v1/maintenance/{id:str}", status_code=204)
async def delete_maintenance(request: Asking, service: Svc, id: FromPath[str]) -> None:
    """Remove a window. What is down inside it counts from now on."""
    require(request.user, Scope.NETPULSE_ADMIN)
    await service.netpulse.drop_maintenance(request.user.tenant, known_id(id))
    await service.note(request.user, "maintenance.delete", id)


async def _put(request: Asking, service: Service, id: str, spec: MaintenanceSettings) -> Response[dict[str, Any]]:
    tenant = request.user.tenant
    if problems := validate_maintenance(spec):
        raise invalid(problems, what="the maintenance is not sound")
    known = service.netpulse.maintenances(tenant)
    fresh = id not in known
    if fresh and len(known) >= MOST:
        raise ProblemError("conflict", f"there are {MOST} windows; remove some, or let one repeat")
    await service.netpulse.put_maintenance(tenant, id, spec)
    await service.note(request.user, "maintenance.put", id, plain(spec))
    return answer(_shown(service, tenant, id), status=201 if fresh else 200)


def _shown(service: Service, tenant: str, id: str) -> dict[str, Any]:
    by_file = tenant == service.settings.tenant and id in service.settings.maintenance
    spec = plain(service.netpulse.maintenances(tenant)[id])
    return {"id": id, "source": "file" if by_file else "api", **spec}


def _times(body: SilenceBody, now: float) -> tuple[float, float]:
    starts = time_of(body.starts, name="starts", now=now, default=now)
    if (body.ends is None) == (body.lasts is None):
        raise ProblemError("invalid-request", "ends: send either `ends` or `for`", field="ends")
    ends = starts + body.lasts if body.lasts is not None else time_of(body.ends, name="ends", now=now, default=now)
    if not max(starts, now) < ends <= now + LONGEST_S:
        text = "ends: not after its start, or past already, or more than 90 days away; pause what is not wanted"
        raise ProblemError("invalid-request", text, field="ends")
    return starts, ends
