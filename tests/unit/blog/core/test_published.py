"""Posts as files and as JSON, there and back."""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import replace

import msgspec
import pytest

from holdfast.blog.core.parse import parse
from holdfast.blog.core.published import PostForm, from_form, to_json, without_lines
from holdfast.blog.core.write import skeleton, to_markdown
from tests.unit.blog.core.scenery import FILE, SAMPLE, TODAY, ScriptedReadings, faults, rendered, sample


def test_a_post_that_is_written_reads_as_the_same_post() -> None:
    assert without_lines(parse(to_markdown(sample()), file=FILE)) == without_lines(sample())


@pytest.mark.parametrize(
    "change", [{"title": 'Quotes " and \\ and: colons'}, {"draft": True}, {"links": ()}, {"tags": ("a, b",)}]
)
def test_front_matter_survives_whatever_is_in_it(change: dict[str, object]) -> None:
    post = replace(sample(), **change)  # type: ignore[arg-type]
    assert without_lines(parse(to_markdown(post), file=FILE)) == without_lines(post)


def test_posts_json_has_the_published_keys_and_its_numbers_filled_in() -> None:
    made = to_json(sample(), ScriptedReadings())
    assert list(made) == [
        "slug",
        "title",
        "summary",
        "publishedAt",
        "targetCompanies",
        "tags",
        "links",
        "hook",
        "architecture",
        "stressTest",
        "bottleneckResolution",
        "businessImpact",
    ]
    assert list(made["stressTest"]) == [
        "setup",
        "breakingPoint",
        "evidence",
        "notShown",
        "screenshotUrl",
        "screenshotAlt",
        "screenshotCaption",
    ]
    assert list(made["bottleneckResolution"]) == ["rootCause", "solution", "tradeoffs", "alternatives"]
    assert made["title"] == "What 38,214 requests saw of a backend that flaps"
    assert made["publishedAt"] == "2026-11-20"
    assert "36.39 USD" in made["hook"]["stakes"]
    assert "{" not in made["hook"]["problem"]


def test_posts_json_reads_back_as_the_same_post_with_its_numbers_typed() -> None:
    made = to_json(sample(), ScriptedReadings())
    back = from_form(msgspec.convert(made, PostForm))
    assert back.draft
    assert to_json(back, ScriptedReadings()) == made
    again = parse(to_markdown(back), file=FILE)
    assert without_lines(again) == replace(without_lines(back), file=FILE)


def test_what_may_be_left_out_is_left_out_of_json() -> None:
    post = sample()
    bare = replace(
        post,
        stress_test=replace(post.stress_test, screenshot=None),
        bottleneck_resolution=replace(post.bottleneck_resolution, alternatives=()),
    )
    made = to_json(bare, ScriptedReadings())
    assert "screenshotUrl" not in made["stressTest"]
    assert "alternatives" not in made["bottleneckResolution"]
    assert without_lines(parse(to_markdown(bare), file=FILE)) == without_lines(bare)


def test_a_diagram_with_backticks_is_fenced_by_more_of_them() -> None:
    post = sample()
    source = "flowchart LR\n  a[```code```] --> b"
    post = replace(
        post, architecture=replace(post.architecture, diagram=replace(post.architecture.diagram, text=source))
    )
    assert parse(to_markdown(post), file=FILE).architecture.diagram.text == source


def test_the_skeleton_is_a_draft_without_a_fault() -> None:
    text = skeleton("a-new-post", title='A "new" post', today=dt.date(2026, 11, 23))
    post = parse(text, file="content/posts/a-new-post.md")
    assert (post.title, post.draft, post.published_at) == ('A "new" post', True, TODAY)
    assert faults(text, file="content/posts/a-new-post.md") == ()
    assert rendered(post).minutes == 1
    assert parse(skeleton("redis-outage", title="", today=TODAY), file="redis-outage.md").title == "Redis outage"


def test_the_skeleton_shows_what_belongs_into_every_part() -> None:
    headings = re.compile(r"^##+ .*$", re.MULTILINE)
    assert headings.findall(skeleton("a-post", title="", today=TODAY)) == [
        heading
        for heading in headings.findall(SAMPLE)
        if heading.startswith(("## ", "### ")) and "Screenshot" not in heading
    ]
