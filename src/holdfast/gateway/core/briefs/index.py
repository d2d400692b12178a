"""Passages by the words in them: BM25 (Robertson and Zaragoza, 2009), k1 = 1.2, b = 0.75."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from holdfast.gateway.core.briefs.passages import Passage

_WORD: Final = re.compile(r"\d+(?:[.,]\d+)*|[^\W\d_]+")
_STOP: Final = frozenset(
    (
        "a",
        "an",
        "and",
        "are",
        "as",
        "at",
        "be",
        "been",
        "by",
        "can",
        "do",
        "does",
        "for",
        "from",
        "has",
        "have",
        "how",
        "in",
        "is",
        "it",
        "its",
        "may",
        "more",
        "must",
        "of",
        "on",
        "or",
        "our",
        "shall",
        "should",
        "so",
        "than",
        "that",
        "the",
        "their",
        "there",
        "these",
        "they",
        "this",
        "to",
        "was",
        "we",
        "were",
        "what",
        "when",
        "which",
        "who",
        "will",
        "with",
        "you",
        "your",
    )
)
_K1: Final = 1.2
_B: Final = 0.75


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """A passage that may answer."""

    passage: Passage
    score: float
    coverage: float
    """Share of the question's words that it has, from 0 to 1, rare words counting more; unknown words count most."""


class Index:
    """All passages."""

    def __init__(self, passages: Sequence[Passage]) -> None:
        self.passages = tuple(passages)
        self._counts = [Counter(terms(f"{each.heading} {each.text}")) for each in passages]
        self._sizes = [sum(counts.values()) for counts in self._counts]
        self._mean = sum(self._sizes) / len(self._sizes) if self._sizes else 1.0
        self._having: dict[str, list[int]] = {}
        for number, counts in enumerate(self._counts):
            for term in counts:
                self._having.setdefault(term, []).append(number)

    def weight(self, term: str) -> float:
        """How much a word tells: its inverse document frequency."""
        having = len(self._having.get(term, ()))
        return math.log(1.0 + (len(self.passages) - having + 0.5) / (having + 0.5))

    def find(self, question: str, *, most: int = 4) -> list[Match]:
        """The best passages, best first."""
        asked = set(terms(question))
        total = sum(self.weight(term) for term in asked)
        scores: dict[int, float] = {}
        covered: dict[int, float] = {}
        for term in asked:
            weight = self.weight(term)
            for number in self._having.get(term, ()):
                count = self._counts[number][term]
                length = 1.0 - _B + _B * self._sizes[number] / self._mean
                scores[number] = scores.get(number, 0.0) + weight * count * (_K1 + 1.0) / (count + _K1 * length)
                covered[number] = covered.get(number, 0.0) + weight
        best = sorted(scores, key=lambda number: (-scores[number], number))[:most]
        return [
            Match(passage=self.passages[number], score=scores[number], coverage=covered[number] / total)
            for number in best
        ]


def terms(text: str) -> list[str]:
    """Words and numbers that tell something, without their endings of number and tense."""
    return [_stem(word) for word in _WORD.findall(text.casefold()) if word not in _STOP]


def _stem(word: str) -> str:
    for ending in ("ings", "ing", "edly", "ed", "es", "s"):
        if word.endswith(ending) and len(word) - len(ending) >= 4:
            return word[: -len(ending)]
    return word
