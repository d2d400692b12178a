"""Sequence diagrams: who tells whom what, in order; placed and drawn.

Rows follow the order of the source, columns the order of the participants, as far apart as the words between them need.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from holdfast.blog.core import svg
from holdfast.blog.core.graph import LEADING, MARGIN, SIZE, markers
from holdfast.blog.core.lettering import width, wrap
from holdfast.blog.core.svg import Svg, element, number

_WORDS: Final = 230.0
"""Pixels after which a message, a note or a participant's name goes on in the next line."""
_APART: Final = 110.0
"""Pixels between two lifelines at least."""
_AIR: Final = 12.0
_SELF: Final = 34.0
"""How far a message to oneself goes out."""
_ACTIVE: Final = 10.0
"""Width of the bar on a lifeline that is at work."""
_TALL: Final = 520.0
"""Above this height the participants are named below as well."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Participant:
    """A column."""

    id: str
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """An arrow. ``head`` and ``tail`` are ``arrow``, ``open``, ``cross`` or empty."""

    source: str
    target: str
    label: str
    dotted: bool = False
    head: str = "arrow"
    tail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """Words beside or over lifelines; ``side`` is ``left``, ``right`` or ``over``."""

    side: str
    over: tuple[str, ...]
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Open:
    """A frame begins: ``loop``, ``alt``, ``opt``, ``par``, ``critical``, ``break``, ``rect``."""

    kind: str
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Divide:
    """Another branch of the innermost frame."""

    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Close:
    """The innermost frame ends."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Activate:
    """A participant begins (``on``) or ends work."""

    id: str
    on: bool


Event = Message | Note | Open | Divide | Close | Activate


@dataclass(frozen=True, slots=True, kw_only=True)
class Sequence:
    """A diagram; ``numbered`` counts its messages."""

    participants: tuple[Participant, ...]
    events: tuple[Event, ...]
    numbered: bool = False


@dataclass(slots=True, kw_only=True)
class _Frame:
    kind: str
    top: float
    depth: int
    label: str
    left: float = float("inf")
    right: float = float("-inf")
    dividers: list[tuple[float, str]] = field(default_factory=list)


def _lines(label: str) -> tuple[str, ...]:
    return wrap(label, SIZE, _WORDS) if label else ()


def _wide(rows: tuple[str, ...]) -> float:
    return max((width(row, SIZE) for row in rows), default=0.0)


def draw(sequence: Sequence, *, name: str) -> tuple[tuple[Svg, ...], tuple[float, float, float, float]]:
    """The content of the ``<svg>``, and its extent."""
    return _Drawing(sequence, name).drawn()


def _columns(sequence: Sequence) -> dict[str, float]:
    """Where each lifeline stands: left to right, each as near as the words before it allow."""
    order = {participant.id: place for place, participant in enumerate(sequence.participants)}
    needs: dict[tuple[int, int], float] = {}

    def need(a: int, b: int, room: float) -> None:
        pair = (min(a, b), max(a, b))
        needs[pair] = max(needs.get(pair, 0.0), room)

    heads = [_wide(_lines(participant.label)) + 2 * _AIR for participant in sequence.participants]
    for place in range(1, len(heads)):
        need(place - 1, place, max(_APART, (heads[place - 1] + heads[place]) / 2 + 2 * _AIR))
    for event in sequence.events:
        match event:
            case Message(source=source, target=target, label=label):
                room = _wide(_lines(label)) + (18 if sequence.numbered else 0)
                a, b = order[source], order[target]
                if a != b:
                    need(a, b, room + 2 * _AIR + _ACTIVE)
                elif a + 1 < len(heads):
                    need(a, a + 1, max(room, _SELF) + 3 * _AIR + _ACTIVE)
            case Note(side=side, over=over, label=label):
                room = _wide(_lines(label)) + 2 * _AIR
                places = [order[one] for one in over]
                if len(places) > 1 and places[0] != places[-1]:
                    need(places[0], places[-1], room - 4 * _AIR)
                elif side == "over":
                    for neighbour in (places[0] - 1, places[0] + 1):
                        if 0 <= neighbour < len(heads):
                            need(places[0], neighbour, room / 2 + 2 * _AIR)
                else:
                    neighbour = places[0] + (1 if side == "right" else -1)
                    if 0 <= neighbour < len(heads):
                        need(places[0], neighbour, room + 3 * _AIR)
            case _:
                pass
    xs = [heads[0] / 2] if heads else []
    for place in range(1, len(heads)):
        xs.append(max(xs[a] + room for (a, b), room in needs.items() if b == place))
    return {participant.id: xs[place] for place, participant in enumerate(sequence.participants)}


