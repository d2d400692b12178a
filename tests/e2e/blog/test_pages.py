"""The blog in a real browser: accessible in every look, under its strict policy, with and without a script."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, sync_playwright

from holdfast.blog.shell.build import Options
from tests.e2e.blog.serving import Served, served
from tests.machine import require_tool
from tests.unit.blog.shell.scene import Scene, post

FLAGS: Final = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-dev-shm-usage", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--no-first-run"),
)
PAGES: Final = {
    "index": "",
    "post": "posts/numbers/",
    "tags": "tags/",
    "tag": "tags/a-tag/",
    "company": "companies/a-company/",
    "evidence": "evidence/",
    "record": "evidence/flapping/",
    "search": "search/?q=clients",
    "missing": "nowhere/",
}
LOOKS: Final = {
    "light": {"color_scheme": "light", "viewport": {"width": 1280, "height": 900}},
    "dark": {"color_scheme": "dark", "viewport": {"width": 1280, "height": 900}},
    "phone": {"color_scheme": "light", "viewport": {"width": 390, "height": 844}},
}
SHOT: Final = "### Screenshot\n\n![The console](/shots/console.png)\n\nThe console during the run.\n\n"
CODE: Final = (
    "```python\n"
    "async def answer(request: Request, *, budget: Budget, selection: Selection, clock: Clock) -> Response:  # long\n"
    "    return await selection.pick(request)\n"
    "```\n"
)
TABLE: Final = "| who | errors |\n|---|---|\n| we | {ev:flapping.errors|int} |\n"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, vega: None) -> Iterator[Served]:
    scene = Scene(tmp_path_factory.mktemp("blog"))
    scene.record()
    scene.picture("shots/console.png", 640, 400)
    says = f"Clients saw {{ev:flapping.errors|int}} errors.\n\n{CODE}\n{TABLE}"
    text = post("Numbers", says=says).replace("## Bottleneck resolution", f"{SHOT}## Bottleneck resolution")
    text = re.sub(r"targetCompanies: .*", "targetCompanies: [A company]", text)
    head, tags, rest = text.partition("tags: [")
    scene.write("numbers", f"{head}{tags}a-tag, {rest}")
    scene.write("another", post("Another one", date="2026-11-01", more="redirectFrom: [was-there]\n"))
    with served(scene, Options()) as running:
        yield running


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    chromium = require_tool("chromium")
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=chromium, args=list(FLAGS))
        yield running
        running.close()


@pytest.fixture
def opened(browser: Browser, site: Served) -> Callable[..., Any]:
    """Opens a page; what the browser complains of fails the test."""

    @contextmanager
    def open_(path: str, **how: Any) -> Iterator[Page]:
        context = browser.new_context(**how)
        complaints: list[str] = []
        page = context.new_page()
        page.on("console", lambda message: complaints.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: complaints.append(f"Error: {error}"))
        try:
            page.goto(site.url + path)
            page.wait_for_load_state("networkidle")
            yield page
            assert [
                one for one in complaints if one.startswith(("error", "warning", "Error")) and "404" not in one
            ] == []
        finally:
            context.close()

    return open_


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("kind", PAGES)
def test_no_page_has_a_violation_that_axe_finds(opened: Callable[..., Any], kind: str, look: str) -> None:
    with opened(PAGES[kind], **LOOKS[look]) as page:
        found = Axe().run(page)
        assert found.violations_count == 0, found.generate_report()


@pytest.mark.parametrize("kind", PAGES)
def test_no_page_is_wider_than_a_phone(opened: Callable[..., Any], kind: str) -> None:
    with opened(PAGES[kind], **LOOKS["phone"]) as page:
        assert page.evaluate("document.documentElement.scrollWidth") <= 390


OUT_OF_SIGHT: Final = """[...document.querySelectorAll(".chart .scroll, .table.stack")]
  .filter((one) => one.scrollWidth > one.clientWidth + 1).map((one) => one.className)"""
SMALLEST: Final = """Math.min(...[...document.querySelectorAll(".chart svg[role=img]")].map((drawn) =>
  parseFloat(getComputedStyle(drawn.querySelector("text")).fontSize)
    * drawn.getBoundingClientRect().width / drawn.viewBox.baseVal.width))"""
"""Pixels of the words of charts, as they are shown."""


@pytest.mark.parametrize("kind", ["post", "record"])
def test_a_phone_shows_charts_claims_and_metrics_whole(opened: Callable[..., Any], kind: str) -> None:
    with opened(PAGES[kind], **LOOKS["phone"]) as page:
        page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
        assert page.locator(".chart .scroll, .table.stack").count() >= 1
        assert page.evaluate(OUT_OF_SIGHT) == []


@pytest.mark.parametrize("look", LOOKS)
def test_the_words_of_a_chart_can_be_read(opened: Callable[..., Any], look: str) -> None:
    with opened(PAGES["record"], **LOOKS[look]) as page:
        assert 11 <= page.evaluate(SMALLEST) <= 16


SMALL: Final = """[...document.querySelectorAll("a, button, summary, input")]
  .filter((one) => one.checkVisibility() && !one.closest(".skip"))
  .filter((one) => {
    const { width, height } = one.getBoundingClientRect(), around = one.parentElement;
    const inText = getComputedStyle(one).display === "inline" && around.textContent.trim() !== one.textContent.trim();
    return Math.min(width, height) < 24 && !inText && !one.closest("td, th");
  }).map((one) => one.outerHTML)"""
"""Targets below 24 px that do not stand in a sentence or a table (WCAG 2.2, 2.5.8)."""


@pytest.mark.parametrize("kind", PAGES)
def test_a_finger_meets_what_it_aims_at(opened: Callable[..., Any], kind: str) -> None:
    with opened(PAGES[kind], **LOOKS["phone"]) as page:
        assert page.evaluate(SMALL) == []


HEADINGS: Final = """[...document.querySelectorAll("h1, h2, h3, h4, h5, h6")]
  .filter((one) => one.checkVisibility()).map((one) => Number(one.tagName[1]))"""


@pytest.mark.parametrize("kind", PAGES)
def test_headings_begin_with_the_only_first_and_leave_no_level_out(opened: Callable[..., Any], kind: str) -> None:
    with opened(PAGES[kind]) as page:
        levels = page.evaluate(HEADINGS)
        assert levels[0] == 1
        assert levels.count(1) == 1
        assert all(after <= before + 1 for before, after in itertools.pairwise(levels))


def test_structured_data_is_no_script_to_the_policy(opened: Callable[..., Any]) -> None:
    with opened(PAGES["post"]) as page:
        data = page.locator('[type="application/ld+json"]').text_content()
        assert json.loads(data)["@type"] == "BlogPosting"


INJECTED: Final = """{
  const made = document.createElement("script");
  made.textContent = "window.ran = 1";
  document.head.append(made);
}"""


def test_a_script_that_got_into_a_page_does_not_run(browser: Browser, site: Served) -> None:
    context = browser.new_context()
    try:
        page = context.new_page()
        page.goto(site.url)
        page.evaluate(INJECTED)
        assert page.evaluate("window.ran === undefined")
    finally:
        context.close()


def test_search_finds_a_word_of_the_text(opened: Callable[..., Any]) -> None:
    with opened("search/") as page:
        page.get_by_label("Words that a post has").fill("CLIENTS saw")
        page.get_by_role("link", name="Numbers").first.wait_for()
        assert page.locator("#found").text_content() == "1 post"
        assert page.locator("#all").is_hidden()
        page.get_by_label("Words that a post has").fill("zebra")
        page.get_by_text("No post has all of these words.").wait_for()


def test_without_a_script_everything_can_be_read(opened: Callable[..., Any]) -> None:
    for kind, path in PAGES.items():
        with opened(path, java_script_enabled=False) as page:
            assert page.locator("main").inner_text().strip(), kind
            assert page.locator("[data-theme-buttons]").is_hidden(), kind
    with opened("search/", java_script_enabled=False) as page:
        assert page.get_by_role("link", name="Numbers").first.is_visible()


def test_colours_that_were_chosen_are_remembered(opened: Callable[..., Any], site: Served) -> None:
    with opened("", color_scheme="light") as page:
        page.get_by_role("button", name="Colours: dark").click()
        page.goto(f"{site.url}tags/")
        assert page.evaluate("document.documentElement.dataset.theme") == "dark"
        assert page.evaluate("getComputedStyle(document.body).colorScheme") == "dark"
        assert page.get_by_role("button", name="Colours: dark").get_attribute("aria-pressed") == "true"


def test_the_first_key_leads_past_the_header(opened: Callable[..., Any]) -> None:
    with opened(PAGES["post"]) as page:
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
        page.keyboard.press("Enter")
        assert page.evaluate("document.activeElement.id") == "main"


def test_a_number_leads_to_its_metric(opened: Callable[..., Any], site: Served) -> None:
    with opened(PAGES["post"]) as page:
        page.locator("a.ev").first.click()
        page.wait_for_url(f"{site.url}evidence/flapping/#holdfast.errors")
        assert page.locator("tr:target").count() == 1


def test_a_former_address_leads_to_the_post(opened: Callable[..., Any], site: Served) -> None:
    with opened("posts/was-there/") as page:
        assert page.url == f"{site.url}posts/another/"


def test_print_leaves_out_what_paper_cannot_do(opened: Callable[..., Any]) -> None:
    with opened(PAGES["post"]) as page:
        page.emulate_media(media="print")
        assert page.locator(".top nav").is_hidden()
        assert page.locator(".contents").is_hidden()
        assert page.get_by_role("heading", name="Hook").is_visible()


BLOCKING: Final = """performance.getEntriesByType("resource")
  .filter((one) => one.renderBlockingStatus === "blocking").map((one) => one.name)"""


def test_a_page_waits_for_one_style_sheet(opened: Callable[..., Any]) -> None:
    with opened(PAGES["post"]) as page:
        blocking = page.evaluate(BLOCKING)
        assert len(blocking) == 1
        assert blocking[0].endswith(".css")


SHIFTED: Final = """new Promise((done) => {
  new PerformanceObserver((list) => done(list.getEntries().reduce((sum, one) => sum + one.value, 0)))
    .observe({ type: "layout-shift", buffered: true });
  requestAnimationFrame(() => setTimeout(() => done(0), 50));
})"""
"""Cumulative layout shift; good is up to 0.1 (https://web.dev/articles/cls)."""


def test_nothing_moves_while_a_page_loads(opened: Callable[..., Any]) -> None:
    with opened(PAGES["post"], **LOOKS["phone"]) as page:
        assert page.evaluate(SHIFTED) < 0.1
