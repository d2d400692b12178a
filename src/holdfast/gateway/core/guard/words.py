"""Words and ``/patterns/`` that an operator wrote: what is denied, and what is never a finding.

A pattern runs on text of strangers inside the event loop, so only patterns whose cost is bounded are taken: each
repeat has an upper bound, none contains another, nothing refers back or looks around, and the ways to match at one
place are at most :data:`MOST_WAYS`. What is refused is refused when the configuration is read, with the remedy.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from importlib import import_module
from typing import Any

from holdfast.gateway.core.guard.detector import CONTEXT, Detector, Span, Verdict, beginnings

LONGEST_PATTERN = 512
MOST_WAYS = 4096

# The standard library's own reading of a pattern; the module is private, the tree has been the same since Python 2.
_parser: Any = import_module("re._parser")


class Unbounded(ValueError):
    """A pattern that could take too long, or is none. The text says what to write instead."""


def compile_pattern(source: str, *, widest: int) -> tuple[re.Pattern[str], int]:
    """Compile a pattern of an operator, and say how many characters it matches at most.

    Raises:
        Unbounded: It is no pattern, or its cost or its width has no bound.
    """
    if len(source) > LONGEST_PATTERN:
        raise Unbounded(f"the pattern has {len(source)} characters; {LONGEST_PATTERN} are allowed")
    try:
        compiled = re.compile(source, re.IGNORECASE)
        tree = _parser.parse(source, re.IGNORECASE)
    except (re.error, RecursionError, OverflowError) as error:
        raise Unbounded(f"not a regular expression: {error}") from error
    ways = _ways(tree, inside=False)
    if ways > MOST_WAYS:
        raise Unbounded(f"there are {ways} ways to match at one place; {MOST_WAYS} are allowed: narrow its repeats")
    width = int(tree.getwidth()[1])
    if width > widest:
        raise Unbounded(
            f"it may match {width} characters, and streams hold back {widest}: narrow it, or raise hold_back"
        )
    if compiled.fullmatch(""):
        raise Unbounded("it matches the empty text, which is everywhere")
    return compiled, width


def _ways(tree: Any, *, inside: bool) -> int:
    """In how many ways a pattern can match at one place, at most. Raises :class:`Unbounded`."""
    ways = 1
    for operation, argument in tree:
        name = str(operation)
        if name in {"MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"}:
            least, most, repeated = argument
            if most >= _parser.MAXREPEAT:
                raise Unbounded("a repeat has no upper bound: write {0,40} for *, {1,40} for +")
            if inside and most > 1:
                raise Unbounded("a repeat inside a repeat: write it out, or use a word list")
            ways *= (most - least + 1) * max(1, _ways(repeated, inside=most > 1)) ** min(most, 8)
        elif name == "SUBPATTERN":
            ways *= _ways(argument[3], inside=inside)
        elif name == "BRANCH":
            ways *= sum(_ways(branch, inside=inside) for branch in argument[1])
        elif name == "AT":
            if str(argument) not in {"AT_BOUNDARY", "AT_NON_BOUNDARY"}:
                raise Unbounded("^ and $ mean nothing in a stream: leave them out, or write \\b")
        elif name not in {"LITERAL", "NOT_LITERAL", "IN", "ANY", "RANGE", "CATEGORY"}:
            raise Unbounded(f"{name.lower()} is not supported: no references, no looking around")
    return ways


def deny_detector(entries: Sequence[str], *, widest: int) -> Detector:
    """Finds denied words, whole and in any case, and patterns.

    A word delays a stream only while it is being written; a pattern delays it by as many characters as it may match.

    Raises:
        Unbounded: A pattern that cannot be taken; the text names it.
    """
    words = [entry for entry in entries if not is_pattern(entry)]
    alternatives = [rf"(?<!\w){re.escape(word)}(?!\w)" for word in sorted(words, key=len, reverse=True)]
    reach = max((len(word) for word in words), default=0) + 1
    begun = [rf"(?<!\w)(?:{beginnings([word + '.' for word in words])})\Z"] if words else []
    longest = 0
    for entry in entries:
        if is_pattern(entry):
            try:
                _, width = compile_pattern(entry[1:-1], widest=widest)
            except Unbounded as error:
                raise Unbounded(f"{entry}: {error}") from error
            alternatives.append(f"(?:{entry[1:-1]})")
            longest = max(longest, width)
    if longest:
        begun.append(rf"[\s\S]{{1,{longest + 1}}}\Z")

    def confirm(match: re.Match[str]) -> Verdict:
        end = max(match.end(), match.start() + 1)
        return (Span(match.start(), end, "deny"),), end

    return Detector(
        name="deny",
        pattern=re.compile("|".join(alternatives), re.IGNORECASE),
        begun=re.compile("|".join(begun), re.IGNORECASE),
        reach=max(reach, longest + 1) + CONTEXT,
        trigger="",
        bud="(?i:" + "|".join(begun) + ")",
        words=() if longest else tuple(words),
        always=longest > 0,
        anchors=() if longest else tuple(word.lower() for word in words),
        in_any_case=True,
        confirm=confirm,
    )


class AllowList:
    """What is never a finding: it is compared with the whole of what was found."""

    def __init__(self, entries: Sequence[str]) -> None:
        self._words = frozenset(entry.casefold() for entry in entries if not is_pattern(entry))
        self._patterns = []
        for entry in entries:
            if is_pattern(entry):
                try:
                    self._patterns.append(compile_pattern(entry[1:-1], widest=8192)[0])
                except Unbounded as error:
                    raise Unbounded(f"{entry}: {error}") from error

    def __bool__(self) -> bool:
        return bool(self._words or self._patterns)

    def __contains__(self, found: str) -> bool:
        return found.casefold() in self._words or any(pattern.fullmatch(found) for pattern in self._patterns)


def is_pattern(entry: str) -> bool:
    """Whether an entry is a ``/pattern/`` and not a word."""
    return len(entry) > 2 and entry.startswith("/") and entry.endswith("/")
