"""All detectors of one policy over one text.

What two detectors find in one place is one finding for each, and is replaced once, as a whole.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from holdfast.gateway.core.guard.detector import Detector, Span
from holdfast.gateway.core.guard.words import AllowList

_ESCAPE = re.compile(r"\\(?:u[0-9a-fA-F]{4}|[^u])")
_ESCAPE_BEGUN = re.compile(r"\\(?:u[0-9a-fA-F]{0,3})?\Z")


_LONGEST_BUD = 1024
PLACEHOLDER_CHARS = "<\\"
"""What a placeholder of the vault begins with, and what an escape in JSON begins with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan:
    """What one look at a text gave."""

    spans: Sequence[Span] = ()
    """By start; they may overlap."""
    also: Sequence[Span] = ()
    """What the additional detector found."""
    regions: Sequence[tuple[int, int]] = ()
    """What was looked at as one."""
    safe: int
    """Everything before this is decided, whatever comes next."""


class Scanner:
    """Finds what a policy looks for. Immutable: made once, used by all requests.

    Args:
        detectors: In the order of their importance.
        allow: What is never a finding.
    """

    def __init__(self, detectors: Sequence[Detector], allow: AllowList) -> None:
        self._detectors = tuple(detectors)
        self._allow = allow
        chars = "".join(detector.trigger for detector in detectors) + PLACEHOLDER_CHARS
        self._trigger = re.compile(f"[{re.escape(chars)}]")
        words = [word for detector in detectors for word in detector.words]
        self._words = re.compile("|".join(map(re.escape, words)), re.IGNORECASE) if words else None
        self._bud = re.compile("|".join(detector.bud for detector in reversed(self._detectors)) or r"(?!)")
        self._bud_has_blanks = any(" " in word for word in words)
        self._always = any(detector.always for detector in detectors)

    def __bool__(self) -> bool:
        return bool(self._detectors)

    def whole(self, text: str, *, json: bool = False, failed: Callable[[], None]) -> tuple[Span, ...]:
        """What stands in a text that is complete.

        Args:
            text: Any.
            json: Whether it is JSON as text: an escape is no letter then.
            failed: Called when a detector raised; may raise.
        """
        return tuple(self._look(unescaped(text) if json else text, 0, [], failed))

    def _is_empty(self, text: str, pos: int) -> bool:
        """Whether nothing can be in a text, by what every finding and every placeholder has of characters or words."""
        if self._always or self._trigger.search(text, pos) is not None:
            return False
        return self._words is None or self._words.search(text, pos) is None

    def quiet(self, text: str, pos: int) -> int | None:
        """For a text that goes on and has nothing in it: what of it is decided. ``None``: :meth:`piece` has to look."""
        if not self._is_empty(text, pos):
            return None
        start = max(pos, len(text) - _LONGEST_BUD)
        if not self._bud_has_blanks:
            start = max(start, text.rfind(" "))
        bud = self._bud.search(text, start)
        return len(text) if bud is None else bud.start()

    def piece(
        self, text: str, pos: int, *, json: bool = False, also: Detector | None = None, failed: Callable[[], None]
    ) -> Scan:
        """What stands in a text that goes on.

        Args:
            text: What is not decided yet, with up to ``CONTEXT`` characters before it.
            pos: Where the undecided begins.
            json: As for :meth:`whole`; ``text[pos:]`` begins outside of an escape.
            also: One more detector; of escapes it sees those of angle brackets.
            failed: As for :meth:`whole`.
        """
        safe = size = len(text)
        plain = text
        if json and "\\" in text:
            plain, text = text[:pos] + unescaped(text[pos:]), text[:pos] + _brackets_only(text[pos:])
            escape = _ESCAPE_BEGUN.search(plain, pos)
            if escape is not None:  # it will be blanks, and blanks may be part of what is begun
                safe = escape.start()
                plain = plain[:safe] + " " * (size - safe)
        if also is not None:
            found = also.begun.search(text, max(pos, size - also.reach))
            safe = safe if found is None else min(safe, found.start())
        for detector in self._detectors:
            found = detector.begun.search(plain, max(pos, size - detector.reach))
            if found is not None and found.start() < safe:
                safe = found.start()
        scan = self._scan(text, plain, pos, also, failed)
        # What was looked at as one is decided as one; a cut inside would show its second half in another light.
        moved = safe < size
        while moved:
            moved = False
            for start, end in scan.regions:
                if start < safe < end:
                    safe, moved = start, True
        if safe == size:
            return scan
        return Scan(
            spans=[span for span in scan.spans if span.end <= safe],
            also=[span for span in scan.also if span.end <= safe],
            regions=scan.regions,
            safe=safe,
        )

    def rest(
        self, text: str, pos: int, *, json: bool = False, also: Detector | None = None, failed: Callable[[], None]
    ) -> Scan:
        """As :meth:`piece`, of a text that ends here."""
        if self._is_empty(text, pos):
            return Scan(safe=len(text))
        plain = text
        if json and "\\" in text:
            plain, text = text[:pos] + unescaped(text[pos:]), text[:pos] + _brackets_only(text[pos:])
        return self._scan(text, plain, pos, also, failed)

    def _scan(self, text: str, plain: str, pos: int, also: Detector | None, failed: Callable[[], None]) -> Scan:
        regions: list[tuple[int, int]] = []
        more: list[Span] = []
        if also is not None:
            for start, end, places in also.candidates(text, pos):
                regions.append((start, end))
                more += places
        spans = self._look(plain, pos, regions, failed)
        return Scan(spans=spans, also=more, regions=regions, safe=len(text))

    def _look(self, text: str, pos: int, regions: list[tuple[int, int]], failed: Callable[[], None]) -> list[Span]:
        spans: list[Span] = []
        for detector in self._detectors:
            try:
                for start, end, found in detector.candidates(text, pos):
                    regions.append((start, end))
                    spans.extend(found)
            except Exception:  # noqa: BLE001 - whatever a detector does, the policy says what that means
                failed()
        if self._allow and spans:
            spans = [span for span in spans if text[span.start : span.end] not in self._allow]
        spans.sort(key=lambda span: (span.start, -span.end))
        return spans


def _blank(escape: re.Match[str]) -> str:
    return " " * len(escape[0])


def _brackets_only(text: str) -> str:
    """The same text, as long, with blanks for all escapes but those of angle brackets."""
    return _ESCAPE.sub(
        lambda escape: escape[0] if escape[0].lower() in {"\\u003c", "\\u003e"} else _blank(escape), text
    )


def unescaped(text: str) -> str:
    """The same text, as long, with blanks for escapes: the ``n`` of a line feed belongs to no address after it."""
    return _ESCAPE.sub(_blank, text) if "\\" in text else text
