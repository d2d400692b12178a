"""The application: the web framework's routes, and the door before them."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, Final, cast

import msgspec
from litestar import Litestar, Request, Response, Router
from litestar.di import Provide

from holdfast.gateway.errors import GatewayError
from holdfast.gateway.shell.control import admin, keys, operations, usage
from holdfast.gateway.shell.control.document import document
from holdfast.gateway.shell.control.front import Front
from holdfast.gateway.shell.control.problems import ProblemError
from holdfast.gateway.shell.control.service import Service
from holdfast.gateway.shell.ledger import Reports
from holdfast.gateway.shell.observing.exposition import Exposition
from holdfast.identity import IdentityError
from holdfast.web.handlers import HANDLERS, problem_response
from holdfast.web.openapi import openapi_config
from holdfast.web.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Sequence

    from litestar.types import ASGIApp

    from holdfast.gateway.shell.observing import Observers
    from holdfast.gateway.shell.plane.gateway import Gateway
    from holdfast.store import Database

_DESCRIPTION: Final = """Keys, usage, costs and the state of an AI gateway; models answer at the same address, in the
protocols of their clients.

Errors are problem details (RFC 9457); a GET of `type` explains it. Times are RFC 3339 in UTC, money is whole
nano-dollars (and the same in dollars, exactly, as text)."""
HANDLED: Final = (
    usage.read_usage,
    usage.read_costs,
    usage.export_usage,
    usage.read_budgets,
    usage.reconcile,
    keys.create_key,
    keys.list_keys,
    keys.read_key,
    keys.change_key,
    keys.revoke_key,
    admin.list_deployments,
    admin.list_models,
    admin.explain,
    operations.healthz,
    operations.readyz,
    operations.read_metrics,
    operations.read_problem,
)
"""Every endpoint; the documentation goes by it."""


def control_app(gateway: Gateway, observers: Observers, database: Database, *, routers: Sequence[Router] = ()) -> Front:
    """The ASGI application; ``routers`` are what else is offered behind the same door (see :func:`.service.who`)."""
    service = Service(gateway, observers, Reports(database), Exposition(gateway, observers))
    app = Litestar(
        route_handlers=[*HANDLED, *routers],
        dependencies={"service": Provide(lambda: service, sync_to_thread=False)},
        exception_handlers={**HANDLERS, GatewayError: _refused, IdentityError: _refused},
        openapi_config=openapi_config("Holdfast AI gateway", _DESCRIPTION),
        request_max_body_size=None,  # the data plane has read it, and counted
        logging_config=None,
    )

    @functools.cache
    def schema() -> bytes:
        return msgspec.json.encode(document(app.openapi_schema.to_schema()))

    return Front(service, cast("ASGIApp", app), schema)


def _refused(_: Request[Any, Any, Any], error: GatewayError | IdentityError) -> Response[Problem]:
    """What the ledger or the identities would not take: their words say what and why."""
    return problem_response(ProblemError("invalid-request", str(error)))
