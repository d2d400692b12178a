"""What is refused with the right words, what is told at the end, and what of all that stands in the log."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import pytest

from holdfast.testing.gateway import mock_provider
from tests.integration.gateway.plane import events, is_error, pair, post
from tests.integration.gateway.stack import running_gateway

if TYPE_CHECKING:
    from pathlib import Path

CHAT = {"model": "demo", "messages": [{"role": "user", "content": "hello"}]}


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages", "/v1/embeddings"])
async def test_another_method_on_a_models_path_is_said_in_the_clients_protocol(path: str) -> None:
    async with pair() as (stack, _, _):
        reply = await stack.ask("DELETE", path)
        assert reply.status == 405
        assert "use POST" in reply.json()["error"]["message"]


async def test_a_conversation_that_only_one_protocol_keeps_is_not_lost_silently() -> None:
    async with pair(protocols=("anthropic", "anthropic")) as (stack, first, _):
        body = {"model": "demo", "input": "hello", "previous_response_id": "resp_1"}
        reply = await stack.ask("POST", "/v1/responses", json=body)
        assert reply.status == 422
        assert reply.json()["error"]["param"] == "previous_response_id"
        assert len(list(first.ledger)) == 0


async def test_a_stream_that_a_shutdown_cuts_is_told_so() -> None:
    async with pair() as (stack, first, _):
        asked = {**CHAT, "stream": True, "messages": [{"role": "user", "content": "[[mock: endless,pace=50]] hello"}]}
        asking = asyncio.create_task(post(stack, "/v1/chat/completions", asked))
        async with asyncio.timeout(10):
            while not any(entry.state == "open" for entry in first.ledger):  # noqa: ASYNC110 - it has no events
                await asyncio.sleep(0.01)
        await stack.gateway.engine.drain(0.5)
        found = events((await asking).body)
        assert is_error(*found[-2])
        assert "shutting down" in json.dumps(found[-2][1])
        assert found[-1][1] == "[DONE]"


async def test_an_attempt_that_was_never_answered_costs_nothing() -> None:
    async with pair("status=529") as (stack, _, _):
        reply = await stack.ask("POST", "/v1/chat/completions", json=CHAT)
        assert reply.status == 200
        await stack.settle()
        rows = await stack.ok("GET", "/v1/usage", key=await stack.key("local"), params={"by": "outcome"})
        refused = next(row for row in rows["rows"] if row["group"]["outcome"] == "overloaded")
        assert refused["cost_nano"] == 0


async def test_words_are_logged_only_when_asked_for_and_then_redacted(tmp_path: Path) -> None:
    asked = {**CHAT, "messages": [{"role": "user", "content": "write to ann@example.com, echo [[mock: echo]]"}]}
    for content in ("none", "redacted"):
        log = tmp_path / content
        told = {"log": {"content": content}}
        async with mock_provider() as provider, running_gateway(told, provider=provider, log=log) as stack:
            assert (await stack.ask("POST", "/v1/chat/completions", json=asked)).status == 200
        text = log.read_text()
        assert "ann@example.com" not in text
        assert ("write to" in text) is (content == "redacted")
