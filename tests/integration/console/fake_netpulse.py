"""A NetPulse API that says what a test wants, in the shapes of the real one."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from aiohttp import web

from tests.integration.console.fake_execution import KEY

NOW = datetime.now(UTC).replace(microsecond=0)
REGIONS = ("ap", "eu", "us")
ADMIN = ["netpulse:read", "netpulse:write", "netpulse:admin"]


EVIDENCE: dict[str, Any] = {
    "threshold": 13.0,
    "cap": 6.5,
    "total": 13.0,
    "lone": False,
    "domains": [{"domain": "aws", "sum": 6.5, "recovery": 0.0}, {"domain": "gcp", "sum": 6.5, "recovery": 0.0}],
    "regions": [
        {"region": "eu", "domain": "aws", "failing": True, "good": 0.98, "bad": 0.02, "stuck": 0.0, "llr": 5.4},
        {"region": "us", "domain": "gcp", "failing": True, "good": 0.99, "bad": 0.01, "stuck": 0.0, "llr": 5.4},
    ],
}


def stamp(ago_s: float = 0.0) -> str:
    """A time before the fake's now."""
    return (NOW - timedelta(seconds=ago_s)).strftime("%Y-%m-%dT%H:%M:%S.000Z")


def beat(ago: int, *, up: int = 3, down: int = 0, unknown: int = 0) -> dict[str, Any]:
    """The bar of ``ago`` minutes before now."""
    return {"at": stamp(60 * ago), "up": up, "down": down, "unknown": unknown, "p50_ms": 40.0}


