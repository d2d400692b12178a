"""What happens, as server-sent events, pushed as it happens.

``monitor``, ``check``, ``incident`` and ``region`` carry what changed. ``reset`` says that events were missed: load
what is shown anew, then go on. Events are not kept, so the answer to a ``Last-Event-ID`` (a browser that comes back)
begins with ``reset``; ids only count. Nothing is polled on the way: an event is written when the engine hands it over.

A stream ends when its key is not good any more, which is looked at with every sign of life, and when the process ends.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Annotated, Any, Final

from litestar import Response, get
from litestar.params import HeaderParameter, QueryParameter

from holdfast.identity import Principal, Scope
from holdfast.netpulse.core.ports import Subscription
from holdfast.netpulse.shell.api.bodies import encode
from holdfast.netpulse.shell.api.problems import ProblemError
from holdfast.netpulse.shell.api.service import Asking, Service, Svc, require
from holdfast.store import StoreError
from holdfast.web.exchange import read_head
from holdfast.web.streams import streamed

KEEP_ALIVE_S: Final = 15.0
"""Comments on a silent stream: often enough for the usual 60 s idle timeout of proxies."""
KINDS: Final = frozenset({"monitor", "check", "incident", "region", "reset"})
AT_ONCE: Final = 64
"""Events that are written together when they come faster than they are read."""

LastEventId = Annotated[str | None, HeaderParameter(name="Last-Event-ID")]
Kinds = Annotated[str | None, QueryParameter(max_length=100, description="Only these kinds: `monitor,incident`.")]


@get("/v1/events")
async def stream_events(
    request: Asking, service: Svc, last_event_id: LastEventId = None, kinds: Kinds = None
) -> Response[Any]:
    """Changes as they happen, as server-sent events."""
    require(request.user, Scope.NETPULSE_READ)
    key = read_head(request.scope["headers"]).key
    pieces = _stream(service, request.user, key, wanted=_wanted(kinds), resumed=last_event_id is not None)
    return await streamed(request.scope, pieces)


async def _stream(
    service: Service, principal: Principal, key: str | None, *, wanted: frozenset[str], resumed: bool
) -> AsyncGenerator[bytes, None]:
    with service.held.place(principal.key_id if key is None else principal.tenant):
        # From here on nothing is missed: what the client reads after the first line is older than what comes.
        subscription = service.netpulse.subscribe(principal.tenant)
        async with aclosing(_Feed(subscription, service.stopping)) as feed:
            yield b": netpulse events\nretry: 2000\n\n"
            number = 0
            if resumed:
                yield b'id: 0\nevent: reset\ndata: {"reason":"events are not kept"}\n\n'
            while (events := await feed.next(within_s=KEEP_ALIVE_S)) is not None:
                frames = []
                for kind, body in events:
                    if kind in wanted:
                        number += 1
                        frames.append(b"id: %d\nevent: %b\ndata: %b\n\n" % (number, kind.encode(), encode(body)))
                        service.metrics.event()
                if frames:
                    yield b"".join(frames)
                if not events:
                    if not await _still_good(service, key):
                        yield b": this key is not valid any more\n\n"
                        return
                    yield b": still here\n\n"
            yield b": the stream ends here, come back\n\n"


async def _still_good(service: Service, key: str | None) -> bool:
    try:
        await service.authenticated(key, reading=True)
    except ProblemError:
        return False
    except StoreError:
        return True  # who was let in stays in while nobody can say otherwise
    return True


class _Feed:
    """Events of a subscription, with deadlines, until the process is about to end."""

    def __init__(self, subscription: Subscription, stopping: asyncio.Future[None]) -> None:
        self._subscription = subscription
        self._events = aiter(subscription)
        self._stopping = stopping
        self._step: asyncio.Task[tuple[str, Mapping[str, Any]] | None] | None = None

    async def next(self, *, within_s: float) -> list[tuple[str, Mapping[str, Any]]] | None:
        """What there is, at least one event; nothing after a silence, ``None`` at the end."""
        found: list[tuple[str, Mapping[str, Any]]] = []
        while len(found) < AT_ONCE:
            if self._step is None:
                # A task that outlives the wait: cancelling an iterator's step would end the iterator.
                self._step = asyncio.create_task(self._one(), name="events")
            await asyncio.wait(
                (self._step, self._stopping),
                timeout=0.0 if found else within_s,
                return_when=asyncio.FIRST_COMPLETED,
            )
            if not self._step.done():
                return None if self._stopping.done() else found
            step, self._step = self._step, None
            event = step.result()
            if event is None:
                return found or None
            found.append(event)
        return found

    async def _one(self) -> tuple[str, Mapping[str, Any]] | None:
        return await anext(self._events, None)

    async def aclose(self) -> None:
        """Stop listening."""
        # First of all: whoever cancels a request may cancel every wait that follows, too.
        self._subscription.close()
        if self._step is not None:
            self._step.cancel()
            await asyncio.gather(self._step, return_exceptions=True)
        close: Any = getattr(self._events, "aclose", None)
        if close is not None:
            await close()


def _wanted(kinds: str | None) -> frozenset[str]:
    if kinds is None:
        return KINDS
    wanted = frozenset(kinds.split(","))
    if not wanted <= KINDS:
        text = f"kinds: {min(wanted - KINDS)!r} is none; write some of {', '.join(sorted(KINDS))}"
        raise ProblemError("invalid-request", text, field="kinds")
    return wanted | {"reset"}
