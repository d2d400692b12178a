"""What holds for every page: headers, tokens, escaping, bounds."""

from __future__ import annotations

import asyncio
import io
import re
from typing import cast

import pytest

from holdfast.console.app import HANDLERS
from tests.integration.console.fake_execution import KEY
from tests.integration.console.visitor import platform

NASTY = "<script>alert('x')</script>\"'&<img src=x onerror=alert(1)>"
FRONT_DOOR = {"ai", "blog", "demo", "pulse", "run"}
"""What the front door of `holdfast up` leads elsewhere: each covers its own path and all below it."""
FORMS = sorted(
    re.sub(r"\{\w+:\w+\}", "J", path)
    for handler in HANDLERS
    if "POST" in cast("set[str]", handler.http_methods)
    for path in handler.paths
)


@pytest.mark.parametrize(
    "path", ["/", "/code", "/jobs", "/jobs/J", "/nowhere", "/sign-in", "/static/nothing", "/healthz"]
)
async def test_every_answer_carries_the_security_headers(path: str) -> None:
    async with platform(demo_api_key=KEY) as (fake, who):
        fake.add("J")
        headers = (await who.get(path)).headers
        policy = headers["content-security-policy"].split("; ")
        assert policy[0] == "default-src 'none'"
        assert {"script-src 'self'", "style-src 'self'", "form-action 'self'", "frame-ancestors 'none'"} <= set(policy)
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"


@pytest.mark.parametrize("path", ["/", "/code", "/jobs", "/jobs/J", "/jobs/L", "/sign-in", "/nowhere"])
async def test_no_page_needs_what_the_policy_forbids(path: str) -> None:
    async with platform(demo_api_key=KEY) as (fake, who):
        fake.add("J")
        fake.begin("L")
        text = (await who.get(path)).text
        assert not re.search(r"<style|\sstyle=|\son\w+=|javascript:|<script(?! src=\"/static/)", text)
        assert all(address.startswith("/") for address in re.findall(r'(?:src|action)="([^"]*)"', text))


@pytest.mark.parametrize("path", FORMS)
async def test_a_form_without_the_token_of_this_session_changes_nothing(path: str) -> None:
    async with platform(demo_api_key=KEY) as (fake, who):
        fake.begin("J")
        await who.get("/code")
        fields = {"key": KEY, "language": "python", "source": "x", "theme": "dark"}
        for token in ("", "0" * 64, "é"):
            page = await who._ask("POST", path, data={**fields, "csrf": token})
            assert page.status == 403
            assert "reload the page" in page.words
            assert "set-cookie" not in page.headers
        assert (fake.submitted, fake.cancelled) == ([], [])


def test_no_page_stands_where_the_front_door_leads_elsewhere() -> None:
    assert [path for handler in HANDLERS for path in handler.paths if path.split("/")[1] in FRONT_DOOR] == []


def test_there_are_forms_to_test() -> None:
    assert FORMS == [
        "/channels/J/test",
        "/code",
        "/incidents/J/J",
        "/incidents/J/publish",
        "/jobs/J/cancel",
        "/monitors/J/simulate",
        "/sign-in",
        "/sign-out",
        "/theme",
    ]


@pytest.mark.parametrize(
    "headers",
    [{"Origin": "https://evil.test"}, {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}],
)
async def test_a_form_that_another_site_sends_is_refused_whatever_it_carries(headers: dict[str, str]) -> None:
    async with platform(demo_api_key=KEY) as (fake, who):
        await who.get("/code")
        assert (await who.post("/code", headers=headers, language="python", source="x")).status == 403
        assert fake.submitted == []
        await who.get("/code")
        own = {"Origin": who.url, "Sec-Fetch-Site": "same-origin"}
        assert (await who.post("/code", headers=own, language="python", source="x")).status == 303


async def test_whatever_a_program_or_a_service_says_is_shown_as_text() -> None:
    async with platform(demo_api_key=KEY) as (fake, who):
        compiled = {"exit_code": 1, "stdout": NASTY, "stderr": NASTY}
        fake.add("J", stdout=NASTY, stderr=NASTY, worker=NASTY, language=NASTY, message=NASTY, compile=compiled)
        fake.add("K", status="dead", verdict=NASTY, dead_reason=NASTY)
        fake.programs["J"] |= {"files": [{"path": NASTY, "content": NASTY}], "entry": NASTY, "stdin": NASTY}
        fake.runtimes = [{"language": NASTY, "title": NASTY, "version": NASTY, "available": True}]
        for path in ("/jobs/J", "/jobs/K", "/jobs", "/code", "/code?job=J", f"/code?language={NASTY}"):
            page = await who.get(path)
            assert page.status == 200
            assert "alert(" in page.text or path.startswith("/code?language")
            assert "<script>" not in page.text
            assert "<img src=x" not in page.text
            assert not re.search(r'="[^"]*<script>', page.text)
        fake.problem = {"status": 429, "title": NASTY, "detail": NASTY}
        page = await who.get("/jobs")
        assert (page.status, "<script>" in page.text) == (429, False)


async def test_output_is_downloaded_as_text_and_never_shown_as_a_page() -> None:
    async with platform(demo_api_key=KEY) as (fake, who):
        fake.add("J", stdout=NASTY, stderr="err")
        page = await who.get("/jobs/J/output/stdout.txt")
        assert page.text == NASTY
        assert page.headers["content-type"] == "text/plain; charset=utf-8"
        assert page.headers["content-disposition"] == 'attachment; filename="stdout.txt"'
        assert (await who.get("/jobs/J/output/stderr.txt")).text == "err"
        assert (await who.get("/jobs/J/output/metadata.txt")).status == 404


async def test_a_form_beyond_the_bound_is_refused() -> None:
    async with platform(demo_api_key=KEY) as (fake, who):
        await who.get("/code")
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        page = await who._ask("POST", "/code", data=io.BytesIO(b"source=" + b"x" * 5 * 2**20), headers=headers)
        assert (page.status, fake.submitted) == (413, [])


@pytest.mark.parametrize("id", ["..", "%2e%2e", "a%2Fb", "..%2Fv1%2Fjobs", "a.b", "x" * 5000])
async def test_an_id_reaches_the_service_as_an_id_or_not_at_all(id: str) -> None:
    async with platform(demo_api_key=KEY) as (fake, who):
        reader, writer = await asyncio.open_connection("127.0.0.1", int(who.url.rpartition(":")[2]))
        writer.write(f"GET /jobs/{id} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        assert (await reader.readline()).split()[1] in {b"400", b"404"}
        writer.close()
        assert fake.asked == []


async def test_static_files_may_be_kept_for_ever_under_a_name_of_their_content() -> None:
    async with platform() as (_, who):
        page = await who.get("/sign-in")
        (script,) = re.findall(r'<script src="(/static/console\.[0-9a-f]{12}\.js)" defer>', page.text)
        got = await who.get(script)
        assert got.headers["content-type"].startswith("text/javascript")
        assert "immutable" in got.headers["cache-control"]
        assert page.headers["cache-control"] == "no-store"
