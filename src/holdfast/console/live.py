"""Live output: the service's event stream, passed on under our own origin.

The browser has a session, the service wants a key; this stands between. It adds nothing and keeps
nothing: the ids of the events are the service's, so that ``Last-Event-ID`` finds its place again.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Annotated, Any, Final

from litestar import Request, Response, get
from litestar.params import FromPath, HeaderParameter
from litestar.response import Stream

from holdfast.console.context import Console, Shared, signed_in
from holdfast.console.errors import ServiceProblem

MOST_STREAMS: Final = 200
"""Open at one time in this process; below the connections that the pool has, so that pages still get theirs."""
_EVENT_ID: Final = re.compile(r"[0-9A-Za-z:._-]{1,64}")


@get("/jobs/{id:str}/events")
async def events(
    request: Request[Any, Any, Any],
    console: Shared,
    id: FromPath[str],
    last_event_id: Annotated[str | None, HeaderParameter(name="Last-Event-ID")] = None,
) -> Response[Any]:
    """What happens to a job, as server-sent events."""
    session = signed_in(request)
    after = last_event_id if last_event_id is not None and _EVENT_ID.fullmatch(last_event_id) else None
    if len(console.streams) >= MOST_STREAMS:
        raise ServiceProblem(503, "Too many pages show live output", "Reload the page to see how far the job is.")
    stream = _relay(console, session.key, id, after)
    # The first piece is made here, so that a refusal of the service is a refusal of ours and not an empty stream.
    try:
        first = await anext(stream)
    except ServiceProblem as problem:
        if problem.status == 204:  # nothing more will happen; told so, a browser does not come back
            return Response(None, status_code=204)
        raise

    async def whole() -> AsyncIterator[bytes]:
        yield first
        async for piece in stream:
            yield piece

    return Stream(whole(), media_type="text/event-stream", headers={"cache-control": "no-store"})


async def _relay(console: Console, key: str, id: str, after: str | None) -> AsyncIterator[bytes]:
    place = object()
    console.streams.add(place)
    try:
        async with console.api().events(key, id, last_event_id=after) as pieces:
            yield b": live output\n\n"
            try:
                async for piece in pieces:
                    yield piece
            except ServiceProblem:
                yield b": the service went away, come back with Last-Event-ID\n\n"
    finally:
        console.streams.discard(place)
