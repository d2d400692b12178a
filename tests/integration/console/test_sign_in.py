"""Who gets in, what the browser is given, and what it is not."""

from __future__ import annotations

import asyncio

import pytest

from tests.integration.console.fake_execution import KEY
from tests.integration.console.visitor import platform, visitor

PAGES = ("/", "/code", "/jobs", "/jobs/J", "/jobs?status=dead")


@pytest.mark.parametrize("path", PAGES)
async def test_a_page_sends_those_who_have_not_signed_in_to_the_form_and_back(path: str) -> None:
    async with platform() as (fake, who):
        fake.add("J")
        sent = await who.get(path)
        assert sent.status == 303
        await who.get(sent.headers["location"])
        back = await who.post("/sign-in", key=KEY, next=who.page.hidden("next"))
        assert (back.status, back.headers["location"]) == (303, path)
        assert (await who.get(path)).status == 200


async def test_the_key_is_in_no_page_and_no_cookie() -> None:
    async with platform() as (fake, who):
        fake.begin("J")
        signed_in = await who.sign_in()
        pages = [await who.get(path) for path in PAGES]
        seen = "".join(page.text + str(page.headers) for page in [signed_in, *pages])
        assert KEY not in seen
        assert KEY[12:] not in seen
        cookie = signed_in.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=Strict" in cookie


async def test_a_wrong_key_is_told_so_and_begins_no_session() -> None:
    async with platform() as (_, who):
        page = await who.sign_in("hf_wrong")
        assert page.status == 401
        assert "does not know this key" in page.words
        assert (await who.get("/code")).status == 303


@pytest.mark.parametrize("key", ["", "ä", "x" * 300, "a\nb"])
async def test_what_cannot_be_a_key_is_not_sent_to_the_service(key: str) -> None:
    async with platform() as (fake, who):
        assert (await who.sign_in(key)).status == 422
        assert fake.asked == []


async def test_signing_in_begins_a_session_under_a_new_name() -> None:
    """A cookie that somebody planted before is of no use to them afterwards."""
    async with platform() as (_, who):
        await who.get("/sign-in")
        planted = who.cookie()
        await who.sign_in()
        assert who.cookie() != planted
        async with visitor(who.url) as other:
            assert (await other.get("/code", Cookie=f"holdfast={planted}")).status == 303


async def test_signing_out_ends_the_session_on_the_server() -> None:
    async with platform() as (_, who):
        await who.sign_in()
        kept = who.cookie()
        await who.get("/")
        assert (await who.post("/sign-out")).headers["location"] == "/sign-in"
        async with visitor(who.url) as thief:
            assert (await thief.get("/", Cookie=f"holdfast={kept}")).status == 303


async def test_a_key_that_was_revoked_meanwhile_leads_back_to_the_form() -> None:
    async with platform() as (fake, who):
        await who.sign_in()
        fake.keys.clear()
        sent = await who.get("/jobs")
        assert sent.status == 303
        assert "not valid any more" in (await who.get(sent.headers["location"])).words


@pytest.mark.parametrize("elsewhere", ["https://evil.test/", "//evil.test/", "/\\evil.test", "javascript:alert(1)", ""])
async def test_signing_in_leads_to_no_other_site(elsewhere: str) -> None:
    async with platform() as (_, who):
        await who.get("/sign-in")
        assert (await who.post("/sign-in", key=KEY, next=elsewhere)).headers["location"] == "/"


async def test_the_demo_signs_in_visitors_on_this_machine_only() -> None:
    async with platform(demo_api_key=KEY) as (fake, who):
        page = await who.get("/code")
        assert page.status == 200
        assert "Demo key" in page.words
        assert KEY not in page.text
        assert (await who.get("/code", **{"X-Forwarded-For": "127.0.0.1, ::1"})).status == 200
        for headers in (
            {"X-Forwarded-For": "203.0.113.7"},
            {"X-Forwarded-For": "127.0.0.1, 203.0.113.7"},
            {"Forwarded": "for=203.0.113.7"},
            {"Host": "rebound.evil.test"},
        ):
            assert (await who.get("/code", **headers)).status == 303, headers
        reader, writer = await asyncio.open_connection("127.0.0.1", int(who.url.rpartition(":")[2]))
        chain = b"X-Forwarded-For: 203.0.113.7\r\nX-Forwarded-For: 127.0.0.1\r\n"
        writer.write(b"GET /code HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n" + chain + b"\r\n")
        assert b" 303 " in await reader.readline()
        writer.close()
        other = "hf_other_0123456789abcdefghijklmnopqrst"
        fake.keys.add(other)
        await who.sign_in(other)
        assert "Demo key" not in (await who.get("/code")).words


async def test_a_choice_of_colours_is_remembered_without_a_script() -> None:
    async with platform() as (_, who):
        await who.get("/sign-in")
        assert (await who.post("/theme", theme="dark", here="/sign-in")).headers["location"] == "/sign-in"
        assert '<html lang="en" data-theme="dark">' in (await who.get("/sign-in")).text
        await who.post("/theme", theme="", here="/sign-in")
        assert '<html lang="en">' in (await who.get("/sign-in")).text
