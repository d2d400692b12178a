"""The folder that a blog is written in: ``content/posts/*.md`` and ``content/public/``."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final, Protocol

from holdfast.blog.core.fault import Fault
from holdfast.blog.core.parse import parse
from holdfast.blog.core.post import Post
from holdfast.blog.core.source import LONGEST, unfit
from holdfast.blog.core.surroundings import kebab
from holdfast.blog.errors import BlogError, BlogInvalid, Refused

POSTS: Final = "posts"
PUBLIC: Final = "public"
_MOST_POSTS: Final = 10_000
_MOST_FILES: Final = 20_000
_DEEPEST: Final = 20
"""Folders within each other."""
LARGEST: Final = 64 * 2**20
"""Bytes of a file that is published; nobody is served more."""
FOLDERS: Final = ("posts/", "tags/", "companies/", "evidence/", "search/", "page/", "cards/", "static/")
FIXED: Final = (
    *("index.html", "404.html", "feed.atom", "feed.rss", "feed.json", "posts.json", "search.json", "sitemap.xml"),
    "robots.txt",
)
"""What the site has of its own at its root."""


def read_posts(content_dir: Path) -> tuple[Post, ...]:
    """Every post below ``content_dir/posts``, newest first.

    Raises :class:`~holdfast.blog.errors.Refused` with the faults of all files, slugs and redirects that two posts claim
    among them.
    """
    posts, faults = read_what_can_be(content_dir)
    if faults:
        raise Refused(faults)
    return posts


def read_what_can_be(content_dir: Path) -> tuple[tuple[Post, ...], tuple[Fault, ...]]:
    """The posts whose form is sound, newest first, and the faults of the others."""
    posts: list[Post] = []
    faults: list[Fault] = []
    for path in post_files(content_dir):
        try:
            posts.append(read_post(path, content_dir))
        except Refused as refused:
            faults += refused.faults
    faults += _claimed_twice(posts)
    posts.sort(key=lambda post: (-post.published_at.toordinal(), post.slug))
    return tuple(posts), tuple(sorted(faults))


def post_files(content_dir: Path) -> list[Path]:
    """Markdown files of posts, in folders below too, in order of path. Raises :class:`BlogInvalid` without a folder."""
    folder = content_dir / POSTS
    if not folder.is_dir():
        raise BlogInvalid(
            f"{folder} is no folder; run this in the project, name it with -C, or begin with 'holdfast blog new'"
        )
    paths = sorted(path for path in _walk(folder) if path.name.endswith(".md") and not path.name.startswith("."))
    if len(paths) > _MOST_POSTS:
        raise BlogError(f"{folder} holds {len(paths):,} posts, more than {_MOST_POSTS:,}; is it the right folder?")
    return paths


def read_post(path: Path, content_dir: Path) -> Post:
    """One post. Raises :class:`~holdfast.blog.errors.Refused`."""
    name = known_as(path, content_dir)
    return parse(read_text(path, name), file=name)


def known_as(path: Path, content_dir: Path) -> str:
    """As the author knows a file: relative to the folder that ``content`` is in, as text that can be printed."""
    try:
        path = path.relative_to(content_dir.parent)
    except ValueError:
        pass  # elsewhere
    return os.fsencode(path.as_posix()).decode(errors="replace")


def read_text(path: Path, name: str) -> str:
    """A file's text, bounded. Raises :class:`~holdfast.blog.errors.Refused` for what is no text."""
    try:
        # Not waiting for a writer, as opening a pipe would.
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise _refused(name, 0, "no file of text", "make it a file that can be read")
            data = file.read(4 * LONGEST + 1)  # a character has at most four bytes
        if len(data) > 4 * LONGEST:
            raise _refused(name, 0, f"more than {4 * LONGEST:,} bytes", "split it into several posts")
        return data.decode()
    except OSError as error:
        raise _refused(name, 0, error.strerror or str(error), "make it a file that can be read") from error
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise _refused(name, line, "not UTF-8", "save it as UTF-8") from error


def public_files(content_dir: Path) -> frozenset[str]:
    """Files that are published as they are, by path below the site's root: ``/shots/console.png``."""
    return frozenset(f"/{name}" for name in _public(content_dir) if _in_the_way(name) is None)


