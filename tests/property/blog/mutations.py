"""Numbers typed or changed by hand, in every place of a post and of the README: each has to be caught.

A mutation is drawn from a seed: a place, and a figure in one of the ways in which people write figures.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random

_UNITS = ("errors", "requests", "ms", "seconds", "percent", "%", "times faster", "USD", "MB", "regions", "retries")
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_REFERENCE = re.compile(r"\{ev:[^}]*\}")
_FENCE = re.compile(r"^```(\w+)\n.*?^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutation:
    """One change that a hand could have made."""

    place: str
    text: str
    """The whole file, changed."""
    typed: str


def figure(rng: Random) -> str:
    """A number with what it counts, as somebody would type it."""
    value = rng.choice((rng.randint(2, 99), rng.randint(100, 99_999), round(rng.uniform(0.1, 99), 2)))
    unit = rng.choice(_UNITS)
    return rng.choice(
        (
            f"{value} {unit}",
            f"{value:,} {unit}",
            f"{value}%",
            f"{value}ms",
            f"{rng.randint(2, 40)}x",
            f"{rng.randint(2, 90)}k requests",
            f"~{value} {unit}",
            f"${value:,}",
            f"{rng.choice(_TENS)} percent",
            f"{rng.choice(_TENS)}-{rng.choice(('one', 'two', 'seven'))} {rng.choice(('regions', 'requests'))}",
            f"{rng.choice(('two', 'five', 'ten'))} times faster",
            f"a hundred {rng.choice(('errors', 'tenants'))}",
        )
    )


def of_post(text: str, rng: Random) -> Iterator[Mutation]:
    """Mutations of a post, without end, each in one of :data:`_PLACES`."""
    while True:
        place = rng.choice(tuple(_PLACES))
        typed = figure(rng)
        changed = _PLACES[place](text, typed, rng)
        if changed is not None and changed != text:
            yield Mutation(place=place, text=changed, typed=typed)


def of_readme(text: str, rng: Random) -> Iterator[Mutation]:
    """Mutations of the README: a figure typed into its prose, or one of its results changed."""
    begin, end = text.index("<!-- results -->"), text.index("<!-- /results -->")
    while True:
        if rng.random() < 0.5:
            cells = [
                match for match in re.finditer(r"(?<=\| )[\d,.]+(?= ?[^|\]]* \|)", text) if begin < match.start() < end
            ]
            cell = rng.choice(cells)
            typed = str(rng.randint(1, 9999))
            if typed != cell[0]:
                yield Mutation(place="results", text=text[: cell.start()] + typed + text[cell.end() :], typed=typed)
        else:
            outside = text[:begin] + text[end:]
            marked = _in_prose(outside, "\0", rng)
            if marked is not None:
                at = marked.index("\0")
                at = at if at < begin else at + end - begin
                typed = figure(rng)
                yield Mutation(place="prose", text=f"{text[:at]}{typed} {text[at:]}", typed=typed)


# ---------------------------------------------------------------- places


def _in_place_of_a_reference(text: str, typed: str, rng: Random) -> str | None:
    outside_code = [match for match in _REFERENCE.finditer(text) if not _within(_FENCE, text, match.start())]
    if not outside_code:
        return None
    match = rng.choice(outside_code)
    return text[: match.start()] + typed.replace("%", " percent") + text[match.end() :]


def _in_prose(text: str, typed: str, rng: Random) -> str | None:
    """Before a word in the middle of a paragraph."""
    spots = [
        match.start(1) for match in re.finditer(r"(?<=[a-z,] )([a-z]{3,}) ", text) if _is_prose(text, match.start())
    ]
    if not spots:
        return None
    at = rng.choice(spots)
    return f"{text[:at]}{typed} {text[at:]}"


def _is_prose(text: str, at: int) -> bool:
    start, end = text.rfind("\n", 0, at) + 1, text.find("\n", at)
    line = text[start : end if end >= 0 else len(text)]
    before = text[start:at]
    if line.startswith(("#", "|", "!", "    ", "<", "---", "  - {")) or re.match(r"\w+:", line):
        return False
    if _within(_FENCE, text, at) or _within(re.compile(r"\{[^}]*\}"), text, at):
        return False
    if re.match(r"---\n", text) and at < text.index("\n---\n", 4):
        return False
    return before.count("`") % 2 == 0 and not re.search(r"\]\([^)]*$", before) and not re.search(r"<[^>]*$", before)


def _line(pattern: str, write: Callable[[re.Match[str], str], str]) -> Callable[[str, str, Random], str | None]:
    found = re.compile(pattern, re.MULTILINE)

    def change(text: str, typed: str, rng: Random) -> str | None:
        matches = list(found.finditer(text))
        if not matches:
            return None
        match = rng.choice(matches)
        return text[: match.start()] + write(match, typed) + text[match.end() :]

    return change


def _in_fence(language: str, pattern: str) -> Callable[[str, str, Random], str | None]:
    def change(text: str, typed: str, rng: Random) -> str | None:
        fences = [match for match in _FENCE.finditer(text) if match[1] == language]
        if not fences:
            return None
        fence = rng.choice(fences)
        spots = list(re.finditer(pattern, fence[0]))
        if not spots:
            return None
        at = fence.start() + rng.choice(spots).end()
        return text[:at] + typed.replace("%", " percent").replace("~", "") + " " + text[at:]

    return change


def _within(pattern: re.Pattern[str], text: str, at: int) -> bool:
    return any(match.start() <= at < match.end() for match in pattern.finditer(text))


_PLACES: dict[str, Callable[[str, str, Random], str | None]] = {
    "reference": _in_place_of_a_reference,
    "prose": _in_prose,
    "prose again": _in_prose,
    "title": _line(r'^title: "?', lambda match, typed: f"{match[0]}{typed}: "),
    "summary": _line(r'^summary: "', lambda match, typed: f"{match[0]}{typed}: "),
    "tags": _line(r"^tags: \[", lambda match, typed: f'{match[0]}"{typed}", '),
    "companies": _line(r"^targetCompanies: \[", lambda match, typed: f'{match[0]}"{typed}", '),
    "label of a link": _line(r"^  - \{label: ", lambda match, typed: f"{match[0]}{typed.replace(',', '')} "),
    "alternative text": _line(r"^!\[", lambda match, typed: f"{match[0]}{typed} "),
    "caption": _line(r"(?<=\.png\)\n\n)", lambda match, typed: f"{typed}: "),
    "heading": _line(r"^#### ", lambda match, typed: f"{match[0]}{typed} "),
    "cell": _line(r"^\| (?=[A-Z])", lambda match, typed: f"{match[0]}{typed} "),
    "entry": _line(r"^- (?=[A-Z*])", lambda match, typed: f"{match[0]}{typed} "),
    "words of a link": _line(r"(?<!!)\[(?=[a-z ]+\]\()", lambda match, typed: f"{match[0]}{typed} "),
    "diagram": _in_fence("mermaid", r"\[\"?(?=\w)"),
    "chart": _in_fence("chart", r"title: "),
    "code": _in_fence("yaml", r"(?<=\w): (?=[\w\"])|: \{(?=\w)"),
    "inline code": _line(r"(?<= )`(?=[a-z])", lambda match, typed: f"{match[0]}{typed} "),
}
