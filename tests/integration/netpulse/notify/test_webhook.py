"""A page from the outbox to a webhook, over real sockets."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random

import aiohttp
import msgspec
import pytest

from holdfast.netpulse.core.settings import ChannelSettings, WebhookChannel
from holdfast.netpulse.core.signature import HEADER, sign
from holdfast.netpulse.shell.notify import Notifier
from holdfast.netpulse.shell.notify.sink import KEPT, serve_sink
from holdfast.testing import eventually
from tests.unit.netpulse.notify.memory import Outbox, notice, settings

pytestmark = pytest.mark.anyio

SECRET = "a secret of the demonstration"


@asynccontextmanager
async def a_sink(secret: str = SECRET) -> AsyncIterator[str]:
    """Its address, for as long as the block lasts."""
    port: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(serve_sink("127.0.0.1", 0, secret, port.set_result))
    try:
        yield f"http://127.0.0.1:{await port}/"
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@asynccontextmanager
async def notifying(outbox: Outbox, **channels: ChannelSettings) -> AsyncIterator[Notifier]:
    notifier = Notifier(
        outbox,
        settings(**channels),
        lambda incident, channel: f"https://pulse.test/ack/{incident}/{channel}",
        clock=time.time,
        rng=Random(1),
        page=lambda incident: f"https://pulse.test/incidents/{incident}",
    )
    task = asyncio.create_task(notifier.run())
    try:
        yield notifier
    finally:
        notifier.close()
        await task


def webhook(url: str, secret: str = SECRET) -> ChannelSettings:
    return ChannelSettings(allow_private=True, webhook=WebhookChannel(url=url, secret=secret))


async def test_a_page_arrives_signed_and_is_shown() -> None:
    outbox = Outbox()
    outbox.owe(notice())
    async with a_sink() as url, notifying(outbox, ops=webhook(url)):
        await eventually(lambda: outbox.settled)
        async with aiohttp.ClientSession() as client:
            async with client.get(f"{url}messages") as answer:
                (message,) = await answer.json()
            async with client.get(url) as answer:
                page = await answer.text()
    assert outbox.states() == {"inc_1/2/opened/ops": "sent"}
    assert message["title"] == "[DOWN] shop is down"
    assert message["key"] == "inc_1/2/opened/ops"
    assert message["acknowledge_url"] == "https://pulse.test/ack/inc_1/ops"
    assert "[DOWN] shop is down" in page
    assert "https://pulse.test/ack/inc_1/ops" in page


async def test_a_wrong_secret_is_refused_and_the_notice_given_up_with_the_reason() -> None:
    outbox = Outbox()
    outbox.owe(notice())
    async with a_sink() as url, notifying(outbox, ops=webhook(url, "another one")):
        await eventually(lambda: outbox.settled)
    assert outbox.rows["inc_1/2/opened/ops"].error == "answered 401"
    assert outbox.states() == {"inc_1/2/opened/ops": "failed"}


async def post(url: str, body: bytes, secret: str = SECRET, *, at: float = 0.0) -> int:
    signature = {HEADER: sign(secret, body, now=at or time.time())}
    async with aiohttp.ClientSession() as client, client.post(url, data=body, headers=signature) as answer:
        return answer.status


async def test_the_sink_shows_a_repetition_once_and_counts_it() -> None:
    body = msgspec.json.encode({"key": "k", "title": "<script>alert(1)</script>", "acknowledge_url": "javascript:x"})
    async with a_sink() as url:
        assert [await post(url, body) for _ in range(2)] == [204, 204]
        async with aiohttp.ClientSession() as client, client.get(url) as answer:
            page, policy = await answer.text(), answer.headers["Content-Security-Policy"]
    assert page.count("<article") == 1
    assert "came 2 times" in page
    assert "<script>" not in page
    assert "javascript:" not in page
    assert policy.startswith("default-src 'none'")


async def test_the_sink_takes_only_what_is_signed_now_and_a_message() -> None:
    async with a_sink() as url:
        assert await post(url, b'{"key": "k"}', "another secret") == 401
        assert await post(url, b'{"key": "k"}', at=time.time() - 1000) == 401
        assert [await post(url, body) for body in (b"", b"[]", b"{}", b"\xff", b"1")] == [400] * 5
        assert await post(url, b"x" * 300_000) == 413


async def test_the_sink_keeps_a_bounded_number_of_messages() -> None:
    async with a_sink() as url:
        for number in range(KEPT + 5):
            await post(url, msgspec.json.encode({"key": str(number)}))
        async with aiohttp.ClientSession() as client, client.get(f"{url}messages") as answer:
            messages = await answer.json()
    assert len(messages) == KEPT
    assert messages[0]["key"] == str(KEPT + 4)
