"""Mermaid in, a figure out."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest

from holdfast.blog.core import graph
from holdfast.blog.core.drawing import Unparsable
from holdfast.blog.core.svg import Svg
from holdfast.blog.shell.diagrams import LONGEST, diagram

FLOW = """flowchart LR
  client([Clients]) -->|HTTP| lb[Balancer]
  subgraph pool [Backends]
    lb ==> a[(Store)]
    lb -.-> b{Healthy?}
  end
  b -- no --> gone((x))
"""
STATES = """stateDiagram-v2
  [*] --> Closed
  Closed --> Open: 5 failures
  Open --> Closed: probe answers
  note right of Closed: requests pass
"""
SEQUENCE = """sequenceDiagram
  autonumber
  participant C as Client
  participant G as Gateway
  C->>+G: POST
  loop twice at most
    G->>G: try
  end
  alt found
    G-->>-C: 200
  else none
    G--xC: 503
  end
  Note over C,G: one answer
"""


class Texts(HTMLParser):
    """Words of ``<text>`` elements."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self._depth = 0

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self._depth += tag == "text"

    def handle_endtag(self, tag: str) -> None:
        self._depth -= tag == "text"

    def handle_data(self, data: str) -> None:
        if self._depth:
            self.found.append(data)


def texts(html: str) -> list[str]:
    parser = Texts()
    parser.feed(html)
    return parser.found


def test_a_flowchart_shows_its_words_as_text_and_says_them_below() -> None:
    figure = diagram(FLOW, name="f")
    assert {"Clients", "HTTP", "Balancer", "Backends", "Store", "Healthy?", "no", "x"} <= set(texts(figure.html))
    assert "<li>Clients to Balancer: HTTP</li>" in figure.html
    assert "<li>Backends holds " in figure.html
    assert figure.text.startswith("Flowchart: Clients, Balancer, Store, Healthy?, x. ")


def test_dotted_and_thick_lines_keep_their_stroke_and_ends_are_markers_of_this_figure() -> None:
    html = diagram(FLOW, name="f").html
    assert 'class="edge dotted"' in html
    assert 'class="edge thick"' in html
    assert set(re.findall(r'marker-end="url\(#([^)]*)\)"', html)) == {"f-arrow"}


def test_a_state_diagram_has_its_start_its_transitions_and_its_note() -> None:
    figure = diagram(STATES, name="s")
    assert {"Closed", "Open", "5 failures", "probe answers", "requests pass"} <= set(texts(figure.html))
    assert "the start to Closed" in figure.text
    assert "Note: requests pass" in figure.text
    assert 'class="start"' in figure.html


def test_a_sequence_is_numbered_framed_and_told_in_order() -> None:
    figure = diagram(SEQUENCE, name="q")
    numbered = [text for text in texts(figure.html) if text[1:2] == "."]
    assert numbered == ["1. POST", "2. try", "3. 200", "4. 503"]
    assert {"loop", "alt", "[found]", "[none]", "one answer"} <= set(texts(figure.html))
    told = figure.text
    assert told.index("1. Client to Gateway: POST") < told.index("Begin of loop") < told.index("Or else: none")


def test_ids_begin_with_the_name_and_are_unique() -> None:
    ids = re.findall(r'id="([^"]*)"', diagram(FLOW, name="one").html)
    assert len(ids) == len(set(ids))
    assert all(found == "one" or found.startswith("one-") for found in ids)


@pytest.mark.parametrize("source", [FLOW, STATES, SEQUENCE])
def test_a_figure_is_lean_and_the_same_twice(source: str) -> None:
    first, second = diagram(source, name="x"), diagram(source, name="x")
    assert first == second
    assert len(first.html) < 8_000


def test_what_is_wide_can_be_scrolled_by_keyboard_and_has_a_name() -> None:
    chain = " --> ".join(f"n{place}[Some station]" for place in range(9))
    wide, narrow = diagram(f"flowchart LR\n {chain}", name="w").html, diagram("flowchart LR\n a --> b", name="n").html
    assert 'role="region" tabindex="0" aria-label="Flowchart: ' in wide
    assert "tabindex" not in narrow


@pytest.mark.parametrize(
    "source",
    [
        FLOW,
        FLOW.replace("LR", "TD"),
        STATES,
        "flowchart LR\n a --> b\n b -->|yes, in most cases| c\n b -->|no| d\n c -->|again| a\n d --> e\n e -->|late| a",
    ],
)
def test_a_label_lies_on_no_node_and_on_no_other_label(source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[graph.Graph] = []
    draw = graph.draw

    def noting(one: graph.Graph, *, name: str) -> tuple[tuple[Svg, ...], tuple[float, float, float, float]]:
        drawn.append(one)
        return draw(one, name=name)

    monkeypatch.setattr(graph, "draw", noting)
    diagram(source, name="x")
    labels = [edge.label for edge in drawn[0].edges if edge.label]
    boxes = [*labels, *(node.box for node in drawn[0].nodes)]
    assert labels
    assert [(one, other) for one in labels for other in boxes if one is not other and one.overlaps(other)] == []


def test_a_title_becomes_the_caption() -> None:
    figure = diagram("---\ntitle: How it holds\n---\nflowchart LR\n a --> b", name="t")
    assert 'id="t"><figcaption>How it holds</figcaption><div' in figure.html, "HTML wants it first or last in a figure"
    assert '<title id="t-title">Flowchart: How it holds</title>' in figure.html


def test_breaks_entities_and_markup_in_labels_become_plain_lines() -> None:
    found = texts(diagram('flowchart LR\n a["one<br/>two #quot;x#quot; <b>bold</b> 3 &lt; 4"]', name="l").html)
    assert found == ["one", 'two "x" bold 3 < 4']


@pytest.mark.parametrize(
    ("source", "line", "message"),
    [
        ("flowchart LR\n a --> \n b -->> c[", 3, "Unterminated"),
        ("sequenceDiagram\n A->>B: x\n A->>: y", 3, "unexpected"),
        ('pie\n "a": 3', 1, "'pie' is not a kind"),
        ("%% only a comment", 1, "empty"),
        ("", 1, "empty"),
        ("flowchart LR\n a --> b\n style a fill:#f00", 3, "colours"),
        ("%%{init: {'theme': 'dark'}}%%\nflowchart LR\n a --> b", 1, "colours"),
        ('flowchart LR\n a --> b\n click a "https://example.com"', 3, "links"),
        ("sequenceDiagram\n box Blue team\n participant D\n end\n D->>D: x", 2, "'box' is not drawn"),
        ("sequenceDiagram\n A->>B: x\n create participant C\n A->>C: y", 3, "'create' is not drawn"),
        ("flowchart LR\n" + "a" * LONGEST, 1, "characters"),
    ],
)
def test_what_cannot_be_drawn_is_told_with_its_line_and_a_remedy(source: str, line: int, message: str) -> None:
    with pytest.raises(Unparsable) as refused:
        diagram(source, name="x")
    assert refused.value.line == line
    assert message in refused.value.message
    assert refused.value.remedy


def test_the_remedy_for_another_kind_lists_those_that_there_are() -> None:
    with pytest.raises(Unparsable) as refused:
        diagram("gantt\n title x", name="x")
    assert refused.value.remedy == "begin with one of flowchart, sequenceDiagram, stateDiagram-v2"
