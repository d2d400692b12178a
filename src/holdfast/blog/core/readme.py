"""The README quotes figures, too: in its results block, which is made from the records, and nowhere else."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from holdfast.blog.core import markup, numerals
from holdfast.blog.core.fault import Fault

if TYPE_CHECKING:
    from collections.abc import Sequence

    from markdown_it.token import Token

REMEDY: Final = "take it out, or add its metric to the results, which are made from the records"
CODE_REMEDY: Final = "quote code as it stands in the documentation or in a program of this repository"

_RESULTS: Final = re.compile(r"^<!-- results -->$.*?^<!-- /results -->$", re.MULTILINE | re.DOTALL)


def judge_readme(text: str, *, file: str, quoted: Callable[[str], bool]) -> tuple[Fault, ...]:
    """Numbers that were typed into a page of Markdown, by line.

    ``quoted`` as in :class:`~holdfast.blog.core.surroundings.Surroundings`.
    """
    faults: list[Fault] = []
    # The block keeps its lines, so that what follows it keeps its numbers.
    text = _RESULTS.sub(lambda match: "\n" * match[0].count("\n"), text)
    line = 1
    for token in markup.tokens(text):
        if token.map:
            line = token.map[0] + 1
        if token.type == "inline":
            seen, starts, code = _seen(token.children or [])
            faults += [
                _fault(file, line + bisect_right(starts, number.start), number.text, REMEDY)
                for number in numerals.typed(seen)
            ]
            faults += [
                _fault(file, line, one, CODE_REMEDY) for one in code if numerals.in_words(one) or _made_up(one, quoted)
            ]
        elif token.type in {"fence", "code_block"}:
            first = line + (1 if token.type == "fence" else 0)
            for at, one in enumerate(token.content.split("\n")):
                if _made_up(one, quoted):
                    faults.append(_fault(file, first + at, one.strip(), CODE_REMEDY))
        elif token.type == "html_block":
            words = re.sub(r"<!--.*?-->|<[^>]*>", " ", token.content, flags=re.DOTALL)
            faults += [_fault(file, line, number.text, REMEDY) for number in numerals.typed(words)]
    return tuple(faults)


def _fault(file: str, line: int, text: str, remedy: str) -> Fault:
    return Fault(file=file, line=line, message=f"the number in {text[:60]!r} is typed by hand", remedy=remedy)


def _made_up(code: str, quoted: Callable[[str], bool]) -> bool:
    text = numerals.without_comment(code.strip())
    return numerals.typed_in_code(text) and not numerals.status_code(text) and not quoted(text)


def _seen(children: Sequence[Token]) -> tuple[str, list[int], list[str]]:
    """What a paragraph says, where its lines begin in that, and the code in it."""
    seen: list[str] = []
    starts: list[int] = []
    code: list[str] = []
    length = 0
    address = False
    for token in children:
        mark = numerals.BREAK
        if token.type == "text":
            mark = "\ufffc" if address else token.content
        elif token.type in {"softbreak", "hardbreak"}:
            mark = "\n"
            starts.append(length + 1)
        elif token.type == "code_inline":
            code.append(token.content)
            mark = numerals.beside(token.content)
        elif token.type == "link_open":
            address = token.info == "auto"
        elif token.type == "link_close":
            address = False
        elif token.type == "image":
            mark = f"\ufffc {token.content} \ufffc"
        seen.append(mark)
        length += len(mark)
    return "".join(seen), starts, code
