"""What the rest of a site knows of a post: lists, feeds, search and ``posts.json`` are made of these."""

from __future__ import annotations

import datetime as dt
import re
import unicodedata
from typing import Final

import msgspec

from holdfast.blog.core.published import to_json
from holdfast.blog.core.reference import Readings
from holdfast.blog.core.site import Rendered
from holdfast.blog.core.surroundings import kebab

_WORD: Final = re.compile(r"[^\W_](?:[\w.'-]*[^\W_])?")


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One post. Small, because it is kept between builds; the page itself is in the output already."""

    slug: str
    title: str
    summary: str
    published_at: dt.date
    minutes: int
    tags: tuple[str, ...]
    companies: tuple[str, ...]
    draft: bool
    redirect_from: tuple[str, ...]
    headings: tuple[str, ...]
    quotes: dict[str, tuple[str, ...]]
    """Drill -> what it quotes of its record: metrics, ``control.`` ones, ``#`` parameters."""
    words: str
    """Every different word once, folded as :func:`folded` does, in order: the search index."""
    json: msgspec.Raw
    """Its object in ``posts.json``."""

    @property
    def path(self) -> str:
        """Of its page, below the site's root."""
        return f"posts/{self.slug}/"


def entry_of(rendered: Rendered, readings: Readings) -> Entry:
    """Everything but the page."""
    post = rendered.post
    quotes: dict[str, list[str]] = {}
    for reading in rendered.readings:
        quotes.setdefault(reading.drill, []).append(reading.name)
    return Entry(
        slug=post.slug,
        title=rendered.title,
        summary=rendered.summary,
        published_at=post.published_at,
        minutes=rendered.minutes,
        tags=post.tags,
        companies=post.target_companies,
        draft=post.draft,
        redirect_from=post.redirect_from,
        headings=post.headings,
        quotes={drill: tuple(names) for drill, names in quotes.items()},
        words=" ".join(sorted(set(_WORD.findall(folded(rendered.text))))),
        json=msgspec.Raw(msgspec.json.encode(to_json(post, readings))),
    )


def folded(text: str) -> str:
    """Without case and accents; the script does the same with what is searched for."""
    if text.isascii():
        return text.lower()
    apart = unicodedata.normalize("NFKD", text)
    return "".join(one for one in apart if not unicodedata.combining(one)).lower()


def newest_first(entries: list[Entry]) -> list[Entry]:
    """The order of the index; posts of one day by slug."""
    return sorted(entries, key=lambda entry: (-entry.published_at.toordinal(), entry.slug))


def grouped(entries: list[Entry], names: str) -> dict[str, tuple[str, list[Entry]]]:
    """By ``tags`` or ``companies``: slug of the name -> the name as first written, and its entries in their order."""
    found: dict[str, tuple[str, list[Entry]]] = {}
    slugs: dict[str, str] = {}
    for entry in entries:
        for name in getattr(entry, names):
            slug = slugs.get(name) or slugs.setdefault(name, kebab(name))
            group = found.setdefault(slug, (name, []))[1]
            if not group or group[-1] is not entry:
                group.append(entry)
    return dict(sorted(found.items()))
