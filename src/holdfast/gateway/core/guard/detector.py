"""What a detector is: a pattern, what it takes to be sure, and what its beginning looks like.

A stream is judged while it is being written. For that each detector has two patterns: one for the whole thing, and
one (``begun``) for every text that ends in the *beginning* of one, the whole thing at the very end included. What is
not begun is innocent and goes on at once; so a stream is delayed by a word, not by a window. ``begun`` may hold back
too much, never too little: that is the invariant the property tests try to break.

Rules for patterns, which keep them linear and the same for a whole text and for its pieces:

- they look back at most :data:`CONTEXT` characters;
- every repeat is bounded or possessive, none is nested in a way that could match one text twice;
- what a match *is* depends on nothing behind its end but one character.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

CONTEXT = 8
"""Characters before a position that a pattern may look at."""


class Span(NamedTuple):
    """Where in a text something was found."""

    start: int
    end: int
    rule: str
    """``secrets.jwt``, ``cards``: the part before the dot is the detector that the policy names."""


Verdict: TypeAlias = tuple[tuple[Span, ...], int]
"""What is really there, and from where to look on (behind the start of the match)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Detector:
    """Finds one kind of thing."""

    name: str
    pattern: re.Pattern[str]
    begun: re.Pattern[str]
    """Matches a suffix of every text that may be continued to a match of ``pattern``."""
    reach: int
    """Characters that a match, or its beginning, can have at most."""
    trigger: str
    """Characters of which each match has one: what has none is done with."""
    bud: str
    """Expression for the beginnings that have no trigger yet; ends with ``\\Z``. No blanks but in denied words."""
    words: tuple[str, ...] = ()
    """Instead of ``trigger``: words, in any case."""
    always: bool = False
    """Instead of ``trigger``: every text may have a match."""
    anchors: tuple[str, ...] = ()
    """Literals of which every match has one; the text is searched for them, and only what is around them is matched.
    None: the pattern itself begins with a few characters, which is as quick."""
    in_any_case: bool = False
    """Whether anchors are found in any case; they are lower case then, and only tell whether to look at all."""
    head: re.Pattern[str] | None = None
    """What of a match stands before its anchor, to the end; ``None``: nothing."""
    head_reach: int = 0
    """Characters that ``head`` matches at most."""
    tail: re.Pattern[str] | None = None
    """What of a match stands from its anchor on; with ``head``."""
    confirm: Callable[[re.Match[str]], Verdict]

    def candidates(self, text: str, pos: int) -> Iterator[tuple[int, int, tuple[Span, ...]]]:
        """What was looked at, from left to right, with what was found there."""
        if self.in_any_case and text.isascii():
            lower = text.lower()
            if self.anchors and not any(anchor in lower for anchor in self.anchors):
                return
        if self.in_any_case or not self.anchors:
            while match := self.pattern.search(text, pos):
                spans, pos = self.confirm(match)
                yield match.start(), pos, spans
            return
        # One character is found much quicker than two: most anchors are ruled out by that.
        seen = [char for char in self.trigger if char in text]
        if not seen:
            return
        present = [anchor for anchor in self.anchors if any(char in anchor for char in seen) and anchor in text]
        ahead = pos
        while present:
            places = [place for anchor in present if (place := text.find(anchor, ahead)) >= 0]
            if not places:
                return
            at = min(places)
            match = self._around(text, pos, at)
            if match is None:
                ahead = at + 1
                continue
            spans, pos = self.confirm(match)
            ahead = max(pos, at + 1)
            yield match.start(), pos, spans

    def _around(self, text: str, pos: int, at: int) -> re.Match[str] | None:
        """The match whose first anchor stands here."""
        if self.head is None or self.tail is None:
            return self.pattern.match(text, at)
        if self.tail.match(text, at) is None:
            return None
        head = self.head.search(text, max(pos, at - self.head_reach), at)
        return None if head is None else self.pattern.match(text, head.start())


def beginnings(literals: Iterable[str]) -> str:
    """A pattern for every proper, non-empty beginning of one of these; longest first."""
    parts = {literal[:length] for literal in literals for length in range(1, len(literal))}
    return "|".join(re.escape(part) for part in sorted(parts, key=lambda part: (-len(part), part)))
