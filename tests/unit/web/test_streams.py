from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from holdfast.web.streams import closing_streams, streamed


def test_a_stream_that_stands_at_a_yield_is_closed_with_its_request() -> None:
    closed = []

    async def pieces() -> AsyncGenerator[bytes, None]:
        try:
            while True:
                yield b"piece"
        finally:
            closed.append(True)

    async def broken_off(scope: dict[str, Any]) -> None:
        async with closing_streams(scope):
            await streamed(scope, pieces())
            raise ConnectionError  # the framework was sending

    async def scenario() -> None:
        with pytest.raises(ConnectionError):
            await broken_off({})
        assert closed == [True]

    asyncio.run(scenario())


def test_what_goes_wrong_before_the_first_piece_is_no_stream() -> None:
    async def pieces() -> AsyncGenerator[bytes, None]:
        raise LookupError
        yield b""

    async def scenario() -> None:
        scope: dict[str, Any] = {}
        async with closing_streams(scope):
            with pytest.raises(LookupError):
                await streamed(scope, pieces())

    asyncio.run(scenario())


def test_a_request_without_a_stream_ends_as_it_is() -> None:
    async def scenario() -> None:
        async with closing_streams({}):
            pass

    asyncio.run(scenario())
