"""The endpoints around monitors and incidents: regions, channels, simulation, summary, alerts, health."""

from __future__ import annotations

from typing import Annotated, Final

from litestar import MediaType, Response, get, post
from litestar.params import FromPath, QueryParameter

from holdfast.identity import Scope
from holdfast.netpulse.core.validate import channel_kind
from holdfast.netpulse.core.views import MonitorView, RegionView, SummaryView
from holdfast.netpulse.shell.api import alertmanager
from holdfast.netpulse.shell.api.bodies import (
    AcceptedBody,
    ChannelBody,
    ChannelsBody,
    SimulationBody,
    TestBody,
    WhoamiBody,
    decode,
    decoder,
)
from holdfast.netpulse.shell.api.monitors import known_id
from holdfast.netpulse.shell.api.problems import TYPES, ProblemError
from holdfast.netpulse.shell.api.service import Asking, Service, Svc, answer, require
from holdfast.store import StoreError
from holdfast.web.exchange import read_head
from holdfast.web.metrics import CONTENT_TYPE
from holdfast.web.problems import Explanation, explanation

SIMULATIONS: Final = ("down", "slow", "flapping")
LONGEST_SIMULATION_S: Final = 86_400.0
_SIMULATION: Final = decoder(SimulationBody)


@get("/v1/summary")
async def read_summary(request: Asking, service: Svc) -> Response[SummaryView]:
    """The whole in a few figures."""
    require(request.user, Scope.NETPULSE_READ)
    return answer(await service.netpulse.summary(request.user.tenant))


@get("/v1/whoami")
async def whoami(request: Asking) -> Response[WhoamiBody]:
    """The tenant and the rights of the key that asks, so that a page shows no button that would be refused."""
    user = request.user
    return answer(WhoamiBody(tenant=user.tenant, key_id=user.key_id, scopes=sorted(user.scopes)))


@get("/v1/regions")
async def list_regions(request: Asking, service: Svc) -> Response[list[RegionView]]:
    """Regions and their agents."""
    require(request.user, Scope.NETPULSE_READ)
    return answer(service.netpulse.regions())


@get("/v1/channels")
async def list_channels(request: Asking, service: Svc) -> Response[ChannelsBody]:
    """Names and kinds of the ways to tell somebody, nothing secret. They are the file's, so its tenant sees them."""
    require(request.user, Scope.NETPULSE_READ)
    channels = service.settings.channels if request.user.tenant == service.settings.tenant else {}
    found = [ChannelBody(id=name, kind=channel_kind(each)) for name, each in sorted(channels.items())]
    return answer(ChannelsBody(channels=found))


@post("/v1/channels/{id:str}/test", status_code=202)
async def try_channel(request: Asking, service: Svc, id: FromPath[str]) -> Response[TestBody]:
    """Send a test, through the outbox as any message. GET the same path with ``key`` to see what became of it."""
    require(request.user, Scope.NETPULSE_ADMIN)
    service.tests.count(request.user.tenant)
    key = await service.netpulse.test_channel(request.user.tenant, known_id(id))
    await service.note(request.user, "channel.test", id)
    return answer(TestBody(key=key, state="waiting"), status=202)


@get("/v1/channels/{id:str}/test")
async def read_test(
    request: Asking,
    service: Svc,
    id: FromPath[str],
    key: Annotated[str, QueryParameter(max_length=200, description="Of the answer to the POST.")],
) -> Response[TestBody]:
    """What became of a test."""
    require(request.user, Scope.NETPULSE_ADMIN)
    for notice, state, error in await service.records.notices(""):
        if (notice.key, notice.channel, notice.tenant) == (key, id, request.user.tenant):
            return answer(TestBody(key=key, state=state, error=error))
    raise ProblemError("not-found", "there is no such test of this channel (any more)")


@post("/v1/simulate", status_code=202)
async def simulate(request: Asking, service: Svc) -> Response[MonitorView]:
    """Force a monitor to look down, slow or flapping for a time. Everything that follows is marked as simulated."""
    require(request.user, Scope.NETPULSE_WRITE)
    body = decode(_SIMULATION, await request.body())
    if body.kind not in SIMULATIONS:
        text = f"kind: is {body.kind[:20]!r}; write {', '.join(SIMULATIONS)}"
        raise ProblemError("invalid-request", text, field="kind")
    if not body.lasts <= LONGEST_SIMULATION_S:
        raise ProblemError("invalid-request", 'for: is more than a day; write less, or "0" to end it', field="for")
    tenant, id = request.user.tenant, known_id(body.monitor)
    await service.netpulse.simulate(tenant, id, body.kind, seconds=body.lasts, actor=request.user.key_id)
    service.overview.changed(tenant)
    await service.note(request.user, "monitor.simulate", id, {"kind": body.kind, "for_s": body.lasts})
    return answer(await service.netpulse.monitor(tenant, id), status=202)


@post("/v1/alertmanager", status_code=202)
async def take_alerts(request: Asking, service: Svc) -> Response[AcceptedBody]:
    """Take what a Prometheus Alertmanager posts to a webhook receiver: each alert is a member of an incident."""
    require(request.user, Scope.NETPULSE_WRITE)
    alerts = alertmanager.read(await request.body(), now=service.clock())
    await service.netpulse.alerts(request.user.tenant, alerts)
    service.metrics.alerted(len(alerts))
    return answer(AcceptedBody(accepted=len(alerts)), status=202)


@get("/healthz", media_type=MediaType.TEXT, sync_to_thread=False)
def healthz() -> str:
    """The process answers."""
    return "ok\n"


@get("/readyz", media_type=MediaType.TEXT)
async def readyz(service: Svc) -> str:
    """Requests can be served: the records answer, and the process is not about to end."""
    if service.stopping.done():
        raise ProblemError("shutting-down", "this process is about to end; another one answers soon")
    await service.records.document("ready", "")
    return "ok\n"


@get("/metrics")
async def read_metrics(request: Asking, service: Svc) -> Response[bytes]:
    """Figures in the Prometheus text format; with a key that may read also those of the tenant's monitors."""
    monitors = await _own(request, service)
    try:
        figures = await service.records.figures()
    except StoreError:
        figures = {}  # what the process knows by itself is most wanted just now
    body = service.metrics.render(figures, service.netpulse.regions(), monitors)
    return Response(body, media_type=CONTENT_TYPE)


@get("/problems/{name:str}", sync_to_thread=False)
def read_problem(name: FromPath[str]) -> Explanation:
    """What a problem type means."""
    return explanation(name, TYPES)


async def _own(request: Asking, service: Service) -> list[MonitorView]:
    key = read_head(request.scope["headers"]).key
    if key is None and not service.settings.demo_readonly:
        return []
    principal = await service.authenticated(key, reading=True)
    require(principal, Scope.NETPULSE_READ)
    service.requests.count(principal.tenant)
    return await service.netpulse.monitors(principal.tenant)
