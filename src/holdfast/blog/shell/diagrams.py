"""Mermaid, drawn without a browser: merman parses and lays out, our own pen draws.

merman's own SVG carries ``<style>``, ``style=`` and ``foreignObject``, which a strict Content-Security-Policy forbids,
and weighs four times as much. So its answers are taken as data, typed here; text is measured by our own table, so that
layout and drawing agree on every width.
"""

from __future__ import annotations

import atexit
import html
import json
import math
import re
from collections.abc import Sequence
from dataclasses import replace
from functools import cache, lru_cache
from html import escape
from typing import Any, Final

import msgspec

from holdfast.blog.core import graph, sequence, svg
from holdfast.blog.core.drawing import Figure, Unparsable
from holdfast.blog.core.graph import LEADING, SIZE, Box, Cluster, Edge, Graph, Node
from holdfast.blog.core.lettering import width, wrap
from holdfast.blog.errors import RenderFailed

SUPPORTED: Final = ("flowchart", "sequenceDiagram", "stateDiagram-v2")
LONGEST: Final = 20_000
"""Characters of a source; the largest diagram that a reader can take in has a tenth of it."""
WIDE: Final = 460
"""Pixels from which a diagram scrolls on a phone instead of shrinking until its words cannot be read."""
WIDER: Final = 900
"""Pixels from which it scrolls in the column of a post, too."""

_NODE_WORDS: Final = 190.0
_EDGE_WORDS: Final = 200.0
"""Pixels after which the label of an edge goes on in the next line; merman's own bound, which has no setting."""
_OPTIONS: Final = json.dumps(
    {
        "site_config": {
            "layout": "elk",
            "look": "classic",
            "theme": "base",
            "flowchart": {
                "minNodeWidth": 40,
                "wrappingWidth": _NODE_WORDS,
                "padding": 12,
                "nodeSpacing": 26,
                "rankSpacing": 30,
            },
            "state": {"padding": 6, "nodeSpacing": 26, "rankSpacing": 30},
        }
    }
)
"""Orthogonal layered layout: its edges keep clear of nodes and of each other's labels."""
_SETTINGS: Final = re.compile(r"^\s*%%\s*\{|^\s*(click|style|linkStyle|classDef|class)\b|:::", re.MULTILINE)


# ---------------------------------------------------------------- what merman answers


class _Point(msgspec.Struct, frozen=True):
    x: float
    y: float


class _Place(msgspec.Struct, frozen=True):
    x: float
    y: float
    width: float
    height: float
    id: str = ""

    def box(self) -> Box:
        return Box(x=self.x, y=self.y, width=self.width, height=self.height)


class _Route(msgspec.Struct, frozen=True):
    id: str
    points: list[_Point]
    label: _Place | None = None


class _Frame(msgspec.Struct, frozen=True):
    id: str
    x: float
    y: float
    width: float
    height: float
    title: str = ""


class _Placed(msgspec.Struct, frozen=True):
    nodes: list[_Place]
    edges: list[_Route]
    clusters: list[_Frame]


class _Layouts(msgspec.Struct, frozen=True):
    flow: _Placed | None = msgspec.field(name="FlowchartV2", default=None)
    state: _Placed | None = msgspec.field(name="StateDiagramV2", default=None)


class _Meta(msgspec.Struct, frozen=True):
    diagram_type: str
    title: str | None = None


class _Answer(msgspec.Struct, frozen=True):
    meta: _Meta
    semantic: msgspec.Raw
    layout: _Layouts


class _Titled(msgspec.Struct, frozen=True, kw_only=True):
    title: str | None = None
    acc_title: str | None = msgspec.field(name="accTitle", default=None)
    acc_description: str | None = msgspec.field(name="accDescr", default=None)


class _FlowNode(msgspec.Struct, frozen=True):
    id: str
    label: str | None = None
    shape: str = msgspec.field(name="layoutShape", default="squareRect")


class _FlowEdge(msgspec.Struct, frozen=True):
    id: str
    source: str = msgspec.field(name="from")
    target: str = msgspec.field(name="to")
    label: str | None = None
    type: str = "arrow_point"
    stroke: str = "normal"


class _Subgraph(msgspec.Struct, frozen=True):
    id: str
    title: str
    nodes: list[str]


class _Flow(_Titled, frozen=True, kw_only=True):
    nodes: list[_FlowNode]
    edges: list[_FlowEdge]
    subgraphs: list[_Subgraph]


class _StateNode(msgspec.Struct, frozen=True):
    id: str
    shape: str
    label: str = ""
    description: list[str] | None = None
    parent: str | None = msgspec.field(name="parentId", default=None)


