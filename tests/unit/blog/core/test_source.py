"""Files that are no posts are refused before anything is read into them."""

from __future__ import annotations

import pytest

from holdfast.blog.core.source import LONGEST, split, unfit_entity
from holdfast.blog.errors import Refused


def refused(text: str) -> str:
    with pytest.raises(Refused) as raised:
        split(text, file="content/posts/a-post.md")
    return str(raised.value)


def test_front_matter_and_body_know_their_lines() -> None:
    source = split("---\ntitle: a\n---\n\n## Hook\n", file="x.md")
    assert (source.front, source.body_line) == ("title: a", 4)
    assert source.body.splitlines()[1] == "## Hook"


def test_windows_line_ends_and_a_byte_order_mark_are_read_past() -> None:
    source = split("\ufeff---\r\ntitle: a\r\n---\r\n## Hook\r\n", file="x.md")
    assert (source.front, source.body) == ("title: a", "## Hook\n")


def test_a_file_without_front_matter_is_told_how_to_get_one() -> None:
    assert "content/posts/a-post.md:1: the file does not begin with front matter" in refused("## Hook\n")
    assert "the front matter does not end" in refused("---\ntitle: a\n")
    assert "does not begin" in refused("")


@pytest.mark.parametrize("character", ["\x00", "\x1b", "\u202e", "\ue000", "\ufdd0"])
def test_characters_that_are_no_text_or_reverse_it_are_refused_with_their_line(character: str) -> None:
    assert f"a-post.md:2: the character U+{ord(character):04X}" in refused(f"---\ntitle: a{character}b\n---\n")


def test_isolates_and_marks_of_right_to_left_text_are_let_through() -> None:
    assert split("---\ntitle: \u2067שלום\u2069\u200f\n---\n", file="x.md").front.startswith("title")


def test_a_file_that_nobody_wrote_by_hand_is_refused() -> None:
    assert "split it" in refused("---\n---\n" + "a" * LONGEST)


@pytest.mark.parametrize(
    ("text", "offset"),
    [("a &#xE000; b", 2), ("&#8238;", 0), ("&#65;&#XFFFE;", 5), ("&#0; &#x110000; &#xe9; &amp;#xE000 ;", -1), ("", -1)],
)
def test_a_numeric_reference_to_what_is_no_text_is_found(text: str, offset: int) -> None:
    at, wrong = unfit_entity(text)
    assert at == offset
    assert bool(wrong) == (offset >= 0)
