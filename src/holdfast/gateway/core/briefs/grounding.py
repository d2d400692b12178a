"""What the evidence says of a requirement, and whether a statement says no more than that.

The check is lexical: every number of a statement stands in what it cites, so do most of its words, and neither denies
what the other does not. It misses a statement that uses the passage's words to say something else; it lets no number
through that nobody wrote.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from holdfast.gateway.core.briefs.index import Index, terms
from holdfast.gateway.core.briefs.passages import Passage

LEAST: Final = 0.5
"""Confidence below which a requirement is a gap: fewer than half of its words, by weight, are in any passage."""
SUPPORT: Final = 0.7
"""Share of a statement's words that what it cites must have."""
_NUMBER: Final = re.compile(r"\d+(?:[.,]\d+)*")
_DENIES: Final = re.compile(r"\b(?:not|no|never|none|without|cannot|nor|\w+n['\u2019]t)\b", re.IGNORECASE)
_SENTENCE: Final = re.compile(r"(?<=[.!?])\s+|\n")


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """Something that the evidence says."""

    requirement: str
    text: str
    passages: tuple[Passage, ...]
    confidence: float
    """Share of the requirement's words, by weight, that the best passage has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """A requirement of which the evidence says nothing, or a statement that was dropped."""

    requirement: str
    reason: str


def extract(index: Index, requirement: str) -> Statement | Gap:
    """The sentence of the evidence that answers best, as it stands there."""
    found = index.find(requirement)
    if not found or found[0].coverage < LEAST:
        best = f"; the nearest is {found[0].passage.id}" if found else ""
        return Gap(requirement=requirement, reason=f"no passage says it{best}")
    best_match = max(found, key=lambda match: match.coverage)
    asked = set(terms(requirement))
    sentences = [part.strip() for part in _SENTENCE.split(best_match.passage.text) if terms(part)]
    text = max(sentences, key=lambda part: sum(index.weight(term) for term in asked & set(terms(part))), default="")
    return Statement(
        requirement=requirement, text=text, passages=(best_match.passage,), confidence=round(best_match.coverage, 3)
    )


def unsupported(text: str, passages: Sequence[Passage]) -> str | None:
    """Why the cited passages do not carry a statement; ``None`` when they do."""
    if not passages:
        return "it cites nothing"
    cited = "\n".join(f"{each.heading}\n{each.text}" for each in passages)
    missing = [number for number in _NUMBER.findall(text) if number not in set(_NUMBER.findall(cited))]
    if missing:
        return f"{missing[0]} stands in nothing that it cites"
    said, there = set(terms(text)), set(terms(cited))
    if not said:
        return "it says nothing"
    if len(said & there) < SUPPORT * len(said):
        return "what it cites has other words"
    if _DENIES.search(text) and not _DENIES.search(cited):
        return "it denies, and what it cites does not"
    return None
