"""The OpenAPI document: what the framework derives from the routes, and what it cannot know."""

from __future__ import annotations

import functools
import operator
from collections.abc import Mapping
from functools import cache
from types import UnionType
from typing import Annotated, Any, Final, get_args, get_origin, get_type_hints

import msgspec

from holdfast.kernel import Duration, Size
from holdfast.netpulse.core.settings import MaintenanceSettings, MonitorSettings
from holdfast.netpulse.shell.api.alertmanager import Webhook
from holdfast.netpulse.shell.api.bodies import NewMaintenance, NewMonitor, NoteBody, SilenceBody, SimulationBody
from holdfast.netpulse.shell.api.problems import TYPES
from holdfast.web.openapi import problem_responses, problem_schema

_EVERYWHERE: Final = ("malformed-request", "unauthenticated", "forbidden", "request-rate", "store-unavailable")
_ALWAYS: Final = ("overloaded", "internal-error", "method-not-allowed")
_BODY: Final = ("payload-too-large", "unsupported-media-type", "invalid-request")
_ACT: Final = (*_BODY, "not-found", "conflict", "not-leading")
_CHANGE: Final = (*_ACT, "read-only")
_OWN: Final[Mapping[tuple[str, str], tuple[str, ...]]] = {
    ("get", "/v1/monitors"): ("invalid-request",),
    ("post", "/v1/monitors"): _CHANGE,
    ("put", "/v1/monitors/{id}"): _CHANGE,
    ("delete", "/v1/monitors/{id}"): ("not-found", "read-only", "conflict", "not-leading"),
    ("get", "/v1/incidents"): ("invalid-request", "not-found"),
    ("post", "/v1/incidents/{id}/ack"): _ACT,
    ("post", "/v1/incidents/{id}/resolve"): _ACT,
    ("post", "/v1/incidents/{id}/notes"): _ACT,
    ("post", "/v1/silences"): _ACT,
    ("delete", "/v1/silences/{id}"): ("not-found", "not-leading"),
    ("post", "/v1/maintenance"): _CHANGE,
    ("put", "/v1/maintenance/{id}"): _CHANGE,
    ("delete", "/v1/maintenance/{id}"): ("not-found", "read-only", "not-leading"),
    ("post", "/v1/channels/{id}/test"): ("not-found", "not-leading"),
    ("post", "/v1/simulate"): _ACT,
    ("post", "/v1/alertmanager"): _BODY,
    ("get", "/v1/events"): ("invalid-request", "too-many-streams"),
    ("get", "/readyz"): ("store-unavailable", "shutting-down"),
}
_READS: Final = ("invalid-request", "not-found")
"""Of everything else that has an id in its path."""
_OPEN: Final = frozenset({"/healthz", "/readyz", "/metrics", "/problems/{name}"})
_SECRET: Final = frozenset({"/v1/heartbeats/{token}", "/v1/heartbeats/{token}/fail", "/ack/{token}"})
_BODIES: Final[Mapping[tuple[str, str], type[msgspec.Struct]]] = {
    ("post", "/v1/monitors"): NewMonitor,
    ("put", "/v1/monitors/{id}"): MonitorSettings,
    ("post", "/v1/incidents/{id}/notes"): NoteBody,
    ("post", "/v1/silences"): SilenceBody,
    ("post", "/v1/maintenance"): NewMaintenance,
    ("put", "/v1/maintenance/{id}"): MaintenanceSettings,
    ("post", "/v1/simulate"): SimulationBody,
    ("post", "/v1/alertmanager"): Webhook,
}
_EXAMPLES: Final[Mapping[str, Mapping[str, Any]]] = {
    "/v1/monitors": {
        "a web page": {"value": {"id": "web", "interval": "30s", "http": {"url": "https://www.example.com/"}}},
        "a nightly job": {"value": {"id": "backup", "heartbeat": {"period": "1d", "grace": "1h"}}},
    },
    "/v1/silences": {"two hours": {"value": {"match": {"group": "Shop"}, "for": "2h", "comment": "moving"}}},
    "/v1/simulate": {"an outage": {"value": {"monitor": "web", "kind": "down", "for": "5m"}}},
}


def document(derived: dict[str, Any]) -> dict[str, Any]:
    """The framework's document, completed."""
    kinds = list(dict.fromkeys(_BODIES.values()))
    refs, parts = msgspec.json.schema_components(
        [_worded(kind) for kind in kinds], ref_template="#/components/schemas/{name}"
    )
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
    if path in _OPEN or path in _SECRET:
        operation["security"] = []
        everywhere = ("request-rate", "store-unavailable") if path in _SECRET else ()
    responses = operation["responses"]
    responses.pop("400", None)  # the framework's own form of errors, which nobody ever sees
    own = _OWN.get((method, path), _READS if "{" in path else ())
    responses |= problem_responses((*everywhere, *_ALWAYS, *own), TYPES)
    if path == "/v1/events":
        responses["200"]["content"] = {"text/event-stream": {"schema": {"type": "string"}}}
    if path == "/ack/{token}":
        responses["410"] = {"description": "The link has expired."}


_DURATION: Final = Annotated[str, msgspec.Meta(description="A number with a unit.", examples=["30s", "5m", "1d"])]
_SIZE: Final = Annotated[str, msgspec.Meta(description="A number with a unit.", examples=["64KiB"])]


@cache
def _worded(kind: type[msgspec.Struct]) -> type[msgspec.Struct]:
    """The same struct with the texts that durations and sizes are in JSON, which a schema can be made of."""
    hints = get_type_hints(kind)
    fields: list[Any] = []
    for field in msgspec.structs.fields(kind):
        if field.default_factory is not msgspec.NODEFAULT:
            default: Any = msgspec.field(name=field.encode_name, default_factory=field.default_factory)
        elif isinstance(field.default, Duration | Size):
            default = msgspec.field(name=field.encode_name, default=str(field.default))
        else:
            default = msgspec.field(name=field.encode_name, default=field.default)
        fields.append((field.name, _worded_type(hints[field.name]), default))
    strict = kind.__struct_config__.forbid_unknown_fields
    return msgspec.defstruct(
        kind.__name__, fields, kw_only=True, forbid_unknown_fields=strict, namespace={"__doc__": kind.__doc__}
    )


def _worded_type(kind: Any) -> Any:
    if kind is Duration:
        return _DURATION
    if kind is Size:
        return _SIZE
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return _worded(kind)
    parts = tuple(_worded_type(part) for part in get_args(kind))
    if parts == get_args(kind):
        return kind
    return functools.reduce(operator.or_, parts) if isinstance(kind, UnionType) else get_origin(kind)[parts]
