"""Whatever is written: it is read, or refused with its place; nothing else happens."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import replace
from html.parser import HTMLParser

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from holdfast.blog.core.numerals import typed
from holdfast.blog.core.parse import parse
from holdfast.blog.core.post import Prose
from holdfast.blog.core.published import without_lines
from holdfast.blog.core.write import to_markdown
from holdfast.blog.errors import Refused
from tests.unit.blog.core.scenery import FILE, SAMPLE, faults, rendered, sample

LINES = SAMPLE.split("\n")
ALLOWED = {
    *("p", "br", "hr", "em", "strong", "a", "img", "code", "pre", "span", "data", "h4", "h5", "h6", "blockquote"),
    *("ul", "ol", "li", "div", "table", "thead", "tbody", "tr", "th", "td", "b"),
}
SIGNS = list("ab <>&\"'`*_[](){}|#-+!\\/:=.~^$%\n1\u0663\u00bd\u00e9")
WORDS = ["script", "{ev:", "{fact:", "](", "```", "- ", "https://", "javascript:", "onload=", "{ev:flapping.errors}"]
MARKUP = st.lists(st.sampled_from(SIGNS + WORDS), max_size=60).map("".join)


@st.composite
def edited(draw: st.DrawFn) -> str:
    """The sample with lines taken out, doubled, swapped and written over."""
    lines = list(LINES)
    for _ in range(draw(st.integers(1, 6))):
        at = draw(st.integers(0, len(lines) - 1))
        match draw(st.sampled_from(("cut", "double", "swap", "write"))):
            case "cut":
                del lines[at : at + draw(st.integers(1, 5))]
            case "double":
                lines.insert(at, lines[at])
            case "swap":
                other = draw(st.integers(0, len(lines) - 1))
                lines[at], lines[other] = lines[other], lines[at]
            case _:
                lines[at] = draw(MARKUP)
        assume(lines)
    return "\n".join(lines)


@settings(max_examples=100, deadline=None)
@given(edited())
def test_every_fault_of_an_edited_post_has_a_line_of_the_file_and_a_remedy(text: str) -> None:
    for fault in faults(text):
        assert 0 <= fault.line <= text.count("\n") + 1
        assert fault.message
        assert fault.remedy


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=300))
def test_any_text_is_a_post_or_is_refused(text: str) -> None:
    for candidate in (text, f"---\n{text}\n---\n", f"---\ntitle: a\n---\n{text}"):
        with suppress(Refused):
            parse(candidate, file=FILE)


class _Tags(HTMLParser):
    """Collects what a browser would see."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs


@settings(max_examples=150, deadline=None)
@given(MARKUP)
def test_nothing_that_an_author_writes_becomes_html_of_another_kind(text: str) -> None:
    try:
        html = rendered(sample(SAMPLE.replace("Most balancers decide from a counter.", text))).parts[
            "bottleneckResolution.rootCause"
        ]
    except Refused:
        return
    seen = _Tags()
    seen.feed(html)
    assert set(seen.tags) <= ALLOWED
    for name, value in seen.attributes:
        assert not name.startswith("on")
        assert name != "style"
        if name in {"href", "src"}:
            assert re.match(r"https?://|mailto:|/blog/|#", value or "")


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=200))
def test_no_digit_of_any_script_is_passed_over(text: str) -> None:
    words = " ".join(word for word in re.findall(r"[^\W\d_]+", text) if word.isalpha())
    for number in ("41", "４１", "٤١", "4,100", "41%"):
        assert typed(f"{words} {number} {words}"), (words, number)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.text(st.sampled_from("ab é*`-#\n"), min_size=1, max_size=40).map(str.strip).filter(bool),
        min_size=1,
        max_size=4,
    ),
    st.text(st.characters(blacklist_categories=("Cc", "Co", "Cs", "Cn", "Zl", "Zp")), min_size=1, max_size=60),
)
def test_a_post_that_can_be_read_reads_the_same_after_it_was_written(entries: list[str], title: str) -> None:
    assume(title.strip() and not set("\u202a\u202b\u202c\u202d\u202e") & set(title))
    post = replace(
        sample(),
        title=" ".join(title.split()),
        business_impact=tuple(Prose(text=entry, line=0) for entry in entries),
    )
    text = to_markdown(post)
    try:
        again = parse(text, file=FILE)
    except Refused:
        return
    assert without_lines(parse(to_markdown(again), file=FILE)) == without_lines(again)
    assert again.title == post.title