class FakeNetpulse:
    """State that tests set and read."""

    def __init__(self) -> None:
        self.url = ""
        self.scopes: list[str] = list(ADMIN)
        self.monitors: dict[str, dict[str, Any]] = {}
        self.incidents: dict[str, dict[str, Any]] = {}
        self.explanations: dict[str, dict[str, Any]] = {}
        self.channels: list[dict[str, Any]] = [{"id": "on-call", "kind": "pagerduty"}]
        self.regions: list[dict[str, Any]] = [region(name) for name in REGIONS]
        self.buckets: dict[str, list[dict[str, Any]]] = {}
        self.days: dict[str, list[dict[str, Any]]] = {}
        self.checks: dict[str, list[dict[str, Any]]] = {}
        self.page = 500
        """Monitors of one answer."""
        self.problem: dict[str, Any] | None = None
        self.done: list[tuple[str, dict[str, Any]]] = []
        """Path and body of every POST."""
        self.queues: list[asyncio.Queue[bytes]] = []
        """One for each open stream."""

    def add(self, id: str, **changes: Any) -> dict[str, Any]:
        """A monitor; up and well unless told otherwise."""
        monitor: dict[str, Any] = {
            "id": id,
            "name": id.replace("-", " ").title(),
            "group": "",
            "tags": {},
            "kind": "http",
            "target": f"https://{id}.example/health",
            "interval_s": 30.0,
            "regions": list(REGIONS),
            "depends_on": [],
            "source": "file",
            "state": "up",
            "doubt": 0.0,
            "since": stamp(86_400),
            "last": [
                {
                    "region": r,
                    "at": stamp(20),
                    "outcome": "up",
                    "failure": "",
                    "total_ms": 41.5,
                    "status": 200,
                    "detail": "",
                }
                for r in REGIONS
            ],
            "beats": [beat(59 - n) for n in range(60)],
            "uptime": {"24h": 1.0, "7d": 0.99987, "30d": 0.9991, "90d": None},
            "p95_ms": 61.2,
            "cert_days": 62.0,
            "incident": None,
            "delay_s": 21.0,
            "simulated": None,
            "public": False,
            "paused": False,
            "objective": None,
        }
        monitor.update(changes)
        self.monitors[id] = monitor
        return monitor

    def history(self, id: str) -> None:
        """Six hours of figures, 90 days of counts, and some checks."""
        fine = []
        for n in range(72):
            for number, name in enumerate(REGIONS):
                p95 = 60.0 + 45 * number + (n * 7919 + number * 31) % 23
                fine.append(
                    {
                        "region": name,
                        "at": stamp(300 * (71 - n)),
                        "up": 10,
                        "down": 3 if n in {40, 41} else 0,
                        "unknown": 0,
                        "p50_ms": p95 * 0.7,
                        "p95_ms": None if n == 41 else p95,
                        "p99_ms": p95 * 1.3,
                        "phases_ms": {
                            "resolve": 3.0,
                            "connect": 12.0,
                            "tls": 20.0,
                            "first_byte": 25.0,
                            "transfer": 2.0,
                        },
                    }
                )
        lost = {4: 15_000.0, 20: 90.0}
        self.days[id] = [
            {
                "day": stamp(86_400 * ago)[:10],
                "downtime_s": lost.get(ago, 0.0),
                "uptime": None if ago > 80 else 1 - lost.get(ago, 0.0) / 86_400,
            }
            for ago in reversed(range(90))
        ]
        self.buckets[id] = fine
        self.checks[id] = [
            {
                "region": REGIONS[n % 3],
                "at": stamp(10 * n),
                "outcome": "down" if n in {3, 4} else "up",
                "failure": "status" if n in {3, 4} else "",
                "total_ms": 44.0,
                "status": 503 if n in {3, 4} else 200,
                "detail": "503 Service Unavailable" if n in {3, 4} else "",
                "confirm": n == 3,
            }
            for n in range(25)
        ]

    def happen(self, id: str, **changes: Any) -> dict[str, Any]:
        """An incident; open unless told otherwise."""
        monitor = changes.pop("monitor", "shop")
        incident: dict[str, Any] = {
            "id": id,
            "state": "open",
            "condition": "down",
            "severity": "page",
            "title": f"{monitor} is down",
            "cause": {"kind": "monitor", "value": monitor},
            "members": [
                {
                    "monitor": monitor,
                    "name": monitor.title(),
                    "condition": "down",
                    "began": stamp(300),
                    "joined": stamp(280),
                    "until": None,
                    "evidence": {},
                }
            ],
            "began": stamp(300),
            "detected": stamp(280),
            "opened": stamp(275),
            "acknowledged": None,
            "acknowledged_by": "",
            "recovering": None,
            "resolved": None,
            "resolved_by": "",
            "reopenings": 0,
            "suppressed_by": "",
            "simulated": False,
            "duration_s": 300.0,
            "url": "",
        }
        incident.update(changes)
        self.incidents[id] = incident
        self.explanations[id] = {
            "sentences": [
                "eu saw it fail first at 11:55:00, us and ap were asked at once and saw the same",
                "the evidence reached 13.1 of 13.0 after 20 seconds",
            ],
            "ledger": [{"monitor": monitor, "condition": "down", "decided_by": EVIDENCE, "now": {}}],
            "timeline": [
                {
                    "number": 1,
                    "at": stamp(280),
                    "rule": "incident.detected",
                    "before": None,
                    "after": "detected",
                    "text": "the evidence reached the threshold",
                    "actor": "",
                    "evidence": {},
                },
                {
                    "number": 2,
                    "at": stamp(275),
                    "rule": "incident.open",
                    "before": "detected",
                    "after": "open",
                    "text": "on-call is told",
                    "actor": "",
                    "evidence": {},
                },
            ],
            "notices": [
                {
                    "key": f"{id}/2/opened/on-call",
                    "channel": "on-call",
                    "event": "opened",
                    "at": stamp(275),
                    "not_before": stamp(275),
                    "state": "sent",
                    "error": "",
                },
                {
                    "key": f"{id}/2/opened/mail",
                    "channel": "mail",
                    "event": "opened",
                    "at": stamp(275),
                    "not_before": stamp(275),
                    "state": "failed",
                    "error": "550 no such mailbox",
                },
            ],
        }
        return incident

    def tell(self, kind: str, body: dict[str, Any]) -> None:
        """An event for whoever watches."""
        for queue in self.queues:
            queue.put_nowait(f"event: {kind}\ndata: {json.dumps(body)}\n\n".encode())

    def break_streams(self) -> None:
        """End every open stream."""
        for queue in self.queues:
            queue.put_nowait(b"")

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[FakeNetpulse]:
        """Listen on a free port."""
        app = web.Application(middlewares=[self._first])
        app.add_routes(
            [
                web.get("/readyz", self._ready),
                web.get("/v1/whoami", self._whoami),
                web.get("/v1/summary", self._summary),
                web.get("/v1/monitors", self._monitors),
                web.get("/v1/monitors/{monitor}", self._monitor),
                web.get("/v1/monitors/{monitor}/metrics", self._metrics),
                web.get("/v1/monitors/{monitor}/days", self._days),
                web.get("/v1/monitors/{monitor}/checks", self._checks),
                web.get("/v1/incidents", self._incidents),
                web.get("/v1/incidents/{incident}/explain", self._explain),
                web.get("/v1/regions", self._regions),
                web.get("/v1/channels", self._channels),
                web.get("/v1/events", self._events),
                web.post("/v1/incidents/{incident}/{action}", self._act),
                web.post("/v1/channels/{channel}/test", self._act),
                web.post("/v1/simulate", self._act),
            ]
        )
        runner = web.AppRunner(
            app, access_log=None, handle_signals=False, handler_cancellation=True, shutdown_timeout=1.0
        )
        await runner.setup()
        try:
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
            yield self
        finally:
            await runner.cleanup()

    @web.middleware
    async def _first(self, request: web.Request, handler: Any) -> web.StreamResponse:
        if request.path != "/readyz":
            if request.headers.get("Authorization") != f"Bearer {KEY}":
                return _problem({"status": 401, "title": "No valid API key", "detail": "the key is not known"})
            if self.problem is not None:
                return _problem(self.problem)
            for name, known in (("monitor", self.monitors), ("incident", self.incidents)):
                if request.match_info.get(name, next(iter(known), None)) not in (*known, None):
                    return _problem({"status": 404, "title": "Not found", "detail": f"there is no such {name}"})
        response: web.StreamResponse = await handler(request)
        return response

    async def _ready(self, _: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    async def _whoami(self, _: web.Request) -> web.Response:
        return web.json_response({"tenant": "default", "role": "admin", "scopes": self.scopes})

    async def _summary(self, _: web.Request) -> web.Response:
        states = [monitor["state"] for monitor in self.monitors.values()]
        summary = {
            "monitors": {state: states.count(state) for state in set(states)},
            "incidents": len(self.incidents),
            "regions": {it["region"]: it["state"] for it in self.regions},
            "uptime_24h": 0.99954 if states else None,
            "pages_24h": 2,
            "checks_per_s": 6.66,
            "now": stamp(),
        }
        return web.json_response(summary)

    async def _monitors(self, request: web.Request) -> web.Response:
        names = [name for name in sorted(self.monitors) if name > request.query.get("after", "")]
        page = names[: self.page]
        following = page[-1] if len(names) > self.page else None
        return web.json_response({"monitors": [self.monitors[name] for name in page], "next": following})

    async def _monitor(self, request: web.Request) -> web.Response:
        return web.json_response(self.monitors[request.match_info["monitor"]])

    async def _metrics(self, request: web.Request) -> web.Response:
        steps: dict[str, list[dict[str, Any]]] = {}
        for bucket in self.buckets.get(request.match_info["monitor"], []):
            steps.setdefault(bucket["region"], []).append({k: v for k, v in bucket.items() if k != "region"})
        return web.json_response({"regions": steps, "step_s": 300.0})

    async def _days(self, request: web.Request) -> web.Response:
        return web.json_response({"days": self.days.get(request.match_info["monitor"], [])})

    async def _checks(self, request: web.Request) -> web.Response:
        return web.json_response({"checks": self.checks.get(request.match_info["monitor"], []), "next": None})

    async def _incidents(self, request: web.Request) -> web.Response:
        found = sorted(self.incidents.values(), key=lambda it: str(it["id"]), reverse=True)
        if standing := request.query.get("standing"):
            found = [it for it in found if (it["state"] != "resolved") == (standing == "true")]
        if monitor := request.query.get("monitor"):
            found = [it for it in found if any(member["monitor"] == monitor for member in it["members"])]
        if before := request.query.get("before"):
            found = [it for it in found if it["id"] < before]
        page = found[: int(request.query["limit"])]
        following = page[-1]["id"] if len(found) > len(page) else None
        return web.json_response({"incidents": page, "next": following})

    async def _explain(self, request: web.Request) -> web.Response:
        id = request.match_info["incident"]
        return web.json_response({"incident": self.incidents[id], **self.explanations[id]})

    async def _regions(self, _: web.Request) -> web.Response:
        return web.json_response(self.regions)

    async def _channels(self, _: web.Request) -> web.Response:
        return web.json_response({"channels": self.channels})

    async def _act(self, request: web.Request) -> web.Response:
        self.done.append((request.path, await request.json()))
        return web.json_response({})

    async def _events(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        queue: asyncio.Queue[bytes] = asyncio.Queue()
        self.queues.append(queue)
        try:
            while piece := await queue.get():
                await response.write(piece)
            return response
        finally:
            self.queues.remove(queue)


def region(name: str, **changes: Any) -> dict[str, Any]:
    """A region whose agent sees."""
    agent = {
        "agent": f"{name}-1",
        "state": "seeing",
        "seen": stamp(2),
        "version": "0.4.0",
        "spooled": 0,
        "dropped": 0,
        "lag_p99_ms": 12.0,
        "clock_offset_s": 0.02,
    }
    return {
        "region": name,
        "domain": "aws",
        "state": "seeing",
        "since": stamp(9000),
        "reason": "",
        "agents": [agent],
        **changes,
    }


def _problem(body: dict[str, Any]) -> web.Response:
    return web.json_response(body, status=body["status"], content_type="application/problem+json")
