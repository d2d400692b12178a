"""The NetPulse API as the console uses it.

Structs name only what a page shows; what else the API sends is passed over, and what it does not
send has a default, so that console and API need not be of the same version.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final
from urllib.parse import quote

import aiohttp
import msgspec

from holdfast.console.errors import ServiceProblem
from holdfast.console.service import ServiceApi

ANSWER_BYTES: Final = 32 * 2**20
"""A thousand monitors with sixty beats each are 6 MB of JSON."""
MOST_MONITORS: Final = 5_000
"""On a page."""
_ID: Final = re.compile(r"[0-9A-Za-z][0-9A-Za-z._:-]{0,127}")


class _Told(msgspec.Struct, frozen=True, kw_only=True):
    """Base of what the API tells."""


class Beat(_Told, frozen=True):
    """All regions over a step of time."""

    at: str = ""
    up: int = 0
    down: int = 0
    unknown: int = 0
    p50_ms: float | None = None


class LastCheck(_Told, frozen=True):
    """What a region saw last."""

    region: str
    at: str = ""
    outcome: str = "unknown"
    failure: str = ""
    total_ms: float = 0.0
    status: int = 0
    detail: str = ""


class Monitor(_Told, frozen=True):
    """A monitor as it stands."""

    id: str
    name: str = ""
    group: str = ""
    tags: dict[str, str] = {}
    kind: str = ""
    target: str = ""
    interval_s: float = 0.0
    regions: tuple[str, ...] = ()
    depends_on: tuple[str, ...] = ()
    source: str = ""
    state: str = "pending"
    doubt: float = 0.0
    since: str | None = None
    last: tuple[LastCheck, ...] = ()
    beats: tuple[Beat, ...] = ()
    uptime: dict[str, float | None] = {}
    p95_ms: float | None = None
    cert_days: float | None = None
    incident: str | None = None
    delay_s: float = 0.0
    simulated: str | None = None
    paused: bool = False
    objective: dict[str, float] | None = None

    @property
    def title(self) -> str:
        """What people call it."""
        return self.name or self.id


class Member(_Told, frozen=True):
    """A monitor in an incident."""

    monitor: str
    name: str = ""
    condition: str = ""
    began: str = ""
    until: str | None = None


class Incident(_Told, frozen=True):
    """An incident as it stands."""

    id: str
    state: str = ""
    condition: str = ""
    severity: str = ""
    title: str = ""
    cause: dict[str, str] = {}
    members: tuple[Member, ...] = ()
    began: str = ""
    detected: str = ""
    opened: str | None = None
    acknowledged: str | None = None
    acknowledged_by: str = ""
    recovering: str | None = None
    resolved: str | None = None
    resolved_by: str = ""
    reopenings: int = 0
    suppressed_by: str = ""
    simulated: bool = False
    duration_s: float = 0.0

    @property
    def standing(self) -> bool:
        """Whether it is still something to care about."""
        return self.state != "resolved"


class Transition(_Told, frozen=True):
    """One line of a timeline."""

    at: str
    rule: str = ""
    before: str | None = None
    after: str = ""
    text: str = ""
    actor: str = ""
    evidence: dict[str, Any] = {}


class Notice(_Told, frozen=True):
    """A message and what became of it."""

    channel: str
    event: str = ""
    at: str = ""
    not_before: str = ""
    state: str = ""
    error: str = ""


class Explanation(_Told, frozen=True):
    """Why an incident did, or did not, page."""

    incident: Incident
    sentences: tuple[str, ...] = ()
    ledger: tuple[dict[str, Any], ...] = ()
    timeline: tuple[Transition, ...] = ()
    notices: tuple[Notice, ...] = ()


class Update(_Told, frozen=True):
    """What somebody wrote on the status page."""

    at: str = ""
    status: str = ""
    body: str = ""


class Region(_Told, frozen=True):
    """A region and its agents."""

    region: str
    domain: str = ""
    state: str = "waiting"
    since: str = ""
    reason: str = ""
    agents: tuple[dict[str, Any], ...] = ()


class Summary(_Told, frozen=True):
    """The whole in a few figures."""

    monitors: dict[str, int] = {}
    incidents: int = 0
    regions: dict[str, str] = {}
    uptime_24h: float | None = None
    pages_24h: int = 0
    checks_per_s: float = 0.0
    now: str = ""


class Day(_Told, frozen=True):
    """A day of UTC."""

    day: str
    downtime_s: float = 0.0
    uptime: float | None = None
    """``None``: it was not watched."""


class Bucket(_Told, frozen=True):
    """Results in one region over one step of time."""

    at: str
    region: str = ""
    up: int = 0
    down: int = 0
    unknown: int = 0
    p50_ms: float | None = None
    p95_ms: float | None = None
    p99_ms: float | None = None
    phases_ms: dict[str, float] = {}


class Check(_Told, frozen=True):
    """One result."""

    region: str
    at: str = ""
    outcome: str = "unknown"
    failure: str = ""
    total_ms: float = 0.0
    status: int = 0
    detail: str = ""
    confirm: bool = False
    late: bool = False
    simulated: bool = False


class Whoami(_Told, frozen=True):
    """What the key may do."""

    role: str = ""
    scopes: tuple[str, ...] = ()

    @property
    def may_write(self) -> bool:
        """Acknowledge, resolve, note, simulate."""
        return "netpulse:write" in self.scopes

    @property
    def may_administer(self) -> bool:
        """Test channels."""
        return "netpulse:admin" in self.scopes


class _Monitors(_Told, frozen=True):
    monitors: tuple[Monitor, ...] = ()
    next: str | None = None


class _Incidents(_Told, frozen=True):
    incidents: tuple[Incident, ...] = ()
    next: str | None = None


class _Series(_Told, frozen=True):
    regions: dict[str, tuple[Bucket, ...]] = {}


class _Days(_Told, frozen=True):
    days: tuple[Day, ...] = ()


class _Checks(_Told, frozen=True):
    checks: tuple[Check, ...] = ()


class _Updates(_Told, frozen=True):
    updates: tuple[Update, ...] = ()


class _Channel(_Told, frozen=True):
    id: str
    kind: str = ""


class _Channels(_Told, frozen=True):
    channels: tuple[_Channel, ...] = ()


class _Nothing(_Told, frozen=True):
    """An object, whatever it holds."""


class NetpulseApi(ServiceApi):
    """A client over a session of :func:`.service.http_session`. Every method raises :class:`ServiceProblem`."""

    def __init__(self, url: str, http: aiohttp.ClientSession) -> None:
        super().__init__("NetPulse", url, http, answer_bytes=ANSWER_BYTES)

    async def whoami(self, key: str) -> Whoami:
        """The rights of a key; none where the API does not say."""
        try:
            return await self.ask("GET", "/v1/whoami", Whoami, key=key)
        except ServiceProblem as problem:
            if problem.status == 404:
                return Whoami()
            raise

    async def summary(self, key: str) -> Summary:
        """The whole in a few figures."""
        return await self.ask("GET", "/v1/summary", Summary, key=key)

    async def monitors(self, key: str) -> tuple[Monitor, ...]:
        """Every monitor of the tenant, at most :data:`MOST_MONITORS`."""
        found: list[Monitor] = []
        after: str | None = ""
        while after is not None and len(found) < MOST_MONITORS:
            page = await self.ask("GET", "/v1/monitors", _Monitors, key=key, params={"after": after} if after else {})
            found += page.monitors
            after = page.next
        return tuple(found)

    async def monitor(self, key: str, id: str) -> Monitor:
        """One monitor."""
        return await self.ask("GET", _at("monitors", id), Monitor, key=key)

    async def series(self, key: str, id: str, *, since: str, step: str) -> tuple[Bucket, ...]:
        """Its results by region and step."""
        params = {"since": since, "step": step}
        got = await self.ask("GET", f"{_at('monitors', id)}/metrics", _Series, key=key, params=params)
        named = ((name, bucket) for name, steps in got.regions.items() for bucket in steps)
        return tuple(msgspec.structs.replace(bucket, region=name) for name, bucket in named)

    async def days(self, key: str, id: str, *, count: int) -> tuple[Day, ...]:
        """Its last days, today last."""
        params = {"days": str(count)}
        return (await self.ask("GET", f"{_at('monitors', id)}/days", _Days, key=key, params=params)).days

    async def checks(self, key: str, id: str, *, limit: int) -> tuple[Check, ...]:
        """Its last results, newest first."""
        params = {"limit": str(limit)}
        return (await self.ask("GET", f"{_at('monitors', id)}/checks", _Checks, key=key, params=params)).checks

    async def incidents(
        self, key: str, *, standing: bool | None = None, monitor: str = "", limit: int = 25, before: str = ""
    ) -> _Incidents:
        """Incidents, newest first, and the cursor of those before them."""
        params = {"limit": str(limit)}
        if standing is not None:
            params["standing"] = "true" if standing else "false"
        params.update({name: value for name, value in (("monitor", monitor), ("before", before)) if value})
        return await self.ask("GET", "/v1/incidents", _Incidents, key=key, params=params)

    async def explain(self, key: str, id: str) -> Explanation:
        """An incident with its evidence, its timeline and who was told."""
        return await self.ask("GET", f"{_at('incidents', id)}/explain", Explanation, key=key)

    async def act(self, key: str, id: str, action: str, body: Mapping[str, str] | None = None) -> None:
        """``ack``, ``resolve`` or ``notes`` (with its ``text``)."""
        await self.ask("POST", f"{_at('incidents', id)}/{action}", _Nothing, key=key, body=dict(body or {}))

    async def updates(self, key: str, id: str) -> tuple[Update, ...] | None:
        """What was written about an incident on the status page; ``None`` where there is no such page."""
        try:
            return (await self.ask("GET", f"/v1/status{_at('incidents', id)[3:]}/updates", _Updates, key=key)).updates
        except ServiceProblem as problem:
            if problem.status in {404, 405}:
                return None
            raise

    async def publish(self, key: str, id: str, *, status: str, body: str) -> None:
        """Write on the status page."""
        path = f"/v1/status{_at('incidents', id)[3:]}/updates"
        await self.ask("POST", path, _Nothing, key=key, body={"status": status, "body": body})

    async def regions(self, key: str) -> tuple[Region, ...]:
        """Where from."""
        return await self.ask("GET", "/v1/regions", tuple[Region, ...], key=key)

    async def channels(self, key: str) -> tuple[_Channel, ...]:
        """Ways to tell somebody; none for those who may not know of them."""
        try:
            return (await self.ask("GET", "/v1/channels", _Channels, key=key)).channels
        except ServiceProblem as problem:
            if problem.status in {403, 404, 405}:
                return ()
            raise

    async def test_channel(self, key: str, id: str) -> None:
        """Send a test."""
        await self.ask("POST", f"{_at('channels', id)}/test", _Nothing, key=key, body={})

    async def simulate(self, key: str, id: str, kind: str, *, seconds: int) -> None:
        """Force a monitor ``down``, ``slow`` or ``flapping``; 0 seconds ends it."""
        body = {"monitor": id, "kind": kind, "for": f"{seconds}s" if seconds else "0"}
        await self.ask("POST", "/v1/simulate", _Nothing, key=key, body=body)

    @asynccontextmanager
    async def events(self, key: str) -> AsyncIterator[AsyncIterator[bytes]]:
        """What happens, as server-sent events."""
        async with self.stream("/v1/events", key=key) as pieces:
            yield pieces


def _at(what: str, id: str) -> str:
    """The path of a thing. What cannot be an id is not sent: ``..`` would be another path."""
    if not _ID.fullmatch(id):
        raise ServiceProblem(404, "Not found", f"that is not the id of one of the {what}")
    return f"/v1/{what}/{quote(id, safe='')}"
