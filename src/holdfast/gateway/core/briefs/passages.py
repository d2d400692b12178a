"""Files of evidence, cut into passages that can be cited by source and line."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

LONGEST: Final = 1200
"""Characters of a passage; a paragraph that is longer is cut at a line."""
_HEADING: Final = re.compile(r"#{1,6}\s+(.+?)\s*#*$")
_BARE: Final = re.compile(r"[\s\d.,eE+\-\[\]{}]*$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    """Some lines of a file."""

    source: str
    heading: str
    first: int
    """Line, from 1."""
    last: int
    text: str

    @property
    def id(self) -> str:
        """``SOURCE:FIRST-LAST``."""
        return f"{self.source}:{self.first}-{self.last}"


def passages_of(source: str, text: str) -> list[Passage]:
    """Of Markdown with or without front matter, else of YAML or JSON, by the name of the source."""
    is_markdown = source.endswith((".md", ".markdown"))
    found: list[Passage] = []
    lines: list[str] = []
    heading, first, in_front = "", 1, False

    def close(last: int) -> None:
        words = "\n".join(lines).strip()
        if words:
            found.append(Passage(source=source, heading=heading, first=first, last=last, text=words))
        lines.clear()

    for number, line in enumerate(text.split("\n"), 1):
        if is_markdown and line.strip() == "---" and (number == 1 or in_front):
            close(number - 1)
            in_front = number == 1
            continue
        title = _HEADING.match(line) if is_markdown and not in_front else None
        # Rows of bare numbers are samples: their summary says what can be cited.
        is_gap = not line.strip() if is_markdown else _BARE.match(line) is not None
        if title is not None or is_gap or sum(map(len, lines)) + len(line) > LONGEST:
            close(number - 1)
        if title is not None:
            heading = title[1]
        elif not is_gap:
            first = first if lines else number
            lines.append(line[: 4 * LONGEST])
    close(text.count("\n") + 1)
    return found
