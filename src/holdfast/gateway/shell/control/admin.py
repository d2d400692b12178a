"""The endpoints of operators: deployments, models, and why something is as it is. With ``gateway:admin``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from litestar import Response, get
from litestar.params import QueryParameter

from holdfast.gateway.shell.control.bodies import DeploymentsBody, ModelBody, ModelsBody
from holdfast.gateway.shell.control.problems import ProblemError
from holdfast.gateway.shell.control.service import Asking, Service, Svc, answer, require
from holdfast.gateway.shell.observing.recent import told
from holdfast.identity import Principal, Scope

if TYPE_CHECKING:
    from holdfast.gateway.core.usage import Price


@get("/admin/deployments", sync_to_thread=False)
def list_deployments(request: Asking, service: Svc) -> Response[DeploymentsBody]:
    """Every deployment: state, limits, load, p50 and p95 of its first token, price."""
    _admit(request.user, service)
    gateway = service.gateway
    now = gateway.clock()
    shown = [{**gateway.fleet.explain(name, now), **_priced(service, name)} for name in gateway.fleet.deployments]
    return answer(DeploymentsBody(deployments=shown))


@get("/admin/models", sync_to_thread=False)
def list_models(request: Asking, service: Svc) -> Response[ModelsBody]:
    """The names that clients use, and what stands behind each."""
    _admit(request.user, service)
    routes = service.gateway.routes
    trials = service.gateway.trials.state()
    models = []
    for name, settings in service.gateway.settings.models.items():
        route = routes.find(name)
        models.append(
            ModelBody(
                model=name,
                tiers=[list(tier) for tier in route.tiers],
                own=route.own,
                hedged=settings.hedge.enabled,
                description=settings.description,
                trials=trials.get(name, {}),
            )
        )
    return answer(ModelsBody(models=models))


@get("/admin/explain", sync_to_thread=False)
def explain(
    request: Asking,
    service: Svc,
    deployment: Annotated[str | None, QueryParameter(max_length=300, description="Why it is in or out.")] = None,
    request_id: Annotated[
        str | None, QueryParameter(name="request", max_length=200, description="Why it went as it did: `X-Request-Id`.")
    ] = None,
    limit: Annotated[int, QueryParameter(ge=1, le=100, description="Of the latest requests, without either.")] = 20,
) -> Response[Any]:
    """Why a deployment is in or out, or why one of the last requests of the tenant went as it did; or the latest."""
    user = request.user
    _admit(user, service)
    if deployment is not None:
        gateway = service.gateway
        if deployment not in gateway.fleet.deployments:
            raise ProblemError("not-found", f"there is no deployment {deployment[:100]!r}; see /admin/deployments")
        return answer({**gateway.fleet.explain(deployment, gateway.clock()), **_priced(service, deployment)})
    recent = service.observers.recent
    if request_id is None:
        return answer({"requests": [told(seen) for seen in recent.latest(user.tenant, limit)]})
    seen = recent.find(request_id, user.tenant)
    if seen is None:
        text = "it is none of the last requests of this tenant in this process; older ones are in the request log"
        raise ProblemError("not-found", text)
    return answer(told(seen))


def _admit(user: Principal, service: Service) -> None:
    if not service.gateway.settings.admin:
        raise ProblemError("not-found", "gateway.admin is off: /admin/ is not answered here")
    require(user, Scope.GATEWAY_ADMIN)


def _priced(service: Service, deployment: str) -> dict[str, Any]:
    price = service.gateway.ledger.price(deployment)
    return {"price": None if price is None else _price(price)}


def _price(price: Price) -> dict[str, Any]:
    """Nano-dollars per million tokens."""
    return {
        "input_nano_per_million": price.input,
        "output_nano_per_million": price.output,
        "cache_read_nano_per_million": price.cache_read,
        "per_request_nano": price.per_request,
        "source": price.source,
    }