class _Transition(msgspec.Struct, frozen=True):
    id: str
    start: str
    end: str
    label: str = ""
    arrowhead: str = "normal"


class _States(_Titled, frozen=True, kw_only=True):
    nodes: list[_StateNode]
    edges: list[_Transition]


class _Actor(msgspec.Struct, frozen=True):
    name: str
    description: str


class _Line(msgspec.Struct, frozen=True):
    type: int
    source: str | None = msgspec.field(name="from", default=None)
    target: str | None = msgspec.field(name="to", default=None)
    message: Any = ""
    placement: int | None = None


class _Exchange(_Titled, frozen=True, kw_only=True):
    order: list[str] = msgspec.field(name="actorOrder")
    actors: dict[str, _Actor]
    messages: list[_Line]
    boxes: list[msgspec.Raw] = []
    created: dict[str, int] = msgspec.field(name="createdActors", default_factory=dict)
    destroyed: dict[str, int] = msgspec.field(name="destroyedActors", default_factory=dict)


# ---------------------------------------------------------------- text


_BREAK: Final = re.compile(r"<br\s*/?>", re.IGNORECASE)
_TAG: Final = re.compile(r"</?[a-zA-Z][^<>]*>")
_CODED: Final = re.compile("ﬂ°(°?)([a-zA-Z0-9]+)¶ß")
"""How Mermaid keeps ``#35;`` and ``#quot;`` through its parser."""


def _plain(label: str | None) -> str:
    """Words only: markup in a label is dropped, breaks are kept, entities are the characters they stand for."""
    decoded = _CODED.sub(lambda code: html.unescape(f"&#{code[2]};" if code[1] else f"&{code[2]};"), label or "")
    return html.unescape(_TAG.sub("", _BREAK.sub("\n", decoded))).strip()


def _one_line(label: str) -> str:
    return " ".join(label.split())


# ---------------------------------------------------------------- merman


@cache
def _engine() -> Any:
    """The engine with our measurer in it; made once, it takes a tenth of a second."""
    try:
        import merman
    except ImportError as error:
        raise RenderFailed("diagrams need merman; run: pip install 'holdfast[blog]'") from error

    metrics = merman.MermanTextMeasurementResultKind.METRICS
    kinds = {operation: kind for operation, _, kind, _ in merman.TEXT_MEASUREMENT_OPERATIONS}

    class Ruler(merman.MermanTextMeasurer):  # type: ignore[misc]  # the library comes without types
        """Answers with :mod:`~holdfast.blog.core.lettering`; other questions fall back to merman's own table."""

        def measure(self, request: Any) -> Any:
            if kinds.get(request.operation.value) != "metrics":
                return None
            rows = wrap(_plain(request.text), SIZE, request.max_width or math.inf)
            return merman.MermanTextMeasureResult(
                result_kind=metrics,
                width=max(width(row, SIZE) for row in rows),
                height=len(rows) * LEADING,
                length=0.0,
                line_count=len(rows),
                bbox_left=None,
                bbox_right=None,
                raw_width=None,
            )

    # The engine frees itself through ctypes, which is gone once the interpreter takes its modules down.
    atexit.register(_engine.cache_clear)
    return merman.MermanEngine(_OPTIONS, merman.MermanEngineServices().with_text_measurer(Ruler()))


def _kind(source: str) -> tuple[int, str]:
    """Line and first word of the diagram proper: after front matter, comments and directives."""
    inside = False
    for place, line in enumerate(source.splitlines(), start=1):
        word = line.strip()
        if word == "---" and (inside or place == 1):
            inside = not inside
        elif not inside and word and not word.startswith("%%"):
            return place, word.split()[0].rstrip(";")
    return 1, ""


def _checked(source: str) -> None:
    """Refuse what is not drawn before asking merman."""
    if len(source) > LONGEST:
        raise Unparsable(1, f"the diagram has {len(source)} characters", f"keep it below {LONGEST}: split it in two")
    line, word = _kind(source)
    if word not in (*SUPPORTED, "graph", "stateDiagram"):
        known = ", ".join(SUPPORTED)
        message = f"{word!r} is not a kind of diagram that is drawn here" if word else "the diagram is empty"
        raise Unparsable(line, message, f"begin with one of {known}")
    if found := _SETTINGS.search(source):
        place = source.count("\n", 0, found.end()) + 1
        raise Unparsable(
            place,
            f"{found[0].strip()!r} sets colours, links or layout, which come from the page",
            "remove it; shapes, dotted and thick lines and subgraphs are there to set things apart",
        )


