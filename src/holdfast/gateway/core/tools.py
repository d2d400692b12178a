"""Tools: which of them a caller may use, what they are called to a model, and what may go in and come out.

A tool is named by its operator, ``search``, or after the server that has it, ``files.read``. Models are told a name
without dots (``files__read``), because that is all that the providers' protocols take.

Scopes. A tool's ``scope`` says what using it can do, and a caller needs all of these scopes of its key:

- ``read``: ``gateway:use``.
- ``write``: ``gateway:use`` and ``jobs:write``, the scope of those who may have work done. A viewer has neither; a key
  that was narrowed to ``gateway:use`` asks models and reads, and changes nothing.
- ``admin``: ``gateway:use`` and ``gateway:admin``.

What a tool answers is what a stranger wrote: it is bounded, and judged for signs of an injection where the guardrails
say so. It is never read as an instruction of ours.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any, Final, Literal, TypeAlias

from holdfast.gateway.core.guard.guard import REMOVED
from holdfast.gateway.core.guard.injection import suspicion
from holdfast.gateway.core.ports import Finding
from holdfast.gateway.core.settings import GuardSettings
from holdfast.gateway.errors import Refused

ToolScope: TypeAlias = Literal["read", "write", "admin"]

NEEDED: Final[Mapping[ToolScope, tuple[str, ...]]] = {
    "read": ("gateway:use",),
    "write": ("gateway:use", "jobs:write"),
    "admin": ("gateway:use", "gateway:admin"),
}
"""Scopes of a key, all of which a tool of that scope asks for."""

ARGUMENTS_BYTES: Final = 256 * 1024
"""Of JSON text. A program with its files fits; a model's output limit is a fraction of it."""
RESULT_BYTES: Final = 1024 * 1024
"""That a tool may answer. More is an error and not a part: half of a JSON document is none."""
TOLD_CHARACTERS: Final = 65_536
"""Of a result that a model is told; about 16,000 tokens, an eighth of a common context."""
SCHEMA_BYTES: Final = 64 * 1024
SCHEMA_DEPTH: Final = 32
DESCRIPTION_CHARACTERS: Final = 4096
WIRE_NAME_CHARACTERS: Final = 64
"""https://platform.openai.com/docs/api-reference/chat/create: ``a-z, A-Z, 0-9``, ``_`` and ``-``, at most 64."""

_UNSPEAKABLE: Final = re.compile(r"[^A-Za-z0-9_-]")


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolSpec:
    """What is known of a tool before it is called."""

    name: str
    description: str
    schema: Mapping[str, Any]
    """JSON Schema of its arguments; of an object always."""
    output: Mapping[str, Any] | None = None
    """JSON Schema of its result."""
    scope: ToolScope = "read"
    timeout_s: float = 30.0
    kind: Literal["http", "execution", "mcp"] = "http"


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What a tool answered."""

    text: str
    """JSON, unless the tool speaks plain text (MCP)."""
    is_error: bool = False
    """The tool did its work and says that it failed: something to tell a model, unlike a :class:`Refused`."""
    is_json: bool = True
    findings: tuple[Finding, ...] = ()


def permitted(scope: ToolScope, held: Collection[str]) -> str | None:
    """The scope that a key lacks for a tool; ``None`` when it may use it."""
    return next((needed for needed in NEEDED[scope] if needed not in held), None)


def digest(text: str) -> str:
    """SHA-256 of a text as UTF-8, in hexadecimal: what the audit trail has instead of the text."""
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def wire_names(names: Iterable[str]) -> dict[str, str]:
    """What models are told -> the tool's name.

    Every name gets one, no two the same, and each name always the same whichever others there are, unless they collide.
    """
    told: dict[str, str] = {}
    for name in sorted(names):
        short = _UNSPEAKABLE.sub("_", name.replace(".", "__"))
        if len(short) > WIRE_NAME_CHARACTERS or short in told:
            short = f"{short[: WIRE_NAME_CHARACTERS - 9]}_{digest(name)[:8]}"
        told[short] = name
    return told


def schema_fault(schema: Mapping[str, Any]) -> str | None:
    """Why a schema will not do, before anything is checked by it; ``None`` when it will.

    References lead into the schema itself: nothing is fetched. Its keywords are checked where it is used.
    """
    kind = schema.get("type", "object")
    if kind != "object":
        return f"its type is {kind!r}; arguments are an object"
    return _fault(schema, 0)


def _fault(value: Any, depth: int) -> str | None:
    if depth > SCHEMA_DEPTH:
        return f"it is nested deeper than {SCHEMA_DEPTH}"
    if isinstance(value, Mapping):
        for name, each in value.items():
            if name in ("$ref", "$dynamicRef", "$recursiveRef") and not (isinstance(each, str) and each[:1] == "#"):
                return f"{name} leads outside of it; put what it names under $defs"
            if (fault := _fault(each, depth + 1)) is not None:
                return fault
    elif isinstance(value, list | tuple):
        for each in value:
            if (fault := _fault(each, depth + 1)) is not None:
                return fault
    return None


def judged(result: Result, settings: GuardSettings | None, *, tool: str) -> Result:
    """A result after the injection heuristics of a guardrail policy, if it has them for what comes in.

    Raises :class:`Refused` (``blocked``) where the policy blocks, or fails closed.
    """
    if settings is None or settings.injection is None or not settings.before:
        return result
    where = f"tools.{tool}.result"
    try:
        found = suspicion(result.text)
    except Exception:  # noqa: BLE001 - whatever it does, the policy says what that means
        if settings.fail_closed:
            raise Refused("blocked", f"{where}: a guardrail failed, and this policy fails closed") from None
        return _noted(result, "guard.failed", "flag", where, None)
    if found.score < settings.injection_score:
        return result
    if settings.injection == "block":
        signs = ", ".join(found.rules)
        raise Refused("blocked", f"{where}: blocked by a guardrail (injection). Signs: {signs}.", code="injection")
    noted = _noted(result, "injection", settings.injection, where, found.score)
    return replace(noted, text=REMOVED, is_json=False) if settings.injection == "redact" else noted


def told(result: Result) -> str:
    """As much of a result as a model is told, and a word about the rest."""
    if len(result.text) <= TOLD_CHARACTERS:
        return result.text
    left = len(result.text) - TOLD_CHARACTERS
    return f"{result.text[:TOLD_CHARACTERS]}\n[cut here: {left} more characters]"


def _noted(result: Result, rule: str, action: str, where: str, score: float | None) -> Result:
    finding = Finding(rule=rule, action=action, where=where, score=score)
    return replace(result, findings=(*result.findings, finding))
