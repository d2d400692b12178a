"""What stands in the folder of a site is ours, and what a build left half done is completed by the next."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from unittest.mock import Mock

import pytest

from holdfast.blog.errors import OutputFailed, OutputNotOurs
from holdfast.blog.shell import output
from holdfast.blog.shell.output import MANIFEST, PENDING, read_known, write


def put(out: Path, **files: str) -> output.Changes:
    """``a__b`` is ``a/b``."""
    made = {name.replace("__", "/"): text.encode() for name, text in files.items()}
    return write(out, made, redirects={})


def held(out: Path) -> dict[str, str]:
    own = {MANIFEST, PENDING}
    found = [path for path in sorted(out.rglob("*")) if path.is_file() and path.name not in own]
    return {path.relative_to(out).as_posix(): path.read_text() for path in found}


class Killed(BaseException):
    """Nothing is done any more."""


def cut_off(out: Path, *, after: int, **files: str) -> None:
    """A build that ends when it has written so many pages, one of them in part, and tidies nothing up."""
    true_replace, left = output.replace, [after]

    def replace(target: Path, data: bytes) -> None:
        if after < 0 or target.name != PENDING:
            if left[0] <= 0:
                target.with_name(f".{target.name}.41.new").write_bytes(data[:1])
                raise Killed
            left[0] -= 1
        true_replace(target, data)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(output, "replace", replace)
        with pytest.raises(Killed):
            put(out, **files)


@pytest.mark.parametrize("after", [-1, 0, 1, 2])
def test_a_first_build_that_was_killed_is_completed_by_the_next(tmp_path: Path, after: int) -> None:
    out = tmp_path / "out"
    cut_off(out, after=after, a="1", b__c="2")
    assert not (out / MANIFEST).exists()
    put(out, b__c="2", d="3")
    assert held(out) == {"b/c": "2", "d": "3"}
    assert not list(out.rglob("*.new"))
    assert not (out / PENDING).exists()


@pytest.mark.parametrize("after", [0, 1, 2, 3])
def test_what_a_killed_build_had_written_is_not_taken_for_what_was_there_before(tmp_path: Path, after: int) -> None:
    out = tmp_path / "out"
    put(out, a="old", b="old", c="old")
    cut_off(out, after=after, a="new", b="new", c="new")
    assert read_known(out)[1] == {"a", "b", "c"}
    put(out, a="old", b="old", c="old")
    assert held(out) == {"a": "old", "b": "old", "c": "old"}


def test_what_a_killed_build_was_to_remove_is_still_ours(tmp_path: Path) -> None:
    out = tmp_path / "out"
    put(out, a="1", b="2", c__d="3")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(output, "_remove", Mock(side_effect=Killed))
        with pytest.raises(Killed):
            put(out, a="1")
    assert held(out) == {"a": "1", "b": "2", "c/d": "3"}
    put(out, a="1", b="4")
    assert held(out) == {"a": "1", "b": "4"}


def test_a_draft_is_not_written_through_a_link(tmp_path: Path) -> None:
    out, other = tmp_path / "out", tmp_path / "other"
    other.write_text("theirs")
    out.mkdir()
    put(out, a="1")
    (out / f".a.{os.getpid()}.new").symlink_to(other)
    put(out, a="2")
    assert held(out) == {"a": "2"}
    assert other.read_text() == "theirs"


def test_what_stands_as_it_is_to_be_is_not_written_again(tmp_path: Path) -> None:
    put(tmp_path, a="1", b="2")
    assert put(tmp_path, a="1", b="3").written == ("b",)
    assert put(tmp_path, a="1", b="3").written == ()


def test_a_file_of_others_in_the_place_of_a_new_page_is_left(tmp_path: Path) -> None:
    out = tmp_path / "out"
    put(out, a="1")
    (out / "posts" / "mine").mkdir(parents=True)
    (out / "posts" / "mine" / "index.html").write_text("not yours")
    (out / "new").write_text("nor this")
    for name in ("posts__mine__index.html", "new", "new__index.html"):
        with pytest.raises(OutputNotOurs, match="no build of ours wrote it; nothing was touched"):
            put(out, **{"a": "2", name: "page"})
    put(out, a="3")
    assert held(out) == {"a": "3", "new": "nor this", "posts/mine/index.html": "not yours"}


def test_nothing_is_written_or_removed_behind_a_link(tmp_path: Path) -> None:
    out, elsewhere = tmp_path / "out", tmp_path / "elsewhere"
    put(out, posts__a="1", posts__b="2")
    elsewhere.mkdir()
    (elsewhere / "b").write_text("theirs")
    (out / "posts" / "c").symlink_to(elsewhere)
    with pytest.raises(OutputNotOurs, match="posts/c is a link"):
        put(out, posts__a="1", posts__b="2", posts__c__index="3")
    (out / "posts" / "c").unlink()
    (out / "posts" / "a").rename(elsewhere / "a")
    (out / "posts" / "b").unlink()
    (out / "posts").rmdir()
    (out / "posts").symlink_to(elsewhere)
    with pytest.raises(OutputNotOurs, match="posts is a link"):
        put(out, d="4")
    assert {path.name: path.read_text() for path in elsewhere.iterdir()} == {"a": "1", "b": "theirs"}


def test_a_link_in_the_place_of_a_page_of_ours_is_replaced_not_followed(tmp_path: Path) -> None:
    out, other = tmp_path / "out", tmp_path / "other"
    put(out, a="1")
    other.write_text("theirs")
    (out / "a").unlink()
    (out / "a").symlink_to(other)
    put(out, a="2")
    assert (out / "a").read_text() == "2"
    assert not (out / "a").is_symlink()
    assert other.read_text() == "theirs"


def test_a_file_may_become_a_folder_and_a_folder_a_file(tmp_path: Path) -> None:
    put(tmp_path, a="1", b__c="2")
    put(tmp_path, a__x="3", b="4")
    assert held(tmp_path) == {"a/x": "3", "b": "4"}
    put(tmp_path, a="1", b__c="2")
    assert held(tmp_path) == {"a": "1", "b/c": "2"}


def test_a_build_beside_another_waits_and_then_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path, a="1")
    monkeypatch.setattr(output, "_WAIT_S", 0.1)
    other = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(other, fcntl.LOCK_EX)
    try:
        with pytest.raises(OutputFailed, match="another process has been writing"):
            put(tmp_path, a="2")
    finally:
        os.close(other)
    put(tmp_path, a="2")
    assert held(tmp_path) == {"a": "2"}


def test_what_another_build_took_away_meanwhile_is_not_kept(tmp_path: Path) -> None:
    put(tmp_path, a="1", b="2")
    put(tmp_path, b="2")
    with pytest.raises(OutputFailed, match="build again"):
        write(tmp_path, {}, kept={"a", "b"}, redirects={})


@pytest.mark.parametrize("text", ["no json", '["../a"]', "3"])
def test_a_list_of_others_is_told(tmp_path: Path, text: str) -> None:
    (tmp_path / PENDING).write_text(text)
    with pytest.raises(OutputNotOurs, match="remove th"):
        put(tmp_path, a="1")
