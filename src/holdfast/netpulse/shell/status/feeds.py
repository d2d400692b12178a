"""Updates as feeds: RSS 2.0 and Atom (RFC 4287), newest first."""

from __future__ import annotations

from typing import Final
from xml.etree.ElementTree import Element, SubElement, tostring

from holdfast.netpulse.core.status import PublicIncident, StatusView, Update
from holdfast.netpulse.shell.status.times import iso, mail

ENTRIES: Final = 50
_ATOM: Final = "http://www.w3.org/2005/Atom"


def rss(view: StatusView) -> bytes:
    """The feed of updates as RSS."""
    root = Element("rss", {"version": "2.0", "xmlns:atom": _ATOM})
    channel = SubElement(root, "channel")
    _add(channel, "title", view.title)
    _add(channel, "link", _page(view))
    _add(channel, "description", f"Updates about incidents: {view.title}")
    if view.url:
        SubElement(channel, "atom:link", {"href": f"{view.url}/feed.rss", "rel": "self", "type": "application/rss+xml"})
    for incident, update in _entries(view):
        item = SubElement(channel, "item")
        _add(item, "title", f"{incident.name}: {update.status}")
        _add(item, "link", _link(view, incident))
        _add(item, "pubDate", mail(update.at))
        SubElement(item, "guid", {"isPermaLink": "false"}).text = update.id
        _add(item, "description", update.body)
    return _bytes(root)


def atom(view: StatusView) -> bytes:
    """The feed of updates as Atom."""
    root = Element("feed", {"xmlns": _ATOM})
    entries = _entries(view)
    _add(root, "title", view.title)
    _add(root, "id", _page(view) or f"urn:holdfast:status:{view.title}")
    _add(root, "updated", iso(entries[0][1].at if entries else 0.0))
    SubElement(SubElement(root, "author"), "name").text = view.title
    if view.url:
        SubElement(root, "link", {"href": f"{view.url}/feed.atom", "rel": "self"})
        SubElement(root, "link", {"href": _page(view)})
    for incident, update in entries:
        entry = SubElement(root, "entry")
        _add(entry, "title", f"{incident.name}: {update.status}")
        _add(entry, "id", f"urn:holdfast:status:{update.id}")
        SubElement(entry, "link", {"href": _link(view, incident)})
        _add(entry, "updated", iso(update.at))
        _add(entry, "published", iso(update.at))
        _add(entry, "content", update.body)
    return _bytes(root)


def _entries(view: StatusView) -> list[tuple[PublicIncident, Update]]:
    entries = [(incident, update) for incident in view.incidents for update in incident.updates]
    entries.sort(key=lambda entry: (entry[1].at, entry[1].id), reverse=True)
    return entries[:ENTRIES]


def _page(view: StatusView) -> str:
    return f"{view.url}/" if view.url else ""


def _link(view: StatusView, incident: PublicIncident) -> str:
    return f"{_page(view)}incidents/{incident.id}.html"


def _add(parent: Element, name: str, text: str) -> None:
    # XML 1.0 has no way to write most control characters, not even escaped.
    SubElement(parent, name).text = "".join(c for c in text if c >= " " or c in "\n\t")


def _bytes(root: Element) -> bytes:
    text: str = tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="utf-8"?>\n{text}\n'.encode()
