"""Incidents: the list, and the page of one with its evidence and what can be done about it."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from litestar import Request, Response, get, post
from litestar.params import FromPath, FromQuery

from holdfast.console import ledger
from holdfast.console.context import Shared, see, signed_in
from holdfast.console.errors import Refused
from holdfast.console.forms import read_form, text_of

Asked = Request[Any, Any, Any]

PAGE: Final = 25
NOTE_CHARACTERS: Final = 2000
UPDATE_STATUSES: Final = ("investigating", "identified", "monitoring", "resolved")
_ACTIONS: Final = {"acknowledge": "ack", "resolve": "resolve", "note": "notes"}


@get("/incidents")
async def incidents_page(
    request: Asked, console: Shared, show: FromQuery[str] = "", before: FromQuery[str] = ""
) -> Response[str]:
    """Incidents, newest first."""
    key = signed_in(request).key
    standing = {"standing": True, "resolved": False}.get(show)
    page = await console.pulse().incidents(key, standing=standing, limit=PAGE, before=before[:100])
    return console.page(
        request,
        "pulse_incidents.html",
        title="Incidents",
        incidents=page.incidents,
        next=page.next,
        chosen=show if standing is not None else "",
        is_first=not before,
    )


@get("/incidents/{id:str}")
async def incident_page(request: Asked, console: Shared, id: FromPath[str]) -> Response[str]:
    """One incident."""
    key, api = signed_in(request).key, console.pulse()
    told, whoami, updates = await asyncio.gather(api.explain(key, id), api.whoami(key), api.updates(key, id))
    incident = told.incident
    return console.page(
        request,
        "pulse_incident.html",
        title=incident.title or "Incident",
        incident=incident,
        sentences=told.sentences,
        evidence=ledger.rows(told.ledger),
        timeline=told.timeline,
        notices=told.notices,
        may_write=whoami.may_write,
        may_acknowledge=incident.state in {"open", "reopened", "flapping"},
        may_resolve=incident.standing and incident.state != "detected",
        note_characters=NOTE_CHARACTERS,
        updates=updates,
        update_statuses=UPDATE_STATUSES,
        live="/events",
    )


@post("/incidents/{id:str}/publish", status_code=200)
async def publish(request: Asked, console: Shared, id: FromPath[str]) -> Response[Any]:
    """Say something to the public."""
    session = signed_in(request)
    fields = await read_form(request, console.sessions)
    text = text_of(fields, "body").strip()
    if not text or len(text) > NOTE_CHARACTERS or fields.get("status") not in UPDATE_STATUSES:
        raise Refused(422, "An update needs a status and some text", f"write 1 to {NOTE_CHARACTERS} characters")
    await console.pulse().publish(session.key, id, status=fields["status"], body=text)
    return see(f"/incidents/{id}")


@post("/incidents/{id:str}/{action:str}", status_code=200)
async def act(request: Asked, console: Shared, id: FromPath[str], action: FromPath[str]) -> Response[Any]:
    """Acknowledge, resolve, or note something."""
    session = signed_in(request)
    fields = await read_form(request, console.sessions)
    if action not in _ACTIONS:
        raise Refused(404, "There is no such action", "use the buttons on the incident's page")
    body = {}
    if action == "note":
        text = text_of(fields, "text").strip()
        if not text or len(text) > NOTE_CHARACTERS:
            raise Refused(422, "A note needs some text", f"write 1 to {NOTE_CHARACTERS} characters")
        body = {"text": text}
    await console.pulse().act(session.key, id, _ACTIONS[action], body)
    return see(f"/incidents/{id}")
