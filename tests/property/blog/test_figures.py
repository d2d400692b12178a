"""Whatever authors write into a figure, nothing comes out that a strict policy forbids."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from holdfast.blog.core.drawing import Figure, Unparsable
from holdfast.blog.core.lettering import width, wrap
from holdfast.blog.core.numerals import typed
from holdfast.blog.core.source import unfit
from holdfast.blog.shell.charts import chart
from holdfast.blog.shell.diagrams import diagram
from tests.unit.blog.shell.records import MadeUp

EXAMPLES = settings(max_examples=60, deadline=None)
HOSTILE = st.sampled_from(
    [
        *("<script>alert(1)</script>", '" onload="alert(1)', "' style='x", "<style>*{}</style>", "<foreignObject>"),
        *("</text></svg><img src=x>", "<img src=x onerror=alert(1)>", "<a href='//x'>y</a>", "]]>", "<!--"),
        *("javascript:alert(1)", "https://example.com/x.png", "&lt;script&gt;", "#lt;script#gt;", "&#x3c;b&#x3e;"),
        *("\u202eevil", "負荷 مرحبا"),
    ]
)
WORDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=40) | HOSTILE
SHOWN = st.text(st.characters(exclude_categories=["Cs", "Cc", "Co", "Cn", "N"]), max_size=40) | HOSTILE
"""Without numbers and without what is no text."""
ELEMENTS = {
    *(
        "figure",
        "figcaption",
        "div",
        "details",
        "summary",
        "ul",
        "li",
        "p",
        "a",
        "table",
        "thead",
        "tbody",
        "tr",
        "th",
        "td",
    ),
    *("svg", "title", "desc", "defs", "marker", "g", "path", "rect", "circle", "polygon", "line", "text", "tspan"),
}


class Judge(HTMLParser):
    """Reads a figure as a browser would, and refuses what may not be in it."""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in ELEMENTS, tag
        for name, value in attrs:
            assert name != "style", (tag, value)
            assert not name.startswith("on"), (tag, name)
            if name in ("href", "src", "xlink:href"):
                assert tag == "a", tag
                assert (value or "").startswith("/evidence/"), value
            if "url(" in (value or "") and name.startswith("marker"):
                assert re.fullmatch(r"url\(#[a-z0-9-]+\)", value or ""), value

    def handle_comment(self, data: str) -> None:
        raise AssertionError(data)


def judge(html: str) -> None:
    parser = Judge()
    parser.feed(html)
    parser.close()


def quoted(words: str) -> str:
    """Words inside the quotes of a Mermaid label."""
    return re.sub(r'["\r\n\x00-\x1f\x7f-\x9f\u2028\u2029]', " ", words).strip() or "x"


def bare(words: str) -> str:
    """Words to a line's end."""
    return re.sub(r"[;#\r\n\x00-\x1f\x7f-\x9f\u2028\u2029]|%%", " ", words).strip() or "x"


def drawn(source: str) -> None:
    figure = _figure_of(source)
    if isinstance(figure, Unparsable):
        assert figure.line >= 1
        assert figure.remedy
        return
    judge(figure.html)
    assert figure == diagram(source, name="f")


def _figure_of(source: str) -> Figure | Unparsable:
    try:
        return diagram(source, name="f")
    except Unparsable as refused:
        return refused


@EXAMPLES
@given(WORDS, WORDS, WORDS)
@example("<script>alert(1)</script>", '" onload="x', "</svg>")
def test_labels_of_flowcharts_are_text(one: str, two: str, three: str) -> None:
    a, b, c = quoted(one), quoted(two), quoted(three)
    drawn(f'flowchart LR\n a["{a}"] -->|"{b}"| b("{c}")\n subgraph s ["{b}"]\n c{{"{a}"}}\n end\n b --> c')


@EXAMPLES
@given(WORDS, WORDS)
def test_labels_of_states_are_text(one: str, two: str) -> None:
    a, b, note = quoted(one), bare(two), bare(one)
    drawn(f'stateDiagram-v2\n state "{a}" as A\n [*] --> A\n A --> B: {b}\n note right of A: {note}')


@EXAMPLES
@given(WORDS, WORDS, WORDS)
def test_words_of_sequences_are_text(one: str, two: str, three: str) -> None:
    drawn(
        f"sequenceDiagram\n participant A as {bare(one)}\n A->>B: {bare(two)}\n loop {bare(three)}\n"
        f" B-->>A: {bare(one)}\n end\n Note over A,B: {bare(two)}"
    )


@EXAMPLES
@given(st.text(max_size=200))
def test_any_source_is_drawn_or_refused_with_a_line(source: str) -> None:
    for kind in ("", "flowchart TD\n", "sequenceDiagram\n", "stateDiagram-v2\n"):
        drawn(kind + source)


@pytest.mark.usefixtures("vega")
@settings(max_examples=25, deadline=None)
@given(SHOWN, SHOWN, st.sampled_from(["bar", "dot", "line"]))
def test_words_of_charts_are_text(one: str, two: str, kind: str) -> None:
    assume(not any(unfit(words) or typed(f"{words}x") for words in (one, two)))

    def scalar(words: str) -> str:
        return '"' + re.sub(r'[\\"{}\r\n\x00-\x1f\x7f-\x9f\ufeff\u2028\u2029\ufffe\uffff]', " ", words).strip() + 'x"'

    source = f"""title: {scalar(one)}
kind: {kind}
axis: {scalar(two)}
caption: {scalar(one)}
rows:
- {{label: {scalar(one)}, series: {scalar(two)}, value: "{{ev:flapping.holdfast.errors}}"}}
- {{label: {scalar(two)}, series: {scalar(one)}, value: "{{ev:flapping.haproxy.errors}}"}}
"""
    judge(chart(source, name="c", readings=MadeUp()).html)


@EXAMPLES
@given(st.text(max_size=120), st.floats(20, 400))
def test_no_line_is_wider_than_asked_unless_it_is_one_letter(words: str, limit: float) -> None:
    rows = wrap(words, 14, limit)
    assert all(width(row, 14) <= limit or len(row) == 1 or _one_cluster(row) for row in rows)
    assert "".join("".join(rows).split()) == "".join(words.split())


def _one_cluster(row: str) -> bool:
    return width(row[1:], 14) == 0
