"""The ``blog:`` section of ``holdfast.yaml``, and what makes one sound."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Literal
from urllib.parse import urlsplit

from holdfast.blog.core.site import Address
from holdfast.kernel.settings import Problem, Section

TITLE: Final = "Holdfast engineering"
ABOUT: Final = "Architecture breakdowns and incident-style deep dives of systems that have to stay up."
LOCAL_URL: Final = "http://127.0.0.1:8086/"
_LONGEST: Final = {"title": 80, "about": 300}


class BlogSettings(Section, frozen=True):
    """The engineering blog: built when the service starts and when it reloads, served as files."""

    listen: str = "127.0.0.1:8086"
    """``HOST:PORT``; plain HTTP, TLS is for the balancer in front."""
    content: str = "content"
    """Folder of ``posts/`` and ``public/``. Without it the blog has no posts, and says how to add one."""
    evidence: str = "evidence"
    """Folder of the records that numbers are read from."""
    output: str = "blog-site"
    """Folder that the site is built in. It is made; one that holds anything else is not touched."""
    url: str = LOCAL_URL
    """Where readers find it: canonical links, feeds and the paths of all links begin with it. It ends in a slash."""
    title: str = TITLE
    """At the top of every page, in feeds and on cards."""
    about: str = ABOUT
    """One sentence below it."""
    stale: Literal["refuse", "mark"] = "refuse"
    """A number whose record is stale keeps the site from being built, or is marked."""


def address_of(settings: BlogSettings) -> Address:
    """Where the site is published."""
    return Address(base=settings.url, title=settings.title, about=settings.about)


def validate(settings: BlogSettings) -> list[Problem]:
    """Everything that is wrong with the values; empty when they can be served."""
    return [*_listen(settings.listen), *_url(settings.url), *_texts(settings), *_folders(settings)]


def sound_url(text: str) -> bool:
    """Whether a site can be published there: http or https, a host, a path that ends in a slash, and no more."""
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        return False
    return (
        parts.scheme in {"http", "https"}
        and bool(parts.hostname)
        and port != 0
        and parts.path.endswith("/")
        and "//" not in parts.path
        and not any(part in {".", ".."} for part in parts.path.split("/"))
        and not (parts.query or parts.fragment or "@" in parts.netloc)
        and text.isascii()
        and not any(letter in text for letter in " \"'<>\\^`{|}")
    )


def _listen(text: str) -> Iterator[Problem]:
    try:
        parts = urlsplit(f"//{text}")
        sound = bool(parts.hostname) and parts.port is not None and not parts.path and parts.username is None
    except ValueError:
        sound = False
    if not sound:
        remedy = "write HOST:PORT, like 127.0.0.1:8086"
        yield Problem(path=("listen",), value=text, message="not an address", remedy=remedy)


def _url(text: str) -> Iterator[Problem]:
    if not sound_url(text):
        remedy = "write it with a slash at its end, like https://example.org/blog/"
        yield Problem(path=("url",), value=text, message="not the URL of a site", remedy=remedy)


def _texts(settings: BlogSettings) -> Iterator[Problem]:
    for name, longest in _LONGEST.items():
        text: str = getattr(settings, name)
        if not text.strip() or len(text) > longest or not text.isprintable():
            message, remedy = "empty, too long, or not in one line", f"write 1 to {longest} characters in one line"
            yield Problem(path=(name,), value=text, message=message, remedy=remedy)


def _folders(settings: BlogSettings) -> Iterator[Problem]:
    for name in ("content", "evidence", "output"):
        if not getattr(settings, name).strip():
            yield Problem(path=(name,), value="", message="empty", remedy="name a folder")
    for name in ("content", "evidence"):
        if settings.output.rstrip("/") == getattr(settings, name).rstrip("/"):
            message, remedy = f"the folder of {name}, too", "name a folder of its own"
            yield Problem(path=("output",), value=settings.output, message=message, remedy=remedy, related=((name,),))
