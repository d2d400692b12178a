"""What a gateway that runs says of itself: metrics, the request log, traces."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import msgspec
from aiohttp import web
from prometheus_client.parser import text_string_to_metric_families

from holdfast.gateway.shell.observing.exposition import CATALOGUE
from holdfast.testing.gateway import mock_provider
from tests.integration.gateway.stack import Stack, running_gateway

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


async def samples(stack: Stack) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Of ``/metrics``, by name and labels."""
    reply = await stack.ask("GET", "/metrics")
    assert reply.headers["content-type"].startswith("text/plain; version=0.0.4")
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(reply.body.decode())
        for sample in family.samples
    }


async def test_metrics_agree_with_what_was_answered_and_spent() -> None:
    async with mock_provider() as provider, running_gateway(provider=provider) as stack:
        for _ in range(3):
            assert (await stack.chat()).status == 200
        assert (await stack.chat(model="made-up")).status == 404
        await stack.settle()
        found = await samples(stack)
        [row] = (await stack.ok("GET", "/v1/usage"))["rows"]
    deployment = ("deployment", "mock/mock-small")
    assert found["holdfast_gateway_attempts_total", (deployment, ("outcome", "ok"))] == 3
    tokens = "holdfast_gateway_tokens_total"
    assert found[tokens, (deployment, ("direction", "input"))] == row["input_tokens"]
    assert found["holdfast_gateway_cost_nano_total", (deployment,)] == row["cost_nano"]
    assert found["holdfast_gateway_duration_seconds_count", (("kind", "chat"), ("model", "demo"))] == 3
    assert found["holdfast_gateway_deployment_state", (deployment, ("state", "up"))] == 1
    refused = (
        ("kind", "chat"),
        ("model", "other"),
        ("protocol", "openai"),
        ("reason", "not_found"),
        ("status", "404"),
    )
    assert found["holdfast_gateway_requests_total", refused] == 1
    assert found["holdfast_gateway_journal_unwritten", ()] == 0


async def test_every_metric_of_the_catalogue_is_exposed_and_no_other() -> None:
    async with mock_provider() as provider, running_gateway(provider=provider) as stack:
        await stack.chat()
        text = (await stack.ask("GET", "/metrics")).body.decode()
    declared = {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE holdfast_")}
    assert declared == set(CATALOGUE)


async def test_a_line_for_each_request_and_none_for_the_control_api(tmp_path: Path) -> None:
    path = tmp_path / "requests.log"
    async with mock_provider() as provider, running_gateway(provider=provider, log=path) as stack:
        key = await stack.key()
        reply = await stack.chat("the secret word is kelp", key=key)
        await stack.chat(stream=True)
        await stack.chat(model="made-up")
        await stack.ok("GET", "/v1/usage", key=key)
    lines = [msgspec.json.decode(line) for line in path.read_bytes().splitlines()]
    assert [line["status"] for line in lines] == [200, 200, 404]
    assert lines[0]["id"] == reply.headers["x-request-id"]
    assert lines[0]["tenant"] == "acme"
    assert lines[1]["stream"] is True
    assert lines[1]["attempts"][0]["first_token_ms"] > 0
    assert "kelp" not in path.read_text()
    assert key not in path.read_text()


@asynccontextmanager
async def receiver() -> AsyncIterator[tuple[str, asyncio.Queue[bytes]]]:
    """Takes traces by OTLP over HTTP."""
    taken: asyncio.Queue[bytes] = asyncio.Queue(100)

    async def take(request: web.Request) -> web.Response:
        taken.put_nowait(await request.read())
        return web.Response(content_type="application/json")

    app = web.Application()
    app.router.add_post("/v1/traces", take)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}", taken
    finally:
        await runner.cleanup()


async def test_traces_reach_a_receiver_with_the_callers_trace() -> None:
    trace = "0af7651916cd43dd8448eb211c80319c"
    async with (
        receiver() as (url, taken),
        mock_provider() as provider,
        running_gateway({"traces": {"endpoint": url, "service": "gw"}}, provider=provider) as stack,
    ):
        body = {"model": "demo", "messages": [{"role": "user", "content": "hello"}]}
        headers = {"traceparent": f"00-{trace}-b7ad6b7169203331-01"}
        await stack.ok("POST", "/v1/chat/completions", json=body, headers=headers)
        async with asyncio.timeout(10):
            sent = await taken.get()
    [resource] = msgspec.json.decode(sent)["resourceSpans"]
    assert {"key": "service.name", "value": {"stringValue": "gw"}} in resource["resource"]["attributes"]
    spans = resource["scopeSpans"][0]["spans"]
    assert [span["name"] for span in spans] == ["chat demo", "chat mock-small"]
    assert {span["traceId"] for span in spans} == {trace}
    assert spans[0]["parentSpanId"] == "b7ad6b7169203331"
    assert spans[1]["parentSpanId"] == spans[0]["spanId"]
