"""The ASGI application: routes, and what a visitor sees when something is in the way."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
from typing import Any, Final, cast
from urllib.parse import quote

import aiohttp
from litestar import Litestar, MediaType, Request, Response
from litestar.di import Provide
from litestar.exceptions import HTTPException
from litestar.types import ASGIApp

from holdfast.console import account, jobs, live, overview, pulse, pulse_incidents, pulse_monitor, run
from holdfast.console.context import Console, see
from holdfast.console.errors import Refused, ServiceProblem, SignInNeeded
from holdfast.console.execution import ExecutionApi
from holdfast.console.forms import FORM_BYTES, visitor_of
from holdfast.console.gate import Cookies, Gate
from holdfast.console.netpulse import NetpulseApi
from holdfast.console.rendering import Assets, Renderer
from holdfast.console.sessions import Session, Sessions
from holdfast.console.settings import ConsoleSettings
from holdfast.console.wording import retry_after, sentence

log = logging.getLogger(__name__)

Asked = Request[Any, Any, Any]

HANDLERS: Final = (
    overview.overview,
    overview.healthz,
    overview.readyz,
    overview.static,
    account.sign_in_page,
    account.sign_in,
    account.sign_out,
    account.choose_theme,
    run.run_page,
    run.run,
    jobs.jobs_page,
    jobs.job_page,
    jobs.cancel,
    jobs.download,
    live.events,
    pulse.pulse_page,
    pulse.regions_page,
    pulse.test_channel,
    pulse.pulse_events,
    pulse_monitor.monitor_page,
    pulse_monitor.simulate,
    pulse_incidents.incidents_page,
    pulse_incidents.incident_page,
    pulse_incidents.publish,
    pulse_incidents.act,
)


def console_app(
    settings: ConsoleSettings,
    http: aiohttp.ClientSession,
    *,
    clock: Callable[[], float],
    entropy: Callable[[int], bytes] = os.urandom,
) -> Gate:
    """The application over an open client session. ``clock`` is monotonic seconds."""
    assets = Assets()
    console = Console(
        settings=settings,
        sessions=Sessions(lifetime_s=settings.session, entropy=entropy),
        cookies=Cookies(secure=settings.secure_cookies),
        assets=assets,
        renderer=Renderer(assets),
        http=http,
        execution=None if settings.execution is None else ExecutionApi(settings.execution, http),
        netpulse=None if settings.netpulse is None else NetpulseApi(settings.netpulse, http),
        clock=clock,
    )
    app = Litestar(
        route_handlers=HANDLERS,
        dependencies={"console": Provide(lambda: console, sync_to_thread=False)},
        exception_handlers={
            SignInNeeded: _to_sign_in,
            ServiceProblem: _service_problem,
            Refused: _refused,
            HTTPException: _http_problem,
            Exception: _bug,
        },
        openapi_config=None,
        request_max_body_size=FORM_BYTES,
        logging_config=None,
    )
    app.state.console = console
    demo = None if settings.demo_api_key is None else Session(key=settings.demo_api_key, name="demo", demo=True)
    # Around the whole application, so that errors carry the same headers.
    return Gate(cast("ASGIApp", app), sessions=console.sessions, cookies=console.cookies, clock=clock, demo=demo)


def _console(request: Asked) -> Console:
    found: Console = request.app.state.console
    return found


def _to_sign_in(request: Asked, error: SignInNeeded) -> Response[Any]:
    if "text/event-stream" in request.headers.get("accept", ""):
        return Response("sign in first\n", status_code=401, media_type=MediaType.TEXT)
    goes_to = request.url.path if request.method == "GET" else "/"
    if request.method == "GET" and request.url.query:
        goes_to += f"?{request.url.query}"
    return see(f"/sign-in?next={quote(goes_to)}" + (f"&why={error.why}" if error.why else ""))


def _service_problem(request: Asked, problem: ServiceProblem) -> Response[Any]:
    if problem.status == 401:
        # The key was revoked, or has expired, since it was shown.
        _console(request).sessions.end(visitor_of(request).cookie)
        return _to_sign_in(request, SignInNeeded("key"))
    if problem.status >= 500:
        log.warning("%s", problem, extra={"action": "service_problem", "status": problem.status})
    headers = {} if problem.retry_after_s is None else {"retry-after": str(int(problem.retry_after_s) + 1)}
    status = problem.status if problem.status in _REMEDIES else 502
    retry = retry_after(problem.retry_after_s)
    return _page(request, problem.title, _REMEDIES[status], status, detail=problem.detail, retry=retry, headers=headers)


_REMEDIES: Final = {
    400: "Check the address; the links above lead to pages that exist.",
    403: "Sign in with a key that has the scope, or ask whoever made this one.",
    404: "It may have been removed, or belong to another tenant: you see those of the tenant that your key is for.",
    429: "Nothing was lost. Wait a moment, then load the page again.",
    502: "Is the service running? Its log says more; `holdfast up` starts it together with this console.",
    503: "The service is there, but takes no more at the moment. Wait, then load the page again.",
    504: "The service is there, but slow. Load the page again; nothing that was accepted is lost.",
}
"""What to do about a status, whatever the service says of it."""


def _refused(request: Asked, refused: Refused) -> Response[Any]:
    return _page(request, refused.title, sentence(refused.remedy), refused.status)


def _http_problem(request: Asked, error: HTTPException) -> Response[Any]:
    titles = {404: "There is no such page", 405: "Not here", 413: "That is too much"}
    remedy = f"A form may have {FORM_BYTES // 2**20} MiB." if error.status_code == 413 else _REMEDIES[400]
    return _page(request, titles.get(error.status_code, "Bad request"), remedy, error.status_code)


def _bug(request: Asked, error: Exception) -> Response[Any]:
    log.error("page failed", exc_info=error, extra={"action": "page", "path": request.url.path})
    return _page(request, "This page failed", "Read the console's log, and report what it says.", 500)


def _page(
    request: Asked,
    title: str,
    remedy: str,
    status: int,
    *,
    detail: str = "",
    retry: str = "",
    headers: Mapping[str, str] | None = None,
) -> Response[Any]:
    """What was wrong, where, and what to do."""
    return _console(request).page(
        request,
        "error.html",
        title=title,
        status=status,
        headers=headers,
        detail=detail,
        remedy=remedy,
        retry=retry,
        may_pass=status == 429 or status >= 500,
    )
