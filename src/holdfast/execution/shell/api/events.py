"""A job's events as server-sent events: pushed, resumable, with its output while it runs.

- ``id`` is the event's number in the job; ``Last-Event-ID`` goes on after it.
- Output comes as text, decoded incrementally per stream: a character that is cut by a chunk's end
  comes with the next chunk. Or as base64, cut anywhere.
- The stream ends after the event that ends the job. A browser's ``EventSource`` would come back:
  it is told 204, which means that there is nothing more (HTML, server-sent events, 9.2.3).
- Whoever reads too slowly holds up nobody: what is sent next is read from the store when there is room.
"""

from __future__ import annotations

import base64
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from typing import Annotated, Any, Final

import msgspec
from litestar import Response, get
from litestar.params import FromPath, HeaderParameter

from holdfast.execution.core.job import TERMINAL
from holdfast.execution.core.ports import Event
from holdfast.execution.core.text import Decoder
from holdfast.execution.shell.api.bodies import Encoding as Enc
from holdfast.execution.shell.api.jobs import Asking, Encoding, Svc, found
from holdfast.execution.shell.api.problems import ProblemError
from holdfast.execution.shell.api.service import Service, require
from holdfast.identity import Scope
from holdfast.store import StoreError
from holdfast.web.streams import streamed
from holdfast.web.times import timestamp
from holdfast.web.watching import watching

log = logging.getLogger(__name__)

KEEP_ALIVE_S: Final = 15.0
"""Comments on a silent stream: often enough for the usual 60 s idle timeout of proxies."""
PAGE: Final = 64
"""Events that are read at a time; a piece of output may have 256 KiB."""
LOOK_BACK: Final = 64
"""Numbers before ``Last-Event-ID`` whose output is decoded again, for a character that was cut there."""
_OUTPUT: Final = frozenset({"stdout", "stderr"})
_ENDS: Final = frozenset({"finished", "dead"})
_NEW_RUN: Final = frozenset({"started", "retry", "finished", "dead"})
"""Output before one of these and output after it belong to different runs."""

LastEventId = Annotated[str | None, HeaderParameter(name="Last-Event-ID")]


@get("/v1/jobs/{id:str}/events")
async def job_events(
    request: Asking, service: Svc, id: FromPath[str], last_event_id: LastEventId = None, encoding: Encoding = "text"
) -> Response[Any]:
    """What happens to a job, as server-sent events, from its beginning or after ``Last-Event-ID``."""
    require(request.user, Scope.JOBS_READ)
    after = _number(last_event_id)
    job = await found(service, request.user, id)
    if after and job.status in TERMINAL and not await service.queue.events(job.tenant, id, after=after, limit=1):
        return Response(None, status_code=204)
    tenant = job.tenant
    del job  # with its result, which may be 16 MiB, for as long as the client takes
    pieces = stream(service, tenant, id, after=after, encoding=encoding)
    return await streamed(request.scope, pieces)


async def stream(service: Service, tenant: str, id: str, *, after: int, encoding: Enc) -> AsyncGenerator[bytes, None]:
    """The bytes of the stream. Raises :class:`ProblemError` at its first step when too many are open."""
    with service.held.place(tenant):
        async for piece in _pieces(service, tenant, id, after=after, encoding=encoding):
            yield piece


async def _pieces(service: Service, tenant: str, id: str, *, after: int, encoding: Enc) -> AsyncIterator[bytes]:
    yield b": holdfast job events\nretry: 2000\n\n"
    frames = Frames(encoding, after=after)
    try:
        async with watching(service.queue.watch(id), service.stopping) as watch:
            seq = max(0, after - LOOK_BACK)
            while True:
                sign = await watch.sign(within_s=KEEP_ALIVE_S)
                if sign == "stopping":
                    yield b": the stream ends here, come back with Last-Event-ID\n\n"
                    return
                if sign == "silence":
                    yield b": still here\n\n"
                over = False
                while page := await service.queue.events(tenant, id, after=seq, limit=PAGE):
                    seq = page[-1].seq
                    for piece in frames.of(page):
                        yield piece
                    # Not the first one that is seen: a dead job may have been replayed since.
                    over = next((e.kind in _ENDS for e in reversed(page) if e.kind not in _OUTPUT), over)
                if over:
                    return
                if page is None or frames.silent:
                    # The events expire before the job does.
                    now = await service.queue.job(tenant, id)
                    if now is None or now.status in TERMINAL:
                        yield _frame(None, "finished" if now is None else _KINDS[now.status], {"expired": True})
                        return
    except StoreError as error:
        log.warning("an event stream ends", extra={"action": "events", "job": id, "why": str(error)})
        yield b": the store does not answer, come back with Last-Event-ID\n\n"


_KINDS: Final = {status: status.value for status in TERMINAL}


class Frames:
    """Turns events into frames; keeps what is cut of a character."""

    def __init__(self, encoding: Enc, *, after: int) -> None:
        """Events up to ``after`` are only decoded."""
        self._encoding = encoding
        self._after = after
        self._decoders = {name: Decoder() for name in _OUTPUT}
        self.silent = True
        """Nothing has come yet."""

    def of(self, page: Sequence[Event]) -> Iterator[bytes]:
        """The frames of some events, in order."""
        for event in page:
            self.silent = False
            for frame in self._frames(event):
                if event.seq > self._after:
                    yield frame

    def _frames(self, event: Event) -> Iterator[bytes]:
        at = timestamp(event.at)
        if event.kind not in _OUTPUT:
            if event.kind in _NEW_RUN:
                for name, decoder in self._decoders.items():
                    if rest := decoder.finish():
                        yield _frame(None, name, {"at": at, "text": rest})
            yield _frame(event.seq, event.kind, {"at": at, **_fields(event.data)})
        elif self._encoding == "base64":
            yield _frame(event.seq, event.kind, {"at": at, "base64": base64.b64encode(event.data).decode("ascii")})
        elif text := self._decoders[event.kind].feed(event.data):
            yield _frame(event.seq, event.kind, {"at": at, "text": text})


def _fields(data: bytes) -> dict[str, Any]:
    return msgspec.json.decode(data, type=dict[str, Any]) if data else {}


def _frame(seq: int | None, kind: str, fields: dict[str, Any]) -> bytes:
    # The encoder escapes line breaks inside strings, so one data line always suffices.
    head = b"" if seq is None else b"id: %d\n" % seq
    return b"%bevent: %b\ndata: %b\n\n" % (head, kind.encode("ascii"), msgspec.json.encode(fields))


def _number(last_event_id: str | None) -> int:
    if last_event_id is None:
        return 0
    if not (last_event_id.isascii() and last_event_id.isdigit() and len(last_event_id) < 19):
        text = "Last-Event-ID: is not a number; send the id of the last event that came"
        raise ProblemError("invalid-request", text, field="Last-Event-ID")
    return int(last_event_id)
