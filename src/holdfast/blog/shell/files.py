"""The folder that a blog is written in: ``content/posts/*.md`` and ``content/public/``."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from holdfast.blog.core.fault import Fault
from holdfast.blog.core.parse import parse
from holdfast.blog.core.post import Post
from holdfast.blog.core.source import LONGEST
from holdfast.blog.errors import BlogError, BlogInvalid, Refused

POSTS: Final = "posts"
PUBLIC: Final = "public"
_MOST_POSTS: Final = 10_000
_MOST_FILES: Final = 20_000


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
    paths = sorted(path for path in folder.rglob("*.md") if not path.name.startswith("."))
    if len(paths) > _MOST_POSTS:
        raise BlogError(f"{folder} holds {len(paths):,} posts, more than {_MOST_POSTS:,}; is it the right folder?")
    return paths


def read_post(path: Path, content_dir: Path) -> Post:
    """One post. Raises :class:`~holdfast.blog.errors.Refused`."""
    name = known_as(path, content_dir)
    return parse(read_text(path, name), file=name)


def known_as(path: Path, content_dir: Path) -> str:
    """As the author knows a file: relative to the folder that ``content`` is in."""
    try:
        return path.resolve().relative_to(content_dir.resolve().parent).as_posix()
    except ValueError:
        return path.as_posix()


def read_text(path: Path, name: str) -> str:
    """A file's text, bounded. Raises :class:`~holdfast.blog.errors.Refused` for what is no text."""
    try:
        with path.open("rb") as file:
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
    folder = content_dir / PUBLIC
    root = folder.resolve()
    found = set()
    for path in folder.rglob("*") if folder.is_dir() else ():
        # A link out of the folder would publish what nobody put there.
        if path.is_file() and path.resolve().is_relative_to(root):
            found.add(f"/{path.relative_to(folder).as_posix()}")
            if len(found) > _MOST_FILES:
                raise BlogError(f"{folder} holds more than {_MOST_FILES:,} files; is it the right folder?")
    return frozenset(found)


def _claimed_twice(posts: list[Post]) -> list[Fault]:
    """Slugs and former slugs are addresses; each leads to one post."""
    faults = []
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
