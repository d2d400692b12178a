"""Posts from JSON become drafts, all of them or none."""

from __future__ import annotations

import copy
import errno
import json
import os
from pathlib import Path
from typing import Any

import pytest

from holdfast.blog.core.published import to_json
from holdfast.blog.errors import OutputFailed, Refused
from holdfast.blog.shell.files import read_posts
from holdfast.blog.shell.imports import import_posts
from tests.unit.blog.core.scenery import SAMPLE, ScriptedReadings, sample

POST = to_json(sample(), ScriptedReadings())


def changed(**keys: Any) -> dict[str, Any]:
    return {**copy.deepcopy(POST), **keys}


def given(tmp_path: Path, what: Any) -> Path:
    path = tmp_path / "posts.json"
    path.write_text(what if isinstance(what, str) else json.dumps(what, ensure_ascii=False), encoding="utf-8")
    return path


def refused(tmp_path: Path, what: Any) -> str:
    content = tmp_path / "content"
    with pytest.raises(Refused) as raised:
        import_posts(given(tmp_path, what), content)
    assert not list(content.rglob("*"))  # none of them was written
    return str(raised.value)


@pytest.mark.parametrize("wrap", [lambda post: post, lambda post: [post], lambda post: {"posts": [post]}])
def test_one_post_an_array_and_an_object_of_posts_are_read(tmp_path: Path, wrap: Any) -> None:
    posts = import_posts(given(tmp_path, wrap(POST)), tmp_path / "content")
    assert [post.slug for post in posts] == ["flapping-backends"]
    written = read_posts(tmp_path / "content")
    assert written[0].draft
    assert written == posts


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("nonsense", "not JSON"),
        ("[]", "0 posts"),
        ("[1]", "not a post (Expected `object`, got `int`)"),
        ("[" * 100_000, "not JSON"),
        (changed(mood="dark"), "unknown field `mood`"),
        ({key: value for key, value in POST.items() if key != "hook"}, "missing required field `hook`"),
        (changed(hook={"problem": "a"}), "missing required field `stakes` - at `$.hook`"),
        (changed(businessImpact="much"), "Expected `array`, got `str` - at `$.businessImpact`"),
        (changed(businessImpact=[]), "at `$.businessImpact`"),
        (changed(publishedAt="soon"), "Invalid RFC3339 encoded date - at `$.publishedAt`"),
        (changed(slug="../../etc/passwd"), "'../../etc/passwd' is not a slug"),
        (changed(slug="Flapping"), "'Flapping' is not a slug"),
        ([POST, POST], "the slug 'flapping-backends' stands twice"),
        (changed(hook={"problem": "## Hook\n\nAgain.", "stakes": "x"}), "as Markdown, line"),
        (changed(title="a" * 121), "title has 121 characters"),
        (changed(title="\u202eabc"), "the character U+202E"),
        (changed(links=[{"label": "x", "url": "javascript:alert(1)"}]), "is no address"),
        (changed(businessImpact=["- one\n- two", "a"] * 30), "at `$.businessImpact`"),
    ],
)
def test_what_is_no_post_is_refused_with_its_path_and_nothing_is_written(
    tmp_path: Path, what: Any, message: str
) -> None:
    assert message in refused(tmp_path, what)


def test_the_faults_of_all_posts_come_at_once(tmp_path: Path) -> None:
    text = refused(tmp_path, [changed(slug="A"), POST, changed(slug="B")])
    assert "posts.json[0]" in text
    assert "posts.json[2]" in text


def test_a_file_that_is_there_is_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "content" / "posts" / "flapping-backends.md"
    path.parent.mkdir(parents=True)
    path.write_text("mine")
    with pytest.raises(Refused, match="exists"):
        import_posts(given(tmp_path, [changed(slug="another-post"), POST]), tmp_path / "content")
    assert path.read_text() == "mine"
    assert len(list(path.parent.iterdir())) == 1


def test_a_file_that_cannot_be_read_or_is_too_large_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="No such file"):
        import_posts(tmp_path / "none.json", tmp_path / "content")
    assert "more than" in refused(tmp_path, " " * ((16 << 20) + 1))


def test_none_is_written_where_one_cannot_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    true_link = os.link

    def link(source: str, target: Path) -> None:
        if target.name == "second.md":
            raise OSError(errno.ENOSPC, "No space left on device")
        true_link(source, target)

    monkeypatch.setattr(os, "link", link)
    with pytest.raises(OutputFailed, match=r"second\.md cannot be written: No space left on device; make"):
        import_posts(given(tmp_path, [changed(slug="first"), changed(slug="second")]), tmp_path / "content")
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [tmp_path / "posts.json"]


def test_a_link_in_the_place_of_a_post_is_seen_before_anything_is_written(tmp_path: Path) -> None:
    posts = tmp_path / "content" / "posts"
    posts.mkdir(parents=True)
    (posts / "second.md").symlink_to("nowhere")
    with pytest.raises(Refused, match=r"second\.md exists"):
        import_posts(given(tmp_path, [changed(slug="first"), changed(slug="second")]), tmp_path / "content")
    assert [path.name for path in posts.iterdir()] == ["second.md"]


def test_a_slug_that_leads_to_a_post_already_is_refused_wherever_that_stands(tmp_path: Path) -> None:
    below = tmp_path / "content" / "posts" / "archive"
    below.mkdir(parents=True)
    (below / "flapping-backends.md").write_text(SAMPLE, encoding="utf-8")
    what = [changed(slug="flapping-backends"), changed(slug="flapping")]
    with pytest.raises(Refused) as refused:
        import_posts(given(tmp_path, what), tmp_path / "content")
    assert "'flapping-backends' is that of content/posts/archive/flapping-backends.md already" in str(refused.value)
    assert "'flapping' is that of content/posts/archive/flapping-backends.md (redirectFrom)" in str(refused.value)


@pytest.mark.parametrize("key", ["screenshotAlt", "screenshotCaption"])
def test_words_of_a_screenshot_without_one_are_not_dropped(tmp_path: Path, key: str) -> None:
    post = changed()
    for name in ("screenshotUrl", "screenshotAlt", "screenshotCaption"):
        post["stressTest"].pop(name, None)
    post["stressTest"][key] = "What it shows."
    assert "words of a screenshot without its screenshotUrl" in refused(tmp_path, post)
