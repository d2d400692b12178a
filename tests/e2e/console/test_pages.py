"""The pages in a real browser: what a person does, sees, and can reach with a keyboard or a phone."""

from __future__ import annotations

import json
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.e2e.console.browser import Tab, chromium
from tests.integration.console.fake_execution import KEY, FakeExecution
from tests.integration.console.visitor import console

RESULT = {"status": "finished", "verdict": "ok", "exit_code": 0, "stdout": "one\ntwo\n", "stderr": ""}
USED = {"cpu_ms": 10.0, "wall_ms": 12.0, "memory_bytes": 2**20}
PAGES = ("/", "/code", "/jobs", "/jobs/DONE", "/jobs/BAD", "/jobs/LIVE", "/sign-in", "/nowhere")
TAB, ENTER, ESCAPE = 9, 13, 27


@asynccontextmanager
async def browsing(*, demo: bool = True) -> AsyncIterator[tuple[FakeExecution, str, Tab]]:
    """A service, a console and a browser; fails when a script or the security policy complained."""
    with tempfile.TemporaryDirectory(prefix="chromium-", ignore_cleanup_errors=True) as profile:
        async with (
            FakeExecution().serving() as fake,
            console(execution=fake.url, demo_api_key=KEY if demo else None) as url,
            chromium(Path(profile)) as tab,
        ):
            yield fake, url, tab
            assert tab.complaints == []


async def test_code_is_written_run_and_watched_until_its_verdict() -> None:
    async with browsing() as (fake, url, tab):
        await tab.window(1280)
        await tab.open(f"{url}/code")
        await tab.type("#source", "print('one')\n")
        await tab.click(".run button.button")
        await tab.until("location.pathname === '/jobs/JOB1'")
        assert fake.submitted[0]["source"] == "print('one')\n"
        await tab.until("document.querySelector('.badge').innerText === 'running'")

        fake.tell("JOB1", "stdout", json.dumps({"text": "one\n<b>two</b>\n"}))
        fake.tell("JOB1", "stderr", json.dumps({"text": "careful\n"}))
        await tab.until("document.querySelector('[data-live-output] .stderr')")
        assert await tab.text("[data-live-output]") == "one\n<b>two</b>\ncareful\n"

        fake.jobs["JOB1"].update(RESULT, **USED)
        fake.tell("JOB1", "finished", "{}")
        await tab.until("document.querySelector('.badge').innerText === 'ok'")
        assert await tab.text(".stdout pre") == "one\ntwo\n"
        assert "1 MiB of 256 MiB" in await tab.text(".bars")


async def test_a_running_job_is_cancelled_with_its_button() -> None:
    async with browsing() as (fake, url, tab):
        await tab.window(1280)
        fake.begin("LIVE")
        await tab.open(f"{url}/jobs/LIVE")
        await tab.click("form[action$=cancel] button")
        await tab.until("document.querySelector('.badge').innerText === 'cancelling'")
        assert fake.cancelled == ["LIVE"]
        fake.jobs["LIVE"].update(status="finished", verdict="cancelled")
        fake.tell("LIVE", "finished", "{}")
        await tab.until("document.querySelector('.badge').innerText === 'cancelled'")


async def test_without_live_output_the_page_still_comes_to_its_end() -> None:
    async with browsing() as (fake, url, tab):
        await tab.window(1280)
        fake.begin("LIVE")
        fake.live = False
        await tab.open(f"{url}/jobs/LIVE")
        await tab.until("document.querySelector('[data-live-state]').innerText.includes('No live output')")
        fake.jobs["LIVE"].update(RESULT, **USED)
        await tab.until("document.querySelector('.badge').innerText === 'ok'")
        tab.complaints.clear()


async def test_without_a_script_code_runs_and_its_result_comes_by_itself() -> None:
    async with browsing() as (fake, url, tab):
        await tab.window(1280, script=False)
        await tab.call("Page.navigate", url=f"{url}/code")
        await tab.until("document.querySelector('.run button.button')")
        await tab.click(".run button.button")
        await tab.until("location.pathname === '/jobs/JOB1'")
        fake.jobs["JOB1"].update(RESULT, **USED)
        fake.tell("JOB1", "finished", "{}")
        await tab.until("document.querySelector('.badge')?.innerText === 'ok'")
        assert await tab.text(".stdout pre") == "one\ntwo\n"


async def test_somebody_signs_in_with_a_key_and_out_again() -> None:
    async with browsing(demo=False) as (_, url, tab):
        await tab.window(1280)
        await tab.open(f"{url}/jobs")
        await tab.type("#key", "hf_wrong")
        await tab.press("Enter", code=ENTER, text="\r")
        await tab.until("document.querySelector('.notice')?.innerText.includes('does not know this key')")
        await tab.type("#key", KEY)
        await tab.press("Enter", code=ENTER, text="\r")
        await tab.until("location.pathname === '/jobs'")
        assert await tab.evaluate("document.cookie") == "", "no script can read the session"
        assert KEY not in await tab.evaluate("document.documentElement.outerHTML")
        await tab.click("form[action='/sign-out'] button")
        await tab.until("location.pathname === '/sign-in'")
        await tab.open(f"{url}/jobs")
        assert await tab.evaluate("location.pathname") == "/sign-in"


