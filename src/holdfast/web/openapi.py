"""The OpenAPI document of an API: its head, and problems, which the web framework cannot know."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any, Final

from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.openapi.spec import Components, SecurityScheme

from holdfast import __version__
from holdfast.web.problems import MEDIA_TYPE, ProblemType

_RETRY_AFTER: Final = {
    "Retry-After": {"description": "Seconds until it is worth trying again.", "schema": {"type": "integer"}}
}


def openapi_config(title: str, description: str) -> OpenAPIConfig:
    """What the framework puts around the routes: every operation wants a key unless it says otherwise."""
    return OpenAPIConfig(
        title=title,
        version=__version__,
        description=description,
        use_handler_docstrings=True,
        render_plugins=[JsonRenderPlugin(path="/")],  # one is required; the front answers before it is asked
        security=[{"bearer": []}, {"header": []}],
        components=Components(
            security_schemes={
                "bearer": SecurityScheme(type="http", scheme="bearer", description="An API key: `hf_...`."),
                "header": SecurityScheme(type="apiKey", security_scheme_in="header", name="X-API-Key"),
            }
        ),
    )


def problem_schema(types: Mapping[str, ProblemType]) -> dict[str, Any]:
    """The schema ``Problem``."""
    return {
        "type": "object",
        "description": "Problem details (RFC 9457).",
        "required": ["type", "title", "status", "detail"],
        "properties": {
            "type": {"type": "string", "format": "uri-reference", "enum": [kind.uri for kind in types.values()]},
            "title": {"type": "string"},
            "status": {"type": "integer"},
            "detail": {"type": "string", "description": "What is wrong and what to do, for people."},
            "field": {"type": "string", "description": "Path of the value that was refused, like `files[2].path`."},
            "errors": {
                "type": "array",
                "description": "All that is wrong, when more than the first is known.",
                "items": {
                    "type": "object",
                    "required": ["path", "message", "remedy"],
                    "properties": {name: {"type": "string"} for name in ("path", "message", "remedy")},
                },
            },
            "retry_after_s": {"type": "number", "description": "As the header Retry-After, but not rounded up."},
        },
    }


def problem_responses(names: Iterable[str], types: Mapping[str, ProblemType]) -> dict[str, Any]:
    """The answers of an operation that can end with these problems, by status."""
    by_status: dict[int, list[str]] = defaultdict(list)
    for name in names:
        by_status[types[name].status].append(name)
    return {
        str(status): {
            "description": "; ".join(f"`{types[name].uri}`: {types[name].title.lower()}" for name in found),
            "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
            **({"headers": _RETRY_AFTER} if status in {429, 503} else {}),
        }
        for status, found in sorted(by_status.items())
    }
