"""How an attempt at a provider ends, and what that says about whom."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Failure = Literal[
    "connect",  # no connection: refused, no route, TLS
    "reset",  # closed before the answer was whole, before the commit point
    "timeout",  # no head, or no meaningful token, in time
    "stalled",  # silent in the middle of a stream
    "cut",  # a stream that ended without its end, after the commit point
    "rate_limited",  # 429
    "overloaded",  # 503, 529, "overloaded_error" in a stream
    "server_error",  # 500, 502, 504 and other 5xx
    "protocol",  # not what the protocol says: malformed JSON, an HTML page, the wrong protocol
    "auth",  # 401, 403: our key is no good there
    "rejected",  # 400, 404, 413, 422: the request, or the model's name
    "filtered",  # the provider's content filter
]

BLAMELESS: frozenset[str] = frozenset({"auth", "rejected", "filtered"})
"""Say nothing about whether the deployment works: they eject nobody. ``auth`` is said loudly to the operator, and the
next deployment of the route is tried; ``rejected`` and ``filtered`` are the request's own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejection:
    """What a provider answered instead of what was asked for."""

    failure: Failure
    status: int
    message: str
    """The provider's own words, bounded, keys removed."""
    code: str | None = None
    """The provider's own code or type: ``context_length_exceeded``, ``overloaded_error``."""
    param: str | None = None
    retry_after_s: float | None = None
    """From ``retry-after-ms``, ``retry-after`` (seconds or date) or the provider's body; bounded to 0..3600."""
