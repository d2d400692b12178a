"""Posts become HTML, with every number led back to its record, or they are refused with place and remedy."""

from __future__ import annotations

import datetime as dt
import re
from typing import Any

import pytest

from holdfast.blog.core.reference import FORMATS
from tests.unit.blog.core.scenery import (
    NUMBERS,
    SAMPLE,
    ScriptedReadings,
    changed,
    faults,
    line_of,
    rendered,
    sample,
    site,
)

PROBLEM = "A backend that is half broken comes and goes."


def messages(text: str, **given: Any) -> list[str]:
    return [fault.message for fault in faults(text, **given)]


def with_problem(text: str) -> str:
    """The sample with another first paragraph."""
    return changed(PROBLEM, f"{text}\n\n{PROBLEM}")


def problem(text: str) -> str:
    """That paragraph as HTML."""
    return rendered(sample(with_problem(text))).parts["hook.problem"].split(f"<p>{PROBLEM}")[0]


def test_a_sound_post_renders_without_a_fault() -> None:
    assert faults(SAMPLE) == ()


def test_the_same_post_gives_the_same_html() -> None:
    assert rendered() == rendered()


def test_every_part_of_the_arc_is_there() -> None:
    assert list(rendered().parts) == [
        "hook.problem",
        "hook.stakes",
        "architecture.summary",
        "architecture.diagram",
        "architecture.components",
        "stressTest.setup",
        "stressTest.breakingPoint",
        "stressTest.evidence",
        "stressTest.notShown",
        "bottleneckResolution.rootCause",
        "bottleneckResolution.solution",
        "bottleneckResolution.tradeoffs",
        "bottleneckResolution.alternatives",
        "businessImpact",
    ]


# ---------------------------------------------------------------- numbers


def test_a_number_links_to_its_metric_below_the_base() -> None:
    part = rendered().parts["hook.problem"]
    assert '<a class="ev" href="/blog/evidence/flapping/#haproxy.errors" title="flapping, record 2026' in part
    assert 'href="/blog/evidence/flapping/#parameter.hold_s"' in part
    assert ">45 s</a>" in part


def test_title_summary_and_alternative_text_have_their_numbers_as_plain_text() -> None:
    made = rendered(sample(changed("![The backends' page", "![{ev:flapping.flips|int} changes on the page")))
    assert made.title == "What 38,214 requests saw of a backend that flaps"
    assert made.summary == "Clients saw 0 errors while a backend flapped; without damping they saw 412."
    assert made.screenshot_alt == "2 changes on the page of the console"


def test_a_ratio_names_both_of_its_numbers() -> None:
    entry = rendered().parts["stressTest.evidence"]
    assert "haproxy.latency_p99_ms, in ms / flapping" in entry
    assert ">35 times</a>" in entry


def test_a_number_within_a_link_is_no_link_in_a_link() -> None:
    html = problem("See [all {ev:flapping.errors|int} errors](https://example.org/).")
    assert re.search(
        r'<a href="https://example.org/">all <data class="ev" value="0" title="[^"]+">0</data> errors</a>', html
    )


def test_a_number_in_code_and_tables_is_read_like_any_other() -> None:
    assert "<code>errors: <a class=" in problem("It says `errors: {ev:flapping.errors|int}`.")
    html = problem("```yaml\nerrors: {ev:flapping.errors|int}\n```")
    assert ">0</a>" in html
    assert "err" not in re.findall(r'<span class="(\w+)"', html)
    assert rendered().parts["stressTest.breakingPoint"].count('class="ev"') == 4


def test_a_reference_may_run_over_the_end_of_a_line_and_lines_stay_where_they_were() -> None:
    text = with_problem("It saw {ev:flapping.errors\n|int} errors,\nthen 41.")
    assert [(fault.line, fault.message) for fault in faults(text)] == [
        (line_of("then 41.", text), "the number '41' is typed by hand")
    ]


def test_a_fact_shows_its_source_beneath_the_part() -> None:
    html = rendered().parts["hook.stakes"]
    assert ">36.39 USD</span>" in html
    assert '<div class="sources"><ul><li><b>36.39 USD</b>: the price list of AWS' in html
    assert '<a href="https://aws.amazon.com/ecs/pricing/">' in html


