"""What browsers and programs read of a site is what their standards ask for."""

from __future__ import annotations

import json
import re
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree as ET

import feedparser
import html5lib
import pytest

from holdfast.blog.shell.assets import Assets
from tests.unit.blog.shell.scene import Scene, post

HOSTILE = 'Tags </title><script>alert("x")</script> & \u200fעברית'


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory, vega: None) -> Scene:
    made = Scene(tmp_path_factory.mktemp("site"))
    made.record()
    made.write(
        "numbers", post("Numbers", says="Clients saw {ev:flapping.errors|int} errors, {ev:flapping#hold_s|s} each.")
    )
    made.write("moved-here", post("Moved", more="redirectFrom: [was-there]\n", date="2026-11-01"))
    made.write("hostile", post("X", date="2026-10-01").replace('title: "X"', f"title: {json.dumps(HOSTILE)}"))
    made.build()
    return made


def pages(scene: Scene) -> dict[str, str]:
    return {name: data.decode() for name, data in scene.files().items() if name.endswith(".html")}


def test_every_page_is_html_without_an_error(scene: Scene) -> None:
    for name, text in pages(scene).items():
        parser = html5lib.HTMLParser(strict=False)
        parser.parse(text)
        assert parser.errors == [], name


def test_every_page_has_what_a_check_of_quality_asks_for(scene: Scene) -> None:
    for name, text in pages(scene).items():
        if 'http-equiv="refresh"' in text:
            continue
        assert '<html lang="en">' in text, name
        assert re.search(r"<title>[^<]{3,}</title>", text), name
        assert re.search(r'<meta name="description" content="[^"]{10,}">', text), name
        assert 'name="viewport" content="width=device-width' in text, name
        assert len(re.findall(r"<h1\b", text)) == 1, name
        assert len(re.findall(r'rel="stylesheet"', text)) == 1, name
        assert all("defer" in tag or "ld+json" in tag for tag in re.findall(r"<script[^>]*>", text)), name
        assert all("alt=" in tag and "width=" in tag and "height=" in tag for tag in re.findall(r"<img[^>]*>", text)), (
            name
        )
        ids = re.findall(r'\bid="([^"]*)"', text)
        assert len(ids) == len(set(ids)), name
        levels = [int(level) for level in re.findall(r"<h([1-6])\b", text)]
        assert all(after <= before + 1 for before, after in pairwise(levels)), name


def test_no_page_asks_for_what_the_policy_forbids(scene: Scene) -> None:
    for name, text in pages(scene).items():
        assert re.findall(r"\sstyle=|\son\w+=|<style|javascript:", text) == [], name
        scripts = re.findall(r"<script(?![^>]*\bsrc=)([^>]*)>", text)
        assert all("application/ld+json" in attributes for attributes in scripts), name
        assert "default-src 'none'" in text.replace("&#39;", "'"), name


def test_every_link_of_the_site_leads_somewhere(scene: Scene) -> None:
    there = pages(scene)
    files = scene.files()
    for name, text in there.items():
        for address in re.findall(r'(?:href|src)="/blog/([^"]*)"', text):
            path, _, anchor = address.partition("#")
            path = path.partition("?")[0]
            target = f"{path}index.html" if path == "" or path.endswith("/") else path
            assert target in files, f"{name}: {address}"
            if anchor:
                assert f'id="{anchor}"' in there[target], f"{name}: {address}"
        for anchor in re.findall(r'href="#([^"]+)"', text):
            assert f'id="{anchor}"' in text, f"{name}: #{anchor}"


def test_a_hostile_title_stays_a_title_everywhere(scene: Scene) -> None:
    for text in pages(scene).values():
        assert "<script>alert" not in text
    page = scene.page("posts/hostile/index.html")
    schema = json.loads(re.findall(r'<script type="application/ld\+json">(.*?)</script>', page)[0])
    assert schema["headline"] == HOSTILE
    assert json.loads(scene.page("feed.json"))["items"][-1]["title"] == HOSTILE