class _Drawing:
    """One walk over the events, from the top down."""

    def __init__(self, sequence: Sequence, name: str) -> None:
        self._sequence = sequence
        self._name = name
        self._xs = _columns(sequence)
        self._rows = max((len(_lines(participant.label)) for participant in sequence.participants), default=1)
        self._head = self._rows * LEADING + 2 * _AIR
        self._y = self._head + _AIR
        self._left = min(self._xs.values(), default=0.0)
        self._right = max(self._xs.values(), default=0.0)
        self._frames: list[_Frame] = []
        self._active: dict[str, list[float]] = {}
        self._count = 0
        self._behind: list[Svg] = []
        self._bars: list[Svg] = []
        self._front: list[Svg] = []

    def drawn(self) -> tuple[tuple[Svg, ...], tuple[float, float, float, float]]:
        for event in self._sequence.events:
            match event:
                case Message():
                    self._message(event)
                case Note():
                    self._note(event)
                case Open():
                    self._open(event)
                case Divide(label=label):
                    self._divide(label)
                case Close():
                    self._close()
                case Activate(id=one, on=True):
                    self._active.setdefault(one, []).append(self._y - _AIR)
                case Activate(id=one):
                    self._rest(one)
        while self._frames:
            self._close()
        for one in list(self._active):
            while self._active[one]:
                self._rest(one)
        bottom = self._y + _AIR
        twice = bottom > _TALL
        people = [self._participant(one, 0.0) for one in self._sequence.participants]
        if twice:
            people += [self._participant(one, bottom) for one in self._sequence.participants]
        lifelines = [
            element("path", {"class": "lifeline", "d": f"M{number(x)} {number(self._head)}V{number(bottom)}"})
            for x in self._xs.values()
        ]
        content = (
            markers(self._name),
            svg.group({"class": "frames"}, self._behind),
            svg.group({"class": "lifelines"}, lifelines),
            svg.group({"class": "bars"}, self._bars),
            svg.group({"class": "nodes"}, people),
            svg.group({"class": "messages"}, self._front),
        )
        height = bottom + (self._head if twice else 0.0)
        left = self._left - MARGIN
        return content, (left, -MARGIN, self._right + MARGIN - left, height + 2 * MARGIN)

    def _reach(self, left: float, right: float) -> None:
        """What lies between is part of the drawing, and of the frames that are open."""
        self._left, self._right = min(self._left, left), max(self._right, right)
        for frame in self._frames:
            frame.left, frame.right = min(frame.left, left), max(frame.right, right)

    def _participant(self, one: Participant, top: float) -> Svg:
        rows, x = _lines(one.label), self._xs[one.id]
        wide = _wide(rows) + 2 * _AIR
        self._left, self._right = min(self._left, x - wide / 2), max(self._right, x + wide / 2)
        return element(
            "g",
            {"class": "node"},
            element("rect", {"x": x - wide / 2, "y": top, "width": wide, "height": self._head, "rx": 4}),
            svg.lines(rows, x, top + self._head / 2, leading=LEADING),
        )

    def _words(self, rows: tuple[str, ...], x: float, y: float, anchor: str = "middle") -> Svg:
        """Words on a plate: lifelines do not run through them."""
        wide = _wide(rows)
        left = {"middle": x - wide / 2, "start": x, "end": x - wide}[anchor]
        high = len(rows) * LEADING
        plate: dict[str, str | float] = {
            "class": "plate",
            "x": left - 3,
            "y": y - high / 2,
            "width": wide + 6,
            "height": high,
        }
        self._reach(left - 3, left + wide + 3)
        return element("g", {}, element("rect", plate), svg.lines(rows, x, y, leading=LEADING, anchor=anchor))

    def _at(self, one: str, toward: float) -> float:
        """Where a message leaves or meets a lifeline: at the side of its bar if it is at work."""
        x = self._xs[one]
        return x + (_ACTIVE / 2 if toward > x else -_ACTIVE / 2) if self._active.get(one) else x

    def _message(self, message: Message) -> None:
        self._count += 1
        label = f"{self._count}. {message.label}" if self._sequence.numbered else message.label
        rows = _lines(label)
        start, end = self._xs[message.source], self._xs[message.target]
        words = len(rows) * LEADING
        stroke = "edge dotted" if message.dotted else "edge"
        if message.source == message.target:
            x = self._at(message.source, start + 1)
            top, bottom = self._y + 4, self._y + max(words, LEADING) + 4
            out = f"M{number(x)} {number(top)}H{number(x + _SELF - 6)}q6 0 6 6"
            path = f"{out}V{number(bottom - 6)}q0 6 -6 6H{number(x + 2)}"
            self._reach(start, x + _SELF)
            if rows:
                self._front.append(self._words(rows, x + _SELF + 6, (top + bottom) / 2, "start"))
            self._y = bottom + 14
        else:
            y = self._y + words + 4
            if rows:
                self._front.append(self._words(rows, (start + end) / 2, self._y + words / 2))
            near, far = self._at(message.source, end), self._at(message.target, start)
            path = f"M{number(near)} {number(y)}H{number(far)}"
            self._reach(min(start, end), max(start, end))
            self._y = y + 14
        attributes: dict[str, str | float] = {"class": stroke, "d": path}
        if message.head:
            attributes["marker-end"] = f"url(#{self._name}-{message.head})"
        if message.tail:
            attributes["marker-start"] = f"url(#{self._name}-{message.tail})"
        self._front.append(element("path", attributes))

    def _note(self, note: Note) -> None:
        rows = _lines(note.label)
        wide, high = _wide(rows) + 2 * _AIR, len(rows) * LEADING + _AIR
        places = [self._xs[one] for one in note.over]
        if note.side == "over":
            middle = (min(places) + max(places)) / 2
            wide = max(wide, max(places) - min(places) + 4 * _AIR)
            left = middle - wide / 2
        else:
            left = places[0] + 1.5 * _AIR if note.side == "right" else places[0] - 1.5 * _AIR - wide
        self._reach(left, left + wide)
        self._front.append(
            element(
                "g",
                {"class": "note"},
                element("rect", {"x": left, "y": self._y, "width": wide, "height": high, "rx": 2}),
                svg.lines(rows, left + wide / 2, self._y + high / 2, leading=LEADING),
            )
        )
        self._y += high + _AIR

    def _open(self, event: Open) -> None:
        self._frames.append(_Frame(kind=event.kind, top=self._y, depth=len(self._frames), label=event.label))
        rows = _lines(event.label)
        self._y += max(LEADING * max(1, len(rows)) + 10, 10) if event.kind != "rect" else 6

    def _divide(self, label: str) -> None:
        if self._frames:
            self._frames[-1].dividers.append((self._y, label))
            self._y += max(1, len(_lines(label))) * LEADING + 8

    def _close(self) -> None:
        frame = self._frames.pop()
        if frame.left > frame.right:
            frame.left, frame.right = self._left, self._right
        rows = _lines(f"[{frame.label}]") if frame.label and frame.kind != "rect" else ()
        tab = width(frame.kind, SIZE) + 2 * _AIR
        left = frame.left - _AIR
        widest = max(
            [
                _wide(rows) + tab + _AIR,
                *(_wide(_lines(f"[{label}]")) + 2 * _AIR for _, label in frame.dividers if label),
                0,
            ]
        )
        right = max(frame.right + _AIR, left + widest + _AIR)
        self._behind.insert(
            0 if frame.depth == 0 else len(self._behind),
            element(
                "rect",
                {
                    "class": "frame",
                    "x": left,
                    "y": frame.top,
                    "width": right - left,
                    "height": self._y - frame.top,
                    "rx": 4,
                },
            ),
        )
        if frame.kind != "rect":
            high = LEADING + 2
            corner = f"M{number(left)} {number(frame.top)}h{number(tab)}v{number(high - 6)}l-6 6H{number(left)}z"
            self._front.append(element("path", {"class": "tab", "d": corner}))
            self._front.append(svg.lines((frame.kind,), left + tab / 2 - 3, frame.top + high / 2, leading=LEADING))
            if rows:
                middle = frame.top + 3 + len(rows) * LEADING / 2
                self._front.append(self._words(rows, left + tab + 6, middle, "start"))
        for y, label in frame.dividers:
            self._front.append(
                element("path", {"class": "divider", "d": f"M{number(left)} {number(y)}H{number(right)}"})
            )
            if label:
                words = _lines(f"[{label}]")
                self._front.append(self._words(words, left + _AIR, y + 4 + len(words) * LEADING / 2, "start"))
        self._reach(left, right)
        self._y += _AIR

    def _rest(self, one: str) -> None:
        if not self._active.get(one):
            return
        top = self._active[one].pop()
        shift = len(self._active[one]) * 4
        x = self._xs[one] - _ACTIVE / 2 + shift
        bar: dict[str, str | float] = {
            "class": "bar",
            "x": x,
            "y": top,
            "width": _ACTIVE,
            "height": self._y - _AIR / 2 - top,
            "rx": 1,
        }
        self._bars.append(element("rect", bar))
