"""What the handlers of all pages share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from litestar import Request, Response
from litestar.di import NamedDependency
from litestar.params import SkipValidation

from holdfast.console.errors import ServiceProblem, SignInNeeded
from holdfast.console.execution import ExecutionApi
from holdfast.console.forms import visitor_of
from holdfast.console.gate import Cookies
from holdfast.console.netpulse import NetpulseApi
from holdfast.console.rendering import Assets, Renderer
from holdfast.console.sessions import Session, Sessions
from holdfast.console.settings import ConsoleSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Console:
    """The parts that outlive a request."""

    settings: ConsoleSettings
    sessions: Sessions
    cookies: Cookies
    assets: Assets
    renderer: Renderer
    http: aiohttp.ClientSession
    execution: ExecutionApi | None
    netpulse: NetpulseApi | None
    clock: Callable[[], float]
    """Monotonic seconds."""
    streams: set[object] = field(default_factory=set)
    """One for every event stream that is open."""

    def page(
        self,
        request: Request[Any, Any, Any],
        template: str,
        *,
        title: str,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
        **values: Any,
    ) -> Response[str]:
        """Render a page with what the layout needs of its visitor."""
        visitor = visitor_of(request)
        frame = {
            "title": title,
            "path": request.url.path,
            "here": request.url.path + (f"?{request.url.query}" if request.url.query else ""),
            "csrf": self.sessions.csrf_token(visitor.cookie),
            "session": visitor.session,
            "theme": visitor.theme,
            "has_execution": self.execution is not None,
            "has_netpulse": self.netpulse is not None,
        }
        return self.renderer.page(template, {**frame, **values}, status=status, headers=headers)

    def api(self) -> ExecutionApi:
        """The execution API. Raises :class:`ServiceProblem` when this console has none."""
        if self.execution is None:
            raise ServiceProblem(
                404, "No code execution here", "Set `execution:` in the section `console:` to the URL of the service."
            )
        return self.execution

    def pulse(self) -> NetpulseApi:
        """NetPulse's API. Raises :class:`ServiceProblem` when this console has none."""
        if self.netpulse is None:
            raise ServiceProblem(
                404, "No NetPulse here", "Set `netpulse:` in the section `console:` to the URL of the service."
            )
        return self.netpulse


Shared = NamedDependency[SkipValidation[Console]]


def signed_in(request: Request[Any, Any, Any]) -> Session:
    """The session of whoever asks. Raises :class:`SignInNeeded`."""
    session = visitor_of(request).session
    if session is None:
        raise SignInNeeded
    return session


def see(path: str, *, set_cookie: str | None = None) -> Response[None]:
    """Go on there, with a GET."""
    headers = {"location": path, "cache-control": "no-store"}
    if set_cookie is not None:
        headers["set-cookie"] = set_cookie
    return Response(None, status_code=303, headers=headers)
