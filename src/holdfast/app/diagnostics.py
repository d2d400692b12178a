"""What is wrong with a configuration file: one line per problem, with place and remedy.

The form is ``FILE:LINE: PATH: VALUE: what is wrong; remedy``. Parts that do not apply
are left out, so a missing file has neither line nor path. A line never holds a control
character or a secret, whatever the file says.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, TypeAlias

from holdfast.kernel import HoldfastError
from holdfast.telemetry.logs import MASK, is_secret_name

Path: TypeAlias = tuple[str | int, ...]
"""Keys and indexes from the root of the file."""

_SHOWN: Final = 80
"""Characters of a value that are shown; enough for any URL that is worth reading."""
_PLAIN_KEY: Final = re.compile(r"[A-Za-z0-9_\-]{1,64}")
_USERINFO: Final = re.compile(r"(?<=://)[^/@\s]*@")


_ANY: Final = None
_HIDDEN: Final = (
    ("gateway", "providers", _ANY, "key"),
    ("gateway", "providers", _ANY, "headers", _ANY),
    ("gateway", "providers", _ANY, "query", "key"),
    ("gateway", "providers", _ANY, "query", "code"),
    ("gateway", "execution", "key"),
    ("gateway", "mcp", _ANY, "environment", _ANY),
    ("gateway", "mcp", _ANY, "headers", _ANY),
    ("gateway", "tools", _ANY, "http", "headers", _ANY),
    ("gateway", "traces", "headers", _ANY),
)
"""Secrets whose names do not tell."""
_OPEN: Final = (
    ("gateway", "tools", _ANY, "input"),
    ("gateway", "tools", _ANY, "output"),
    ("gateway", "evaluations", _ANY, "graders", _ANY, "schema"),
)
"""JSON Schemas: a property named ``token`` is described in them, and has no value."""
_HARMLESS: Final = frozenset({"bytes_per_token", "first_token", "secrets", "secure_cookies"})
"""Settings whose names sound like secrets: figures, and what a guardrail does about secrets."""


def is_secret(path: Path) -> bool:
    """Whether the value of this setting is never shown."""
    if any(_begins(path, pattern) for pattern in _OPEN):
        return False
    last = path[-1] if path else None
    named = isinstance(last, str) and last not in _HARMLESS and is_secret_name(last)
    return named or any(_begins(path, pattern) for pattern in _HIDDEN)


def _begins(path: Path, pattern: tuple[str | None, ...]) -> bool:
    return len(path) >= len(pattern) and all(
        wanted in (_ANY, part) for part, wanted in zip(path, pattern, strict=False)
    )


def dotted(path: Path) -> str:
    """``balancer.pools.web.backends[0].url``; keys with other characters are quoted."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += ("." if text else "") + (part if _PLAIN_KEY.fullmatch(part) else quoted(part))
    return text


def quoted(text: str) -> str:
    """The text in double quotes, on one line, cut to a readable length."""
    cut = text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "..."
    safe = "".join(c if c.isprintable() or c in "\n\t" else c.encode("unicode_escape").decode("ascii") for c in cut)
    return json.dumps(safe, ensure_ascii=False)


def shown(value: object, path: Path, *, secret: bool = False) -> str:
    """A value as a problem shows it: masked when its key or its source is secret."""
    if secret or any(is_secret(path[:length]) for length in range(1, len(path) + 1)):
        return MASK
    if isinstance(value, str):
        return quoted(_USERINFO.sub(f"{MASK}@", value))
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(shown(item, path) for item in value[:5]) + (", ...]" if len(value) > 5 else "]")
    return str(value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnostic:
    """One problem. ``value`` is already fit to be shown."""

    message: str
    remedy: str
    line: int | None = None
    path: Path = ()
    value: str | None = None

    def render(self, file: str) -> str:
        """The line that the user reads."""
        place = file if self.line is None else f"{file}:{self.line}"
        parts = [place, dotted(self.path), self.value or "", f"{self.message}; {self.remedy}"]
        return ": ".join(part for part in parts if part)

    def record(self, file: str) -> dict[str, str | int | None]:
        """The same for a machine."""
        return {
            "file": file,
            "line": self.line,
            "path": dotted(self.path),
            "value": self.value,
            "message": self.message,
            "remedy": self.remedy,
        }


class ConfigError(HoldfastError):
    """The configuration cannot be used. Carries every problem that was found, in file order."""

    exit_code = 2

    def __init__(self, file: str, diagnostics: Iterable[Diagnostic]) -> None:
        self.file = file
        self.diagnostics = tuple(sorted(diagnostics, key=lambda d: d.line or 0))
        super().__init__("\n".join(d.render(file) for d in self.diagnostics))
