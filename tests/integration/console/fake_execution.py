"""An execution API that says what a test wants, in the shapes of the real one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

KEY = "hf_test_0123456789abcdefghijklmnopqrstuv"
LIMITS = {"wall_s": 10.0, "cpu_s": 10.0, "memory_bytes": 256 * 2**20, "output_bytes": 2**20, "processes": 64}
RUNTIMES: list[dict[str, Any]] = [
    {"language": "python", "title": "Python", "version": "3.11.2", "available": True, "package": "python3"},
    {"language": "cpp", "title": "C++", "version": "12.2.0", "available": True, "package": "g++"},
    {"language": "rust", "title": "Rust", "version": None, "available": False, "package": "rustc"},
]


class FakeExecution:
    """State that tests set and read. ``problem`` answers everything but health, when it is set."""

    def __init__(self) -> None:
        self.url = ""
        self.keys = {KEY}
        self.jobs: dict[str, dict[str, Any]] = {}
        self.programs: dict[str, dict[str, Any]] = {}
        self.runtimes: list[dict[str, Any]] = list(RUNTIMES)
        self.problem: dict[str, Any] | None = None
        self.refusal: dict[str, Any] | None = None
        """Answers submissions, when it is set."""
        self.submitted: list[dict[str, Any]] = []
        self.idempotency: dict[str, str] = {}
        self.cancelled: list[str] = []
        self.asked: list[tuple[str, str, dict[str, str]]] = []
        """Method, path with query, headers of every request."""
        self.events: dict[str, list[tuple[int, str, str]]] = {}
        self.changed = asyncio.Event()
        self.live = True
        """Whether event streams are given."""
        self.streams = 0
        """Event streams that are open."""

    def add(self, id: str, **changes: Any) -> dict[str, Any]:
        """A job; finished and well unless told otherwise."""
        job: dict[str, Any] = {
            "id": id,
            "status": "finished",
            "verdict": "ok",
            "language": "python",
            "priority": "normal",
            "attempts": 1,
            "worker": "w1",
            "queued_ms": 3.2,
            "cost": {"cpu_s": 0.02, "amount": 0.0000003, "currency": "USD"},
            "cancel_requested": False,
            "dead_reason": None,
            "metadata": {},
            "submitted_at": "2026-01-31T12:00:00.000Z",
            "started_at": "2026-01-31T12:00:00.003Z",
            "finished_at": "2026-01-31T12:00:00.043Z",
            "deadline": None,
            "expires_at": "2026-02-07T12:00:00.043Z",
            "expired": False,
            "exit_code": 0,
            "signal": None,
            "message": None,
            "stdout": "Hello, Ada, from Python 3.11.2\n",
            "stderr": "",
            "encoding": "text",
            "stdout_truncated": False,
            "stderr_truncated": False,
            "compile": None,
            "cpu_ms": 18.4,
            "wall_ms": 41.0,
            "memory_bytes": 9_437_184,
            "callback_url": None,
        }
        job.update(changes)
        self.jobs[id] = job
        self.programs.setdefault(
            id,
            {
                "language": job["language"],
                "entry": "main.py",
                "files": [{"path": "main.py", "content": "print('Hello')\n"}],
                "stdin": "Ada\n",
                "args": ["a b", "c"],
                "limits": LIMITS,
            },
        )
        return job

    def begin(self, id: str, **changes: Any) -> None:
        """A job that runs."""
        unknown = dict.fromkeys(("verdict", "exit_code", "stdout", "stderr", "cpu_ms", "wall_ms", "memory_bytes"))
        self.add(id, status="running", finished_at=None, expires_at=None, **{**unknown, **changes})
        self.tell(id, "queued", "{}")
        self.tell(id, "started", "{}")

    def tell(self, id: str, kind: str, data: str) -> None:
        """An event for whoever watches."""
        events = self.events.setdefault(id, [])
        events.append((len(events) + 1, kind, data))
        self.changed.set()

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[FakeExecution]:
        """Listen on a free port."""
        app = web.Application(middlewares=[self._first])
        app.add_routes(
            [
                web.get("/readyz", self._ready),
                web.get("/v1/runtimes", self._runtimes),
                web.get("/v1/quotas", self._quotas),
                web.get("/v1/jobs", self._list),
                web.post("/v1/jobs", self._submit),
                web.get("/v1/jobs/{id}", self._job),
                web.delete("/v1/jobs/{id}", self._cancel),
                web.get("/v1/jobs/{id}/program", self._program),
                web.get("/v1/jobs/{id}/events", self._events),
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
        self.asked.append((request.method, request.path_qs, dict(request.headers)))
        if request.path != "/readyz":
            if request.headers.get("Authorization", "").removeprefix("Bearer ") not in self.keys:
                return _problem({"status": 401, "title": "No valid API key", "detail": "the key is not known"})
            if self.problem is not None:
                return _problem(self.problem)
            id = request.match_info.get("id")
            if id is not None and id not in self.jobs:
                return _problem({"status": 404, "title": "Not found", "detail": "there is no such job"})
        response: web.StreamResponse = await handler(request)
        return response

    async def _ready(self, _: web.Request) -> web.Response:
        return web.json_response({"status": "ok"}, status=200 if self.problem is None else 503)

    async def _runtimes(self, _: web.Request) -> web.Response:
        return web.json_response({"runtimes": self.runtimes})

    async def _quotas(self, _: web.Request) -> web.Response:
        limits = {"wall": 10.0, "cpu": 10.0, "memory": 256 * 2**20, "output": 2**20, "processes": 64}
        return web.json_response({"limits": limits, "ceilings": {**limits, "wall": 300.0, "memory": 2**31}})

    async def _list(self, request: web.Request) -> web.Response:
        status, cursor = request.query.get("status"), request.query.get("cursor", "~")
        found = [self.jobs[id] for id in sorted(self.jobs, reverse=True) if id < cursor]
        found = [job for job in found if status in {None, job["status"]}]
        limit = int(request.query.get("limit", "50"))
        page = found[:limit]
        return web.json_response({"jobs": page, "next": page[-1]["id"] if len(found) > limit else None})

    async def _submit(self, request: web.Request) -> web.Response:
        body = await request.json()
        if self.refusal is not None:
            return _problem(self.refusal)
        key = request.headers["Idempotency-Key"]
        if key not in self.idempotency:
            self.submitted.append(body)
            id = f"JOB{len(self.submitted)}"
            self.idempotency[key] = id
            self.begin(id, language=body["language"])
        id = self.idempotency[key]
        answer = {"id": id, "status": "queued", "position_estimate": 0, "links": {"self": f"/v1/jobs/{id}"}}
        return web.json_response(answer, status=202)

    async def _job(self, request: web.Request) -> web.Response:
        id = request.match_info["id"]
        if wait := request.query.get("wait"):
            try:
                async with asyncio.timeout(float(wait.removesuffix("s"))):
                    while self.jobs[id]["status"] not in {"finished", "dead"}:
                        self.changed.clear()
                        await self.changed.wait()
            except TimeoutError:
                pass
        return web.json_response(self.jobs[id])

    async def _cancel(self, request: web.Request) -> web.Response:
        id = request.match_info["id"]
        self.cancelled.append(id)
        self.jobs[id]["cancel_requested"] = True
        self.tell(id, "cancelling", "{}")
        return web.json_response(self.jobs[id])

    async def _program(self, request: web.Request) -> web.Response:
        program = self.programs.get(request.match_info["id"])
        if program is None:
            return _problem({"status": 404, "title": "Not found", "detail": "it has expired"})
        return web.json_response(program)

    async def _events(self, request: web.Request) -> web.StreamResponse:
        id = request.match_info["id"]
        if not self.live:
            return _problem({"status": 429, "title": "Too many requests are held open"})
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        after = int(request.headers.get("Last-Event-ID", "0"))
        self.streams += 1
        try:
            while True:
                for seq, kind, data in self.events.get(id, [])[after:]:
                    await response.write(f"id: {seq}\nevent: {kind}\ndata: {data}\n\n".encode())
                    after = seq
                if self.jobs[id]["status"] in {"finished", "dead"}:
                    return response
                self.changed.clear()
                await self.changed.wait()
        finally:
            self.streams -= 1


def _problem(body: dict[str, Any]) -> web.Response:
    headers = {}
    if "retry_after_s" in body:
        headers["Retry-After"] = str(int(body["retry_after_s"]) + 1)
    return web.json_response(body, status=body["status"], headers=headers, content_type="application/problem+json")
