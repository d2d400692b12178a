"""The OpenAPI document: what the framework derives from the routes, and what it cannot know.

It knows paths, parameters and bodies. Added here: problems by status with all their types,
examples, and the workers' two endpoints, which are no routes of the framework.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from holdfast.execution.shell.api.problems import TYPES
from holdfast.web.openapi import problem_responses, problem_schema

_EVERYWHERE: Final = ("malformed-request", "unauthenticated", "forbidden", "request-rate", "store-unavailable")
_ALWAYS: Final = ("overloaded", "internal-error", "method-not-allowed")
_BODY: Final = ("payload-too-large", "unsupported-media-type", "invalid-request")
_SUBMIT: Final = (
    *_BODY,
    "unknown-language",
    "runtime-unavailable",
    "idempotency-conflict",
    "submit-rate",
    "tenant-backlog",
    "daily-quota",
    "total-backlog",
    "storage-short",
)
_OWN: Final[Mapping[tuple[str, str], tuple[str, ...]]] = {
    ("post", "/v1/jobs"): _SUBMIT,
    ("post", "/v1/batches"): _SUBMIT,
    ("get", "/v1/jobs"): ("invalid-request",),
    ("get", "/v1/jobs/{id}"): ("not-found", "invalid-request", "too-many-streams"),
    ("delete", "/v1/jobs/{id}"): ("not-found",),
    ("get", "/v1/jobs/{id}/program"): ("not-found", "expired"),
    ("get", "/v1/jobs/{id}/events"): ("not-found", "invalid-request", "too-many-streams"),
    ("get", "/v1/costs"): ("invalid-request",),
    ("get", "/v1/audit"): ("invalid-request",),
    ("get", "/v1/dead-letters"): ("invalid-request",),
    ("post", "/v1/dead-letters/replay"): (
        *_BODY,
        "tenant-backlog",
        "daily-quota",
        "total-backlog",
        "storage-short",
    ),
    ("get", "/v1/callbacks/dead-letters"): ("invalid-request",),
    ("post", "/v1/callbacks/dead-letters/replay"): _BODY,
    ("post", "/v1/callbacks/secrets/rotate"): _BODY,
    ("post", "/internal/v1/sync"): ("payload-too-large", "invalid-request"),
    ("post", "/internal/v1/report"): ("payload-too-large", "invalid-request"),
    ("get", "/problems/{name}"): ("not-found",),
    ("get", "/readyz"): ("store-unavailable", "shutting-down"),
}
_OPEN: Final = frozenset({"/healthz", "/readyz", "/metrics", "/problems/{name}"})
_JOB: Final = {"language": "python", "source": "print(input()[::-1])", "stdin": "tsafdloh", "limits": {"wall": "2s"}}
_EXAMPLES: Final[Mapping[str, Mapping[str, Any]]] = {
    "/v1/jobs": {
        "one source": {"value": _JOB},
        "several files": {
            "value": {
                "language": "python",
                "files": [
                    {"path": "main.py", "content": "import greet\ngreet.hello()"},
                    {"path": "greet.py", "content": "def hello():\n    print('hello')"},
                ],
                "entry": "main.py",
                "deadline": "10m",
                "metadata": {"exercise": 7},
            }
        },
    },
    "/v1/batches": {"two jobs": {"value": {"jobs": [_JOB, {**_JOB, "stdin": "sevael"}]}}},
    "/v1/dead-letters/replay": {
        "by filter": {"value": {"language": "python"}},
        "all": {"value": {"all": True}},
    },
}


def document(derived: dict[str, Any]) -> dict[str, Any]:
    """The framework's document, completed."""
    paths = {**derived["paths"], **_workers()}
    for path, item in paths.items():
        for method, operation in item.items():
            _complete(method, path, operation)
    components = derived["components"]
    components["schemas"]["Problem"] = problem_schema(TYPES)
    return {**derived, "paths": dict(sorted(paths.items())), "components": components}


def _complete(method: str, path: str, operation: dict[str, Any]) -> None:
    operation.pop("deprecated", None)
    if path in _OPEN:
        operation["security"] = []
    responses = operation["responses"]
    responses.pop("400", None)  # the framework's own form of errors, which nobody ever sees
    everywhere: tuple[str, ...] = () if path in _OPEN else _EVERYWHERE
    if path.startswith("/internal/"):
        everywhere = tuple(name for name in _EVERYWHERE if name != "request-rate")  # workers are not slowed down
    responses |= problem_responses((*everywhere, *_ALWAYS, *_OWN.get((method, path), ())), TYPES)
    if path == "/v1/jobs/{id}/events":
        responses["200"]["content"] = {"text/event-stream": {"schema": {"type": "string"}}}
        responses["204"] = {"description": "Nothing comes after Last-Event-ID: the job has ended."}
    if path in _EXAMPLES and "requestBody" in operation:
        operation["requestBody"]["content"]["application/json"]["examples"] = _EXAMPLES[path]


def _workers() -> dict[str, Any]:
    message = {"application/msgpack": {"schema": {"type": "string", "format": "binary"}}}
    return {
        f"/internal/v1/{name}": {
            "post": {
                "summary": summary,
                "operationId": f"Internal{name.capitalize()}",
                "description": "For workers: MessagePack of the messages in `holdfast.execution.core.protocol`.",
                "requestBody": {"content": message, "required": True},
                "responses": {"200": {"description": answer, "content": message}},
            }
        }
        for name, summary, answer in (
            ("sync", "Say what there is room for, and wait for orders", "Orders: jobs to run, jobs to kill."),
            ("report", "Say what happened", "A receipt: it is committed."),
        )
    }
