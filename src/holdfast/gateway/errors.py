"""What the gateway refuses, and why."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from holdfast.kernel import HoldfastError
from holdfast.kernel.settings import Problem

Reason = Literal[
    "invalid_request",  # 400
    "unauthenticated",  # 401
    "forbidden",  # 403: model, scope or tool that the key may not use
    "not_found",  # 404: model, endpoint, thing
    "conflict",  # 409: same idempotency key, other body
    "too_large",  # 413
    "unsupported",  # 422: no deployment of the route can do what is asked
    "blocked",  # 400: a guardrail
    "rate_limited",  # 429: requests or tokens per minute, by us
    "budget_exhausted",  # 402 by our own word; 429 with insufficient_quota to OpenAI clients
    "overloaded",  # 503/529: no place, or every deployment is in cool-down
    "upstream_rejected",  # the provider says that the request is wrong: its own status
    "upstream_rate_limited",  # 429 of the last provider that was tried
    "upstream_failed",  # 502
    "timeout",  # 504
    "cut",  # the stream broke after the commit point
    "internal",  # 500
]
"""Why a request was not answered. Each client protocol has its own words and status for it."""


class GatewayError(HoldfastError):
    """Base of what this room raises."""


class Invalid(GatewayError):
    """The configuration is wrong."""

    exit_code = 2

    def __init__(self, message: str, problems: Sequence[Problem] = ()) -> None:
        self.problems = tuple(problems)
        super().__init__(message)


class Refused(GatewayError):
    """A request that is answered with an error. The text is shown to the client: no secret, no other tenant's name.

    Args:
        reason: Stable word for programs.
        message: For people: what, where, and what to do.
        status: Of the answer, when it is not the one of ``reason``.
        param: Path in the request body that is to blame, such as ``messages.0.role``.
        code: The provider's or protocol's own code, passed on.
        retry_after_s: When to come back.
        retryable: Whether the same request may do better later; decides ``x-should-retry``.
    """

    def __init__(
        self,
        reason: Reason,
        message: str,
        *,
        status: int | None = None,
        param: str | None = None,
        code: str | None = None,
        retry_after_s: float | None = None,
        retryable: bool = False,
    ) -> None:
        self.reason = reason
        self.status = STATUS[reason] if status is None else status
        self.param = param
        self.code = code
        self.retry_after_s = retry_after_s
        self.retryable = retryable
        super().__init__(message)


STATUS: dict[Reason, int] = {
    "invalid_request": 400,
    "unauthenticated": 401,
    "forbidden": 403,
    "not_found": 404,
    "conflict": 409,
    "too_large": 413,
    "unsupported": 422,
    "blocked": 400,
    "rate_limited": 429,
    "budget_exhausted": 402,
    "overloaded": 503,
    "upstream_rejected": 400,
    "upstream_rate_limited": 429,
    "upstream_failed": 502,
    "timeout": 504,
    "cut": 502,
    "internal": 500,
}
