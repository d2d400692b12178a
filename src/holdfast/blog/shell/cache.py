"""What a build keeps for the next one: of each post what lists, feeds and search need. The pages are in the output.

It stands beside the manifest and is never served. Whatever is wrong with it, or made by other code, for another address
or from other records, is not used: then everything is made anew.
"""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Final

import msgspec

from holdfast import __version__
from holdfast.blog.shell.entry import Entry

CACHE: Final = ".holdfast-blog.cache"


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """One post that was published."""

    digest: str
    """SHA-256 of its file."""
    pages: tuple[str, ...]
    """Files of the output that are its own."""
    card: str = ""
    """Digest of what its card was drawn from; empty without one."""
    entry: Entry


class Cache(msgspec.Struct, frozen=True, kw_only=True):
    """The posts of the last build, by the name of their file."""

    made_with: str
    """Digest of everything that a page depends on besides its post; see :func:`made_with`."""
    targets: list[str]
    """What posts could point at. Where one of these has gone, a link may lead nowhere, and all are judged again."""
    posts: dict[str, Kept]
    listed: str = ""
    """Digest of what lists show: an edit of a text leaves them as they are."""
    quoted: dict[str, list[str]] = {}
    """Drill -> paths and titles of the posts that quote it: what pages of evidence depend on besides."""
    charts: dict[str, str] = {}
    """Drill -> the figure on its page; drawing takes a tenth of a second."""


def read_cache(out: Path, digest: str) -> Cache | None:
    """The cache of a folder, if it was made with the same."""
    try:
        found = msgspec.json.decode((out / CACHE).read_bytes(), type=Cache)
    except (OSError, msgspec.DecodeError, ValueError):
        return None
    return found if found.made_with == digest else None


def made_with(*parts: str) -> str:
    """A digest of this code and of ``parts``."""
    return hashlib.sha256("\0".join((_code(), *parts)).encode()).hexdigest()


@cache
def _code() -> str:
    """Of the templates, and of the modules that make pages: the version alone does not change while one develops."""
    digest = hashlib.sha256(__version__.encode())
    package = files("holdfast.blog")
    for folder in ("core", "shell", "templates", "static"):
        for entry in sorted(package.joinpath(folder).iterdir(), key=lambda one: one.name):
            if entry.is_file():
                digest.update(entry.name.encode() + b"\0" + entry.read_bytes())
    return digest.hexdigest()