@pytest.mark.parametrize("fact", ["{fact: 41}", "{fact: 41, me}", "{fact: , the price list of AWS}"])
def test_a_fact_without_a_source_is_none(fact: str) -> None:
    assert any("names no source" in message for message in messages(with_problem(f"It costs {fact}.")))


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("{ev:flapping.erors|int}", "no record answers flapping.erors"),
        ("{ev:nothing.errors|int}", "no record answers nothing.errors"),
        ("{ev:flapping.errors|furlongs}", "there is no format 'furlongs'"),
        ("{ev:flapping}", "names no number"),
        ("{ev:}", "names no number"),
        ("{ev:../../etc.passwd}", "names no number"),
        ("{ev:flapping.errors / flapping.flips / flapping.flips}", "names no number"),
        ("{ev:flapping.flips / flapping.errors|times}", "divides by zero"),
        ("{ev:flapping.latency_p99_ms|percent}", "the record has it in 'ms', and 'percent' writes another unit"),
        ("{ev:flapping.latency_p99_ms|s}", "the record has it in 'ms', and 's' writes another unit"),
        ("{ev:flapping.errors|usd}", "and 'usd' writes another unit"),
        ("{ev:flapping.flips|mb}", "and 'mb' writes another unit"),
        ("{ev:flapping#hold_s|ms}", "the record has it in 's', and 'ms' writes another unit"),
        ("{ev:flapping.haproxy.latency_p99_ms / flapping.latency_p99_ms|ms}", "the record has it in 'ratio'"),
        ("{ev:flapping.latency_p99_ms / flapping#hold_s|times}", "ms divided by s is no ratio"),
        ("{ev:flapping.errors", "a reference is not complete"),
        ("{ ev: flapping.errors}", "a reference is not complete"),
    ],
)
def test_a_reference_that_nothing_answers_is_a_fault_with_its_line(reference: str, message: str) -> None:
    text = with_problem(f"Here it saw {reference} errors.")
    found = faults(text)
    assert [fault.line for fault in found if message in fault.message] == [line_of("Here it saw", text)]
    assert all(fault.remedy for fault in found)


def test_a_number_of_a_stale_record_is_refused_once_for_each_drill() -> None:
    found = faults(SAMPLE, readings=ScriptedReadings(stale=("src/a.py", "src/b.py")))
    assert len(found) == 1
    assert "flapping/20261122T140302Z-502f6794 is stale: src/a.py and 1 more changed since" in found[0].message
    assert found[0].remedy == "run 'holdfast evidence rerun flapping'"


def test_a_record_of_another_version_of_the_drill_is_told_as_such() -> None:
    found = faults(SAMPLE, readings=ScriptedReadings(stale=("src/a.py", "src/holdfast/drills/flapping.py")))
    assert "is of another version of the drill: src/holdfast/drills/flapping.py and 1 more changed" in found[0].message
    assert found[0].remedy == "run 'holdfast evidence rerun flapping'"


def test_stale_numbers_that_are_allowed_can_be_told_from_others() -> None:
    made = rendered(readings=ScriptedReadings(stale=("src/a.py",)), allow_stale=True)
    assert '<a class="ev stale"' in made.parts["hook.problem"]
    assert "(stale)" in made.parts["hook.problem"]


