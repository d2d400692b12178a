"""The endpoints of incidents."""

from __future__ import annotations

import re
from typing import Annotated, Final

from litestar import Response, get, post
from litestar.params import FromPath, QueryParameter

from holdfast.identity import Scope
from holdfast.netpulse.core.views import ExplainView, IncidentView, TransitionView
from holdfast.netpulse.shell.api.asked import Cursor, Limit
from holdfast.netpulse.shell.api.bodies import IncidentsBody, NoteBody, decode, decoder
from holdfast.netpulse.shell.api.monitors import known_id
from holdfast.netpulse.shell.api.problems import ProblemError
from holdfast.netpulse.shell.api.service import Asking, Svc, answer, require

NOTE_CHARACTERS: Final = 4_000
_ID: Final = re.compile(r"inc_[0-9A-Za-z]{1,40}")
_NOTE: Final = decoder(NoteBody)


@get("/v1/incidents")
async def list_incidents(
    request: Asking,
    service: Svc,
    standing: Annotated[bool | None, QueryParameter(description="Only those that stand, or that do not.")] = None,
    monitor: Annotated[str | None, QueryParameter(max_length=64, description="Only those of this monitor.")] = None,
    limit: Limit = 50,
    before: Cursor = None,
) -> Response[IncidentsBody]:
    """Incidents of the tenant and the platform's (agents), newest first."""
    require(request.user, Scope.NETPULSE_READ)
    if monitor is not None:
        known_id(monitor)
    if before is not None and not _ID.fullmatch(before):
        raise ProblemError("invalid-request", "before: not one of ours; send `next` as it came", field="before")
    found = await service.netpulse.incidents(
        request.user.tenant, standing=standing, monitor=monitor, limit=limit + 1, before=before
    )
    page = found[:limit]
    return answer(IncidentsBody(incidents=page, next=page[-1].id if len(found) > limit else None))


@get("/v1/incidents/{id:str}")
async def read_incident(request: Asking, service: Svc, id: FromPath[str]) -> Response[IncidentView]:
    """An incident as it stands."""
    require(request.user, Scope.NETPULSE_READ)
    return answer(await service.netpulse.incident(request.user.tenant, incident_id(id)))


@get("/v1/incidents/{id:str}/timeline")
async def read_timeline(request: Asking, service: Svc, id: FromPath[str]) -> Response[list[TransitionView]]:
    """What happened, oldest first, each with the evidence that caused it."""
    require(request.user, Scope.NETPULSE_READ)
    return answer(await service.netpulse.timeline(request.user.tenant, incident_id(id)))


@get("/v1/incidents/{id:str}/explain")
async def explain_incident(request: Asking, service: Svc, id: FromPath[str]) -> Response[ExplainView]:
    """Why it did, or did not, page: the story in sentences, the ledger of evidence, who was told."""
    require(request.user, Scope.NETPULSE_READ)
    return answer(await service.netpulse.explain(request.user.tenant, incident_id(id)))


@post("/v1/incidents/{id:str}/ack", status_code=200)
async def acknowledge_incident(request: Asking, service: Svc, id: FromPath[str]) -> Response[IncidentView]:
    """Say that somebody has it: escalation stops. Once more changes nothing."""
    require(request.user, Scope.NETPULSE_WRITE)
    view = await service.netpulse.acknowledge(request.user.tenant, incident_id(id), actor=request.user.key_id)
    await service.note(request.user, "incident.acknowledge", id)
    return answer(view)


@post("/v1/incidents/{id:str}/resolve", status_code=200)
async def resolve_incident(request: Asking, service: Svc, id: FromPath[str]) -> Response[IncidentView]:
    """Say that it is over. Should it still be true, it is detected again."""
    require(request.user, Scope.NETPULSE_WRITE)
    view = await service.netpulse.resolve(request.user.tenant, incident_id(id), actor=request.user.key_id)
    await service.note(request.user, "incident.resolve", id)
    return answer(view)


@post("/v1/incidents/{id:str}/notes", status_code=201)
async def note_incident(request: Asking, service: Svc, id: FromPath[str]) -> Response[IncidentView]:
    """Add a line to its timeline."""
    require(request.user, Scope.NETPULSE_WRITE)
    text = decode(_NOTE, await request.body()).text.strip()
    if not text or len(text) > NOTE_CHARACTERS:
        detail = f"text: has {len(text)} characters; write 1 to {NOTE_CHARACTERS}"
        raise ProblemError("invalid-request", detail, field="text")
    view = await service.netpulse.note(request.user.tenant, incident_id(id), text, actor=request.user.key_id)
    await service.note(request.user, "incident.note", id)
    return answer(view, status=201)


def incident_id(id: str) -> str:
    """Raise :class:`ProblemError` for what cannot be the id of an incident."""
    if not _ID.fullmatch(id):
        raise ProblemError("not-found", f"there is no incident {id[:64]!r}")
    return id
