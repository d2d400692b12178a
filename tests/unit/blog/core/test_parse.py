"""The form of a post: front matter, and five sections in one order."""

from __future__ import annotations

import datetime as dt

import pytest

from holdfast.blog.core.post import ARC
from tests.unit.blog.core.scenery import SAMPLE, changed, faults, line_of, sample


def told(text: str, *, file: str = "content/posts/flapping-backends.md") -> list[tuple[int, str]]:
    return [(fault.line, fault.message) for fault in faults(text, file=file)]


def test_the_sample_is_read_whole() -> None:
    post = sample()
    assert post.slug == "flapping-backends"
    assert post.published_at == dt.date(2026, 11, 20)
    assert post.target_companies == ("Kelp Works", "37signals")
    assert post.links[0].url == "https://example.org/balancer"
    assert post.redirect_from == ("flapping",)
    assert not post.draft
    assert post.architecture.diagram.text.startswith("flowchart LR")
    assert len(post.stress_test.evidence) == 2
    assert post.stress_test.screenshot is not None
    assert post.stress_test.screenshot.alt == "The backends' page of the console"
    assert post.stress_test.screenshot.caption.text.startswith("The console while it happened")
    assert len(post.bottleneck_resolution.alternatives) == 1


@pytest.mark.parametrize(
    "text",
    [
        "A backend that is half broken",
        "flowchart LR",
        "- **Backends**",
        "Most balancers",
        "- Nobody is paged",
        "The console while",
    ],
)
def test_every_part_knows_the_line_it_begins_on(text: str) -> None:
    post = sample()
    assert post.stress_test.screenshot is not None
    parts = [
        post.hook.problem,
        post.architecture.diagram,
        *post.architecture.components,
        post.bottleneck_resolution.root_cause,
        *post.business_impact,
        post.stress_test.screenshot.caption,
    ]
    assert line_of(text, SAMPLE) in [part.line for part in parts]


def test_an_entry_of_several_lines_is_one_entry_without_its_indentation() -> None:
    assert sample().architecture.components[1].text == "**Backends**: three of them,\nof which one flaps."


def test_what_may_be_left_out_may_be_left_out() -> None:
    text = SAMPLE.replace(SAMPLE[SAMPLE.index("### Alternatives") : SAMPLE.index("## Business impact")], "")
    text = text.replace(SAMPLE[SAMPLE.index("### Screenshot") : SAMPLE.index("## Bottleneck resolution")], "")
    post = sample(text)
    assert post.stress_test.screenshot is None
    assert post.bottleneck_resolution.alternatives == ()


# ---------------------------------------------------------------- the arc


@pytest.mark.parametrize("title", [section.title for section in ARC])
def test_a_missing_section_is_told_with_the_order(title: str) -> None:
    start = SAMPLE.index(f"## {title}")
    later = SAMPLE.find("\n## ", start)
    text = SAMPLE[:start] + (SAMPLE[later + 1 :] if later >= 0 else "")
    assert any(f"has no ## {title}" in message for _, message in told(text))


@pytest.mark.parametrize("part", [part.title for section in ARC for part in section.parts if part.required])
def test_a_missing_part_is_told_at_its_section(part: str) -> None:
    start = SAMPLE.rindex(f"### {part}") if part == "Summary" else SAMPLE.index(f"### {part}")
    end = min(at for at in (SAMPLE.find("\n### ", start), SAMPLE.find("\n## ", start)) if at >= 0)
    line, message = told(SAMPLE[:start] + SAMPLE[end + 1 :])[0]
    assert f"has no ### {part}" in message
    assert SAMPLE.split("\n")[line - 1].startswith("## ")


def test_sections_in_another_order_are_told_where_they_stand() -> None:
    start, end = SAMPLE.index("## Hook"), SAMPLE.index("## Architecture")
    text = SAMPLE[:start] + SAMPLE[end:] + "\n" + SAMPLE[start:end]
    assert (line_of("## Hook", text), "## Hook comes too late") in told(text)


def test_parts_in_another_order_are_told_where_they_stand() -> None:
    text = (
        SAMPLE.replace("### Root cause", "### X")
        .replace("### Solution", "### Root cause")
        .replace("### X", "### Solution")
    )
    assert (line_of("### Root cause", text), "### Root cause comes too late") in told(text)


