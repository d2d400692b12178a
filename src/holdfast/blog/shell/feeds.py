"""What programs read: feeds, the sitemap, ``posts.json``, the search index. All of it is made of entries."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from email.utils import format_datetime
from typing import Any, Final
from xml.etree.ElementTree import Element, SubElement, indent, tostring
from xml.sax.saxutils import escape

import msgspec

from holdfast.blog.core.site import Address
from holdfast.blog.shell.entry import Entry

FEED_ENTRIES: Final = 20
"""Newest posts of a feed; older ones are on the site."""


def documents(address: Address, entries: Sequence[Entry], pages: Iterable[str]) -> dict[str, bytes]:
    """By path below the site's root. ``entries`` are newest first; ``pages`` are paths for the sitemap."""
    atom, rss = feeds(address, entries[:FEED_ENTRIES])
    return {
        "feed.atom": atom,
        "feed.rss": rss,
        "feed.json": json_feed(address, entries[:FEED_ENTRIES]),
        "posts.json": msgspec.json.encode([entry.json for entry in entries]) + b"\n",
        "search.json": search_index(entries),
        "sitemap.xml": sitemap(address, entries, pages),
        "robots.txt": f"User-agent: *\nAllow: /\nSitemap: {address.base}sitemap.xml\n".encode(),
    }


def feeds(address: Address, entries: Sequence[Entry]) -> tuple[bytes, bytes]:
    """Atom (RFC 4287) and RSS 2.0. Their dates are those of the posts: the same posts give the same bytes."""
    return atom(address, entries), rss(address, entries)


def atom(address: Address, entries: Sequence[Entry]) -> bytes:
    """https://www.rfc-editor.org/rfc/rfc4287."""
    feed = Element("feed", {"xmlns": "http://www.w3.org/2005/Atom", "xml:lang": "en"})
    _put(feed, "id", address.base)
    _put(feed, "title", address.title)
    _put(feed, "subtitle", address.about)
    _put(feed, "updated", _moment(_latest(entries)).isoformat())
    _put(_put(feed, "author"), "name", address.title)
    _put(feed, "link", href=address.base, rel="alternate")
    _put(feed, "link", href=f"{address.base}feed.atom", rel="self")
    _put(feed, "generator", "Holdfast")
    for entry in entries:
        url = address.base + entry.path
        item = _put(feed, "entry")
        _put(item, "id", url)
        _put(item, "title", entry.title)
        _put(item, "link", href=url, rel="alternate")
        _put(item, "published", _moment(entry.published_at).isoformat())
        _put(item, "updated", _moment(entry.published_at).isoformat())
        _put(item, "summary", entry.summary)
        for tag in entry.tags:
            _put(item, "category", term=tag)
    return _document(feed)


def rss(address: Address, entries: Sequence[Entry]) -> bytes:
    """https://www.rssboard.org/rss-specification, with Atom's link to itself, as its profile recommends."""
    feed = Element("rss", {"version": "2.0", "xmlns:atom": "http://www.w3.org/2005/Atom"})
    channel = _put(feed, "channel")
    _put(channel, "title", address.title)
    _put(channel, "link", address.base)
    _put(channel, "description", address.about)
    _put(channel, "language", "en")
    _put(channel, "lastBuildDate", format_datetime(_moment(_latest(entries))))
    _put(channel, "generator", "Holdfast")
    _put(channel, "atom:link", href=f"{address.base}feed.rss", rel="self", type="application/rss+xml")
    for entry in entries:
        url = address.base + entry.path
        item = _put(channel, "item")
        _put(item, "title", entry.title)
        _put(item, "link", url)
        _put(item, "guid", url, isPermaLink="true")
        _put(item, "description", entry.summary)
        _put(item, "pubDate", format_datetime(_moment(entry.published_at)))
        for tag in entry.tags:
            _put(item, "category", tag)
    return _document(feed)


def _put(parent: Element, name: str, text: str = "", **attributes: str) -> Element:
    child = SubElement(parent, name, {key: _writable(value) for key, value in attributes.items()})
    child.text = _writable(text) or None
    return child


def _document(root: Element) -> bytes:
    indent(root)
    body: bytes = tostring(root, encoding="utf-8", xml_declaration=True)
    return body + b"\n"


def _latest(entries: Sequence[Entry]) -> dt.date:
    """Of the newest post: a feed without any was never updated, and its date has to be one all the same."""
    return entries[0].published_at if entries else dt.date(1970, 1, 1)


def json_feed(address: Address, entries: Sequence[Entry]) -> bytes:
    """https://www.jsonfeed.org/version/1.1/."""
    feed: dict[str, Any] = {
        "version": "https://jsonfeed.org/version/1.1",
        "title": address.title,
        "home_page_url": address.base,
        "feed_url": f"{address.base}feed.json",
        "description": address.about,
        "language": "en",
        "authors": [{"name": address.title, "url": address.base}],
        "items": [
            {
                "id": address.base + entry.path,
                "url": address.base + entry.path,
                "title": entry.title,
                "summary": entry.summary,
                "content_text": entry.summary,
                "date_published": _moment(entry.published_at).isoformat(),
                "tags": list(entry.tags),
            }
            for entry in entries
        ],
    }
    return msgspec.json.format(msgspec.json.encode(feed), indent=1) + b"\n"


def search_index(entries: Sequence[Entry]) -> bytes:
    """What the script searches: every different word of a post once, so that a thousand posts are a few megabytes."""
    rows = [
        {
            "path": entry.path,
            "title": entry.title,
            "summary": entry.summary,
            "date": entry.published_at,
            "minutes": entry.minutes,
            "tags": [*entry.tags, *entry.companies],
            "words": entry.words,
        }
        for entry in entries
    ]
    return msgspec.json.encode(rows) + b"\n"


def sitemap(address: Address, entries: Sequence[Entry], pages: Iterable[str]) -> bytes:
    """https://www.sitemaps.org/protocol.html, at most 50,000 addresses."""
    dates = {entry.path: entry.published_at for entry in entries}
    rows = "".join(
        f"<url><loc>{escape(address.base + path)}</loc>"
        + (f"<lastmod>{dates[path]}</lastmod>" if path in dates else "")
        + "</url>\n"
        for path in pages
    )
    head = '<?xml version="1.0" encoding="utf-8"?>\n<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">\n'
    return f"{head}{rows}</urlset>\n".encode()


def _moment(date: dt.date) -> dt.datetime:
    return dt.datetime(date.year, date.month, date.day, tzinfo=dt.UTC)


def _writable(text: str) -> str:
    """XML 1.0 has no way to write most control characters, not even escaped."""
    return "".join(one for one in text if one >= " " or one in "\n\t")
