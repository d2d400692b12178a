"""What needs no key, because it is in the path: heartbeats, and links in messages."""

from __future__ import annotations

import logging
from dataclasses import replace

import pytest

from holdfast.netpulse.shell.api.links import LASTS_S
from holdfast.testing.netpulse.scene import HEARTBEAT_TOKEN
from tests.integration.netpulse.api.harness import Api, looped, running
from tests.integration.netpulse.api.test_incidents import standing

BEAT = f"/v1/heartbeats/{HEARTBEAT_TOKEN}"


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
@looped
async def test_a_job_reports_itself_by_any_method(method: str) -> None:
    async with running() as api:
        assert (await api.ask(method, BEAT, key=None)).status == 200
        assert (await api.ask(method, f"{BEAT}/fail", key=None)).status == 200
        assert api.netpulse.beats == [("default/backup", False, ""), ("default/backup", True, "")]


@looped
async def test_the_end_of_what_a_job_says_is_kept_on_one_line() -> None:
    async with running() as api:
        body = b"x" * 5000 + b"\ncopied 12\x00 files\r\n in 3 s\n"
        assert (await api.ask("POST", BEAT, key=None, data=body)).status == 200
        detail = api.netpulse.beats[0][2]
        assert len(detail) == 200
        assert detail.endswith("copied 12 files in 3 s")


@pytest.mark.parametrize("token", ["short", "x" * 129, "a-token-that-nobody-has", "with%20space%20in%20it", "*" * 20])
@looped
async def test_a_token_that_nobody_has_is_not_found(token: str) -> None:
    async with running() as api:
        assert (await api.refused("GET", f"/v1/heartbeats/{token}", key=None))["status"] == 404
        assert api.netpulse.beats == []


@looped
async def test_a_job_that_says_too_much_or_too_often_is_told_so() -> None:
    async with running() as api:
        assert (await api.refused("POST", BEAT, key=None, data=b"x" * 10_001))["status"] == 413
        statuses = [(await api.ask("GET", BEAT, key=None)).status for _ in range(12)]
        assert statuses[:10] == [200] * 10
        assert 429 in statuses[10:]


@looped
async def test_what_is_its_own_credential_is_in_no_log() -> None:
    records: list[logging.LogRecord] = []
    handler = logging.Handler()
    handler.emit = records.append  # type: ignore[method-assign, assignment]
    logging.getLogger("holdfast").addHandler(handler)
    try:
        async with running() as api:

            async def broken(*_: object, **__: object) -> bool:
                raise RuntimeError("a bug")

            api.netpulse.beat = broken  # type: ignore[method-assign]
            assert (await api.refused("GET", BEAT, key=None))["status"] == 500
            problem = await api.refused("PUT", BEAT, key=None)
            assert problem["status"] == 405
            assert HEARTBEAT_TOKEN not in str(problem)
    finally:
        logging.getLogger("holdfast").removeHandler(handler)
    assert records
    assert all(HEARTBEAT_TOKEN not in str(vars(each)) for each in records)


async def link(api: Api, title: str = "Checkout") -> tuple[str, str]:
    """The path of a link, and the incident that it is for."""
    id = (await standing(api, title))["id"]
    url = api.service.links.acknowledge("default", id, "pager")
    assert url.startswith("https://pulse.example.com/ack/")
    return url.removeprefix("https://pulse.example.com"), id


@looped
async def test_a_link_shows_a_button_and_only_the_button_acknowledges() -> None:
    async with running() as api:
        path, id = await link(api)
        page = await api.ask("GET", path, key=None)
        assert page.status == 200
        assert b"Checkout is down" in page.body
        assert b'<form method="post"><button>' in page.body
        assert (await standing(api, "Checkout"))["state"] == "open"  # a preview of a chat has looked at it
        assert (await api.ask("POST", path, key=None)).status == 200
        after = await standing(api, "Checkout")
        assert (after["state"], after["acknowledged_by"]) == ("acknowledged", "link:pager")
        assert api.actions == [("link:pager", "incident.acknowledge", id)]
        assert b"has it already" in (await api.ask("GET", path, key=None)).body


@looped
async def test_the_page_loads_nothing_is_not_kept_and_does_not_tell_its_address() -> None:
    async with running() as api:
        path, _ = await link(api)
        headers = (await api.ask("GET", path, key=None)).headers
        assert headers["content-security-policy"].startswith("default-src 'none'")
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["cache-control"] == "no-store"
        assert "noindex" in headers["x-robots-tag"]


@looped
async def test_what_an_incident_is_called_is_text_and_not_markup() -> None:
    async with running() as api:
        path, id = await link(api)
        number, incident = api.netpulse._incident("default", id)
        api.netpulse.scene.incidents[number] = replace(incident, title="<script>alert(1)</script>")
        assert b"<script>" not in (await api.ask("GET", path, key=None)).body


@looped
async def test_a_link_that_is_not_ours_or_too_old_does_nothing() -> None:
    async with running() as api:
        path, _ = await link(api)
        flipped = path[:-2] + ("A" if path[-2] != "A" else "B") + path[-1]
        for wrong in (flipped, "/ack/nonsense", "/ack/" + "a" * 600, path.replace(".", "")):
            assert (await api.ask("POST", wrong, key=None)).status == 404
        now = api.service.clock()
        api.service.links._clock = lambda: now + LASTS_S + 1
        assert (await api.ask("POST", path, key=None)).status == 410
        assert (await standing(api, "Checkout"))["state"] == "open"


@looped
async def test_a_link_to_what_is_over_says_so() -> None:
    async with running() as api:
        path, id = await link(api)
        await api.ok("POST", f"/v1/incidents/{id}/resolve")
        assert b"It is over" in (await api.ask("GET", path, key=None)).body
        assert (await api.ask("POST", path, key=None)).status == 409
