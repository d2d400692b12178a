"""Flowcharts and state charts that were laid out, drawn.

Positions come from the layout engine; what a reader sees is ours: outlines by class, arrow heads by marker, text as
text on a plate of the page's colour so that no line runs through it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from holdfast.blog.core import svg
from holdfast.blog.core.lettering import width
from holdfast.blog.core.svg import Svg, element, number

SIZE: Final = 14.0
"""Pixels per em of every label in a diagram: the page's small size, readable on a phone without scaling."""
LEADING: Final = 19.0
MARGIN: Final = 6.0
"""Round the drawing, so that no stroke and no arrow head is cut."""
_BEND: Final = 6.0
"""Radius of an edge's corners."""
_BOLD: Final = 1.12
"""Width of a heavy letter by that of a regular one, in DejaVu Sans at most."""
_JOG: Final = 9.0
"""Steps smaller than this in an orthogonal edge are noise of the layout, and are taken out."""

Point = tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """A rectangle by its middle."""

    x: float
    y: float
    width: float
    height: float

    @property
    def left(self) -> float:
        """Its left side."""
        return self.x - self.width / 2

    @property
    def top(self) -> float:
        """Its upper side."""
        return self.y - self.height / 2

    def overlaps(self, other: Box) -> bool:
        """True where both have area in common."""
        return (
            abs(self.x - other.x) * 2 < self.width + other.width
            and abs(self.y - other.y) * 2 < self.height + other.height
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A thing: its outline, and its words already broken into lines."""

    id: str
    shape: str
    lines: tuple[str, ...]
    box: Box
    details: tuple[str, ...] = ()
    """Below a rule, for a state with a description."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge:
    """A connection, with its ends and its stroke."""

    source: str
    target: str
    points: tuple[Point, ...]
    lines: tuple[str, ...] = ()
    label: Box | None = None
    tail: str = ""
    """``arrow``, ``circle``, ``cross`` or nothing."""
    head: str = "arrow"
    stroke: str = "normal"
    """``normal``, ``dotted``, ``thick``, or ``none`` for one that only holds things in place."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """A frame round things that belong together."""

    id: str
    lines: tuple[str, ...]
    box: Box
    members: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Graph:
    """A drawing before it is drawn."""

    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    clusters: tuple[Cluster, ...] = ()


def extent(boxes: Iterable[Box], points: Iterable[Point]) -> tuple[float, float, float, float]:
    """Left, top, width and height of all of it with the margin; an empty drawing has one pixel."""
    xs: list[float] = []
    ys: list[float] = []
    for box in boxes:
        xs += (box.left, box.left + box.width)
        ys += (box.top, box.top + box.height)
    for x, y in points:
        xs.append(x)
        ys.append(y)
    if not xs:
        return (0.0, 0.0, 1.0, 1.0)
    left, top = min(xs) - MARGIN, min(ys) - MARGIN
    return (left, top, max(xs) + MARGIN - left, max(ys) + MARGIN - top)


def markers(name: str) -> Svg:
    """Arrow heads and other ends, for this figure only. They point along the line, at either end."""

    def marker(kind: str, reach: float, shape: Svg) -> Svg:
        return element(
            "marker",
            {
                "id": f"{name}-{kind}", "viewBox": "0 0 10 10", "refX": reach, "refY": 5, "markerWidth": 10,
                "markerHeight": 10, "markerUnits": "userSpaceOnUse", "orient": "auto-start-reverse",
            },
            shape,
        )  # fmt: skip

    return element(
        "defs",
        {},
        marker("arrow", 9.5, element("path", {"class": "head", "d": "M0 0.8 10 5 0 9.2z"})),
        marker("open", 9.5, element("path", {"class": "barb", "d": "M1 1 9.5 5 1 9"})),
        marker("circle", 9.5, element("circle", {"class": "ring", "cx": 5, "cy": 5, "r": 4})),
        marker("cross", 5, element("path", {"class": "barb", "d": "M1 1 9 9M9 1 1 9"})),
    )


def draw(graph: Graph, *, name: str) -> tuple[tuple[Svg, ...], tuple[float, float, float, float]]:
    """The content of the ``<svg>``, and its extent."""
    outlines = {node.id: node for node in graph.nodes}
    edges = [(edge, _attached(edge, outlines)) for edge in graph.edges if edge.stroke != "none"]
    labels = [edge.label for edge, _ in edges if edge.label]
    content = (
        markers(name),
        svg.group({"class": "clusters"}, (_cluster(cluster) for cluster in graph.clusters)),
        svg.group({"class": "edges"}, (_edge(edge, points, name) for edge, points in edges)),
        svg.group({"class": "nodes"}, (_node(node) for node in graph.nodes)),
        svg.group({"class": "titles"}, (_title(cluster) for cluster in graph.clusters if cluster.lines)),
        svg.group({"class": "labels"}, (_label(edge) for edge, _ in edges)),
    )
    boxes = [*(node.box for node in graph.nodes), *(cluster.box for cluster in graph.clusters), *labels]
    return content, extent(boxes, (point for _, points in edges for point in points))


def _cluster(cluster: Cluster) -> Svg:
    box = cluster.box
    return element("rect", {"x": box.left, "y": box.top, "width": box.width, "height": box.height, "rx": 8})


def _title(cluster: Cluster) -> Svg:
    """After the edges, as they may cross it."""
    wide = max(width(line, SIZE) for line in cluster.lines) * _BOLD + 6
    high = len(cluster.lines) * LEADING
    middle = cluster.box.top + 5 + high / 2
    return element(
        "g",
        {},
        element(
            "rect", {"x": cluster.box.x - wide / 2, "y": middle - high / 2, "width": wide, "height": high, "rx": 3}
        ),
        svg.lines(cluster.lines, cluster.box.x, middle, leading=LEADING),
    )


def _label(edge: Edge) -> Svg:
    if edge.label is None or not edge.lines:
        return Svg("")
    box = edge.label
    return element(
        "g",
        {},
        element(
            "rect", {"class": "plate", "x": box.left, "y": box.top, "width": box.width, "height": box.height, "rx": 3}
        ),
        svg.lines(edge.lines, box.x, box.y, leading=LEADING),
    )


# ---------------------------------------------------------------- outlines


def _node(node: Node) -> Svg:
    box = node.box
    words = [svg.lines(node.lines, box.x, box.y, leading=LEADING)]
    if node.details:
        rule = box.top + 8 + len(node.lines) * LEADING
        words = [
            svg.lines(node.lines, box.x, (box.top + rule) / 2, leading=LEADING),
            element("path", {"class": "rule", "d": f"M{number(box.left)} {number(rule)}h{number(box.width)}"}),
            svg.lines(node.details, box.x, (rule + box.top + box.height) / 2, leading=LEADING),
        ]
    kind = node.shape if node.shape in ("note", "start", "end", "bar") else "node"
    return element("g", {"class": kind}, *_outline(node.shape, box), *words)


def _polygon(shape: str, box: Box) -> tuple[Point, ...]:
    """Corners of the straight-sided shapes, clockwise from the upper left; empty for the others."""
    left, top, right, bottom = box.left, box.top, box.left + box.width, box.top + box.height
    slant = min(box.height / 2, box.width / 4)
    match shape:
        case "diamond":
            return ((box.x, top), (right, box.y), (box.x, bottom), (left, box.y))
        case "hexagon":
            upper, lower = (
                ((left + slant, top), (right - slant, top)),
                ((right - slant, bottom), (left + slant, bottom)),
            )
            return (*upper, (right, box.y), *lower, (left, box.y))
        case "lean_right":
            return ((left + slant, top), (right, top), (right - slant, bottom), (left, bottom))
        case "lean_left":
            return ((left, top), (right - slant, top), (right, bottom), (left + slant, bottom))
        case "trapezoid":
            return ((left + slant, top), (right - slant, top), (right, bottom), (left, bottom))
        case "inv_trapezoid":
            return ((left, top), (right, top), (right - slant, bottom), (left + slant, bottom))
        case "odd":
            return ((left, top), (right, top), (right, bottom), (left, bottom), (left + slant, box.y))
        case _:
            return ()


def _outline(shape: str, box: Box) -> tuple[Svg, ...]:
    frame: dict[str, str | float] = {"x": box.left, "y": box.top, "width": box.width, "height": box.height}
    if corners := _polygon(shape, box):
        return (element("polygon", {"points": " ".join(f"{number(x)},{number(y)}" for x, y in corners)}),)
    middle: dict[str, str | float] = {"cx": box.x, "cy": box.y}
    radius = min(box.width, box.height) / 2
    match shape:
        case "circle" | "start":
            return (element("circle", middle | {"r": radius}),)
        case "doublecircle" | "end":
            inner = radius - (5 if shape == "doublecircle" else radius * 0.42)
            return (
                element("circle", middle | {"r": radius}),
                element("circle", middle | {"r": inner, "class": "inner"}),
            )
        case "stadium":
            return (element("rect", frame | {"rx": box.height / 2}),)
        case "cylinder":
            return _cylinder(box)
        case "subroutine":
            left, right = number(box.left + 7), number(box.left + box.width - 7)
            drop = f"{number(box.top)}v{number(box.height)}"
            sides = f"M{left} {drop}M{right} {drop}"
            return (element("rect", frame | {"rx": 2}), element("path", {"class": "rule", "d": sides}))
        case "round" | "state":
            return (element("rect", frame | {"rx": 10}),)
        case "bar" | "note":
            return (element("rect", frame | {"rx": 2}),)
        case _:
            return (element("rect", frame | {"rx": 4}),)


def _cylinder(box: Box) -> tuple[Svg, ...]:
    lid = min(8.0, box.height / 5)
    left, top, bottom, half = number(box.left), box.top + lid, box.top + box.height - lid, number(box.width / 2)
    right, arc = number(box.left + box.width), f"A{half} {number(lid)} 0 0 "
    body = f"M{left} {number(top)}{arc}1 {right} {number(top)}V{number(bottom)}{arc}1 {left} {number(bottom)}z"
    rim = f"M{left} {number(top)}{arc}0 {right} {number(top)}"
    return (element("path", {"d": body}), element("path", {"class": "rule", "d": rim}))


# ---------------------------------------------------------------- edges


def _edge(edge: Edge, points: tuple[Point, ...], name: str) -> Svg:
    attributes: dict[str, str | float] = {"class": f"edge {edge.stroke}".removesuffix(" normal"), "d": _path(points)}
    if edge.tail:
        attributes["marker-start"] = f"url(#{name}-{edge.tail})"
    if edge.head:
        attributes["marker-end"] = f"url(#{name}-{edge.head})"
    return element("path", attributes)


def _attached(edge: Edge, nodes: dict[str, Node]) -> tuple[Point, ...]:
    """The points of an edge without jogs, its ends on the outlines: layouts end them at bounding boxes."""
    points = _straightened(edge.points)
    if len(points) < 2:
        return points
    first = _touching(nodes.get(edge.source), points[0], points[1])
    last = _touching(nodes.get(edge.target), points[-1], points[-2])
    return (first, *points[1:-1], last)


def _straightened(points: tuple[Point, ...]) -> tuple[Point, ...]:
    """Without small steps between two parallel stretches.

    The later stretch takes the level of the earlier or, where it ends the edge, the earlier that of the later.
    """
    path = _without_repetition(points)
    index = 1
    while index + 2 < len(path):
        before, start, end, after = path[index - 1 : index + 3]
        step = 0 if abs(start[1] - end[1]) < 0.01 else 1
        across = 1 - step
        small = abs(start[step] - end[step]) < _JOG and abs(start[across] - end[across]) < 0.01
        parallel = abs(before[step] - start[step]) < 0.01 and abs(after[step] - end[step]) < 0.01
        if not (small and parallel):
            index += 1
            continue
        ends_here = index + 2 == len(path) - 1
        level = end[step] if ends_here and index > 1 else start[step]
        for place in (index - 1, index, index + 1, index + 2):
            moved = list(path[place])
            moved[step] = level
            path[place] = (moved[0], moved[1])
        path = _without_repetition(path)
        index = max(1, index - 1)
    return tuple(path)


def _without_repetition(points: Iterable[Point]) -> list[Point]:
    """Without points that lie on the line between their neighbours."""
    path: list[Point] = []
    for point in points:
        if path and math.dist(path[-1], point) < 0.01:
            continue
        while len(path) > 1 and _between(path[-2], path[-1], point):
            path.pop()
        path.append(point)
    return path


def _between(before: Point, middle: Point, after: Point) -> bool:
    area = (middle[0] - before[0]) * (after[1] - before[1]) - (middle[1] - before[1]) * (after[0] - before[0])
    return abs(area) < 0.05 * math.dist(before, after)


def _touching(node: Node | None, end: Point, inner: Point) -> Point:
    """Where the line from ``inner`` through ``end`` meets the node's outline; ``end`` where it does not."""
    if node is None:
        return end
    length = math.dist(inner, end)
    if length < 0.01:
        return end
    ahead = ((end[0] - inner[0]) / length, (end[1] - inner[1]) / length)
    if node.shape in ("circle", "doublecircle", "start", "end"):
        reach = _to_circle(inner, ahead, (node.box.x, node.box.y), min(node.box.width, node.box.height) / 2)
    else:
        corners = _polygon(node.shape, node.box)
        crossings = (_to_side(inner, ahead, a, b) for a, b in zip(corners, (*corners[1:], *corners[:1]), strict=True))
        reach = min((far for far in crossings if far is not None), default=None)
    if reach is None:
        return end
    return (inner[0] + ahead[0] * reach, inner[1] + ahead[1] * reach)


def _to_circle(start: Point, ahead: Point, middle: Point, radius: float) -> float | None:
    dx, dy = middle[0] - start[0], middle[1] - start[1]
    along = dx * ahead[0] + dy * ahead[1]
    aside = dx * dx + dy * dy - along * along
    half = radius * radius - aside
    return along - math.sqrt(half) if half >= 0 and along > 0 else None


def _to_side(start: Point, ahead: Point, a: Point, b: Point) -> float | None:
    side = (b[0] - a[0], b[1] - a[1])
    cross = ahead[0] * side[1] - ahead[1] * side[0]
    if abs(cross) < 1e-9:
        return None
    dx, dy = a[0] - start[0], a[1] - start[1]
    far = (dx * side[1] - dy * side[0]) / cross
    share = (dx * ahead[1] - dy * ahead[0]) / cross
    return far if far > 0 and -1e-6 <= share <= 1 + 1e-6 else None


def _path(points: tuple[Point, ...]) -> str:
    """A line with round corners."""
    if not points:
        return ""
    drawn = [f"M{_pair(points[0])}"]
    for before, corner, after in zip(points, points[1:], points[2:], strict=False):
        radius = min(_BEND, math.dist(before, corner) / 2, math.dist(corner, after) / 2)
        enter, leave = _toward(corner, before, radius), _toward(corner, after, radius)
        drawn.append(f"L{_pair(enter)}Q{_pair(corner)} {_pair(leave)}")
    drawn.append(f"L{_pair(points[-1])}")
    return "".join(drawn)


def _toward(start: Point, end: Point, distance: float) -> Point:
    length = math.dist(start, end)
    if length < 0.01:
        return start
    return (start[0] + (end[0] - start[0]) * distance / length, start[1] + (end[1] - start[1]) * distance / length)


def _pair(point: Point) -> str:
    return f"{number(point[0])} {number(point[1])}"
