"""What people write on the status page, by the API: ``/v1/status/incidents/{id}/updates``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from litestar import Request, Response, Router, get, post
from litestar.di import NamedDependency, Provide
from litestar.params import FromPath, SkipValidation

from holdfast.identity import Principal, Scope
from holdfast.netpulse.core.ports import Netpulse
from holdfast.netpulse.core.status import Update
from holdfast.netpulse.errors import Invalid
from holdfast.netpulse.shell.api.service import require
from holdfast.netpulse.shell.status.times import iso
from holdfast.netpulse.shell.status.updates import StatusUpdates


class Desk:
    """Where updates are written. ``wall`` is seconds since the epoch."""

    def __init__(self, updates: StatusUpdates, netpulse: Netpulse, *, wall: Callable[[], float]) -> None:
        self.updates = updates
        self.netpulse = netpulse
        self.wall = wall


class _Written(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    status: str
    body: str


Asked = Request[Principal, Any, Any]
At = NamedDependency[SkipValidation[Desk]]


def writing_router(desk: Desk) -> Router:
    """Routes to include in the API's application, which knows who asks."""
    return Router(
        path="/v1/status/incidents",
        route_handlers=[write_update, list_updates],
        dependencies={"desk": Provide(lambda: desk, sync_to_thread=False)},
        tags=["status page"],
    )


@post("/{id:str}/updates", status_code=201)
async def write_update(request: Asked, desk: At, id: FromPath[str]) -> Response[bytes]:
    """Say something about an incident to the public: ``status`` and ``body``. It takes the place of that draft."""
    require(request.user, Scope.NETPULSE_WRITE)
    incident = await desk.netpulse.incident(request.user.tenant, id)
    try:
        written = msgspec.json.decode(await request.body(), type=_Written)
    except msgspec.MsgspecError as error:
        raise Invalid(f"{error}; send status and body") from error
    return _answer(_shown(await desk.updates.add(incident.id, written.status, written.body, now=desk.wall())), 201)


@get("/{id:str}/updates")
async def list_updates(request: Asked, desk: At, id: FromPath[str]) -> Response[bytes]:
    """What was written, oldest first; the drafts are not among it."""
    require(request.user, Scope.NETPULSE_READ)
    incident = await desk.netpulse.incident(request.user.tenant, id)
    found = (await desk.updates.by_incident()).get(incident.id, ())
    return _answer({"updates": [_shown(update) for update in found]}, 200)


def _shown(update: Update) -> dict[str, str]:
    return {"id": update.id, "at": iso(update.at), "status": update.status, "body": update.body}


def _answer(body: object, status: int) -> Response[bytes]:
    return Response(msgspec.json.encode(body), status_code=status, media_type="application/json")
