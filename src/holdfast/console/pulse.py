"""NetPulse: the overview of all monitors, the regions, and the events that keep pages live."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Final

from litestar import Request, Response, get, post
from litestar.params import FromPath, FromQuery
from litestar.response import Stream

from holdfast.console import charts
from holdfast.console.context import Console, Shared, see, signed_in
from holdfast.console.errors import ServiceProblem
from holdfast.console.forms import read_form
from holdfast.console.live import MOST_STREAMS
from holdfast.console.netpulse import Incident, Monitor
from holdfast.console.pulse_wording import STATES

Asked = Request[Any, Any, Any]

_ORDER: Final = {state: number for number, state in enumerate(STATES)}
_TEXT: Final = 100
"""Characters of a filter."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A monitor in the overview."""

    monitor: Monitor
    strip: charts.Strip


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Monitors that stand together."""

    title: str
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """A state to filter by, and how many are in it."""

    state: str
    count: int


@get("/monitors")
async def pulse_page(
    request: Asked, console: Shared, show: FromQuery[str] = "", q: FromQuery[str] = ""
) -> Response[str]:
    """All monitors by group, standing incidents above them."""
    key, api = signed_in(request).key, console.pulse()
    monitors, standing, regions, summary = await asyncio.gather(
        api.monitors(key), api.incidents(key, standing=True, limit=20), api.regions(key), api.summary(key)
    )
    chosen, text = show if show in STATES else "", q.strip()[:_TEXT]
    shown = [monitor for monitor in monitors if _fits(monitor, chosen, text)]
    return console.page(
        request,
        "pulse.html",
        title="Monitors",
        groups=_groups(shown),
        choices=_choices(monitors),
        total=len(monitors),
        chosen=chosen,
        text=text,
        incidents=sorted(filter(told, standing.incidents), key=_urgency),
        unseen=sum(not told(incident) for incident in standing.incidents),
        regions=regions,
        summary=summary,
        live="/events",
    )


def told(incident: Incident) -> bool:
    """Whether somebody was told of it; what is only detected may be nothing."""
    return incident.state != "detected"


def _urgency(incident: Incident) -> tuple[bool, bool]:
    """What nobody has taken on comes first, and what pages; otherwise the newest, as they come."""
    return incident.state not in {"open", "reopened"}, incident.severity != "page"


def _fits(monitor: Monitor, state: str, text: str) -> bool:
    words = " ".join((monitor.id, monitor.name, monitor.group, monitor.kind, *monitor.tags.values())).lower()
    return (not state or monitor.state == state) and all(word in words for word in text.lower().split())


def _choices(monitors: Sequence[Monitor]) -> list[Choice]:
    states = [monitor.state for monitor in monitors]
    return [Choice(state=state, count=states.count(state)) for state in STATES if state in states]


def _groups(monitors: Sequence[Monitor]) -> list[Group]:
    """By group, those without one last; in each the worst first."""
    ordered = sorted(monitors, key=lambda m: (not m.group, m.group.lower(), m.group))
    return [
        Group(
            title=title,
            rows=tuple(
                Row(monitor=monitor, strip=charts.beats(monitor.beats))
                for monitor in sorted(group, key=lambda m: (_ORDER.get(m.state, 0), m.title.lower()))
            ),
        )
        for title, group in groupby(ordered, key=lambda m: m.group)
    ]


@get("/regions")
async def regions_page(request: Asked, console: Shared) -> Response[str]:
    """Where targets are watched from, by whom, and how well those see."""
    key, api = signed_in(request).key, console.pulse()
    regions, channels, whoami = await asyncio.gather(api.regions(key), api.channels(key), api.whoami(key))
    return console.page(
        request,
        "pulse_regions.html",
        title="Regions",
        regions=regions,
        channels=channels,
        may_test=whoami.may_administer,
    )


@post("/channels/{id:str}/test", status_code=200)
async def test_channel(request: Asked, console: Shared, id: FromPath[str]) -> Response[Any]:
    """Send a test message."""
    session = signed_in(request)
    await read_form(request, console.sessions)
    await console.pulse().test_channel(session.key, id)
    return see("/regions?sent=1#channels")


@get("/events")
async def pulse_events(request: Asked, console: Shared) -> Response[Any]:
    """What happens to monitors and incidents, as server-sent events: the service's own, passed on."""
    session = signed_in(request)
    if len(console.streams) >= MOST_STREAMS:
        raise ServiceProblem(503, "Too many pages are live", "Reload the page to see how things are.")
    stream = _relay(console, session.key)
    first = await anext(stream)  # so that a refusal of the service is a refusal of ours and not an empty stream

    async def whole() -> AsyncIterator[bytes]:
        yield first
        async for piece in stream:
            yield piece

    return Stream(whole(), media_type="text/event-stream", headers={"cache-control": "no-store"})


async def _relay(console: Console, key: str) -> AsyncIterator[bytes]:
    place = object()
    console.streams.add(place)
    try:
        async with console.pulse().events(key) as pieces:
            yield b": live\n\n"
            try:
                async for piece in pieces:
                    yield piece
            except ServiceProblem:
                yield b": the service went away\n\n"
    finally:
        console.streams.discard(place)
