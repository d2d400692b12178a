"""What was taken out of a request, and where it has to go back in the answer.

Lives as long as the request, and is shown to nobody: ``repr`` says how much is in it, never what.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable

from holdfast.gateway.core.guard.detector import Detector, Span, Verdict

_NAME = "[A-Z]{2,12}_[0-9]{1,6}"


class Vault:
    """Values and their placeholders: the same value has the same one, in the whole request."""

    __slots__ = ("_by_placeholder", "_by_value", "_counts", "_taken")

    def __init__(self) -> None:
        self._by_value: dict[tuple[str, str], str] = {}
        self._by_placeholder: dict[str, str] = {}
        self._counts: dict[str, int] = {}
        self._taken: frozenset[str] = frozenset()

    def __bool__(self) -> bool:
        return bool(self._by_placeholder)

    def __repr__(self) -> str:
        return f"<Vault of {len(self._by_placeholder)}>"

    def avoid(self, texts: Iterable[str]) -> None:
        """Texts of the request: what looks like a placeholder in them is the client's own, and none of ours."""
        self._taken = frozenset(f"<{name}>" for text in texts for name in JSON_PLACEHOLDERS.pattern.findall(text))

    def put(self, label: str, value: str) -> str:
        """A value goes in, its placeholder comes out: ``<EMAIL_1>``."""
        known = self._by_value.get((label, value))
        if known is not None:
            return known
        while True:
            count = self._counts[label] = self._counts.get(label, 0) + 1
            placeholder = f"<{label}_{count}>"
            if placeholder not in self._taken:
                break
        self._by_value[label, value] = placeholder
        self._by_placeholder[placeholder] = value
        return placeholder

    def value(self, name: str, *, as_json: bool) -> str | None:
        """What belongs in the place of a placeholder; ``None`` when it is none of ours.

        Args:
            name: Of the placeholder, without its brackets: ``EMAIL_1``.
            as_json: Whether it stands inside a JSON string, and is escaped for it.
        """
        value = self._by_placeholder.get(f"<{name}>")
        if value is None or not as_json:
            return value
        return json.dumps(value, ensure_ascii=False)[1:-1]


def _confirm(match: re.Match[str]) -> Verdict:
    return (Span(match.start(), match.end(), match[1]),), match.end()


PLACEHOLDERS = Detector(
    name="placeholders",
    pattern=re.compile(rf"<({_NAME})>"),
    begun=re.compile(r"<[A-Z]{0,12}(?:_[0-9]{0,6}>?)?\Z"),
    reach=48,
    trigger="<",
    bud="(?!)",
    anchors=("<",),
    confirm=_confirm,
)
"""Finds what may be a placeholder of ours; the rule of its spans is the name."""

# Models and JSON encoders write an angle bracket inside a string as it is, or as its escape.
_OPEN, _CLOSE = r"(?:<|\\u003[cC])", r"(?:>|\\u003[eE])"
_ESCAPE_BEGUN = r"\\(?:u(?:0(?:0(?:3)?)?)?)?"

JSON_PLACEHOLDERS = Detector(
    name="placeholders",
    pattern=re.compile(rf"{_OPEN}({_NAME}){_CLOSE}"),
    begun=re.compile(rf"{_OPEN}[A-Z]{{0,12}}(?:_[0-9]{{0,6}}(?:{_ESCAPE_BEGUN}|{_CLOSE})?)?\Z|{_ESCAPE_BEGUN}\Z"),
    reach=48,
    trigger="<\\",
    bud="(?!)",
    anchors=("<", "\\u003"),
    confirm=_confirm,
)
"""The same inside JSON."""
