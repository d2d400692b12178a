"""The application: the web framework's routes, and the front before them."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any, Final, cast

from litestar import Litestar, Request, Response, Router
from litestar.di import Provide
from litestar.types import ASGIApp

from holdfast.netpulse.errors import NetpulseError
from holdfast.netpulse.shell.api import (
    ack,
    events,
    exporting,
    heartbeats,
    history,
    incidents,
    monitors,
    operations,
    quiet,
)
from holdfast.netpulse.shell.api.bodies import encode
from holdfast.netpulse.shell.api.document import document
from holdfast.netpulse.shell.api.front import Front
from holdfast.netpulse.shell.api.problems import refusal
from holdfast.netpulse.shell.api.service import Service
from holdfast.web.handlers import HANDLERS, problem_response
from holdfast.web.openapi import openapi_config
from holdfast.web.problems import Problem

_DESCRIPTION: Final = """Many regions watch, one page goes out, and it can be asked why.

Errors are problem details (RFC 9457); a GET of `type` explains it. Times are RFC 3339 in UTC, durations in the body of
a request are text with a unit, quantities in answers carry theirs in the name."""


def application(service: Service, routers: Sequence[Router] = ()) -> Front:
    """The ASGI application over a service; ``routers`` are what else is offered here."""
    app = Litestar(
        route_handlers=[
            *routers,
            monitors.list_monitors,
            monitors.create_monitor,
            monitors.read_monitor,
            monitors.put_monitor,
            monitors.delete_monitor,
            history.read_checks,
            history.read_metrics,
            history.read_sla,
            history.read_days,
            incidents.list_incidents,
            incidents.read_incident,
            incidents.read_timeline,
            incidents.explain_incident,
            incidents.acknowledge_incident,
            incidents.resolve_incident,
            incidents.note_incident,
            quiet.list_silences,
            quiet.create_silence,
            quiet.end_silence,
            quiet.list_maintenance,
            quiet.create_maintenance,
            quiet.put_maintenance,
            quiet.delete_maintenance,
            operations.read_summary,
            operations.whoami,
            operations.list_regions,
            operations.list_channels,
            operations.try_channel,
            operations.read_test,
            operations.simulate,
            operations.take_alerts,
            operations.healthz,
            operations.readyz,
            operations.read_metrics,
            operations.read_problem,
            exporting.make_export,
            exporting.read_export,
            events.stream_events,
            heartbeats.beat,
            heartbeats.beat_failed,
            ack.show_acknowledgement,
            ack.acknowledge_by_link,
        ],
        dependencies={"service": Provide(lambda: service, sync_to_thread=False)},
        exception_handlers={**HANDLERS, NetpulseError: _refused},
        openapi_config=openapi_config("Holdfast NetPulse", _DESCRIPTION),
        request_max_body_size=None,  # the front has read it, and counted
        logging_config=None,
    )

    @functools.cache
    def schema() -> bytes:
        return encode(document(app.openapi_schema.to_schema()))

    return Front(service, cast("ASGIApp", app), schema)


def _refused(_: Request[Any, Any, Any], error: NetpulseError) -> Response[Problem]:
    return problem_response(refusal(error))