async def test_the_editor_indents_with_tab_lets_go_with_escape_and_runs_with_control_and_enter() -> None:
    async with browsing() as (fake, url, tab):
        await tab.window(1280)
        await tab.open(f"{url}/code")
        await tab.type("#source", "if x:\n")
        await tab.press("Tab", code=TAB)
        assert await tab.evaluate("document.querySelector('#source').value") == "if x:\n    "
        await tab.press("Escape", code=ESCAPE)
        await tab.press("Tab", code=TAB)
        assert await tab.evaluate("document.activeElement.id") == "stdin"
        await tab.type("#source", "print(1)")
        await tab.press("Enter", code=ENTER, modifiers=2)
        await tab.until("location.pathname === '/jobs/JOB1'")
        assert fake.submitted[0]["source"] == "print(1)"


async def test_another_language_brings_its_sample_and_never_overwrites_what_was_written() -> None:
    async with browsing() as (_, url, tab):
        await tab.window(1280)
        await tab.open(f"{url}/code")
        language, source = "document.querySelector('#language')", "document.querySelector('#source').value"
        choose = f"(name => {{ {language}.value = name; {language}.dispatchEvent(new Event('change')); }})"
        await tab.evaluate(f"{choose}('cpp')")
        assert "#include <iostream>" in await tab.evaluate(source)
        await tab.type("#source", "my own")
        await tab.evaluate(f"{choose}('python')")
        assert await tab.evaluate(source) == "my own"


async def test_the_choice_of_colours_is_kept_over_pages() -> None:
    async with browsing() as (_, url, tab):
        await tab.window(1280)
        await tab.open(f"{url}/")
        paper = "getComputedStyle(document.body).backgroundColor"
        light = await tab.evaluate(paper)
        await tab.click("[data-theme-form] button[value=dark]")
        await tab.until(f"{paper} !== '{light}'")
        dark = await tab.evaluate(paper)
        await tab.open(f"{url}/jobs")
        assert await tab.evaluate(paper) == dark
        await tab.click("[data-theme-form] button[value='']")
        await tab.until(f"{paper} === '{light}'")
        await tab.window(1280, dark=True)
        assert await tab.evaluate(paper) == dark, "and without a choice the system's counts"


def furnish(fake: FakeExecution) -> None:
    """A job of each kind, with content that is hard to lay out."""
    fake.add("DONE", stdout="x" * 2000 + "\n" + "word " * 500)
    compiled = {"exit_code": 1, "stderr": "main.cpp:5:5: error: " + "y" * 300, "wall_ms": 800.0}
    fake.add("BAD", language="cpp", verdict="compile_error", exit_code=None, compile=compiled, worker="w" * 120)
    fake.begin("LIVE")


@pytest.mark.parametrize("width", [390, 1280])
async def test_no_page_scrolls_sideways(width: int) -> None:
    async with browsing() as (fake, url, tab):
        furnish(fake)
        await tab.window(width)
        for path in PAGES:
            await tab.open(url + path)
            wide = await tab.evaluate("document.documentElement.scrollWidth")
            assert wide <= width, path


async def test_every_field_is_labelled_and_every_control_has_a_name() -> None:
    async with browsing() as (fake, url, tab):
        furnish(fake)
        await tab.window(1280)
        for path in PAGES:
            await tab.open(url + path)
            nodes = (await tab.call("Accessibility.getFullAXTree"))["nodes"]
            controls = {"button", "link", "textbox", "combobox", "DisclosureTriangle"}
            nameless = [
                node["role"]["value"]
                for node in nodes
                if not node["ignored"]
                and node["role"]["value"] in controls
                and not node.get("name", {}).get("value", "").strip()
            ]
            assert nameless == [], path
            assert await tab.evaluate("document.querySelectorAll('h1').length") == 1, path
            assert await tab.evaluate("document.querySelectorAll('main').length") == 1, path


async def test_the_keyboard_comes_first_to_a_link_that_skips_to_the_content() -> None:
    async with browsing() as (_, url, tab):
        await tab.window(1280)
        await tab.open(f"{url}/jobs")
        await tab.press("Tab", code=TAB)
        assert await tab.evaluate("document.activeElement.innerText") == "Skip to the content"
        assert await tab.evaluate("document.activeElement.getBoundingClientRect().top >= 0")
        assert await tab.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
        await tab.press("Enter", code=ENTER, text="\r")
        await tab.until("document.activeElement.id === 'main'")
