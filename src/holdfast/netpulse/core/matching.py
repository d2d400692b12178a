"""Matchers: which labels a route, a silence or a maintenance speaks of.

A matcher maps labels to patterns. Every one of them has to fit. In a pattern ``*`` stands for any text, also for
none; everything else for itself, capitals included. A label that is not there fits no pattern, not even ``*``: a
silence should never cover more than somebody meant. A matcher without patterns fits everything.

The cost of a pattern is linear in the text for each of its pieces, whatever was written: there is no backtracking.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

PATTERNS_LIMIT: Final = 16
"""Labels of one matcher."""
PATTERN_LIMIT: Final = 256
"""Characters of one pattern."""


def fits(pattern: str, text: str) -> bool:
    """Whether a ``*`` pattern stands for the whole of ``text``."""
    head, *rest = pattern.split("*")
    if not rest:
        return pattern == text
    *middle, tail = rest
    if len(text) < len(head) + len(tail) or not text.startswith(head) or not text.endswith(tail):
        return False
    at, end = len(head), len(text) - len(tail)
    for piece in middle:
        # The leftmost place is as good as any: what comes after has the most room then.
        found = text.find(piece, at, end)
        if found < 0:
            return False
        at = found + len(piece)
    return True


def matches(match: Mapping[str, str], labels: Mapping[str, str]) -> bool:
    """Whether every pattern fits its label."""
    return all(label in labels and fits(pattern, labels[label]) for label, pattern in match.items())


def too_large(match: Mapping[str, str]) -> str:
    """What is too large about a matcher, as a sentence; empty when nothing is."""
    if len(match) > PATTERNS_LIMIT:
        return f"has {len(match)} patterns; at most {PATTERNS_LIMIT} are allowed"
    for label, pattern in match.items():
        if len(label) > PATTERN_LIMIT or len(pattern) > PATTERN_LIMIT:
            return f"the pattern of {label[:40]!r} is longer than {PATTERN_LIMIT} characters"
    return ""
