"""The short way through prose gives what the whole of CommonMark gives."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from holdfast.blog.core import markup

_WHOLE = MarkdownIt("commonmark", {"html": True}).enable("table")
_PIECES = (
    *("word", "Two words", "**b**", "*e*", "_e_", "`c`", "[a](/b)", "![a](/b)", "[x]", "https://a.b", "<https://a.b>"),
    *("<b>", "&amp;", "\\", "!", "|", "-", "---", "===", "1.", "***", "#", "\ue000", "é", ":", "\u00a0", "\u2028"),
    *(" ", "  \n", "\t", "\n", "\n\n", "\n\n\n", "\n- ", "\n> ", "\n|-|\n", "\n```\n", "\x0c", "\r\n", "\0"),
)


@given(st.lists(st.sampled_from(_PIECES), max_size=12).map("".join))
def test_tokens_of_any_text_are_those_of_the_whole_parser(text: str) -> None:
    assert markup.tokens(text) == _WHOLE.parse(text)


_PARAGRAPHS = (
    "Plain words.",
    "**Marked** `words`.",
    "**A term**: its words.",
    "**Half**way",
    "**open",
    "two\nlines",
    "",
)


@given(st.lists(st.sampled_from(_PARAGRAPHS), max_size=6).map("\n\n".join))
def test_tokens_of_paragraphs_are_those_of_the_whole_parser(text: str) -> None:
    assert markup.tokens(text) == _WHOLE.parse(text)
