"""What the text needs drawn, and by whom: the libraries that draw live in the shell."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from holdfast.blog.core.reference import Readings


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One drawing, ready to stand in a page."""

    html: str
    """``<figure>`` with an accessible inline ``<svg>`` (title, description, classes only: no ``style``, no script), a
    caption, and for a chart its figures as a table."""
    text: str
    """What it says, in words: for search, and for those who do not see it."""
    written: str = ""
    """Of a diagram, what its author wrote into it, as it is drawn: ``text`` without what we number."""
    readings: tuple[str, ...] = ()
    """References that it quotes."""


class Unparsable(Exception):
    """A source that does not parse: ``line`` within it (from 1), what is wrong, and the remedy."""

    def __init__(self, line: int, message: str, remedy: str) -> None:
        super().__init__(message)
        self.line, self.message, self.remedy = line, message, remedy


class Draughtsman(Protocol):
    """Draws diagrams and charts. The same source gives the same bytes."""

    def diagram(self, source: str, *, name: str) -> Figure:
        """Mermaid. ``name`` makes ids unique in a page. Raises :class:`Unparsable`."""
        ...

    def chart(self, source: str, *, name: str, readings: Readings) -> Figure:
        """A chart described in YAML, its data from evidence. Raises :class:`Unparsable`, ``Unbacked``."""
        ...
