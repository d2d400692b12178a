"""How wide text is, without a font at hand: the same figure on every machine, and no word outside its box.

The reader's font is not known: ``system-ui`` is Segoe on one machine, San Francisco on another, DejaVu Sans on a third.
DejaVu Sans is the widest of those in use, so its advances are the table; Liberation Sans (Arial's metrics) is wider in
thirteen capitals by at most a tenth, for which :data:`CAUTION` allows. Other scripts are taken by their kind.
"""

from __future__ import annotations

import unicodedata
from functools import lru_cache
from typing import Final

CAUTION: Final = 1.04
"""Share by which text may come out wider than the table says."""

_ASCII: Final = (
    318, 401, 460, 838, 636, 950, 780, 275, 390, 390, 500, 838, 318, 361, 318, 337, 636, 636, 636,
    636, 636, 636, 636, 636, 636, 636, 337, 337, 838, 838, 838, 611, 1015, 722, 722, 722, 770, 667,
    611, 778, 752, 295, 556, 722, 611, 863, 748, 787, 667, 787, 722, 667, 611, 732, 684, 989, 685,
    667, 685, 390, 337, 390, 838, 556, 500, 613, 635, 550, 635, 615, 352, 635, 634, 278, 278, 579,
    278, 974, 634, 612, 635, 635, 411, 521, 392, 634, 592, 818, 592, 592, 525, 636, 337, 636, 838,
)  # fmt: skip
"""Thousandths of an em from U+0020 to U+007E: per letter the wider of DejaVu Sans 2.37 and Liberation Sans 2.1."""
_BY_CATEGORY: Final = {
    "Mn": 0.0,
    "Me": 0.0,
    "Cf": 0.0,
    "Cc": 1.0,
    "Ll": 0.7,
    "Lu": 0.85,
    "Lo": 0.85,
    "Nd": 0.65,
    "Zs": 0.4,
}
"""Ems per letter beyond ASCII: above the mean of each kind in DejaVu Sans (Greek, Cyrillic, Hebrew, Arabic)."""
_EMOJI: Final = 1.4


def _advance(letter: str) -> float:
    code = ord(letter)
    if 32 <= code < 127:
        return _ASCII[code - 32] / 1000
    if unicodedata.east_asian_width(letter) in "WF":
        return _EMOJI if unicodedata.category(letter) == "So" else 1.05
    return _BY_CATEGORY.get(unicodedata.category(letter), 1.0)


@lru_cache(maxsize=4096)
def width(text: str, size: float) -> float:
    """Pixels that one line takes at most, at ``size`` pixels per em."""
    return sum(map(_advance, text)) * size * CAUTION


def _broken(word: str, size: float, limit: float) -> list[str]:
    """A word that is wider than its line, cut where it must be."""
    rows = [""]
    for letter in word:
        if rows[-1] and width(rows[-1] + letter, size) > limit and not unicodedata.combining(letter):
            rows.append("")
        rows[-1] += letter
    return rows


@lru_cache(maxsize=1024)
def wrap(text: str, size: float, limit: float) -> tuple[str, ...]:
    """Lines of at most ``limit`` pixels; breaks of the author's stay, and scripts without spaces break anywhere."""
    rows: list[str] = []
    for paragraph in text.split("\n"):
        row = ""
        for word in paragraph.split():
            longer = f"{row} {word}" if row else word
            if width(longer, size) <= limit:
                row = longer
                continue
            if row:
                rows.append(row)
            *full, row = _broken(word, size, limit)
            rows.extend(full)
        rows.append(row)
    return tuple(rows)