def test_every_number_that_is_quoted_is_told_once_those_of_charts_included() -> None:
    made = rendered()
    assert len(made.readings) == len({reading.name for reading in made.readings}) == len(NUMBERS)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('title: "What {ev:flapping.requests|int}', 'title: "What 38,214'),
        ("they saw {ev:flapping.control.errors|int}.", "they saw 412."),
        ("37signals", "41"),
        ("HTTP/1.1, p99]", "41 errors]"),
        ("label: The balancer's page", "label: 41 errors"),
        ("clients met {ev:flapping.haproxy.errors|int}", "clients met 11"),
        ("[stress test](#stress-test)", "[41 errors](#stress-test)"),
        ("[stress test](#stress-test)", '[stress test](#stress-test "41 errors")'),
        ("#### Where the decision lives", "#### Where 41 decisions live"),
        ("three of them,", "41 of them,"),
        ("that flaps, {ev:flapping.flips|int} times", "that flaps, 41 times"),
        ("title: Errors that clients saw", "title: 41 errors that clients saw"),
        ("data: [flapping.errors,", "data: [41,"),
        ("| Holdfast | {ev:flapping.errors|int} |", "| Holdfast | 41 |"),
        ("| contender | errors |", "| contender | 41 |"),
        ("rise: 2, fall: 3", "rise: 2, fall: 41"),
        ("`503` is", "`41 errors` is"),
        ("`503` is", "`41` is"),
        ("![The backends' page", "![41 backends' page"),
        ("happened: {ev:flapping.flips|int} changes", "happened: 41 changes"),
        ("- Nobody is paged", "- 41 % less is paged"),
        ("Most balancers", "Forty percent of balancers"),
        ("Most balancers", "&#52;&#49; balancers"),
        ("Most balancers", "4**1** balancers"),
        ("Most balancers", "41\\. balancers"),
        ("Most balancers", "> 41 balancers"),
        ("Most balancers decide", "![41 balancers](/shots/backends.png) decide"),
    ],
)
def test_a_number_typed_by_hand_is_refused_wherever_it_stands(before: str, after: str) -> None:
    text = changed(before, after)
    found = faults(text)
    assert [fault.line for fault in found][:1] == [line_of(before, SAMPLE) + before.count("\n")], found
    assert all("typed by hand" in fault.message or "holds a number" in fault.message for fault in found)


# ---------------------------------------------------------------- Markdown


def test_markdown_becomes_html_without_styles() -> None:
    html = problem("*It* **is** `so`,  \nsays ~~nobody~~ [we](https://example.org/?a=1&b=2).")
    assert html == (
        "<p><em>It</em> <strong>is</strong> <code>so</code>,<br>\nsays ~~nobody~~ "
        '<a href="https://example.org/?a=1&amp;b=2">we</a>.</p>\n'
    )
    assert "style=" not in "".join(rendered().parts.values())


def test_code_is_highlighted_by_classes() -> None:
    html = rendered().parts["stressTest.setup"]
    assert '<pre class="code" tabindex="0"><code class="language-yaml"><span class="nt">balancer</span>' in html
    assert "no highlighting for 'klingon'" in messages(with_problem("```klingon\nqapla\n```"))


def test_code_that_was_put_together_from_several_places_is_no_quotation() -> None:
    assert faults(with_problem("```yaml\nrise: 5\nmode: x\n```")) == ()
    found = faults(with_problem("```yaml\nrise: 5\nfall: 7\n```"))
    assert "no file of this repository has 'rise: 5' together with what follows it" in found[0].message


def test_tables_say_which_cells_are_headings() -> None:
    html = rendered().parts["stressTest.breakingPoint"]
    assert '<th scope="col" class="right">errors</th>' in html
    assert '<div class="table" role="region" aria-label="Table 1" tabindex="0">' in html
    html = problem("| a | b |\n|---|---|\n| c | d |\n\n| a | b |\n|---|---|\n| c | d |")
    assert re.findall(r'aria-label="([^"]+)"', html) == ["Table 1", "Table 2"]


def test_what_looks_like_html_in_text_and_code_is_text() -> None:
    assert "a &lt; b &amp;&amp; c &gt; d" in problem("a < b && c > d")
    assert "<code>&lt;script&gt;</code>" in problem("`<script>`")
    assert "&lt;b&gt;" in problem("```html\n<b>\n```").replace('<span class="p">', "").replace("</span>", "").replace(
        '<span class="nt">', ""
    )


@pytest.mark.parametrize(
    "html",
    [
        "<script>alert('x')</script>",
        "words <script src=//example.org></script>",
        "<img src=x onerror=alert(1)>",
        "<!-- hidden -->",
        "<div>\n\nwords\n\n</div>",
        "a <b>b</b>",
        "<style>p {color: red}</style>",
        "<iframe src='https://example.org/'></iframe>",
    ],
)
def test_html_in_markdown_is_refused_with_its_line(html: str) -> None:
    text = with_problem(html)
    found = [fault for fault in faults(text) if "HTML in Markdown" in fault.message]
    assert found
    assert found[0].line == line_of(html, text)


