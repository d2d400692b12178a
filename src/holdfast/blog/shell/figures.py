"""The Draughtsman of the blog: diagrams, charts and cards, each drawn by a library that is loaded when first needed."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

from holdfast.blog.core.drawing import Figure
from holdfast.blog.core.reference import Readings


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """Draws for a site; a :class:`holdfast.blog.core.drawing.Draughtsman`."""

    base: str = "/"
    """Path of the site's root with a slash at its end; numbers link to ``{base}evidence/...``."""
    allow_stale: bool = False
    """Draw samples of stale records too, as ``serve`` does."""

    def diagram(self, source: str, *, name: str) -> Figure:
        """Mermaid as a figure. Raises :class:`~holdfast.blog.core.drawing.Unparsable`."""
        from holdfast.blog.shell import diagrams

        return diagrams.diagram(source, name=name)

    def chart(self, source: str, *, name: str, readings: Readings) -> Figure:
        """A chart as a figure. Raises :class:`~holdfast.blog.core.drawing.Unparsable`, ``Unbacked``."""
        from holdfast.blog.shell import charts

        return charts.chart(source, name=name, readings=readings, base=self.base, allow_stale=self.allow_stale)

    def card(self, title: str, summary: str, date: dt.date, tags: Sequence[str]) -> bytes:
        """The picture of a post for other sites: PNG, 1200 by 630."""
        from holdfast.blog.shell import cards

        return cards.card(title, summary, date, tags)
