"""What can be wrong with a request about tools, sessions and runs, as problem details (RFC 9457)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from litestar import Request, Response

from holdfast.gateway.errors import Reason, Refused
from holdfast.web import problems
from holdfast.web.handlers import HANDLERS, problem_response
from holdfast.web.problems import COMMON, Problem, ProblemType, catalogue

TYPES: Final = catalogue(
    *COMMON.values(),
    ProblemType("conflict", 409, "Its state does not allow this", "See detail: a run of the session is under way."),
    ProblemType(
        "idempotency-conflict",
        409,
        "The key came with another request before",
        "The same Idempotency-Key names the same request for good; use a new key for a new one.",
    ),
    ProblemType(
        "blocked", 422, "A guardrail blocks this", "What was sent, or what a tool answered, is not let through."
    ),
    ProblemType("tool-failed", 502, "The tool failed", "It could not be reached, or what it answered will not do."),
    ProblemType(
        "tool-timeout", 504, "The tool took too long", "It was cancelled; what it had done by then it has done."
    ),
)
"""Every type by name; documentation and tests go by it."""

_NAMES: Final[Mapping[Reason, str]] = {
    "invalid_request": "invalid-request",
    "unauthenticated": "unauthenticated",
    "forbidden": "forbidden",
    "not_found": "not-found",
    "conflict": "conflict",
    "too_large": "payload-too-large",
    "unsupported": "invalid-request",
    "blocked": "blocked",
    "rate_limited": "request-rate",
    "overloaded": "overloaded",
    "upstream_failed": "tool-failed",
    "timeout": "tool-timeout",
}


class ProblemError(problems.ProblemError):
    """A request ends with a problem of :data:`TYPES`."""

    types = TYPES


def problem(refused: Refused) -> ProblemError:
    """What was refused, as a problem."""
    name = _NAMES.get(refused.reason, "internal-error")
    return ProblemError(name, str(refused), field=refused.param, retry_after_s=refused.retry_after_s)


def _refused(_: Request[Any, Any, Any], refused: Refused) -> Response[Problem]:
    return problem_response(problem(refused))


EXCEPTION_HANDLERS: Final[Mapping[Any, Any]] = {**HANDLERS, Refused: _refused}
"""For the routers, wherever they are mounted."""