@lru_cache(maxsize=64)
def _answer(source: str, question: str) -> bytes:
    """What merman says; the same diagram is asked for again whenever its post is edited."""
    engine = _engine()
    import merman

    try:
        return str(getattr(engine, question)(source, None)).encode()
    except merman.MermanError as error:
        line, message = _diagnosis(engine, source, str(getattr(error, "message", error)))
        raise Unparsable(
            line, message, "mend the Mermaid at that line; https://mermaid.live shows what it draws"
        ) from error


def _diagnosis(engine: Any, source: str, otherwise: str) -> tuple[int, str]:
    """Line and words of the first error."""
    try:
        found = json.loads(engine.analyze_json(source, None))["diagnostics"]
        first = next(one for one in found if one["severity"] == "error")
        return int(first["span"]["line"]), str(first["message"])
    except (Exception, StopIteration):  # noqa: BLE001 - the reason is known; only its place is lost
        return 1, otherwise


# ---------------------------------------------------------------- figures


def diagram(source: str, *, name: str) -> Figure:
    """Mermaid as a figure; see :class:`holdfast.blog.core.drawing.Draughtsman`."""
    _checked(source)
    word = _kind(source)[1]
    if word == "sequenceDiagram":
        return _sequence(source, name)
    answer = msgspec.json.decode(_answer(source, "layout_json"), type=_Answer)
    if answer.layout.flow:
        return _flow(answer, answer.layout.flow, name)
    if answer.layout.state:
        return _state(answer, answer.layout.state, name)
    raise RenderFailed(f"merman gave no layout for a diagram that begins with {word!r}")


def _nothing(what: str) -> Unparsable:
    return Unparsable(1, "the diagram draws nothing", f"give it {what}")


_SHAPES: Final = {
    **{kind: kind for kind in ("stadium", "subroutine", "cylinder", "circle", "doublecircle", "diamond", "hexagon")},
    **{kind: kind for kind in ("lean_right", "lean_left", "trapezoid", "inv_trapezoid", "odd", "note")},
    "roundedRect": "round",
    "stateStart": "start",
    "stateEnd": "end",
    "choice": "diamond",
    "fork": "bar",
    "join": "bar",
    "rectWithTitle": "state",
}
_HEADS: Final = {"point": "arrow", "open": "", "circle": "circle", "cross": "cross"}


def _flow(answer: _Answer, placed: _Placed, name: str) -> Figure:
    flow = msgspec.json.decode(answer.semantic, type=_Flow)
    if not flow.nodes:
        raise _nothing("a node")
    places, routes = {one.id: one for one in placed.nodes}, {one.id: one for one in placed.edges}
    labels = {one.id: _plain(one.label) or one.id for one in flow.nodes}
    labels |= {one.id: _plain(one.title) or one.id for one in flow.subgraphs}
    nodes = tuple(
        Node(
            id=one.id,
            shape=_SHAPES.get(one.shape, "rect"),
            lines=wrap(labels[one.id], SIZE, _NODE_WORDS),
            box=places[one.id].box(),
        )
        for one in flow.nodes
        if one.id in places
    )
    edges = []
    for one in flow.edges:
        if one.id not in routes:
            continue
        both, _, kind = one.type.rpartition("arrow_")
        head = _HEADS.get(kind, "arrow")
        edges.append(
            _edge(
                routes[one.id], one.source, one.target, _plain(one.label),
                head=head, tail=head if both else "", stroke="none" if one.stroke == "invisible" else one.stroke,
            )
        )  # fmt: skip
    members = {one.id: tuple(one.nodes) for one in flow.subgraphs}
    drawing = Graph(nodes=nodes, edges=tuple(edges), clusters=_clusters(placed, members))
    words = [
        f"{labels[one.id]} holds {_list(labels.get(member, member) for member in one.nodes)}" for one in flow.subgraphs
    ]
    words += [_connection(one, labels) for one in edges if one.stroke != "none"]
    joined = {end for one in edges for end in (one.source, one.target)} | {
        member for held in members.values() for member in held
    }
    words += [labels[one.id] for one in flow.nodes if one.id not in joined]
    return _figure(
        "Flowchart", name, graph.draw(drawing, name=name), titled=flow, title=answer.meta.title,
        parts=[labels[one.id] for one in flow.nodes], words=words,
    )  # fmt: skip


