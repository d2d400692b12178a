"""The picture that other sites show when a post is linked: 1200 by 630 pixels, the same bytes for the same words.

The only font that every machine has is the one inside vl-convert, Liberation Sans. It knows Latin, Greek and Cyrillic
letters. What it does not know would come from whichever font the machine happens to have, or be a row of boxes; such
words are left out instead (:func:`drawable`), and the mark of the house takes their place: the title is told by the
page's metadata in any case.
"""

from __future__ import annotations

import datetime as dt
import struct
from collections.abc import Sequence
from typing import Final

from holdfast.blog.core import svg
from holdfast.blog.core.lettering import wrap
from holdfast.blog.errors import RenderFailed

SIZE: Final = (1200, 630)
"""Pixels; what Open Graph and Twitter's large card ask for."""

_KNOWN: Final = (
    (0x20, 0x7E), (0xA0, 0x17F), (0x386, 0x386), (0x388, 0x38A), (0x38C, 0x38C), (0x38E, 0x3A1), (0x3A3, 0x3CE),
    (0x400, 0x45F), (0x2013, 0x2014), (0x2018, 0x201A), (0x201C, 0x201E), (0x2020, 0x2022), (0x2026, 0x2026),
    (0x2030, 0x2030), (0x20AC, 0x20AC), (0x2190, 0x2195), (0x2212, 0x2212), (0x2260, 0x2260), (0x2264, 0x2265),
)  # fmt: skip
"""Code points that Liberation Sans 1.07 and 2.1 both draw, regular and bold."""
_EDGE: Final = 88.0
_BOLD: Final = 1.12
"""Width of bold letters by that of the regular ones that the table knows."""
_TITLE: Final = ((64.0, 2), (54.0, 3), (46.0, 3))
"""Sizes that a title is tried at, and the lines that it may take."""

_INK, _QUIET, _PAPER, _ACCENT, _LINE = "#1c2421", "#5a6763", "#fbfcfb", "#17663a", "#d9e0dc"
_MARK: Final = (
    '<g transform="translate({x},{y}) scale({scale})" opacity="{opacity}" fill="none" stroke="{stroke}"'
    ' stroke-width="3" stroke-linecap="round" stroke-linejoin="round"><path d="M16 3v13"/>'
    '<path d="M16 6c5 0 8 2 9 6-5 0-8-2-9-6zM16 11c-5 0-8 2-9 6 5 0 8-2 9-6z" fill="{stroke}" stroke-width="1"/>'
    '<path d="M16 16c0 5-6 4-9 12M16 16c0 6-2 7-3 12M16 16c0 6 2 7 3 12M16 16c0 5 6 4 9 12"/></g>'
)
"""The kelp and its holdfast, as in the console's icon."""


def drawable(text: str) -> bool:
    """True where every letter of it can be drawn on any machine."""
    return all(any(low <= ord(letter) <= high for low, high in _KNOWN) for letter in text)


def card(title: str, summary: str, date: dt.date | None, tags: Sequence[str], *, site: str = "Holdfast") -> bytes:
    """A PNG of :data:`SIZE`; without a date, of the site. Raises :class:`~holdfast.blog.errors.RenderFailed`."""
    try:
        import vl_convert
    except ImportError as error:
        raise RenderFailed("cards need vl-convert; run: pip install 'holdfast[blog]'") from error
    try:
        png = bytes(vl_convert.svg_to_png(_drawing(title, summary, date, tags, site)))
    except ValueError as error:
        raise RenderFailed(f"the card of {title!r} was not drawn: {str(error)[:300]}") from error
    if png[:8] != b"\x89PNG\r\n\x1a\n" or struct.unpack(">II", png[16:24]) != SIZE:
        raise RenderFailed(f"the card of {title!r} is not a PNG of {SIZE[0]} by {SIZE[1]} pixels")
    return png


def _drawing(title: str, summary: str, date: dt.date | None, tags: Sequence[str], site: str) -> str:
    wide, high = SIZE
    shown = drawable(title)
    parts = [
        f'<rect width="{wide}" height="{high}" fill="{_PAPER}"/>',
        f'<rect width="14" height="{high}" fill="{_ACCENT}"/>',
        _MARK.format(x=820, y=230, scale=14, stroke=_ACCENT, opacity=0.08 if shown else 0.5),
        _MARK.format(x=_EDGE - 8, y=58, scale=1.6, stroke=_ACCENT, opacity=1),
        _line(site, _EDGE + 54, 96, 30, _INK, bold=True),
    ]
    y = 200.0
    if shown:
        size, rows = _title(title)
        for row in rows:
            parts.append(_line(row, _EDGE, y, size, _INK, bold=True))
            y += size * 1.18
        y += 10
    if drawable(summary):
        for row in _cut(wrap(summary, 28, 1000), 3 if y < 360 else 2):
            parts.append(_line(row, _EDGE, y, 28, _QUIET))
            y += 40
    labels = [tag for tag in tags if drawable(tag)]
    dated = (f"{date.day} {_MONTHS[date.month - 1]} {date.year}",) if date else ()
    footer = " · ".join((*dated, *labels)) or site
    parts += [
        f'<rect x="{_EDGE:g}" y="{high - 102}" width="{wide - 2 * _EDGE:g}" height="2" fill="{_LINE}"/>',
        _line(_cut(wrap(footer, 26, wide - 2 * _EDGE), 1)[0], _EDGE, high - 56, 26, _QUIET),
    ]
    return f'<svg xmlns="http://www.w3.org/2000/svg" width="{wide}" height="{high}">{"".join(parts)}</svg>'


_MONTHS: Final = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
)  # fmt: skip
"""``strftime`` would ask the locale."""


def _title(title: str) -> tuple[float, tuple[str, ...]]:
    """The largest size at which it fits; at the smallest it is cut."""
    rows: tuple[str, ...] = ()
    size = _TITLE[-1][0]
    for size, most in _TITLE:
        rows = wrap(title, size, (SIZE[0] - 2 * _EDGE) / _BOLD)
        if len(rows) <= most:
            break
    return size, _cut(rows, 3)


def _cut(rows: tuple[str, ...], most: int) -> tuple[str, ...]:
    if len(rows) <= most:
        return rows
    return (*rows[: most - 1], rows[most - 1].rstrip(" .,;:") + "…")


def _line(words: str, x: float, y: float, size: float, colour: str, *, bold: bool = False) -> str:
    weight = ' font-weight="bold"' if bold else ""
    place = f'x="{x:g}" y="{y:g}" font-size="{size:g}"'
    return f'<text {place} font-family="Liberation Sans"{weight} fill="{colour}">{svg.text(words)}</text>'
