"""What can be wrong with a request to this API, beyond what can be with any (see :mod:`holdfast.web.problems`)."""

from __future__ import annotations

from typing import Final

from holdfast.web import problems
from holdfast.web.problems import COMMON, ProblemType, catalogue

TYPES: Final = catalogue(
    *COMMON.values(),
    ProblemType(
        "expired", 410, "It has expired", "It was there, and was removed after the time that the job's expires_at told."
    ),
    ProblemType(
        "idempotency-conflict",
        409,
        "The idempotency key was used for something else",
        "The same Idempotency-Key came with another body. Use a new key for a new job.",
    ),
    ProblemType(
        "unknown-language", 422, "There is no such language", "GET /v1/runtimes lists the languages that there are."
    ),
    ProblemType(
        "runtime-unavailable",
        422,
        "No worker can run this language",
        "The language is known, but the workers that are there do not offer it. GET /v1/runtimes says which do.",
    ),
    ProblemType(
        "submit-rate", 429, "Too many submissions", "The tenant submits more jobs per second than it may; slow down."
    ),
    ProblemType(
        "tenant-backlog",
        429,
        "The tenant has too much queued",
        "The tenant's queued jobs would take longer than is allowed at its share of the workers. Nothing that was"
        " accepted is lost; submit again after Retry-After, which is computed from how fast the queue drains.",
    ),
    ProblemType("daily-quota", 429, "The tenant's quota of today is used up", "It starts anew at midnight UTC."),
    ProblemType(
        "total-backlog",
        503,
        "The queue is full",
        "All queued jobs together would take longer than is allowed. Submit again after Retry-After.",
    ),
    ProblemType("storage-short", 503, "Storage runs short", "The store has too little room left to accept jobs."),
    ProblemType(
        "store-unavailable",
        503,
        "The store does not answer",
        "Nothing is known of what became of a submission: repeat it with the same Idempotency-Key.",
    ),
)
"""Every type by name; documentation and tests go by it."""


class ProblemError(problems.ProblemError):
    """A request ends with a problem of :data:`TYPES`."""

    types = TYPES