def test_an_extra_section_and_an_extra_part_are_refused() -> None:
    text = SAMPLE + "\n## Conclusion\n\nWords.\n"
    assert (line_of("## Conclusion", text), "unknown heading ## Conclusion") in told(text)
    text = changed("### Stakes", "### Mood\n\nDark.\n\n### Stakes")
    assert (line_of("### Mood", text), "unknown heading ### Mood") in told(text)


def test_a_section_or_part_that_stands_twice_is_told_with_both_lines() -> None:
    text = SAMPLE + "\n## Hook\n\n### Problem\n\nAgain.\n"
    assert any(message == f"## Hook stands twice (line {line_of('## Hook', text)})" for _, message in told(text))
    text = changed("### Stakes", "### Problem\n\nAgain.\n\n### Stakes")
    assert any("### Problem stands twice" in message for _, message in told(text))


def test_headings_in_code_are_code() -> None:
    text = changed("balancer:\n  health", "## Hook\nbalancer:\n  health")
    assert told(text) == []


def test_text_outside_the_parts_is_told() -> None:
    text = changed("## Hook\n", "Before all.\n\n## Hook\n")
    assert (line_of("Before all.", text), "text before the first section") in told(text)
    text = changed("### Problem\n", "Between.\n\n### Problem\n")
    assert (line_of("Between.", text), "text before the first part of Hook") in told(text)


def test_a_title_in_the_body_is_refused() -> None:
    text = changed("A backend that is half", "# Title\n\nA backend that is half")
    assert (line_of("# Title", text), "a heading of level 1") in told(text)


def test_an_empty_part_is_told_at_its_heading() -> None:
    text = changed("Most balancers decide from a counter.\n", "\n")
    assert (line_of("### Root cause", text), "### Root cause is empty") in told(text)


@pytest.mark.parametrize(
    "body",
    ["Prose.", "- one\n\nProse.", "Prose.\n\n- one", "- one\n\n1. two", "- one\n\n```\ncode\n```"],
)
def test_a_part_that_is_a_list_holds_one_list_and_nothing_else(body: str) -> None:
    assert "Tradeoffs is not one list" in [
        message for _, message in told(changed("- A backend that has recovered waits a little longer.", body))
    ]


def test_a_list_with_too_many_or_empty_entries_is_refused() -> None:
    text = changed("- Nobody is paged for what nobody saw.", "\n".join(["- one"] * 41))
    assert "Business impact has 41 entries" in [message for _, message in told(text)]
    text = changed("- Nobody is paged for what nobody saw.", "- one\n-\n- two")
    assert (line_of("- one\n-\n", text) + 1, "an entry of Business impact is empty") in told(text)


@pytest.mark.parametrize(
    "body", ["A picture.", "```\nflowchart LR\n```", "```mermaid\nflowchart LR\n```\n\nA caption.", "```mermaid\n```"]
)
def test_the_diagram_is_one_fence_of_mermaid(body: str) -> None:
    start, end = SAMPLE.index("```mermaid"), SAMPLE.index("### Components")
    messages = [message for _, message in told(SAMPLE[:start] + body + "\n\n" + SAMPLE[end:])]
    assert any("iagram" in message for message in messages)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        ("No image.", "Screenshot is not an image"),
        ("![](/shots/backends.png)\n\nIt.", "the screenshot has no alternative text"),
        ("![Words](/shots/backends.png)", "the screenshot has no caption"),
        ("![Words](../../etc/passwd)\n\nIt.", "the screenshot '../../etc/passwd' is no file of the site"),
        ("![Words](/shots/../x.png)\n\nIt.", "the screenshot '/shots/../x.png' is no file of the site"),
        (
            "![Words](https://example.org/x.png)\n\nIt.",
            "the screenshot 'https://example.org/x.png' is no file of the site",
        ),
        ('![Words](/shots/backends.png "One")\n\nTwo.', "the screenshot has two captions"),
    ],
)
def test_a_screenshot_has_words_a_caption_and_a_file_of_the_site(image: str, message: str) -> None:
    start, end = SAMPLE.index("![The backends'"), SAMPLE.index("## Bottleneck resolution")
    assert message in [one for _, one in told(SAMPLE[:start] + image + "\n\n" + SAMPLE[end:])]


def test_a_caption_may_stand_in_quotes_beside_the_address() -> None:
    start, end = SAMPLE.index("![The backends'"), SAMPLE.index("## Bottleneck resolution")
    post = sample(SAMPLE[:start] + '![Words \\[x\\]](/shots/backends.png "A caption.")\n\n' + SAMPLE[end:])
    assert post.stress_test.screenshot is not None
    assert (post.stress_test.screenshot.alt, post.stress_test.screenshot.caption.text) == ("Words [x]", "A caption.")