def test_structured_data_says_what_schema_org_asks_of_a_posting(scene: Scene) -> None:
    page = scene.page("posts/numbers/index.html")
    schema = json.loads(re.findall(r'<script type="application/ld\+json">(.*?)</script>', page)[0])
    assert schema["@type"] == "BlogPosting"
    assert schema["datePublished"] == "2026-11-20"
    assert schema["url"] == "http://127.0.0.1:8080/blog/posts/numbers/"
    assert {"headline", "description", "image", "author", "publisher", "mainEntityOfPage"} <= schema.keys()


@pytest.mark.parametrize(("name", "version"), [("feed.atom", "atom10"), ("feed.rss", "rss20")])
def test_feeds_are_sound(scene: Scene, name: str, version: str) -> None:
    feed = feedparser.parse(scene.files()[name])
    assert not feed.bozo
    assert feed.version == version
    assert [entry.title for entry in feed.entries][:2] == ["Numbers", "Moved"]
    assert feed.entries[0].link == "http://127.0.0.1:8080/blog/posts/numbers/"
    assert feed.entries[0].published_parsed[:3] == (2026, 11, 20)
    links = {link["rel"]: link["href"] for link in feed.feed.links}
    assert links["self"] == f"http://127.0.0.1:8080/blog/{name}"
    assert links["alternate"] == "http://127.0.0.1:8080/blog/"


def test_the_json_feed_has_what_its_version_asks_for(scene: Scene) -> None:
    feed = json.loads(scene.page("feed.json"))
    assert feed["version"] == "https://jsonfeed.org/version/1.1"
    assert {"title", "home_page_url", "feed_url", "items"} <= feed.keys()
    for item in feed["items"]:
        assert {"id", "url", "title", "date_published"} <= item.keys()
        assert "content_text" in item or "content_html" in item
        assert item["date_published"].endswith("T00:00:00+00:00")


def test_the_sitemap_names_pages_once_and_nothing_else(scene: Scene) -> None:
    root = ET.fromstring(scene.files()["sitemap.xml"])
    name = "{http://www.sitemaps.org/schemas/sitemap/0.9}"
    assert root.tag == f"{name}urlset"
    found = [str(one.findtext(f"{name}loc")) for one in root]
    assert len(found) == len(set(found))
    assert "http://127.0.0.1:8080/blog/" in found
    assert "http://127.0.0.1:8080/blog/posts/moved-here/" in found
    assert not any("was-there" in one or "404" in one for one in found)


def test_search_finds_the_words_of_a_post(scene: Scene) -> None:
    rows = {row["path"]: row for row in json.loads(scene.page("search.json"))}
    assert " clients " in f" {rows['posts/numbers/']['words']} "
    assert "clients" not in rows["posts/moved-here/"]["words"].split()


def test_evidence_pages_say_how_to_run_it_again_and_with_what(scene: Scene) -> None:
    page = scene.page("evidence/flapping/index.html")
    for wanted in (
        "holdfast drill run flapping --seed 7",
        "holdfast evidence rerun flapping",
        "Test &amp; Sons &lt;1&gt;",
        "22 November 2026, 14:03 UTC",
        "damping switched off",
        'id="parameter.hold_s"',
        'id="control.errors"',
        "clients see few errors",
        "sum(samples.holdfast.errors)",
        "A peer was missing.",
        "<svg",
    ):
        assert wanted in page, wanted
    assert (
        scene.files()["evidence/flapping/20261122T140302Z-502f6794.json"]
        == next((scene.evidence / "flapping").iterdir()).read_bytes()
    )


def test_nothing_is_loaded_from_elsewhere() -> None:
    for name, data in Assets(live=True).files.items():
        assert re.findall(r"https?://(?!www\.w3\.org/2000/svg)|@import|url\(", data.decode()) == [], name


def test_the_style_has_the_tokens_of_the_console() -> None:
    source = Path(__file__).parents[4] / "src" / "holdfast"
    tokens = re.compile(r"--([\w-]+): (light-dark\([^)]*\)|[^;]+);")
    ours = dict(tokens.findall((source / "blog/static/blog.css").read_text()))
    theirs = dict(tokens.findall((source / "console/static/console.css").read_text()))
    assert {name: ours[name] for name in theirs} == theirs
