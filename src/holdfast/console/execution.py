"""The execution API as the console uses it: typed answers, deadlines, bounded bodies.

Structs name only what a page shows; what else the API sends is passed over, and what it does not
send has a default, so that console and API need not be of the same version.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final, TypeVar

import aiohttp
import msgspec

from holdfast.console.errors import ServiceProblem

ANSWER_BYTES: Final = 100 * 2**20
"""An answer with 16 MiB of output, the highest ceiling, is this long when every byte had to be escaped in JSON."""
PROBLEM_BYTES: Final = 64 * 1024
CONNECT_S: Final = 2.0
ANSWER_S: Final = 10.0
READY_S: Final = 1.0
"""A service that takes longer to say that it is ready is not."""
SILENCE_S: Final = 60.0
"""An event stream that says nothing for this long is given up; the API sends a comment every 15 s."""
POOL: Final = 256
"""Connections to the API, those of event streams included."""

_ID: Final = re.compile(r"[0-9A-Za-z]{1,64}")

T = TypeVar("T")


def http_session() -> aiohttp.ClientSession:
    """Connections to services: bounded in number, without cookies; to be closed by whoever asked for it."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=POOL),
        timeout=aiohttp.ClientTimeout(total=ANSWER_S, sock_connect=CONNECT_S),
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=False,
    )


async def is_ready(http: aiohttp.ClientSession, url: str) -> bool:
    """Whether the service at ``url`` says that it takes work."""
    timeout = aiohttp.ClientTimeout(total=READY_S)
    try:
        async with http.get(f"{url}/readyz", timeout=timeout, allow_redirects=False) as answer:
            return answer.status == 200
    except (aiohttp.ClientError, OSError):  # includes TimeoutError
        return False


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


class _Problem(msgspec.Struct, frozen=True, kw_only=True):
    title: str = ""
    detail: str = ""
    field: str | None = None
    retry_after_s: float | None = None


class ExecutionApi:
    """A client over a session of :func:`http_session`. Every method raises :class:`ServiceProblem`."""

    def __init__(self, url: str, http: aiohttp.ClientSession, *, answer_s: float | None = None) -> None:
        self.url = url.rstrip("/")
        self._http = http
        self._answer_s = ANSWER_S if answer_s is None else answer_s

    async def runtimes(self, key: str) -> tuple[Runtime, ...]:
        """Every language that the service knows of."""
        return (await self._ask("GET", "/v1/runtimes", _Runtimes, key=key)).runtimes

    async def quotas(self, key: str) -> Quotas:
        """Limits of the tenant."""
        return await self._ask("GET", "/v1/quotas", Quotas, key=key)

    async def submit(self, key: str, submission: Submission, *, idempotency_key: str) -> Accepted:
        """Queue a program; the same key again gives the same job."""
        return await self._ask(
            "POST", "/v1/jobs", Accepted, key=key, body=submission, headers={"Idempotency-Key": idempotency_key}
        )

    async def job(self, key: str, id: str, *, wait_s: int = 0) -> Job:
        """A job, at once, or when it has ended but at the latest after ``wait_s``."""
        params = {"wait": f"{wait_s}s"} if wait_s else {}
        return await self._ask("GET", _job(id), Job, key=key, params=params, extra_s=wait_s)

    async def program(self, key: str, id: str) -> Program | None:
        """What was submitted; ``None`` once it has expired."""
        try:
            return await self._ask("GET", f"{_job(id)}/program", Program, key=key)
        except ServiceProblem as problem:
            if problem.status in {404, 405, 410}:
                return None
            raise

    async def jobs(self, key: str, *, status: str = "", cursor: str = "", limit: int = 25) -> Page:
        """A page of jobs."""
        params = {"limit": str(limit)}
        params.update({name: value for name, value in (("status", status), ("cursor", cursor)) if value})
        return await self._ask("GET", "/v1/jobs", Page, key=key, params=params)

    async def cancel(self, key: str, id: str) -> None:
        """Cancel a job in any state; one that has ended stays as it is."""
        await self._ask("DELETE", _job(id), _Nothing, key=key)

    @asynccontextmanager
    async def events(self, key: str, id: str, *, last_event_id: str | None) -> AsyncIterator[AsyncIterator[bytes]]:
        """The job's server-sent events, as bytes as they come."""
        headers = {"Accept": "text/event-stream", **({"Last-Event-ID": last_event_id} if last_event_id else {})}
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S, sock_read=SILENCE_S)
        async with self._request("GET", f"{_job(id)}/events", key=key, headers=headers, timeout=timeout) as answer:
            if answer.status != 200:
                raise await _problem(answer)
            if answer.content_type != "text/event-stream":
                raise ServiceProblem(502, "The execution service does not speak as expected", "no event stream came")
            yield answer.content.iter_any()

    async def _ask(
        self,
        method: str,
        path: str,
        kind: type[T],
        *,
        key: str,
        body: Submission | None = None,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        extra_s: float = 0.0,
    ) -> T:
        sent, data = dict(headers or {}), None
        if body is not None:
            data = msgspec.json.encode(body)
            sent["Content-Type"] = "application/json"
        timeout = aiohttp.ClientTimeout(total=self._answer_s + extra_s, sock_connect=CONNECT_S)
        async with self._request(
            method, path, key=key, headers=sent, params=params or {}, data=data, timeout=timeout
        ) as answer:
            if answer.status >= 300:
                raise await _problem(answer)
            received = await _read(answer, ANSWER_BYTES)
        try:
            return msgspec.json.decode(received, type=kind)
        except msgspec.MsgspecError as error:
            detail = f"{method} {path}: {error}"
            raise ServiceProblem(502, "The execution service does not speak as expected", detail) from error

    @asynccontextmanager
    async def _request(
        self, method: str, path: str, *, key: str, headers: Mapping[str, str], **options: Any
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        sent = {**headers, "Authorization": f"Bearer {key}"}
        try:
            async with self._http.request(
                method, self.url + path, headers=sent, allow_redirects=False, **options
            ) as answer:
                yield answer
        except TimeoutError as error:
            raise ServiceProblem(504, "The execution service did not answer in time", self.url) from error
        except (aiohttp.ClientError, OSError) as error:
            raise ServiceProblem(502, "The execution service cannot be reached", f"{self.url}: {error}") from error


def _job(id: str) -> str:
    """The path of a job. What cannot be an id is not sent: ``..`` would be another path."""
    if not _ID.fullmatch(id):
        raise ServiceProblem(404, "Not found", "that is not the id of a job")
    return f"/v1/jobs/{id}"


async def _read(answer: aiohttp.ClientResponse, most: int) -> bytes:
    data = bytearray()
    async for piece in answer.content.iter_any():
        data += piece
        if len(data) > most:
            raise ServiceProblem(502, "The execution service's answer is too large", f"more than {most} bytes")
    return bytes(data)


async def _problem(answer: aiohttp.ClientResponse) -> ServiceProblem:
    """What the service says is wrong; in its own words where it has any."""
    try:
        told = msgspec.json.decode(await _read(answer, PROBLEM_BYTES), type=_Problem)
    except (msgspec.MsgspecError, ServiceProblem):
        told = _Problem()
    after = told.retry_after_s
    if after is None and (text := answer.headers.get("Retry-After", "")).isascii() and text.isdigit():
        after = float(text[:9])
    return ServiceProblem(
        answer.status,
        told.title or f"The execution service answered {answer.status}",
        told.detail,
        field=told.field,
        retry_after_s=after,
    )
