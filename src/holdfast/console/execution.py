"""The execution API as the console uses it.

Structs name only what a page shows; what else the API sends is passed over, and what it does not
send has a default, so that console and API need not be of the same version.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Final

import aiohttp
import msgspec

from holdfast.console.errors import ServiceProblem
from holdfast.console.service import ServiceApi

ANSWER_BYTES: Final = 100 * 2**20
"""An answer with 16 MiB of output, the highest ceiling, is this long when every byte had to be escaped in JSON."""

_ID: Final = re.compile(r"[0-9A-Za-z]{1,64}")


class Runtime(msgspec.Struct, frozen=True, kw_only=True):
    """A language."""

    language: str
    title: str = ""
    version: str | None = None
    available: bool = False
    """Some worker offers it now."""
    package: str | None = None
    """What to install on a worker that lacks it."""


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What a run may use."""

    wall_s: float
    cpu_s: float
    memory_bytes: int
    output_bytes: int
    processes: int


class Compile(msgspec.Struct, frozen=True, kw_only=True):
    """What the compiler said."""

    exit_code: int | None = None
    signal: int | None = None
    stdout: str = ""
    stderr: str = ""
    truncated: bool = False
    cpu_ms: float = 0.0
    wall_ms: float = 0.0
    cached: bool = False


class Cost(msgspec.Struct, frozen=True, kw_only=True):
    """What a job was charged."""

    cpu_s: float = 0.0
    amount: float = 0.0
    currency: str = ""


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """A job, with its result once it has ended."""

    id: str
    status: str
    verdict: str | None = None
    language: str = ""
    attempts: int = 0
    worker: str | None = None
    queued_ms: float | None = None
    cost: Cost | None = None
    cancel_requested: bool = False
    dead_reason: str | None = None
    submitted_at: str | None = None
    started_at: str | None = None
    finished_at: str | None = None
    expires_at: str | None = None
    expired: bool = False
    exit_code: int | None = None
    signal: int | None = None
    message: str | None = None
    stdout: str | None = None
    stderr: str | None = None
    stdout_truncated: bool = False
    stderr_truncated: bool = False
    compile: Compile | None = None
    cpu_ms: float | None = None
    wall_ms: float | None = None
    memory_bytes: int | None = None

    @property
    def run_cpu_ms(self) -> float:
        """CPU time of the run alone, which is what its limit is for; ``cpu_ms`` is what is charged."""
        compiled = 0.0 if self.compile is None or self.compile.cached else self.compile.cpu_ms
        return max(0.0, (self.cpu_ms or 0.0) - compiled)

    @property
    def has_ended(self) -> bool:
        """Nothing more will happen to it, unless somebody replays it."""
        return self.status in {"finished", "dead"}


class File(msgspec.Struct, frozen=True, kw_only=True):
    """A source file; ``content`` is ``None`` when it is not text."""

    path: str
    content: str | None = None


class Program(msgspec.Struct, frozen=True, kw_only=True):
    """What a job runs."""

    language: str
    entry: str = ""
    files: tuple[File, ...] = ()
    stdin: str | None = None
    args: tuple[str, ...] = ()
    limits: Limits | None = None


class Quotas(msgspec.Struct, frozen=True, kw_only=True):
    """What a job has when it asks for nothing, and the most that it may ask for, by the name of the limit."""

    limits: dict[str, float] = msgspec.field(default_factory=dict)
    ceilings: dict[str, float] = msgspec.field(default_factory=dict)


class Submission(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A program to run. Limits as people write them; what is absent has the service's default."""

    language: str
    source: str
    stdin: str = ""
    args: tuple[str, ...] = ()
    limits: Mapping[str, str | int] = msgspec.field(default_factory=dict)


class Accepted(msgspec.Struct, frozen=True, kw_only=True):
    """The job is on disk."""

    id: str
    position_estimate: int = 0


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """Jobs, newest first; ``next`` is the cursor of the page after this one."""

    jobs: tuple[Job, ...] = ()
    next: str | None = None


class _Nothing(msgspec.Struct, frozen=True):
    """An object, whatever it holds."""


class _Runtimes(msgspec.Struct, frozen=True):
    runtimes: tuple[Runtime, ...] = ()


class ExecutionApi(ServiceApi):
    """A client over a session of :func:`.service.http_session`. Every method raises :class:`ServiceProblem`."""

    def __init__(self, url: str, http: aiohttp.ClientSession) -> None:
        super().__init__("The execution service", url, http, answer_bytes=ANSWER_BYTES)

    async def runtimes(self, key: str) -> tuple[Runtime, ...]:
        """Every language that the service knows of."""
        return (await self.ask("GET", "/v1/runtimes", _Runtimes, key=key)).runtimes

    async def quotas(self, key: str) -> Quotas:
        """Limits of the tenant."""
        return await self.ask("GET", "/v1/quotas", Quotas, key=key)

    async def submit(self, key: str, submission: Submission, *, idempotency_key: str) -> Accepted:
        """Queue a program; the same key again gives the same job."""
        return await self.ask(
            "POST", "/v1/jobs", Accepted, key=key, body=submission, headers={"Idempotency-Key": idempotency_key}
        )

    async def job(self, key: str, id: str, *, wait_s: int = 0) -> Job:
        """A job, at once, or when it has ended but at the latest after ``wait_s``."""
        params = {"wait": f"{wait_s}s"} if wait_s else {}
        return await self.ask("GET", _job(id), Job, key=key, params=params, extra_s=wait_s)

    async def program(self, key: str, id: str) -> Program | None:
        """What was submitted; ``None`` once it has expired."""
        try:
            return await self.ask("GET", f"{_job(id)}/program", Program, key=key)
        except ServiceProblem as problem:
            if problem.status in {404, 405, 410}:
                return None
            raise

    async def jobs(self, key: str, *, status: str = "", cursor: str = "", limit: int = 25) -> Page:
        """A page of jobs."""
        params = {"limit": str(limit)}
        params.update({name: value for name, value in (("status", status), ("cursor", cursor)) if value})
        return await self.ask("GET", "/v1/jobs", Page, key=key, params=params)

    async def cancel(self, key: str, id: str) -> None:
        """Cancel a job in any state; one that has ended stays as it is."""
        await self.ask("DELETE", _job(id), _Nothing, key=key)

    @asynccontextmanager
    async def events(self, key: str, id: str, *, last_event_id: str | None) -> AsyncIterator[AsyncIterator[bytes]]:
        """The job's server-sent events, as bytes as they come."""
        headers = {"Last-Event-ID": last_event_id} if last_event_id else {}
        async with self.stream(f"{_job(id)}/events", key=key, headers=headers) as pieces:
            yield pieces


def _job(id: str) -> str:
    """The path of a job. What cannot be an id is not sent: ``..`` would be another path."""
    if not _ID.fullmatch(id):
        raise ServiceProblem(404, "Not found", "that is not the id of a job")
    return f"/v1/jobs/{id}"
