"""Badges: small SVG images that other pages show."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final
from xml.sax.saxutils import escape, quoteattr

from holdfast.netpulse.core.status import ComponentState, Indicator, StatusView

WORDS: Final = {
    ComponentState.OPERATIONAL: "operational",
    ComponentState.DEGRADED: "degraded",
    ComponentState.PARTIAL: "partial outage",
    ComponentState.MAJOR: "outage",
    ComponentState.MAINTENANCE: "maintenance",
    ComponentState.UNKNOWN: "unknown",
}
_GREEN, _AMBER, _RED, _GREY = "#17663a", "#8a5300", "#a3211c", "#55615c"
"""With white text on it each has a contrast of at least 4.5 (WCAG AA)."""
_COLOURS: Final = {
    ComponentState.OPERATIONAL: _GREEN,
    ComponentState.DEGRADED: _AMBER,
    ComponentState.PARTIAL: _AMBER,
    ComponentState.MAJOR: _RED,
    ComponentState.MAINTENANCE: _GREY,
    ComponentState.UNKNOWN: _GREY,
}
_OVERALL: Final = {
    Indicator.NONE: ("operational", _GREEN),
    Indicator.MAINTENANCE: ("maintenance", _GREY),
    Indicator.MINOR: ("degraded", _AMBER),
    Indicator.MAJOR: ("partial outage", _RED),
    Indicator.CRITICAL: ("outage", _RED),
}
_NAME_CHARACTERS: Final = 40
_CHARACTER: Final = 6.6
"""Mean width of a character of 11 px Verdana; ``textLength`` makes the text as wide as was reckoned."""


def badges(view: StatusView) -> Iterator[tuple[str, bytes]]:
    """Name and content of each."""
    word, colour = ("unknown", _GREY) if view.nobody_knows else _OVERALL[view.indicator]
    yield "badges/overall.svg", badge(view.title, word, colour)
    for component in view.components:
        yield (
            f"badges/{component.id}.svg",
            badge(component.name, WORDS[component.state], _COLOURS[component.state]),
        )


def badge(label: str, word: str, colour: str) -> bytes:
    """One image: who on the left, how on the right."""
    label = "".join(character for character in label if character >= " ")  # XML has no way to write the others
    label = label if len(label) <= _NAME_CHARACTERS else f"{label[: _NAME_CHARACTERS - 1]}…"
    left, right = (round(_CHARACTER * len(text)) + 12 for text in (label, word))
    title = f"{label}: {word}"

    def text(words: str, at: int, width: int) -> str:
        place = f'x="{at + 6}" y="14" textLength="{width - 12}" lengthAdjust="spacingAndGlyphs"'
        return f"<text {place}>{escape(words)}</text>"

    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + right}" height="20" '
        f'role="img" aria-label={quoteattr(title)}>'
        f"<title>{escape(title)}</title>"
        f'<rect width="{left + right}" height="20" rx="3" fill="#3b4541"/>'
        f'<path d="M{left} 0h{right - 3}a3 3 0 0 1 3 3v14a3 3 0 0 1-3 3H{left}z" fill="{colour}"/>'
        f'<g fill="#fff" font-family="Verdana,DejaVu Sans,sans-serif" font-size="11">'
        f"{text(label, 0, left)}{text(word, left, right)}</g></svg>\n"
    )
    return svg.encode()
