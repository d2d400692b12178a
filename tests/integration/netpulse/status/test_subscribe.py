"""Subscribing by HTTP, as a browser, a program and a mail program do it."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from litestar import Litestar
from litestar.testing import AsyncTestClient

from holdfast.netpulse.shell.status import Subscribers, subscribe_router
from holdfast.netpulse.shell.status.subscribe import PATH
from tests.unit.netpulse.status.documents import Memory, Outgoing
from tests.unit.netpulse.status.views import NOW

HTML = {"Accept": "text/html"}


@asynccontextmanager
async def api() -> AsyncIterator[tuple[AsyncTestClient[Litestar], Outgoing, Memory]]:
    """The router in an application of its own."""
    memory, out = Memory(), Outgoing()
    subscribers = Subscribers(
        memory,
        out,
        title="Acme",
        api_url="http://pulse",
        by_mail=True,
        wall=lambda: NOW,
        entropy=lambda count: b"k" * count,
    )
    app = Litestar([subscribe_router(subscribers)], openapi_config=None, logging_config=None)
    async with AsyncTestClient(app) as client:
        yield client, out, memory


def link(out: Outgoing) -> str:
    """The address in the last mail, without its host."""
    found = re.search(r"http://pulse(\S+)", out.mails[-1][2])
    assert found
    return found[1]


async def test_a_browser_subscribes_confirms_and_leaves() -> None:
    async with api() as (client, out, memory):
        answer = await client.post(PATH, data={"kind": "email", "target": " ada@example.org "}, headers=HTML)
        assert (answer.status_code, "One more step" in answer.text) == (202, True)
        confirm = link(out)
        page = await client.get(confirm)
        assert '<form method="post" action="confirm?token=' in page.text
        assert "default-src 'none'" in page.headers["content-security-policy"]
        assert b'"confirmed":null' in next(iter((await memory.documents("status-subscriber")).values()))
        assert (await client.post(confirm, headers=HTML)).status_code == 200
        assert b'"confirmed":null' not in next(iter((await memory.documents("status-subscriber")).values()))
        end = out.mails[-1][3]["List-Unsubscribe"].strip("<>").removeprefix("http://pulse")
        assert (await client.get(end)).status_code == 200
        assert await memory.documents("status-subscriber"), "opening a link changes nothing"
        one_click = {"List-Unsubscribe": "One-Click"}
        assert (await client.post(end, data=one_click)).status_code == 200
        assert not await memory.documents("status-subscriber")


async def test_a_program_subscribes_by_json() -> None:
    async with api() as (client, out, _):
        answer = await client.post(PATH, json={"kind": "webhook", "target": "https://example.org/hook"})
        assert (answer.status_code, len(out.posts)) == (202, 1)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"kind": "email", "target": "ada"}, 422),
        ({"kind": "email", "target": "ada@example.org", "admin": "yes"}, 400),
        ({"kind": 1}, 400),
        ([], 400),
        ({"kind": "email", "target": "a" * 5000}, 413),
    ],
)
async def test_what_is_wrong_is_said(body: object, status: int) -> None:
    async with api() as (client, out, _):
        assert (await client.post(PATH, json=body)).status_code == status
        assert out.mails == []


async def test_the_answer_is_the_same_whether_an_address_is_known_or_not() -> None:
    async with api() as (client, out, _):
        wish = {"kind": "email", "target": "ada@example.org"}
        first = await client.post(PATH, json=wish)
        second = await client.post(PATH, json=wish)
        assert (first.status_code, first.text) == (second.status_code, second.text)
        assert len(out.mails) == 1


@pytest.mark.parametrize("token", ["", "nonsense", "x" * 200, "%22%3E%3Cscript%3E"])
async def test_a_link_that_is_not_ours_is_refused_and_shown_escaped(token: str) -> None:
    async with api() as (client, _, __):
        for action in ("confirm", "end"):
            assert "<script" not in (await client.get(f"{PATH}/{action}?token={token}")).text
            assert (await client.post(f"{PATH}/{action}?token={token}")).status_code == 404
