"""Where the blocks of a plain text are, without asking Markdown.

Most posts are headings, paragraphs, flat lists and fences that begin at the margin. Markdown tries a dozen rules on
each of their lines, which is most of what reading a post costs; these four are seen at a glance. Anything else (a
table, a quotation, HTML, a definition, indentation) and the answer is ``None``: then Markdown itself is asked. A
property holds both to the same answer.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple


class Block(NamedTuple):
    """As a token of markdown-it, as far as the reader of posts looks at one."""

    type: str
    tag: str
    map: tuple[int, int]
    """First line, and the one after the last; from 0."""
    level: int = 0
    nesting: int = 1
    info: str = ""
    content: str = ""


_HEADING: Final = re.compile(r"(#{1,6})(?: .*)?")
_FENCE: Final = re.compile(r"(`{3,})([^`]*)")
_PLAIN: Final = re.compile(r"[^\W\d_]|[\"'(“‘{]|\*\*?(?=[^\W_])|`(?!``)")
"""How the first line of a paragraph begins: nothing else begins so."""
_GOES_ON: Final = re.compile(r"[^\W\d_]|[\"'(“‘{,;:.]|`(?!``)")
"""How a further line begins: neither another block, nor what makes a heading or a table of the one before."""
_ENTRY: Final = re.compile(rf"- (?:{_PLAIN.pattern})")
_ODD: Final = re.compile(r"[\t\0\x0b-\x1f\x85\u2028\u2029]")


def outline(text: str) -> list[Block] | None:
    """The blocks of a text, or ``None`` where only Markdown knows."""
    if _ODD.search(text):
        return None
    lines = text.split("\n")
    found: list[Block] = []
    at, end = 0, len(lines)
    while at < end:
        line = lines[at]
        if not line.strip(" "):
            at += 1
        elif heading := _HEADING.fullmatch(line):
            found.append(Block("heading_open", f"h{len(heading[1])}", (at, at + 1)))
            at += 1
        elif opening := _FENCE.fullmatch(line):
            close = _closing(lines, at + 1, len(opening[1]))
            if close is None:
                return None
            content = "".join(f"{each}\n" for each in lines[at + 1 : close])
            found.append(Block("fence", "code", (at, close + 1), nesting=0, info=opening[2].strip(), content=content))
            at = close + 1
        elif _ENTRY.match(line):
            first = len(found)
            begin = at
            found.append(Block("bullet_list_open", "ul", (at, at)))
            while at < end and _ENTRY.match(lines[at]):
                after = _paragraph(lines, at, indented=True)
                if after is None:
                    return None
                found.append(Block("list_item_open", "li", (at, after), level=1))
                last, at = after, after
                while at < end and not lines[at].strip(" "):
                    at += 1
                if at < end and at > after and lines[at][0] == " ":
                    return None  # more of the entry, after an empty line
            found[first] = Block("bullet_list_open", "ul", (begin, last))
        elif _PLAIN.match(line):
            after = _paragraph(lines, at, indented=False)
            if after is None:
                return None
            found.append(Block("paragraph_open", "p", (at, after)))
            at = after
        else:
            return None
    return found


def _closing(lines: list[str], at: int, ticks: int) -> int | None:
    wanted = re.compile(rf" {{0,3}}`{{{ticks},}} *")
    return next((place for place in range(at, len(lines)) if wanted.fullmatch(lines[place])), None)


def _paragraph(lines: list[str], at: int, *, indented: bool) -> int | None:
    """Where a paragraph or an entry that begins on a line is over; ``None`` where that is not plain."""
    at += 1
    while at < len(lines) and lines[at].strip(" "):
        line = lines[at]
        if indented and _ENTRY.match(line):
            break
        if indented and line[:2] == "  ":
            line = line[2:]
        if not _GOES_ON.match(line):
            if not indented and (_HEADING.fullmatch(line) or _FENCE.fullmatch(line)):
                break
            return None
        at += 1
    return at
