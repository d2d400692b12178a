"""Graphs that were laid out, drawn."""

from __future__ import annotations

import re

from holdfast.blog.core.graph import Box, Edge, Graph, Node, draw


def node(name: str, x: float, y: float, shape: str = "rect", *, width: float = 40, height: float = 20) -> Node:
    return Node(id=name, shape=shape, lines=(name,), box=Box(x=x, y=y, width=width, height=height))


def path(graph: Graph) -> str:
    content, _ = draw(graph, name="g")
    match = re.search(r'class="edge"[^>]* d="([^"]*)"', "".join(content))
    assert match
    return match[1]


def test_an_edge_ends_on_the_outline_of_a_diamond_and_not_on_its_bounding_box() -> None:
    a, b = node("a", 0, 0), node("b", 100, 10, "diamond", width=40, height=40)
    edge = Edge(source="a", target="b", points=((20, 0), (80, 0)))
    assert path(Graph(nodes=(a, b), edges=(edge,))) == "M20 0L90 0"


def test_an_edge_ends_on_the_outline_of_a_circle() -> None:
    a, b = node("a", 0, 0), node("b", 100, 12, "circle", width=40, height=40)
    edge = Edge(source="a", target="b", points=((20, 0), (80, 0)))
    assert path(Graph(nodes=(a, b), edges=(edge,))) == "M20 0L84 0"


def test_a_step_of_a_few_pixels_is_taken_out() -> None:
    a, b = node("a", 0, 0), node("b", 100, 4)
    edge = Edge(source="a", target="b", points=((20, 0), (50, 0), (50, 4), (80, 4)))
    assert path(Graph(nodes=(a, b), edges=(edge,))) == "M20 0L80 0"


def test_a_real_corner_stays_and_is_round() -> None:
    a, b = node("a", 0, 0), node("b", 100, 60)
    edge = Edge(source="a", target="b", points=((20, 0), (50, 0), (50, 60), (80, 60)))
    assert path(Graph(nodes=(a, b), edges=(edge,))) == "M20 0L44 0Q50 0 50 6L50 54Q50 60 56 60L80 60"


def test_an_edge_that_only_holds_things_in_place_is_not_drawn() -> None:
    a, b = node("a", 0, 0), node("b", 100, 0)
    content, _ = draw(Graph(nodes=(a, b), edges=(Edge(source="a", target="b", points=(), stroke="none"),)), name="g")
    assert 'class="edge' not in "".join(content)


def test_the_extent_holds_everything_with_a_margin() -> None:
    _, (left, top, width, height) = draw(Graph(nodes=(node("a", 0, 0),), edges=()), name="g")
    assert (left, top, width, height) == (-26, -16, 52, 32)
    assert draw(Graph(nodes=(), edges=()), name="g")[1][2:] == (1, 1)
