"""What a site is made of once everything has been read and judged: the input of pages, feeds and search."""

from __future__ import annotations

from dataclasses import dataclass, field

from holdfast.blog.core.post import Post
from holdfast.blog.core.reference import Reading


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where the site is published."""

    base: str
    """Absolute URL with a slash at its end, ``http://127.0.0.1:8080/blog/``: canonical links and feeds need it."""
    title: str
    about: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendered:
    """A post as HTML, part by part; every string is safe to put into a page as it is."""

    post: Post
    parts: dict[str, str]
    """``hook.problem`` -> HTML; lists are HTML lists; ``architecture.diagram`` is a figure with an SVG."""
    summary: str
    """Plain text, numbers filled in."""
    title: str
    caption: str
    """Of the screenshot, HTML; empty without one."""
    screenshot_alt: str
    text: str
    """All words without markup: for search and for the reading time."""
    minutes: int
    readings: tuple[Reading, ...]
    """Every number that it quotes, in the order of the text, without repetition."""
    assets: dict[str, bytes] = field(default_factory=dict)
    """Files that belong to it, by path below the site's root."""
