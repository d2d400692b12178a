"""What is seen at a glance is what Markdown sees."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from holdfast.blog.core import markup
from holdfast.blog.core.outline import outline

ODD = st.sampled_from(
    [
        *(
            "",
            "",
            "",
            " ",
            "   ",
            "words",
            "words of a text",
            "Words,",
            ", and more",
            ": so",
            ". . .",
            "‘quoted’",
            '"said"',
        ),
        *("# one", "## Hook", "### Problem", "#", "##Hook", "####### seven", " ## indented", "## closed ##"),
        *("- entry", "- **Bold**: words", "-", "- ", "-  wide", "- - nested", "- 1. nested", "- # heading", "- `code`"),
        *(
            "- ```",
            "- [a]: b",
            "- {ev:a.b}",
            "  more of it",
            " one space",
            "    four",
            "\ttab",
            "- \t tab",
            "* star",
            "+ plus",
        ),
        *(
            "1. one",
            "2) two",
            "12 words",
            "---",
            "===",
            "***",
            "* * *",
            "___",
            "_em_ words",
            "**strong** words",
            "*em* x",
        ),
        *(
            "```",
            "```python",
            "``` `x`",
            "````",
            "~~~",
            "`code` words",
            "``two`` words",
            " ```",
            "code()",
            "```mermaid",
        ),
        *(
            "> quoted",
            "<div>",
            "<b>x</b>",
            "a | b",
            "--- | ---",
            "|a|b|",
            ":--",
            "[a]: /b",
            "[a](b)",
            "![a](/b)",
            "{ev:x.y}",
        ),
        *(
            "&amp;",
            "\\# escaped",
            "(so)",
            "“so”",
            "é",
            "日本",
            "א",
            "٤",
            "²",
            "½",
            "…",
            "\u00a0x",
            "\u2028",
            "\x0b",
            "a\x0cb",
        ),
    ]
)

PLAIN = st.sampled_from(
    ["", "", "words of a text", "### Problem", "- **Bold**: words", "- entry", "  more", "```python", "```", "12 words"]
)
LINES = PLAIN | PLAIN | ODD


def seen(tokens: list[Any]) -> list[tuple[Any, ...]]:
    """What the reader of posts looks at; ends of lists are told by what stands in them."""
    return [
        (token.type, token.tag, token.map[0], token.info.strip(), token.content, token.level)
        for token in tokens
        if token.map
        and token.nesting >= 0
        and ((token.level == 0 and token.type != "inline") or (token.type == "list_item_open" and token.level == 1))
    ]


def ends(tokens: list[Any], lines: list[str]) -> list[str]:
    """The text of each block and entry, without the empty lines after it."""
    return [
        "\n".join(lines[token.map[0] : token.map[1]]).rstrip()
        for token in tokens
        if token.map
        and token.nesting >= 0
        and ((token.level == 0 and token.type != "inline") or (token.type == "list_item_open" and token.level == 1))
    ]


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.filter_too_much])
@given(st.lists(LINES, max_size=12).map("\n".join))
@example("```\n- entry\n")
def test_an_outline_is_what_markdown_says(text: str) -> None:
    at_a_glance = outline(text)
    assume(at_a_glance is not None)
    assert at_a_glance is not None
    asked = markup.parsed_blocks(text)
    assert seen(at_a_glance) == seen(asked)
    assert ends(at_a_glance, text.split("\n")) == ends(asked, text.split("\n"))


@pytest.mark.parametrize(
    "text",
    [
        "## Hook\n\n### Problem\n\nWords of a text.\nMore of it.\n\n- **One**: words\n- two\n  more\n",
        "Words.\n\n```python\nx = [1]\n```\n",
        "## A\nwords\n## B\n- one\n\n- two\n",
    ],
)
def test_plain_posts_are_seen_at_a_glance(text: str) -> None:
    assert outline(text) is not None
