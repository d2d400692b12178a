"""The endpoints of a tenant's monitors."""

from __future__ import annotations

from typing import Annotated, Any, Final

from litestar import Response, delete, get, post, put
from litestar.params import FromPath, QueryParameter

from holdfast.identity import Scope
from holdfast.kernel.settings import Problem
from holdfast.netpulse.core.forms import ID
from holdfast.netpulse.core.monitors import KINDS, validate_monitor
from holdfast.netpulse.core.settings import MonitorSettings
from holdfast.netpulse.core.views import MonitorView
from holdfast.netpulse.errors import NotFound
from holdfast.netpulse.shell.api.asked import Cursor, Limit
from holdfast.netpulse.shell.api.bodies import MonitorsBody, NewMonitor, decode, decoder, encode, plain
from holdfast.netpulse.shell.api.masking import masked, unmasked
from holdfast.netpulse.shell.api.problems import ProblemError, invalid
from holdfast.netpulse.shell.api.service import Asking, Service, Svc, answer, encoded, require

_NEW: Final = decoder(NewMonitor)
_SPEC: Final = decoder(MonitorSettings)
_FILE_ONLY: Final = "what an agent runs or reads is decided where the agent is: write this monitor into the file"


@get("/v1/monitors")
async def list_monitors(
    request: Asking,
    service: Svc,
    in_state: Annotated[
        str | None, QueryParameter(name="state", max_length=20, description="Only those in this state.")
    ] = None,
    group: Annotated[str | None, QueryParameter(max_length=200, description="Only those of this group.")] = None,
    beats: Annotated[bool, QueryParameter(description="Whether heartbeat bars are wanted.")] = True,
    limit: Limit = 500,
    after: Cursor = None,
) -> Response[MonitorsBody]:
    """Monitors by id, at most a second old."""
    require(request.user, Scope.NETPULSE_READ)
    rows = [
        row
        for row in await service.overview.rows(request.user.tenant)
        if (after is None or row.id > after) and in_state in {None, row.state} and group in {None, row.group}
    ]
    page = rows[:limit]
    following = encode(page[-1].id if len(rows) > limit else None)
    body = b",".join(row.whole if beats else row.brief for row in page)
    return encoded(b'{"monitors":[' + body + b'],"next":' + following + b"}")


@get("/v1/monitors/{id:str}")
async def read_monitor(request: Asking, service: Svc, id: FromPath[str]) -> Response[MonitorView]:
    """A monitor as it stands. To who may change it also ``spec``, with secrets as ``***``."""
    require(request.user, Scope.NETPULSE_READ)
    view = await service.netpulse.monitor(request.user.tenant, known_id(id))
    return answer(_with_spec(request, service, view))


@post("/v1/monitors")
async def create_monitor(request: Asking, service: Svc) -> Response[MonitorView]:
    """Make a monitor. One of that id that exists is left as it is: 409."""
    require(request.user, Scope.NETPULSE_WRITE)
    body = decode(_NEW, await request.body())
    fields = {name: getattr(body, name) for name in MonitorSettings.__struct_fields__}
    spec = MonitorSettings(**fields)
    return await _put(request, service, body.id, spec, old=None, create=True)


@put("/v1/monitors/{id:str}")
async def put_monitor(request: Asking, service: Svc, id: FromPath[str]) -> Response[MonitorView]:
    """Make or change a monitor. ``***`` for a secret keeps it; the same body twice gives the same."""
    require(request.user, Scope.NETPULSE_WRITE)
    spec = decode(_SPEC, await request.body())
    old = _spec(service, request.user.tenant, id)
    return await _put(request, service, id, spec, old=old, create=False)


@delete("/v1/monitors/{id:str}", status_code=204)
async def delete_monitor(request: Asking, service: Svc, id: FromPath[str]) -> None:
    """Remove a monitor with everything about it."""
    require(request.user, Scope.NETPULSE_ADMIN)
    await service.netpulse.drop_monitor(request.user.tenant, known_id(id))
    service.overview.changed(request.user.tenant)
    await service.note(request.user, "monitor.delete", id)


def known_id(id: str) -> str:
    """Raise :class:`ProblemError` for what cannot be the id of anything."""
    if not ID.fullmatch(id):
        raise ProblemError("not-found", f"there is nothing with the id {id[:64]!r}")
    return id


async def _put(
    request: Asking, service: Service, id: str, spec: MonitorSettings, *, old: MonitorSettings | None, create: bool
) -> Response[MonitorView]:
    principal = request.user
    spec, problems = unmasked(spec, old)
    problems += validate_monitor(id, spec, service.settings)
    problems += _trusted(spec, may=principal.may(Scope.NETPULSE_ADMIN), old=old)
    if problems:
        raise invalid(problems, what="the monitor is not sound")
    view = await service.netpulse.put_monitor(principal.tenant, id, spec, create=create)
    service.overview.changed(principal.tenant)
    await service.note(principal, "monitor.create" if old is None else "monitor.update", id, masked(spec))
    body = _with_spec(request, service, view)
    kept = service.netpulse.spec(principal.tenant, id)
    if kept.heartbeat is not None and (old is None or old.heartbeat is None or old.heartbeat != kept.heartbeat):
        # The one time that it is told: whoever writes the job's last line needs it.
        body["heartbeat_path"] = f"/v1/heartbeats/{kept.heartbeat.token}"
    headers = {"location": f"/v1/monitors/{id}"} if old is None else {}
    return answer(body, status=201 if old is None else 200, headers=headers)


def _trusted(spec: MonitorSettings, *, may: bool, old: MonitorSettings | None) -> list[Problem]:
    """What a key must not ask of agents."""
    found = []
    if spec.command is not None:
        found.append(Problem(path=("command",), value=None, message="not by the API", remedy=_FILE_ONLY))
    for kind in ("http", "tls", "websocket", "grpc"):
        check = getattr(spec, kind)
        if check is not None and check.ca_file:
            found.append(Problem(path=(kind, "ca_file"), value=None, message="not by the API", remedy=_FILE_ONLY))
    # Who may not say so may change a monitor of somebody who may, but not whom it asks.
    as_before = old is not None and old.allow_private and _asked(old) == _asked(spec)
    if spec.allow_private and not may and not as_before:
        remedy = f"a key with {Scope.NETPULSE_ADMIN.value} may say so"
        found.append(
            Problem(path=("allow_private",), value=None, message="not by this key: it reaches inside", remedy=remedy)
        )
    return found


def _asked(spec: MonitorSettings) -> tuple[object, ...]:
    """What a probe reaches: the check with all that is sent, and how far it follows."""
    return tuple(getattr(spec, kind) for kind in KINDS)


def _spec(service: Service, tenant: str, id: str) -> MonitorSettings | None:
    try:
        return service.netpulse.spec(tenant, id)
    except NotFound:
        return None


def _with_spec(request: Asking, service: Service, view: MonitorView) -> dict[str, Any]:
    body: dict[str, Any] = plain(view)
    if request.user.may(Scope.NETPULSE_WRITE):
        body["spec"] = masked(service.netpulse.spec(request.user.tenant, view.id))
    return body
