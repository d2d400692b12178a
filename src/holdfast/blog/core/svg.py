"""Writes SVG that may stand inside a page under a strict Content-Security-Policy.

Every element goes through :func:`element`, which knows the attributes that a figure may have. There is no way to write
``style``, an event handler or an address: colours come from classes, the only references are markers of the same
figure, and text is escaped where it enters (:func:`text`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from html import escape
from typing import Final, NewType

Svg = NewType("Svg", str)
"""Markup that was escaped where its text entered."""

_ATTRIBUTES: Final = frozenset(
    {
        *("aria-hidden", "aria-label", "aria-labelledby", "class", "cx", "cy", "d", "dy", "height", "id", "marker-end"),
        *(
            "marker-start",
            "markerHeight",
            "markerUnits",
            "markerWidth",
            "orient",
            "points",
            "r",
            "refX",
            "refY",
            "role",
        ),
        *("rx", "ry", "text-anchor", "transform", "viewBox", "width", "x", "x1", "x2", "xmlns", "y", "y1", "y2"),
    }
)
_LOCAL: Final = re.compile(r"url\(#[a-z0-9][a-z0-9-]*\)")
_UNWRITABLE: Final = re.compile("[^\t\n -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML has no form for: control characters and lone surrogates."""


def number(value: float) -> str:
    """A coordinate: tenths of a pixel are finer than anybody sees, and shorter."""
    return (
        f"{value:.1f}".removesuffix(".0").replace("-0", "0") if abs(value) < 0.05 else f"{value:.1f}".removesuffix(".0")
    )


def text(value: str) -> Svg:
    """Words as markup; what XML cannot hold becomes U+FFFD."""
    return Svg(escape(_UNWRITABLE.sub("\ufffd", value), quote=True))


def element(name: str, attributes: dict[str, str | float], *children: Svg) -> Svg:
    """One element. Raises :class:`ValueError` for an attribute that figures do not have."""
    written = []
    for key, value in attributes.items():
        if key not in _ATTRIBUTES:
            raise ValueError(f"a figure has no attribute {key!r}")
        if key.startswith("marker-") and not _LOCAL.fullmatch(str(value)):
            raise ValueError(f"{key} refers to {value!r}, which is not in the figure")
        written.append(f' {key}="{text(value) if isinstance(value, str) else number(value)}"')
    inner = "".join(children)
    return Svg(f"<{name}{''.join(written)}>{inner}</{name}>" if inner else f"<{name}{''.join(written)}/>")


def group(attributes: dict[str, str | float], children: Iterable[Svg]) -> Svg:
    """A ``<g>``, or nothing where there is nothing in it."""
    inner = tuple(children)
    return element("g", attributes, *inner) if inner else Svg("")


def lines(words: Iterable[str], x: float, y: float, *, leading: float, anchor: str = "middle") -> Svg:
    """Lines of text around the middle ``(x, y)``; ``anchor`` says where ``x`` is in a line."""
    rows = tuple(words)
    if not rows:
        return Svg("")
    # 0.27 of the leading below the middle is the base line of letters centred on it, in every common sans-serif.
    first = y - (len(rows) - 1) * leading / 2 + leading * 0.27
    if len(rows) == 1:
        return element("text", {"x": x, "y": first, "text-anchor": anchor}, text(rows[0]))
    spans = (element("tspan", {"x": x, "y": first + index * leading}, text(row)) for index, row in enumerate(rows))
    return element("text", {"text-anchor": anchor}, *spans)


def figure(
    name: str, *, title: str, description: str, box: tuple[float, float, float, float], children: Iterable[Svg]
) -> Svg:
    """The ``<svg>`` itself: named, described, and as large as ``box`` (left, top, width, height)."""
    left, top, width, height = box
    return element(
        "svg",
        {
            "xmlns": "http://www.w3.org/2000/svg",
            "viewBox": " ".join(number(part) for part in (left, top, width, height)),
            "width": round(width),
            "height": round(height),
            "role": "img",
            "aria-labelledby": f"{name}-title {name}-desc",
        },
        element("title", {"id": f"{name}-title"}, text(title)),
        element("desc", {"id": f"{name}-desc"}, text(description)),
        *children,
    )