def public_faults(content_dir: Path) -> list[Fault]:
    """Files of ``content/public`` that cannot be published."""
    folder = content_dir / PUBLIC
    faults = []
    for name in sorted(_public(content_dir)):
        wrong = _in_the_way(name)
        if wrong is None and (size := (folder / name).stat().st_size) > LARGEST:
            wrong = f"{size:,} bytes; nobody is served more than {LARGEST:,}", "put it elsewhere, and link to it"
        if wrong is not None:
            faults.append(Fault(file=known_as(folder / name, content_dir), line=0, message=wrong[0], remedy=wrong[1]))
    return faults


def _in_the_way(name: str) -> tuple[str, str] | None:
    """Why a name cannot be one of the site, and the remedy."""
    if wrong := unfit(name):
        return f"in its name {wrong}", "rename it; names are UTF-8"
    if "\\" in name or "\n" in name:
        return "a backslash or a line's end in its name, which no address has", "rename it"
    first = name.partition("/")[0]
    if first in FIXED or f"{first}/" in FOLDERS:
        return f"the site has /{name} itself", "put it into a folder of its own, like content/public/shots/"
    return ("a name that begins with a dot", "rename it") if first.startswith(".") else None


def _public(content_dir: Path) -> set[str]:
    folder = content_dir / PUBLIC
    root = folder.resolve()
    found = set()
    for path in _walk(folder) if folder.is_dir() else ():
        # A link out of the folder would publish what nobody put there.
        if path.is_file() and path.resolve().is_relative_to(root):
            found.add(path.relative_to(folder).as_posix())
            if len(found) > _MOST_FILES:
                raise BlogError(f"{folder} holds more than {_MOST_FILES:,} files; is it the right folder?")
    return found


def _walk(folder: Path) -> Iterator[Path]:
    """Everything below a folder that is no folder; links to folders are not followed."""
    waiting = [(folder, 0)]
    while waiting:
        within, depth = waiting.pop()
        if depth > _DEEPEST:
            raise BlogError(f"{folder} has more than {_DEEPEST} folders within each other; is it the right folder?")
        try:
            with os.scandir(within) as entries:
                found = [(within / entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries]
        except OSError as error:
            raise BlogError(f"{within} cannot be read: {error.strerror}; make it readable, or take it away") from error
        waiting += [(path, depth + 1) for path, is_folder in found if is_folder]
        yield from (path for path, is_folder in found if not is_folder)


class Tagged(Protocol):
    """What has pages for its tags and companies."""

    @property
    def tags(self) -> tuple[str, ...]:
        """Names."""
        ...

    @property
    def companies(self) -> tuple[str, ...]:
        """Names."""
        ...


def merged_names(posts: Iterable[tuple[str, Tagged]]) -> Iterator[Fault]:
    """Different tags or companies, ``C++`` and ``C#``, whose pages would have one address. Takes files and posts."""
    posts = tuple(posts)
    for folder in ("tags", "companies"):
        first: dict[str, tuple[str, str]] = {}
        judged: set[str] = set()
        for file, post in posts:
            names: Sequence[str] = getattr(post, folder)
            for name in names:
                if name in judged:
                    continue
                judged.add(name)
                known, where = first.setdefault(kebab(name), (name, file))
                if _spelled(known) != _spelled(name):
                    message = f"{name!r} and {known!r} ({where}) would share the page /{folder}/{kebab(name)}/"
                    yield Fault(file=file, line=0, message=message, remedy="write one of them in letters")


def _spelled(name: str) -> str:
    return " ".join(name.casefold().replace("-", " ").replace("_", " ").split())


def _claimed_twice(posts: list[Post]) -> list[Fault]:
    """Slugs and former slugs are addresses; each leads to one post."""
    faults = list(merged_names((post.file, post) for post in posts))
    owners: dict[str, Post] = {}
    for post in posts:
        first = owners.setdefault(post.slug, post)
        if first is not post:
            faults.append(_fault(post, 0, f"the slug {post.slug!r} is that of {first.file}, too", "rename one of them"))
    for post in posts:
        for old in post.redirect_from:
            owner = owners.setdefault(old, post)
            if owner is not post:
                line = post.lines.get("redirectFrom", 1)
                faults.append(
                    _fault(
                        post, line, f"redirectFrom: {old!r} leads to {owner.file} already", "remove it here or there"
                    )
                )
    return faults


def _fault(post: Post, line: int, message: str, remedy: str) -> Fault:
    return Fault(file=post.file, line=line, message=message, remedy=remedy)


def _refused(name: str, line: int, message: str, remedy: str) -> Refused:
    return Refused([Fault(file=name, line=line, message=message, remedy=remedy)])
