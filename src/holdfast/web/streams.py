"""Streams end with their request.

A client that goes away cancels the request, perhaps while the framework sends. The generator behind the stream then
stands at a ``yield``, where nothing reaches it until it is collected as garbage; what it holds (a place, a
subscription) would be held until then. So the door closes it.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

from litestar.response import Stream

_STREAM: Final = "holdfast.stream"


async def streamed(
    scope: Any,
    pieces: AsyncGenerator[bytes, None],
    *,
    media_type: str = "text/event-stream",
    headers: Mapping[str, str] | None = None,
) -> Stream:
    """An answer in pieces, once the first one is there: what goes wrong before is a problem.

    ``scope`` is the request's, served inside :func:`closing_streams`.
    """
    scope[_STREAM] = pieces
    first = await anext(pieces)

    async def whole() -> AsyncGenerator[bytes, None]:
        yield first
        async for piece in pieces:
            yield piece

    return Stream(whole(), media_type=media_type, headers={"x-accel-buffering": "no", **(headers or {})})


@asynccontextmanager
async def closing_streams(scope: Any) -> AsyncGenerator[None, None]:
    """Close the stream that the request was answered with, whatever ends it."""
    try:
        yield
    finally:
        pieces: AsyncGenerator[bytes, None] | None = scope.get(_STREAM)
        if pieces is not None:
            await pieces.aclose()