def _state(answer: _Answer, placed: _Placed, name: str) -> Figure:
    states = msgspec.json.decode(answer.semantic, type=_States)
    if not states.nodes:
        raise _nothing("a state")
    places, routes = {one.id: one for one in placed.nodes}, {one.id: one for one in placed.edges}
    frames = {one.id for one in placed.clusters}
    labels, nodes = {}, []
    for one in states.nodes:
        unnamed = {"stateStart": "the start", "stateEnd": "the end"}.get(one.shape)
        labels[one.id] = unnamed or _one_line(_plain(one.label)) or one.id
        if one.id in frames or one.id not in places:
            continue
        shape = _SHAPES.get(one.shape, "state")
        silent = shape in ("start", "end", "bar") or one.shape == "choice"
        # States are laid out with their words as they are broken in the source.
        rows = () if silent else wrap(_plain(one.label), SIZE, math.inf)
        details = tuple(row for line in one.description or () for row in wrap(_plain(line), SIZE, math.inf))
        nodes.append(Node(id=one.id, shape=shape, lines=rows, details=details, box=places[one.id].box()))
    edges = tuple(
        _edge(routes[one.id], one.start, one.end, _plain(one.label), head="" if one.arrowhead == "none" else "arrow",
              stroke="dotted" if one.arrowhead == "none" else "normal", limit=math.inf)
        for one in states.edges
        if one.id in routes
    )  # fmt: skip
    members: dict[str, list[str]] = {}
    for one in states.nodes:
        if one.parent and one.shape not in ("stateStart", "stateEnd", "note"):
            members.setdefault(one.parent, []).append(one.id)
    groups = {one.id for one in states.nodes if one.shape == "noteGroup"}
    clusters = tuple(one for one in _clusters(placed, {}) if one.id not in groups)
    words = [f"{labels[outer]} holds {_list(labels[one] for one in inner)}" for outer, inner in members.items()]
    words += [_connection(one, labels) for one in edges if one.head]
    words += [f"Note: {_one_line(_plain(one.label))}" for one in states.nodes if one.shape == "note"]
    named = [labels[one.id] for one in states.nodes if one.shape in ("rect", "rectWithTitle", "roundedWithTitle")]
    return _figure(
        "State diagram", name, graph.draw(Graph(nodes=tuple(nodes), edges=edges, clusters=clusters), name=name),
        titled=states, title=answer.meta.title, parts=named, words=words,
        written=[*words, *(" ".join(node.details) for node in nodes)],
    )  # fmt: skip


def _edge(
    route: _Route,
    source: str,
    target: str,
    label: str,
    *,
    head: str,
    stroke: str,
    tail: str = "",
    limit: float = _EDGE_WORDS,
) -> Edge:
    return Edge(
        source=source,
        target=target,
        points=tuple((point.x, point.y) for point in route.points),
        lines=wrap(label, SIZE, limit) if label and route.label else (),
        label=route.label.box() if label and route.label else None,
        head=head,
        tail=tail,
        stroke=stroke,
    )


def _clusters(placed: _Placed, members: dict[str, tuple[str, ...]]) -> tuple[Cluster, ...]:
    return tuple(
        Cluster(
            id=one.id,
            lines=wrap(_plain(one.title), SIZE, max(one.width - 12, 60.0)) if one.title.strip() else (),
            box=Box(x=one.x, y=one.y, width=one.width, height=one.height),
            members=members.get(one.id, ()),
        )
        for one in sorted(placed.clusters, key=lambda one: -one.width * one.height)
    )


def _connection(edge: Edge, labels: dict[str, str]) -> str:
    between = "and" if edge.tail or not edge.head else "to"
    words = (
        f"{_one_line(labels.get(edge.source, edge.source))} {between} {_one_line(labels.get(edge.target, edge.target))}"
    )
    return f"{words}: {_one_line(' '.join(edge.lines))}" if edge.lines else words


def _list(words: Any) -> str:
    return ", ".join(_one_line(word) for word in words)


# ---------------------------------------------------------------- sequences

# Mermaid's own numbering of the lines of a sequence diagram: type -> (dotted, head, tail).
_ARROWS: Final = {
    0: (False, "arrow", ""),
    1: (True, "arrow", ""),
    3: (False, "cross", ""),
    4: (True, "cross", ""),
    5: (False, "", ""),
    6: (True, "", ""),
    24: (False, "open", ""),
    25: (True, "open", ""),
    33: (False, "arrow", "arrow"),
    34: (True, "arrow", "arrow"),
}
_OPENS: Final = {10: "loop", 12: "alt", 15: "opt", 19: "par", 22: "rect", 27: "critical", 30: "break", 32: "par"}
_DIVIDES: Final = (13, 20, 28)
_CLOSES: Final = (11, 14, 16, 21, 23, 29, 31)
_SIDES: Final = ("left", "right", "over")


