"""Posts that were published elsewhere, taken in as drafts."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Final

import msgspec

from holdfast.blog.core.fault import Fault
from holdfast.blog.core.front import SLUG_REMEDY, valid_slug
from holdfast.blog.core.parse import parse
from holdfast.blog.core.post import Post
from holdfast.blog.core.published import PostForm, from_form
from holdfast.blog.core.write import to_markdown
from holdfast.blog.errors import BlogInvalid, OutputFailed, Refused
from holdfast.blog.shell.files import POSTS, known_as, post_files, read_what_can_be

_LARGEST: Final = 16 << 20
_MOST: Final = 1000


def import_posts(file: Path, content_dir: Path) -> tuple[Post, ...]:
    """Write the posts of a JSON file (one post, an array, or ``{"posts": [...]}``) as drafts below ``content_dir``.

    All or none: raises :class:`~holdfast.blog.errors.Refused` for a file with a fault in any of them, and for a slug
    that there is already, before anything is written.
    """
    faults: list[Fault] = []
    written: dict[str, str] = {}
    posts: list[Post] = []
    owners = _owners(content_dir)
    for place, raw in enumerate(_raw_posts(file)):
        where = f"{file.name}[{place}]"
        try:
            form = msgspec.json.decode(raw, type=PostForm)
        except (msgspec.DecodeError, ValueError, RecursionError) as error:
            faults.append(_fault(where, f"not a post ({error})", "docs/blog.md has its keys"))
            continue
        target = content_dir / POSTS / f"{form.slug}.md"
        if not valid_slug(form.slug):
            faults.append(_fault(where, f"{form.slug[:100]!r} is not a slug", SLUG_REMEDY))
        elif form.slug in written:
            faults.append(_fault(where, f"the slug {form.slug!r} stands twice", "rename one of them"))
        elif os.path.lexists(target):
            faults.append(_fault(where, f"{target} exists", "rename the post, or remove the file"))
        elif owner := owners.get(form.slug):
            faults.append(_fault(where, f"the slug {form.slug!r} is that of {owner} already", "rename the post"))
        elif form.stress_test.screenshot_url is None and _has_words_of_a_screenshot(form):
            faults.append(
                _fault(f"{where} {form.slug}", "words of a screenshot without its screenshotUrl", "give all or none")
            )
        else:
            try:
                text = to_markdown(from_form(form))
                posts.append(parse(text, file=f"content/posts/{form.slug}.md"))
                written[form.slug] = text
            except Refused as refused:
                faults += [
                    _fault(f"{where} {form.slug}", f"as Markdown, line {fault.line}: {fault.message}", fault.remedy)
                    for fault in refused.faults
                ]
    if faults:
        raise Refused(faults)
    done: list[Path] = []
    try:
        for slug, text in written.items():
            path = content_dir / POSTS / f"{slug}.md"
            write_new(path, text)
            done.append(path)
    except BaseException:
        for path in done:  # all or none
            path.unlink(missing_ok=True)
        raise
    return tuple(posts)


def _owners(content_dir: Path) -> dict[str, str]:
    """Slugs that lead to a post already, in folders below too and former ones, and its file."""
    if not (content_dir / POSTS).is_dir():
        return {}
    owners = {path.name.removesuffix(".md"): known_as(path, content_dir) for path in post_files(content_dir)}
    for post in read_what_can_be(content_dir)[0]:
        owners |= dict.fromkeys(post.redirect_from, f"{post.file} (redirectFrom)")
    return owners


def _has_words_of_a_screenshot(form: PostForm) -> bool:
    return form.stress_test.screenshot_alt is not None or form.stress_test.screenshot_caption is not None


def write_new(path: Path, text: str) -> None:
    """Write a file that is not there yet, completely or not at all.

    Raises :class:`BlogInvalid` when it is there, and :class:`OutputFailed` when it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _write_new(path, text)
    except OSError as error:
        raise OutputFailed(
            f"{path} cannot be written: {error.strerror}; make {path.parent} a folder that you may write to, with room"
        ) from error


def _write_new(path: Path, text: str) -> None:
    descriptor, draft = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".new")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(draft).chmod(0o644)
        os.link(draft, path)  # unlike a rename, a link never replaces what is there
    except FileExistsError:
        raise BlogInvalid(f"{path} exists, and posts are not overwritten; choose another slug") from None
    finally:
        Path(draft).unlink()


def _raw_posts(file: Path) -> list[msgspec.Raw]:
    """Each post as bytes, so that what is wrong with one does not hide the others."""
    try:
        with file.open("rb") as opened:
            data = opened.read(_LARGEST + 1)
    except OSError as error:
        raise Refused([_fault(str(file), error.strerror or str(error), "name a file that can be read")]) from error
    if len(data) > _LARGEST:
        raise Refused([_fault(file.name, f"more than {_LARGEST:,} bytes", "split it")])
    try:
        if data.lstrip()[:1] == b"[":
            found = msgspec.json.decode(data, type=list[msgspec.Raw])
        else:
            keys = msgspec.json.decode(data, type=dict[str, msgspec.Raw])
            found = (
                msgspec.json.decode(keys["posts"], type=list[msgspec.Raw])
                if set(keys) == {"posts"}
                else [msgspec.Raw(data)]
            )
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise Refused([_fault(file.name, f"not JSON ({error})", "name a file as posts.json is")]) from error
    if not found or len(found) > _MOST:
        raise Refused([_fault(file.name, f"{len(found)} posts", f"give 1 to {_MOST:,}")])
    return found


def _fault(where: str, message: str, remedy: str) -> Fault:
    return Fault(file=where, line=0, message=message, remedy=remedy)
