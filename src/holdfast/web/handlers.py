"""The web framework's failures as problems: what its routes raise, and what it refuses itself."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, Final, cast

from litestar import Request, Response
from litestar.exceptions import HTTPException

from holdfast.store import StoreUnavailable
from holdfast.web.decoding import invalid_at, too_deep
from holdfast.web.exchange import shown_path, store_problem
from holdfast.web.problems import MEDIA_TYPE, Problem, ProblemError

log = logging.getLogger(__name__)

_BY_STATUS: Final = {401: "unauthenticated", 403: "forbidden", 404: "not-found", 405: "method-not-allowed"}


def problem_response(problem: ProblemError) -> Response[Problem]:
    """A problem as an answer of the framework's."""
    return Response(
        cast("Any", problem.body()), status_code=problem.status, headers=problem.headers(), media_type=MEDIA_TYPE
    )


def _problem(_: Request[Any, Any, Any], problem: ProblemError) -> Response[Problem]:
    return problem_response(problem)


def _unavailable(_: Request[Any, Any, Any], error: StoreUnavailable) -> Response[Problem]:
    return problem_response(store_problem(error))


def _too_deep(_: Request[Any, Any, Any], __: RecursionError) -> Response[Problem]:
    return problem_response(too_deep())


def _http_problem(request: Request[Any, Any, Any], error: HTTPException) -> Response[Problem]:
    """What the framework itself refuses: paths, methods, parameters and bodies."""
    for item in error.extra or ():
        if isinstance(item, dict):
            path = str(item.get("key", ""))
            # The framework calls the whole body after the handler's parameter.
            return problem_response(invalid_at("" if path == "data" else path, str(item.get("message", item))))
    name = _BY_STATUS.get(error.status_code, "malformed-request" if error.status_code < 500 else "internal-error")
    where = f"{request.method} {shown_path(request.scope)}"
    response = problem_response(
        ProblemError(name, f"{where}: {error.detail}; see the OpenAPI document for what there is")
    )
    response.headers.update(error.headers or {})
    return response


def _bug(request: Request[Any, Any, Any], error: Exception) -> Response[Problem]:
    log.error("request failed", exc_info=error, extra={"action": "request", "path": shown_path(request.scope)})
    return problem_response(ProblemError("internal-error", "see the log of the service"))


HANDLERS: Final[Mapping[Any, Any]] = {
    ProblemError: _problem,
    StoreUnavailable: _unavailable,
    HTTPException: _http_problem,
    RecursionError: _too_deep,
    Exception: _bug,
}
"""For ``exception_handlers`` of an application."""
