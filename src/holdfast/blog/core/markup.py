"""The Markdown of posts: CommonMark with tables. HTML in it is recognised, so that it can be refused."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from typing import Final

from markdown_it import MarkdownIt
from markdown_it.rules_core import StateCore
from markdown_it.token import Token

from holdfast.blog.core.outline import Block, outline

DEEPEST: Final = 20
"""Blocks within blocks, marks within marks."""

_PROSE: Final = re.compile(r"(?:(?:\*\*|[*_`])?[A-Za-z][^\n\r\0]*\n+)+")
"""Lines that begin with a letter, markup before it at most: no block of CommonMark but a paragraph begins so."""
_WORDS: Final = re.compile(r"[^\\`*_\[\]<>&!\n]+")
"""Without any character that means something within a paragraph."""

_TERM: Final = re.compile(rf"\*\*(?P<term>[A-Za-z]+(?: [A-Za-z]+)*)\*\*(?P<rest>{_WORDS.pattern})")
"""``**Budget**: what it is``, as entries of lists begin."""


@cache
def _commonmark() -> MarkdownIt:
    return _engine().enable("table")


@cache
def _blocks_only() -> MarkdownIt:
    return _engine().enable("table").disable(["inline", "text_join"])


@cache
def _inline_only() -> MarkdownIt:
    return _engine().disable(["normalize", "block"])


def _engine() -> MarkdownIt:
    return MarkdownIt("commonmark", {"html": True, "maxNesting": 4 * DEEPEST})


def too_deep(found: Sequence[Token]) -> bool:
    """Whether something stands deeper than :data:`DEEPEST`. Four times as deep, and Markdown leaves it out silently."""
    return any(token.level > DEEPEST or any(child.level > DEEPEST for child in token.children or ()) for token in found)


def tokens(text: str) -> list[Token]:
    """Blocks and what is in them. ``token.map`` counts lines from 0."""
    # Most parts of most posts are paragraphs: they need not be tried as each other kind of block, line by line.
    return _paragraphs(text) if _PROSE.fullmatch(f"{text}\n") else _commonmark().parse(text)


def blocks(text: str) -> Sequence[Block | Token]:
    """Blocks alone: where headings, lists and fences are."""
    at_a_glance = outline(text)
    return parsed_blocks(text) if at_a_glance is None else at_a_glance


def parsed_blocks(text: str) -> list[Token]:
    """The same, from Markdown itself."""
    return _blocks_only().parse(text)


def _paragraphs(text: str) -> list[Token]:
    """What CommonMark makes of lines of prose and empty lines."""
    found: list[Token] = []
    start = 0
    marked = False
    for paragraph in re.split(r"\n(\n+)", text):
        if not paragraph.strip("\n"):
            start += len(paragraph)
            continue
        content = paragraph.strip()
        lines = [start, start + content.count("\n") + 1]
        inline = Token("inline", "", 0, map=lines, level=1, content=content, children=[], block=True)
        if _WORDS.fullmatch(content):
            inline.children = [Token("text", "", 0, content=content)]
        elif match := _TERM.fullmatch(content):
            inline.children = _term(match["term"], match["rest"])
        else:
            marked = True
        opening = Token("paragraph_open", "p", 1, map=lines, block=True)
        found += (opening, inline, Token("paragraph_close", "p", -1, block=True))
        start = lines[1]
    if marked:
        engine = _inline_only()
        unread = [token for token in found if token.children == []]
        engine.core.process(StateCore("", engine, {}, unread))
    return found


def _term(term: str, rest: str) -> list[Token]:
    return [
        Token("text", "", 0),
        Token("strong_open", "strong", 1, markup="**"),
        Token("text", "", 0, level=1, content=term),
        Token("strong_close", "strong", -1, markup="**"),
        Token("text", "", 0, content=rest),
    ]
