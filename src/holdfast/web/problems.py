"""What can be wrong with a request: one type for each, as problem details (RFC 9457).

``type`` is a relative reference; a GET of it explains the type (:func:`explanation`). A client
decides by ``type``, never by the text of ``detail``, which is for people: it names the field,
what is wrong with it and what to do.

An API adds types of its own by a subclass of :class:`ProblemError` with more ``types``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Final

import msgspec

MEDIA_TYPE: Final = "application/problem+json"


@dataclass(frozen=True, slots=True)
class ProblemType:
    """A kind of problem. ``about`` is for the reader of its page."""

    name: str
    status: int
    title: str
    about: str

    @property
    def uri(self) -> str:
        """The ``type`` of its problems."""
        return f"/problems/{self.name}"


def catalogue(*types: ProblemType) -> Mapping[str, ProblemType]:
    """By name; of two with the same name the later one counts."""
    return {each.name: each for each in types}


COMMON: Final = catalogue(
    ProblemType("malformed-request", 400, "The request cannot be read", "The body is not JSON, or a header is wrong."),
    ProblemType(
        "unauthenticated",
        401,
        "No valid API key",
        "Send 'Authorization: Bearer KEY' or 'X-API-Key: KEY'. The key may be mistyped, revoked or expired.",
    ),
    ProblemType("forbidden", 403, "The key may not do this", "The key is valid, but lacks the scope that is named."),
    ProblemType(
        "not-found", 404, "Not found", "There is no such thing, or it belongs to another tenant; which is not told."
    ),
    ProblemType("method-not-allowed", 405, "The method is not allowed here", "See /schema for what this path takes."),
    ProblemType(
        "payload-too-large",
        413,
        "The request is too large",
        "The body or a part of it is over its limit; see detail.",
    ),
    ProblemType(
        "unsupported-media-type",
        415,
        "The body has the wrong type",
        "Send Content-Type: application/json and JSON.",
    ),
    ProblemType(
        "invalid-request",
        422,
        "A field of the request is invalid",
        "'field' is the path of the value that was refused; detail says why and what is accepted.",
    ),
    ProblemType(
        "request-rate",
        429,
        "Too many requests",
        "The tenant sends more requests per second than it may; slow down.",
    ),
    ProblemType(
        "too-many-streams",
        429,
        "Too many requests are held open",
        "The tenant has as many event streams and long polls open as it may. Close one.",
    ),
    ProblemType("internal-error", 500, "Internal error", "This is a fault of the service; its log says more."),
    ProblemType(
        "store-unavailable",
        503,
        "The store does not answer",
        "Nothing is known of what became of a change: look, then repeat it.",
    ),
    ProblemType("overloaded", 503, "Too many requests at once", "The service works on as many as it may; try again."),
    ProblemType("shutting-down", 503, "The service is shutting down", "Another process answers soon; try again."),
)
"""What can be wrong anywhere."""


class Fault(msgspec.Struct, frozen=True):
    """One of several things that are wrong with a body."""

    path: str
    """Of the value, like ``monitor.http.url``."""
    message: str
    remedy: str


"""Every type by name; documentation and tests go by it."""


class Problem(msgspec.Struct, omit_defaults=True, kw_only=True):
    """Problem details (RFC 9457) as they are sent."""

    type: str
    title: str
    status: int
    detail: str
    field: str | None = None
    """Path of the offending value in the request, like ``files[2].path``."""
    errors: tuple[Fault, ...] = ()
    """All that is wrong, when more than the first is known."""
    retry_after_s: float | None = None
    """When it is worth trying again; also in the header ``Retry-After``, rounded up."""


class ProblemError(Exception):
    """A request ends with a problem. Raised by endpoints, answered in one place."""

    types: ClassVar[Mapping[str, ProblemType]] = COMMON
    """Those that there are; documentation and tests go by it."""

    def __init__(
        self,
        name: str,
        detail: str,
        *,
        field: str | None = None,
        errors: Sequence[Fault] = (),
        retry_after_s: float | None = None,
    ) -> None:
        """``name`` is one of ``types``."""
        super().__init__(detail)
        self.kind = self.types[name]
        self.detail = detail
        self.field = field
        self.errors = tuple(errors)
        self.retry_after_s = retry_after_s

    @property
    def status(self) -> int:
        """The status code of the answer."""
        return self.kind.status

    def body(self) -> bytes:
        """The answer's body."""
        return msgspec.json.encode(
            Problem(
                type=self.kind.uri,
                title=self.kind.title,
                status=self.kind.status,
                detail=self.detail,
                field=self.field,
                errors=self.errors,
                retry_after_s=None if self._wait_s is None else round(self._wait_s, 3),
            )
        )

    def headers(self) -> dict[str, str]:
        """The answer's headers, but for type and length."""
        headers: dict[str, str] = {}
        if self._wait_s is not None:
            headers["retry-after"] = str(max(1, math.ceil(self._wait_s)))
        if self.status == 401:
            headers["www-authenticate"] = 'Bearer realm="holdfast"'
        return headers

    @property
    def _wait_s(self) -> float | None:
        # A 429 or 503 without a time makes clients guess, and they guess "now".
        return 1.0 if self.retry_after_s is None and self.status in {429, 503} else self.retry_after_s


class Explanation(msgspec.Struct):
    """What a problem type means."""

    type: str
    title: str
    status: int
    about: str


def explanation(name: str, types: Mapping[str, ProblemType]) -> Explanation:
    """The page behind a ``type``. Raises :class:`ProblemError` for a name that is none."""
    kind = types.get(name)
    if kind is None:
        raise ProblemError(
            "not-found", f"there is no problem type {name[:100]!r}; see /schema for those that there are"
        )
    return Explanation(kind.uri, kind.title, kind.status, kind.about)