@pytest.mark.parametrize("address", ["javascript:alert(1)", "data:text/html,x", "vbscript:x", "file:///etc/passwd"])
def test_an_address_that_runs_or_reads_is_refused(address: str) -> None:
    assert messages(with_problem(f"[words]({address})"))
    assert messages(with_problem(f"<{address}>"))


@pytest.mark.parametrize(
    ("link", "message"),
    [
        ("/posts/nowhere/", "the link /posts/nowhere/ leads nowhere"),
        ("/posts/flapping-backends", "the link /posts/flapping-backends leads nowhere"),
        ("/evidence/nothing/", "the link /evidence/nothing/ leads nowhere"),
        ("/shots/none.png", "the link /shots/none.png leads nowhere"),
        ("#nowhere", "the link #nowhere leads nowhere"),
        ("docs/balancer.md", "the link 'docs/balancer.md' leads nowhere"),
        ("//example.org/", "the link '//example.org/' leads nowhere"),
        ("ftp://example.org/", "the link 'ftp://example.org/' leads nowhere"),
        ("https://example.org/{ev:flapping.errors}", "a reference in the address of a link"),
    ],
)
def test_a_dead_link_is_a_fault(link: str, message: str) -> None:
    assert message in messages(with_problem(f"[words]({link})"))


def test_a_link_that_no_definition_completes_is_a_fault() -> None:
    assert any("is no link" in message for message in messages(with_problem("[words][elsewhere]")))


def test_links_within_the_site_stand_below_its_base() -> None:
    assert 'href="/blog/posts/flapping-backends/#hook"' in problem("[words](/posts/flapping-backends/#hook)")
    assert 'href="/blog/evidence/flapping/"' in problem("[words](/evidence/flapping/)")
    assert 'href="/blog/shots/backends.png"' in problem("[words](/shots/backends.png)")
    assert 'href="mailto:a@example.org"' in problem("<a@example.org>")


@pytest.mark.parametrize(
    ("fragment", "there"),
    [
        ("stress-test", True),
        ("stress-test-breaking-point", True),
        ("where-the-decision-lives", True),
        ("where-the-decision-lives-2", True),
        ("flapping-backends-diagram", True),
        ("flapping-backends-chart-1", True),
        ("nope", False),
        ("stress-tests", False),
        ("%6Eope", False),
    ],
)
def test_a_link_into_another_post_leads_to_one_of_its_headings(fragment: str, there: bool) -> None:
    href = f"/posts/flapping-backends/#{fragment}"
    found = messages(with_problem(f"See [it]({href})."))
    assert found == ([] if there else [f"the link {href} leads to no heading of that post"])


def test_a_link_to_a_draft_is_dead_for_readers_but_not_for_drafts() -> None:
    draft = sample(changed("publishedAt", "draft: true\npublishedAt"), file="content/posts/draft-post.md")
    around = site(sample(), draft)
    text = with_problem("[words](/posts/draft-post/)")
    assert "the link /posts/draft-post/ leads to a draft" in messages(text, surroundings=around)
    assert messages(text.replace("publishedAt", "draft: true\npublishedAt"), surroundings=around) == []


def test_links_of_the_front_matter_are_judged_too() -> None:
    found = faults(changed("https://example.org/balancer", "/posts/nowhere/"))
    assert [fault.message for fault in found] == ["the link /posts/nowhere/ leads nowhere"]
    assert found[0].line == line_of("  - {label", SAMPLE)


def test_an_image_needs_words_and_a_file() -> None:
    html = problem("![The page](/shots/backends.png)")
    assert '<img src="/blog/shots/backends.png" alt="The page" loading="lazy">' in html
    assert any("has no alternative text" in one for one in messages(with_problem("![](/shots/backends.png)")))
    assert any("is no file of the site" in one for one in messages(with_problem("![x](/shots/none.png)")))
    assert any("is no file of the site" in one for one in messages(with_problem("![x](https://example.org/x.png)")))


def test_a_screenshot_that_is_no_file_is_told() -> None:
    assert "the screenshot /shots/none.png is no file of the site" in messages(
        changed("(/shots/backends.png)", "(/shots/none.png)")
    )


