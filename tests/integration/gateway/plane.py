"""Two deployments of one model, of which one can be told to fail, and what a client hears of it as bytes."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import msgspec

from holdfast.testing.client import Answer, RawClient
from holdfast.testing.gateway import MockProvider, mock_provider, request
from tests.integration.gateway.stack import PRICE, Stack, running_gateway

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

VERSIONS = {"openai": "/v1", "anthropic": "/v1", "gemini": "/v1beta", "bedrock": ""}


def provider_settings(provider: MockProvider, protocol: str = "openai") -> dict[str, Any]:
    """How the gateway finds a scripted provider."""
    return {"protocol": protocol, "url": provider.url + VERSIONS[protocol], "private": True, "auth": "none"}


@asynccontextmanager
async def pair(
    *faults: str,
    protocols: tuple[str, str] = ("openai", "openai"),
    model: Mapping[str, Any] | None = None,
    **settings: Any,
) -> AsyncIterator[tuple[Stack, MockProvider, MockProvider]]:
    """A gateway whose model ``demo`` is at ``first`` (with these faults), and at ``second`` when that fails."""
    async with mock_provider(*faults) as first, mock_provider() as second:
        told = {
            "providers": {
                "first": provider_settings(first, protocols[0]),
                "second": provider_settings(second, protocols[1]),
            },
            "models": {
                "demo": {
                    "deployments": [
                        {"provider": "first", "model": "mock-small", "tier": 0, "price": PRICE},
                        {"provider": "second", "model": "mock-small", "tier": 1, "price": PRICE},
                    ],
                    **(model or {}),
                }
            },
            **settings,
        }
        async with running_gateway(told) as stack:
            yield stack, first, second


def port_of(stack: Stack) -> int:
    """Where the gateway listens."""
    return int(stack.url.rpartition(":")[2])


async def post(stack: Stack, path: str, body: Mapping[str, Any] | bytes, **fields: str) -> Answer:
    """Ask once, on a connection of its own."""
    async with await RawClient.connect("127.0.0.1", port_of(stack)) as client:
        return await client.ask(request(path, body, **fields))


def events(body: bytes) -> list[tuple[str, Any]]:
    """Name and data of each event of a stream. Fails on anything that is not a whole, well-formed frame."""
    assert body.endswith(b"\n\n") or not body, body[-200:]
    found: list[tuple[str, Any]] = []
    for frame in body.split(b"\n\n")[:-1]:
        name, data = "", None
        for line in frame.split(b"\n"):
            field, colon, value = line.partition(b":")
            assert colon, line
            if field == b"event":
                name = value.strip().decode()
            elif field == b"data":
                assert data is None, frame
                data = value.strip()
            else:
                assert field == b"", line  # a comment
        if data is not None:
            found.append((name, "[DONE]" if data == b"[DONE]" else msgspec.json.decode(data)))
    return found


def text_of(protocol: str, found: list[tuple[str, Any]]) -> str:
    """What a stream said."""
    said = ""
    for name, data in found:
        if protocol == "openai" and data != "[DONE]" and data.get("choices"):
            said += data["choices"][0]["delta"].get("content") or ""
        elif protocol == "anthropic" and name == "content_block_delta":
            said += data["delta"].get("text", "")
    return said


def is_error(name: str, data: Any) -> bool:
    """Whether an event says that the stream broke, in either protocol."""
    return name == "error" or (isinstance(data, dict) and "error" in data)