# ---------------------------------------------------------------- front matter


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("tags: [load", "mood: dark\ntags: [load", "unknown key 'mood'"),
        ("tags: [load", "draft: true\ndraft: true\ntags: [load", "draft stands twice"),
        ("2026-11-20", "20.11.2026", "publishedAt '20.11.2026' is not a date"),
        ("2026-11-20", "2026-02-30", "publishedAt '2026-02-30' is not a date"),
        ("2026-11-20", "[]", "publishedAt '' is not a date"),
        ("tags: [load balancing, HTTP/1.1, p99]", "tags: none", "tags is not a list"),
        ("tags: [load balancing, HTTP/1.1, p99]", "tags: [one, One]", "'One' stands twice in tags"),
        ("tags: [load balancing, HTTP/1.1, p99]", "tags: ['--']", "'--' in tags has no letter"),
        ("tags: [load balancing, HTTP/1.1, p99]", f"tags: [{'a' * 61}]", "an entry of tags has 61 characters"),
        (
            "tags: [load balancing, HTTP/1.1, p99]",
            f"tags: [{', '.join('abcdefghijklmnopqrstu')}]",
            "tags has 21 entries",
        ),
        ("redirectFrom: [flapping]", "redirectFrom: [../x]", "redirectFrom: '../x' is not a slug"),
        ("redirectFrom: [flapping]", "redirectFrom: [flapping-backends]", "the post redirects to itself"),
        ("redirectFrom: [flapping]", "draft: maybe", "draft is neither true nor false"),
        ('url: "https://example.org/balancer"', "url: 'javascript:alert(1)'", "'javascript:alert(1)' is no address"),
        ('url: "https://example.org/balancer"', "url: //example.org/", "'//example.org/' is no address"),
        (', url: "https://example.org/balancer"', "", "a link is not {label, url}"),
    ],
)
def test_what_is_wrong_with_a_key_is_told_with_its_line(before: str, after: str, message: str) -> None:
    found = told(changed(before, after))
    assert message in [one for _, one in found]
    assert all(line > 0 for line, _ in found)


@pytest.mark.parametrize("key", ["title", "summary", "publishedAt", "tags"])
def test_a_required_key_that_is_missing_is_named(key: str) -> None:
    lines = [line for line in SAMPLE.split("\n") if not line.startswith(f"{key}:")]
    assert (1, f"the front matter has no {key}") in told("\n".join(lines))


@pytest.mark.parametrize(
    "front", ["title: [", "title: 'a", "- a\n- b", "just words", "a: &x [1]\nb: *x", "? {a: b}\n: c", "title: \t- x: {"]
)
def test_broken_front_matter_is_refused_by_line(front: str) -> None:
    text = f"---\n{front}\n---\n" + SAMPLE.split("---\n", 2)[2]
    found = told(text)
    assert found
    assert any(0 < line <= 4 for line, _ in found)


def test_an_empty_title_and_one_that_is_too_long_are_refused() -> None:
    lines = SAMPLE.split("\n")
    for title, message in (
        ("''", "title is empty"),
        ("null", "title is not a text"),
        ("a" * 121, "title has 121 characters"),
    ):
        assert (2, message) in told("\n".join([lines[0], f"title: {title}", *lines[2:]]))


def test_nesting_without_end_is_refused_and_not_followed() -> None:
    assert told(changed("targetCompanies: [Kelp Works, 37signals]", "targetCompanies: " + "[" * 5000))


def test_a_slug_is_lower_case_ascii() -> None:
    for name in ("Flapping.md", "a_b.md", "ab.md", "über-alles.md", "a--b.md", f"{'a' * 81}.md"):
        assert any("is not a slug" in message for _, message in told(SAMPLE, file=f"content/posts/{name}"))


def test_a_body_without_a_section_lacks_all_five() -> None:
    found = told(SAMPLE.split("## Hook")[0])
    assert [message for _, message in found] == [
        f"the post has no ## {section.title}" for section in sorted(ARC, key=lambda one: f"## {one.title}")
    ]


def test_all_faults_come_at_once_in_the_order_of_the_lines() -> None:
    text = (
        changed("2026-11-20", "soon").replace("### Stakes", "### Mood").replace("- Nobody is paged", "Nobody is paged")
    )
    lines = [line for line, _ in told(text)]
    assert len(lines) >= 4
    assert lines == sorted(lines)
