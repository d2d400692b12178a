"""Pages from templates. Everything that goes into one is escaped, except what the core has made safe."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import groupby
from typing import Any, Final
from urllib.parse import urlsplit

import jinja2
import msgspec
from markupsafe import Markup

from holdfast.blog.core.post import ARC
from holdfast.blog.core.site import Address, Rendered
from holdfast.blog.core.surroundings import kebab
from holdfast.blog.shell.assets import Assets
from holdfast.blog.shell.entry import Entry, grouped
from holdfast.blog.shell.policy import POLICY
from holdfast.blog.shell.wording import FILTERS

PER_PAGE: Final = 20
_BY_TAG: Final = 240
"""Posts that a list by tag names in all, so that it stays a page and not an archive."""
_FEWEST: Final = 3
"""Posts of a tag that are worth a heading; where there is no room for them, tags are named alone."""
_STORY: Final = (
    "The problem, and what is at stake.",
    "How it is built: a diagram, and its parts.",
    "What was done to it, where it broke, the evidence, and what that does not show.",
    "The cause, what was changed, what it cost, what else was considered.",
    "What it means for who runs it and who pays.",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A picture and its size, so that a page does not jump when it arrives."""

    path: str
    width: int
    height: int


class Pages:
    """Makes the pages of one site."""

    def __init__(self, address: Address, assets: Assets, *, card: Picture, live: str = "") -> None:
        """``card`` is the picture of pages that have none of their own; ``live`` where a browser hears of changes."""
        self.address = address
        self.base = base_path(address)
        self._card = card
        self._common = {
            "address": address,
            "base": Markup(self.base),  # noqa: S704 - judged with the settings; it stands in every link of every page
            "asset": lambda name: f"{self.base}{assets.path(name)}",
            "policy": POLICY,
            "story": tuple(zip(ARC, _STORY, strict=True)),
            "live": f"{self.base}{live}" if live else "",
            "item": self._item,
        }
        self._items: dict[str, Markup] = {}

    def index(self, entries: Sequence[Entry], number: int, last: int, tags: Sequence[Any]) -> bytes:
        """One page of the list of all posts, newest first."""
        path = f"page/{number}/" if number > 1 else ""
        title = self.address.title if number == 1 else f"Posts, page {number}"
        return self._page("index.html", path, title, entries=entries, number=number, last=last, tags=tags)

    def post(
        self, entry: Entry, rendered: Rendered, *, card: Picture | None, sizes: Mapping[str, tuple[int, int]]
    ) -> bytes:
        """A post. ``sizes`` are those of pictures below ``content/public``, by path: ``/shots/console.png``."""
        readings = sorted(rendered.readings, key=lambda reading: reading.drill)
        by_drill = [(drill, list(rows)) for drill, rows in groupby(readings, key=lambda reading: reading.drill)]
        picture = card or self._card
        return self._page(
            "post.html",
            entry.path,
            entry.title,
            description=entry.summary,
            kind="article",
            card=picture,
            hidden=entry.draft,
            entry=entry,
            sections=list(self._sections(rendered, sizes)),
            links=[{"label": link.label, "url": self._href(link.url)} for link in rendered.post.links],
            readings=[(drill, rows[0].record, rows) for drill, rows in by_drill],
            stale=[drill for drill, rows in by_drill if any(row.stale for row in rows)],
            schema=self._schema(entry, rendered, picture),
        )

    def group(self, what: str, folder: str, name: str, entries: Sequence[Entry], number: int, last: int) -> bytes:
        """One page of the posts of a tag or a company."""
        start = (number - 1) * PER_PAGE
        title = f"{what}: {name}" if number == 1 else f"{what}: {name}, page {number}"
        return self._page(
            "group.html",
            f"{folder}page/{number}/" if number > 1 else folder,
            title,
            description=f"Posts of {self.address.title}, {what.lower()} {name}.",
            what=what,
            name=name,
            folder=folder,
            total=len(entries),
            entries=entries[start : start + PER_PAGE],
            number=number,
            last=last,
        )

    def tags(self, entries: list[Entry]) -> bytes:
        """All tags and companies."""
        about = f"What the posts of {self.address.title} are about."
        tags, companies = grouped(entries, "tags"), grouped(entries, "companies")
        most = _most_of_each(tags)
        return self._page("tags.html", "tags/", "Tags", description=about, tags=tags, companies=companies, most=most)

    def search(self, entries: list[Entry]) -> bytes:
        """Full text with a script, all posts by tag without."""
        about = f"Search the posts of {self.address.title}."
        tags = grouped(entries, "tags")
        return self._page("search.html", "search/", "Search", description=about, tags=tags, most=_most_of_each(tags))

    def missing(self, entries: Sequence[Entry]) -> bytes:
        """What is answered where no page is."""
        return self._page("missing.html", "404.html", "Not found", hidden=True, entries=entries)

    def moved(self, entry: Entry) -> bytes:
        """Stands where a post once was."""
        return self._page(
            "moved.html", "", entry.title, to=self.base + entry.path, canonical=self.address.base + entry.path
        )

    def records(self, records: Sequence[Any]) -> bytes:
        """All records that speak for their drills."""
        about = "Recorded drills, and every number that posts take from them."
        return self._page("records.html", "evidence/", "Evidence", description=about, records=records)

    def record(self, record: Any, **more: Any) -> bytes:
        """One record; see :mod:`.records`."""
        chart = Markup(more.pop("chart", ""))  # noqa: S704 - drawn by our own hand from numbers
        title = f"Evidence: {record.drill}"
        return self._page(
            "record.html",
            f"evidence/{record.drill}/",
            title,
            description=record.title,
            record=record,
            chart=chart,
            **more,
        )

    def faults(self, title: str, about: str, faults: Sequence[tuple[str, str, str]]) -> bytes:
        """Why there is no site: place, what is wrong and remedy of each."""
        return self._page("faults.html", "", title, hidden=True, about=about, faults=faults)

    def _sections(self, rendered: Rendered, sizes: Mapping[str, tuple[int, int]]) -> Any:
        shot = rendered.post.stress_test.screenshot
        for section in ARC:
            name = kebab(section.key)
            if not section.parts:
                html = Markup(rendered.parts[section.key])  # noqa: S704 - the core's promise
                yield {"title": section.title, "id": name, "parts": [{"title": "", "id": "", "html": html}]}
                continue
            parts = []
            for part in section.parts:
                here = {"title": part.title, "id": f"{name}-{kebab(part.key)}"}
                if part.kind == "screenshot" and shot is not None:
                    width, height = sizes.get(shot.url, (0, 0))
                    caption = Markup(rendered.caption)  # noqa: S704
                    picture = {"href": self._href(shot.url), "alt": rendered.screenshot_alt, "caption": caption}
                    parts.append({**here, "screenshot": {**picture, "width": width, "height": height}})
                elif text := rendered.parts.get(f"{section.key}.{part.key}", ""):
                    parts.append({**here, "html": Markup(text)})  # noqa: S704
            yield {"title": section.title, "id": name, "parts": parts}

    def _item(self, entry: Entry) -> Markup:
        """A post in a list. It stands in the index and in the list of each of its tags: made once."""
        made = self._items.get(entry.slug)
        if made is None:
            text = _environment().get_template("item.html").render({**self._common, "entry": entry})
            made = self._items[entry.slug] = Markup(text)  # noqa: S704 - by a template that escapes
        return made

    def _href(self, url: str) -> str:
        return f"{self.base}{url[1:]}" if url.startswith("/") else url

    def _schema(self, entry: Entry, rendered: Rendered, picture: Picture) -> Markup:
        """https://schema.org/BlogPosting as JSON-LD; ``<`` cannot end the element it stands in."""
        url = self.address.base + entry.path
        publisher = {"@type": "Organization", "name": self.address.title, "url": self.address.base}
        data = {
            "@context": "https://schema.org",
            "@type": "BlogPosting",
            "headline": entry.title,
            "description": entry.summary,
            "datePublished": entry.published_at,
            "mainEntityOfPage": url,
            "url": url,
            "image": self.address.base + picture.path,
            "keywords": list(entry.tags),
            "wordCount": len(rendered.text.split()),
            "timeRequired": f"PT{entry.minutes}M",
            "inLanguage": "en",
            "isAccessibleForFree": True,
            "author": publisher,
            "publisher": publisher,
        }
        return Markup(msgspec.json.encode(data).decode().replace("<", "\\u003c"))  # noqa: S704

    def _page(self, template: str, path: str, title: str, **values: Any) -> bytes:
        defaults = {"description": self.address.about, "kind": "website", "card": self._card, "hidden": False}
        text = (
            _environment()
            .get_template(template)
            .render({**self._common, **defaults, "path": path, "title": title, **values})
        )
        return text.encode()


def _most_of_each(tags: Mapping[str, object]) -> int:
    """How many posts of each tag a list of all names; none when there are too many tags."""
    most = min(PER_PAGE, _BY_TAG // max(1, len(tags)))
    return most if most >= _FEWEST else 0


def base_path(address: Address) -> str:
    """The path below which a site is served, with a slash at both ends."""
    return urlsplit(address.base).path or "/"


@cache
def _environment() -> jinja2.Environment:
    """Templates are compiled once in a process."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("holdfast.blog"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        auto_reload=False,
    )
    environment.filters.update(FILTERS)
    return environment
