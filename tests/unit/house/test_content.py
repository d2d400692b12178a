"""The posts of this repository: sound, with links that lead somewhere and pictures that can be taken again."""

from __future__ import annotations

import datetime as dt
import re
from pathlib import Path

import pytest

from holdfast.blog.core.parse import parse
from holdfast.blog.core.settings import ABOUT, TITLE
from holdfast.blog.core.site import Address
from holdfast.blog.shell.build import Options, build
from holdfast.blog.shell.shoot import read_shots
from holdfast.evidence import project_root

ROOT = project_root()
POSTS = sorted((ROOT / "content" / "posts").glob("*.md"))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As it is published, but that records may be stale: that is told by ``holdfast blog check``, not by a test."""
    out = tmp_path_factory.mktemp("blog") / "site"
    build(
        ROOT / "content",
        ROOT / "evidence",
        out,
        address=Address(base="http://127.0.0.1:8080/blog/", title=TITLE, about=ABOUT),
        today=dt.datetime.now(dt.UTC).date(),
        options=Options(allow_stale=True, cards=False),
    )
    return out


def test_every_link_and_fragment_of_the_site_leads_somewhere(site: Path) -> None:
    pages = {path.relative_to(site).as_posix(): path.read_text(encoding="utf-8") for path in site.rglob("*.html")}
    assert len(pages) > len(POSTS)
    ids = {name: set(re.findall(r'\bid="([^"]+)"', text)) for name, text in pages.items()}
    dead = []
    for name, text in pages.items():
        here = f"/blog/{name.removesuffix('index.html')}"
        for address in re.findall(r'(?:href|src)="((?:/blog/|#)[^"]*)"', text):
            path, _, anchor = address.partition("#")
            target = (path.partition("?")[0] or here).removeprefix("/blog/")
            target = f"{target}index.html" if target == "" or target.endswith("/") else target
            is_card = target.startswith("cards/")
            if not is_card and (not (site / target).is_file() or (anchor and anchor not in ids[target])):
                dead.append(f"{name}: {address}")
    assert dead == []


def test_no_page_weighs_more_than_sixty_kilobytes_without_its_pictures(site: Path) -> None:
    heavy = {path.name: size for path in site.rglob("*.html") if (size := path.stat().st_size) > 60 * 1024}
    assert heavy == {}


def test_every_post_has_a_diagram_a_chart_a_control_and_the_command_that_runs_it_again() -> None:
    assert len(POSTS) >= 6
    for path in POSTS:
        text = path.read_text(encoding="utf-8")
        assert "```mermaid" in text, path.name
        assert "```chart" in text, path.name
        assert re.search(r"\{ev:[a-z-]+\.control\.", text), path.name
        assert re.search(r"`holdfast drill run [a-z-]+( --quick)?`", text), path.name


def test_every_screenshot_can_be_taken_again_and_every_shot_is_shown() -> None:
    shown = {}
    for path in POSTS:
        screenshot = parse(path.read_text(encoding="utf-8"), file=path.name).stress_test.screenshot
        if screenshot is not None:
            shown[screenshot.url.removeprefix("/")] = path.name
    assert shown.keys() == read_shots(ROOT / "content").keys()
    assert all((ROOT / "content" / "public" / name).is_file() for name in shown)
