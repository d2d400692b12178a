"""JSON Schemas in the part of the language that Anthropic's structured outputs understand.

The API refuses a schema with objects that are open, and with bounds of numbers, lengths and sizes (Anthropic,
"Structured outputs", limitations). An object about which nothing is said is closed here, which is what a client of
OpenAI's strict mode has to write anyway; everything else that is outside the part makes the schema unfit, and then the
model is asked in words instead of being held to less than was asked for.
"""

from __future__ import annotations

from typing import Any

from holdfast.gateway.core.conversation import JsonObject

_PLAIN = frozenset(
    {"type", "description", "title", "enum", "const", "default", "$ref", "required", "format", "pattern"}
)
_LISTS = frozenset({"anyOf", "allOf"})
_TABLES = frozenset({"properties", "$defs", "definitions"})
_DEPTH = 64


def fitted(schema: JsonObject, *, depth: int = _DEPTH) -> dict[str, Any] | None:
    """The schema with its objects closed; ``None`` when it says what cannot be held to."""
    result: dict[str, Any] = {}
    for key, value in schema.items():
        if key in _PLAIN or (key == "minItems" and value in (0, 1)):
            result[key] = value
        elif key in _LISTS:
            variants = _each(value, depth)
            if variants is None:
                return None
            result[key] = variants
        elif key in _TABLES:
            inner = _each(list(value.values()), depth) if isinstance(value, dict) else None
            if inner is None:
                return None
            result[key] = dict(zip(value, inner, strict=True))
        elif key == "items":
            one = _each([value], depth)
            if one is None:
                return None
            result[key] = one[0]
        elif key in ("$schema", "$id"):
            continue
        elif key != "additionalProperties" or value is not False:
            return None
    kind = schema.get("type")
    if kind == "object" or (isinstance(kind, list) and "object" in kind):
        result["additionalProperties"] = False
    return result


def _each(schemas: object, depth: int) -> list[dict[str, Any]] | None:
    if not isinstance(schemas, list) or depth == 0:
        return None
    fits = []
    for schema in schemas:
        fit = fitted(schema, depth=depth - 1) if isinstance(schema, dict) else None
        if fit is None:
            return None
        fits.append(fit)
    return fits
