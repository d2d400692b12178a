"""A post's file, taken apart: front matter between two ``---`` lines, then the body, each with its lines."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import Final

from holdfast.blog.core.fault import Fault
from holdfast.blog.errors import Refused

LONGEST: Final = 256 * 1024
"""Characters of a file. A long post has 20,000; what is longer was not written by hand."""
FENCE: Final = "---"

_OVERRIDES: Final = frozenset("\u202a\u202b\u202c\u202d\u202e")
"""They show text in another order than it is read in, to reviewers too. Isolates (U+2066 to U+2069) and marks do
what right-to-left text needs without reaching beyond it."""
_NO_TEXT: Final = frozenset({"Cc", "Co", "Cs", "Cn"})
"""Control characters, those for private use, halves of pairs, and what is none (U+FFFE among them)."""
_ENTITY: Final = re.compile(r"&#([xX][0-9a-fA-F]{1,6}|[0-9]{1,7});")


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """The two halves of a file."""

    front: str
    """YAML. It begins on line 2."""
    body: str
    """Markdown."""
    body_line: int
    """Line of the file on which the body begins, from 1."""


def split(text: str, *, file: str) -> Source:
    """Take a file apart. Raises :class:`~holdfast.blog.errors.Refused` for text that is no post at all."""
    faults = [
        Fault(file=file, line=line, message=message, remedy=remedy) for line, message, remedy in _unreadable(text)
    ]
    if faults:
        raise Refused(faults)
    lines = text.removeprefix("\ufeff").split("\n")
    lines = [line.removesuffix("\r") for line in lines]
    if lines[0].rstrip() != FENCE:
        raise Refused(
            [
                Fault(
                    file=file,
                    line=1,
                    message="the file does not begin with front matter",
                    remedy="begin it with a line of ---, the keys, and another line of ---; "
                    "'holdfast blog new' writes one",
                )
            ]
        )
    end = next((at for at, line in enumerate(lines[1:], start=1) if line.rstrip() == FENCE), None)
    if end is None:
        raise Refused(
            [Fault(file=file, line=1, message="the front matter does not end", remedy="close it with a line of ---")]
        )
    return Source(front="\n".join(lines[1:end]), body="\n".join(lines[end + 1 :]), body_line=end + 2)


def unfit(text: str) -> str:
    """What keeps a text from being shown, ``the character U+202E shows text in another order than it is read in``.

    Empty for a text that can be. Escapes of YAML, Markdown and Mermaid make characters that the file does not hold, so
    this is asked again of what they were read as.
    """
    if text.isascii() and text.isprintable():
        return ""
    for character in text:
        if character in _OVERRIDES:
            what = "shows text in another order than it is read in"
        elif character not in "\t\n" and unicodedata.category(character) in _NO_TEXT:
            what = "is no text"
        else:
            continue
        return f"the character U+{ord(character):04X} {what}"
    return ""


def unfit_entity(text: str) -> tuple[int, str]:
    """Offset and fault of the first numeric reference (``&#xE000;``) to such a character; -1 where there is none."""
    for match in _ENTITY.finditer(text) if "&#" in text else ():
        number = int(match[1][1:], 16) if match[1][0] in "xX" else int(match[1])
        # What Markdown shows instead of these is text.
        if 0 < number < 0x110000 and (wrong := unfit(chr(number))):
            return match.start(), wrong
    return -1, ""


def _unreadable(text: str) -> list[tuple[int, str, str]]:
    if len(text) > LONGEST:
        return [(0, f"{len(text):,} characters; a post has at most {LONGEST:,}", "split it into several posts")]
    if text.isascii() and text.isprintable():
        return []
    found = []
    for number, line in enumerate(text.split("\n"), start=1):
        if wrong := unfit(line.removesuffix("\r").removeprefix("\ufeff" if number == 1 else "")):
            found.append((number, wrong, "remove it"))
    return found