def _sequence(source: str, name: str) -> Figure:
    exchange = msgspec.json.decode(_answer(source, "parse_json"), type=_Exchange)
    for present, what in ((exchange.boxes, "box"), (exchange.created, "create"), (exchange.destroyed, "destroy")):
        if present:
            line = next((place for place, text in enumerate(source.splitlines(), 1) if text.split()[:1] == [what]), 1)
            raise Unparsable(line, f"{what!r} is not drawn in sequence diagrams here", "remove it, or say it in a note")
    if not exchange.order:
        raise _nothing("a participant")
    labels = {one: _plain(exchange.actors[one].description) or one for one in exchange.order}
    drawing = sequence.Sequence(
        participants=tuple(sequence.Participant(id=one, label=labels[one]) for one in exchange.order),
        events=tuple(event for line in exchange.messages for event in _events(line)),
        numbered=any(line.type == 26 and line.message.get("visible") for line in exchange.messages),
    )
    return _figure(
        "Sequence diagram", name, sequence.draw(drawing, name=name), titled=exchange, title=exchange.title,
        parts=[_one_line(labels[one]) for one in exchange.order], words=_told(drawing, labels),
        written=_told(replace(drawing, numbered=False), labels),
    )  # fmt: skip


def _events(line: _Line) -> tuple[sequence.Event, ...]:
    words = _plain(line.message) if isinstance(line.message, str) else ""
    source, target = line.source or "", line.target or ""
    if line.type in _ARROWS:
        dotted, head, tail = _ARROWS[line.type]
        return (sequence.Message(source=source, target=target, label=words, dotted=dotted, head=head, tail=tail),)
    if line.type == 2:
        over = (source,) if source == target or not target else (source, target)
        return (sequence.Note(side=_SIDES[line.placement or 0], over=over, label=words),)
    if line.type in _OPENS:
        return (sequence.Open(kind=_OPENS[line.type], label=words),)
    if line.type in _DIVIDES:
        return (sequence.Divide(label=words),)
    if line.type in _CLOSES:
        return (sequence.Close(),)
    if line.type in (17, 18):
        return (sequence.Activate(id=source, on=line.type == 17),)
    return ()


def _told(drawing: sequence.Sequence, labels: dict[str, str]) -> list[str]:
    told, depth, count = [], 0, 0
    for event in drawing.events:
        words = ""
        match event:
            case sequence.Message(source=source, target=target, label=label):
                count += 1
                whom = f"{_one_line(labels[source])} to {'itself' if source == target else _one_line(labels[target])}"
                words = f"{whom}: {_one_line(label)}" if label else whom
                words = f"{count}. {words}" if drawing.numbered else words
            case sequence.Note(over=over, label=label):
                words = f"Note at {_list(labels[one] for one in over)}: {_one_line(label)}"
            case sequence.Open(kind=kind, label=label) if kind != "rect":
                words = f"Begin of {kind}{': ' if label else ''}{_one_line(label)}"
                depth += 1
            case sequence.Divide(label=label):
                words = f"Or else{': ' if label else ''}{_one_line(label)}"
            case sequence.Close() if depth:
                words, depth = "End", depth - 1
            case _:
                pass
        if words:
            told.append(words)
    return told


def _figure(
    kind: str,
    name: str,
    drawn: tuple[tuple[svg.Svg, ...], tuple[float, float, float, float]],
    *,
    titled: _Titled,
    title: str | None,
    parts: list[str],
    words: list[str],
    written: Sequence[str] | None = None,
) -> Figure:
    content, box = drawn
    heading = _one_line(_plain(title or titled.title or titled.acc_title))
    label = f"{kind}: {heading or _list(parts)}"
    summary = _one_line(_plain(titled.acc_description))
    picture = svg.figure(name, title=label, description=summary or ". ".join(words), box=box, children=content)
    # What scrolls must be reachable by keyboard, and then it needs a name.
    wide = box[2] > WIDE
    kind_of_width = " wide wider" if box[2] > WIDER else " wide" if wide else ""
    region = f' role="region" tabindex="0" aria-label="{svg.text(label)}"' if wide else ""
    caption = f"<figcaption>{svg.text(heading)}</figcaption>" if heading else ""
    items = "".join(f"<li>{svg.text(one)}</li>" for one in words)
    return Figure(
        html=f'<figure class="figure diagram{kind_of_width}" id="{escape(name)}">{caption}'
        f'<div class="scroll"{region}>{picture}</div>'
        f"<details><summary>{kind} in words</summary><ul>{items}</ul></details></figure>",
        text=f"{label}. {'. '.join(words)}.",
        written="\n".join((label, summary, *(words if written is None else written))),
    )
