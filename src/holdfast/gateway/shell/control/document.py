"""The OpenAPI document: what the framework derives from the routes, and what it cannot know."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from holdfast.gateway.shell.control.bodies import ChangedKey, NewKey, ReconcileBody
from holdfast.gateway.shell.control.problems import TYPES
from holdfast.web.openapi import problem_responses, problem_schema

if TYPE_CHECKING:
    from collections.abc import Mapping

_EVERYWHERE: Final = ("malformed-request", "unauthenticated", "forbidden", "request-rate", "store-unavailable")
_ALWAYS: Final = ("overloaded", "internal-error", "method-not-allowed")
_BODY: Final = ("payload-too-large", "unsupported-media-type", "invalid-request")
_OWN: Final[Mapping[tuple[str, str], tuple[str, ...]]] = {
    ("get", "/v1/usage"): ("invalid-request",),
    ("get", "/v1/costs"): ("invalid-request",),
    ("get", "/v1/usage/export"): ("invalid-request",),
    ("get", "/v1/budgets"): ("not-found",),
    ("post", "/v1/usage/reconcile"): _BODY,
    ("post", "/v1/keys"): _BODY,
    ("get", "/v1/keys"): ("invalid-request",),
    ("patch", "/v1/keys/{id}"): (*_BODY, "not-found"),
    ("get", "/admin/deployments"): ("not-found",),
    ("get", "/admin/models"): ("not-found",),
    ("get", "/admin/explain"): ("invalid-request", "not-found"),
    ("get", "/readyz"): ("not-ready", "shutting-down"),
}
_OPEN: Final = frozenset({"/healthz", "/readyz", "/metrics", "/problems/{name}"})
_BODIES: Final[Mapping[tuple[str, str], type[msgspec.Struct]]] = {
    ("post", "/v1/usage/reconcile"): ReconcileBody,
    ("post", "/v1/keys"): NewKey,
    ("patch", "/v1/keys/{id}"): ChangedKey,
}
_EXAMPLES: Final[Mapping[str, Mapping[str, Any]]] = {
    "/v1/keys": {
        "a team's key": {
            "value": {
                "name": "search in production",
                "team": "search",
                "limits": {"models": ["gpt-*"], "daily_usd": 20, "requests_per_minute": 600},
                "expires": "90d",
            }
        }
    },
    "/v1/usage/reconcile": {
        "one attempt": {"value": {"attempts": [{"attempt": "gw-1-1", "input_tokens": 12, "output_tokens": 40}]}}
    },
}


def document(derived: dict[str, Any]) -> dict[str, Any]:
    """The framework's document, completed."""
    kinds = list(_BODIES.values())
    refs, parts = msgspec.json.schema_components(kinds, ref_template="#/components/schemas/{name}")
    bodies = dict(zip(kinds, refs, strict=True))
    for path, item in derived["paths"].items():
        for method, operation in item.items():
            _complete(method, path, operation)
            if (method, path) in _BODIES:
                content: dict[str, Any] = {"schema": bodies[_BODIES[method, path]]}
                if path in _EXAMPLES:
                    content["examples"] = _EXAMPLES[path]
                operation["requestBody"] = {"required": True, "content": {"application/json": content}}
    components = derived["components"]
    components["schemas"] = {**components.get("schemas", {}), **parts, "Problem": problem_schema(TYPES)}
    return {**derived, "paths": dict(sorted(derived["paths"].items())), "components": components}


def _complete(method: str, path: str, operation: dict[str, Any]) -> None:
    operation.pop("deprecated", None)
    everywhere: tuple[str, ...] = _EVERYWHERE
    if path in _OPEN:
        operation["security"] = []
        everywhere = ()
    responses = operation["responses"]
    responses.pop("400", None)  # the framework's own form of errors, which nobody ever sees
    own = _OWN.get((method, path), ("not-found",) if "{" in path else ())
    responses |= problem_responses((*everywhere, *_ALWAYS, *own), TYPES)
    if path == "/v1/usage/export":
        responses["200"]["content"] = {
            name: {"schema": {"type": "string"}} for name in ("text/csv", "application/jsonl")
        }