def test_headings_inside_a_part_begin_at_level_four_and_have_ids_of_their_own() -> None:
    html = problem("#### Stress test\n\n#### Stress test\n\n##### שלום")
    assert re.findall(r'<h(\d) id="([^"]+)"', html) == [("4", "stress-test-2"), ("4", "stress-test-3"), ("5", "שלום")]


@pytest.mark.parametrize(
    ("markdown", "message"),
    [
        ("    four spaces", "code by indentation"),
        ("words\n\n41. errors", "a list begins at 41"),
        ("```mermaid\nflowchart LR\n```", "a diagram outside its part"),
    ],
)
def test_what_posts_do_not_have_is_refused(markdown: str, message: str) -> None:
    assert message in messages(with_problem(markdown))


# ---------------------------------------------------------------- figures


def test_a_diagram_that_does_not_parse_is_told_with_its_line_in_the_file() -> None:
    text = changed("  balancer --> b1[Backend]", "  broken")
    found = faults(text)
    assert [(fault.line, fault.message, fault.remedy) for fault in found] == [
        (line_of("  broken", text), "the diagram does not parse: what is this", "draw something else")
    ]


def test_a_chart_that_does_not_parse_is_told_with_its_line_in_the_file() -> None:
    text = changed("data: [flapping.errors", "broken: [flapping.errors")
    assert [(fault.line, fault.message) for fault in faults(text)] == [
        (line_of("broken: [", text), "the chart does not parse: what is this")
    ]


def test_a_chart_without_evidence_is_told_where_it_begins() -> None:
    numbers = {key: value for key, value in NUMBERS.items() if key != "flapping.errors"}
    found = faults(SAMPLE, readings=ScriptedReadings(numbers))
    assert any(fault.message == "the chart: no record answers flapping.errors" for fault in found)


def test_numbers_of_a_diagram_are_filled_in_before_it_is_drawn() -> None:
    assert "Backend that flaps, 2 times" in rendered().parts["architecture.diagram"]


# ---------------------------------------------------------------- dates, titles, reading time


def test_a_post_of_the_future_is_refused_unless_it_is_a_draft() -> None:
    text = changed("2026-11-20", "2026-11-24")
    assert "the post is dated 2026-11-24, and today is 2026-11-23" in messages(text)
    assert messages(text, today=dt.date(2026, 11, 24)) == []
    assert messages(text.replace("publishedAt", "draft: true\npublishedAt")) == []


@pytest.mark.parametrize(
    "title", ["مرونة الخدمات تحت الضغط", "עומס יתר", "負荷分散の失敗", "Größe & <Last>", "🚨 Paged"]
)
def test_titles_of_every_script_are_kept_as_they_are(title: str) -> None:
    start, end = SAMPLE.index("title:"), SAMPLE.index("summary:")
    assert rendered(sample(f'{SAMPLE[:start]}title: "{title}"\n{SAMPLE[end:]}')).title == title


def test_reading_time_counts_words_and_not_code() -> None:
    few = rendered()
    many = rendered(sample(with_problem(" ".join(["word"] * 660))))
    assert (few.minutes, many.minutes - few.minutes) == (2, 3)
    code = "```text\n" + "\n".join(["word"] * 660) + "\n```"
    assert rendered(sample(with_problem(code))).minutes == few.minutes


def test_the_text_for_search_has_words_and_no_markup() -> None:
    text = rendered().text
    assert "With" not in text.split(maxsplit=1)[0]
    assert "keeps what it decides apart from what it relays" in text
    assert "<" not in text
    assert "{" not in text


# ---------------------------------------------------------------- formats


@pytest.mark.parametrize(
    ("form", "value", "text"),
    [
        ("", 38214.0, "38,200"),
        ("", 0.00001234, "0.0000123"),
        ("", 0.5, "0.5"),
        ("int", 38214.4, "38,214"),
        ("percent1", 0.1234, "12.3 %"),
        ("times", 34.8, "35 times"),
        ("dur", 45.0, "45 s"),
        ("dur", 5400.0, "1.5 h"),
        ("dur", 90.0, "1.5 min"),
        ("dur", 0.25, "250 ms"),
        ("dur", 0.00002, "20 µs"),
        ("dur", 0.0, "0 s"),
    ],
)
def test_a_value_is_written_as_its_format_says(form: str, value: float, text: str) -> None:
    assert FORMATS[form](value) == text
