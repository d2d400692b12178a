"""The folder of the blog: what is read, what is refused, and that nothing is overwritten."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from holdfast.blog.errors import BlogInvalid, Refused
from holdfast.blog.shell.files import public_files, read_posts, read_what_can_be
from holdfast.blog.shell.imports import write_new
from tests.unit.blog.core.scenery import CONTENT, SAMPLE


@pytest.fixture
def content(tmp_path: Path) -> Path:
    return Path(shutil.copytree(CONTENT, tmp_path / "content"))


def add(content: Path, name: str, text: str = SAMPLE) -> None:
    path = content / "posts" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def refused(content: Path) -> str:
    with pytest.raises(Refused) as raised:
        read_posts(content)
    return str(raised.value)


def test_posts_come_newest_first_and_are_known_by_their_path(content: Path) -> None:
    add(content, "older.md", SAMPLE.replace("2026-11-20", "2026-11-19").replace("redirectFrom: [flapping]\n", ""))
    assert [post.file for post in read_posts(content)] == [
        "content/posts/flapping-backends.md",
        "content/posts/older.md",
    ]


def test_two_posts_of_one_slug_are_refused(content: Path) -> None:
    add(content, "2026/flapping-backends.md")
    assert "the slug 'flapping-backends' is that of content/posts/2026/flapping-backends.md, too" in refused(content)


def test_a_redirect_that_two_posts_claim_is_refused(content: Path) -> None:
    add(content, "other.md")
    assert "redirectFrom: 'flapping' leads to content/posts/flapping-backends.md already" in refused(content)


def test_a_redirect_from_a_post_that_is_there_is_refused(content: Path) -> None:
    add(content, "flapping.md", SAMPLE.replace("redirectFrom: [flapping]\n", ""))
    assert "redirectFrom: 'flapping' leads to content/posts/flapping.md already" in refused(content)


def test_the_faults_of_all_files_come_at_once_and_the_sound_posts_can_be_had(content: Path) -> None:
    add(content, "one.md", "---\n")
    add(content, "two.md", "no post")
    text = refused(content)
    assert "content/posts/one.md:1" in text
    assert "content/posts/two.md:1" in text
    posts, faults = read_what_can_be(content)
    assert ([post.slug for post in posts], len(faults)) == (["flapping-backends"], 2)


def test_what_is_not_utf_8_or_too_long_is_refused(content: Path) -> None:
    (content / "posts" / "latin.md").write_bytes(b"---\ntitle: \xe9\n---\n")
    (content / "posts" / "long.md").write_bytes(b"a" * (5 << 20))
    text = refused(content)
    assert "content/posts/latin.md:2: not UTF-8" in text
    assert "content/posts/long.md: more than" in text


def test_a_folder_without_posts_is_told_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(BlogInvalid, match="holdfast blog new"):
        read_posts(tmp_path / "content")


def test_public_files_are_known_by_their_path_and_links_out_are_not_followed(content: Path, tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("x")
    (content / "public" / "leak.txt").symlink_to(tmp_path / "secret.txt")
    assert public_files(content) == {"/shots/backends.png"}
    assert public_files(tmp_path / "nowhere") == frozenset()


def test_a_file_that_is_there_is_never_replaced(tmp_path: Path) -> None:
    path = tmp_path / "a" / "post.md"
    write_new(path, "one")
    with pytest.raises(BlogInvalid, match="exists"):
        write_new(path, "two")
    assert path.read_text() == "one"
    assert list(path.parent.iterdir()) == [path]
