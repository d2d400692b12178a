"""Requests that are over, as the data plane would tell of them."""

from __future__ import annotations

from typing import Any

from holdfast.gateway.core.ports import Holder
from holdfast.gateway.core.seen import Seen, SeenAttempt
from holdfast.gateway.core.usage import Usage

WALL = 1_790_000_000.25


def attempt(**fields: Any) -> SeenAttempt:
    """One that went well, but for ``fields``."""
    told: dict[str, Any] = {
        "id": "gw-1-1",
        "deployment": "mock/small",
        "provider": "mock",
        "upstream_model": "small",
        "protocol": "openai",
        "outcome": "ok",
        "status": 200,
        "began_s": 0.001,
        "first_token_s": 0.02,
        "duration_s": 0.1,
        "usage": Usage(input_tokens=10, output_tokens=20, cache_read_tokens=4),
        "cost_nano": 50_000,
        "why": "the only one",
    }
    return SeenAttempt(**(told | fields))


def seen(**fields: Any) -> Seen:
    """One chat that went well, but for ``fields``."""
    told: dict[str, Any] = {
        "request": "req_1",
        "traceparent": "",
        "kind": "chat",
        "protocol": "openai",
        "path": "/v1/chat/completions",
        "client": "127.0.0.1",
        "model": "demo",
        "holder": Holder(tenant="acme", key_id="k1", team="search", tags=("prod",)),
        "wall": WALL,
        "status": 200,
        "attempts": [attempt()],
        "duration_s": 0.12,
        "first_byte_s": 0.03,
        "bytes_in": 100,
        "bytes_out": 900,
    }
    return Seen(**(told | fields))
