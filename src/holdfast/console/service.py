"""How the console asks a service: typed answers, deadlines, bounded bodies, problems in the service's own words."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final, TypeVar

import aiohttp
import msgspec

from holdfast.console.errors import ServiceProblem

PROBLEM_BYTES: Final = 64 * 1024
CONNECT_S: Final = 2.0
ANSWER_S: Final = 10.0
READY_S: Final = 1.0
"""A service that takes longer to say that it is ready is not."""
SILENCE_S: Final = 60.0
"""An event stream that says nothing for this long is given up; the services send a comment every 15 s."""
POOL: Final = 256
"""Connections to services, those of event streams included."""

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


class _Problem(msgspec.Struct, frozen=True, kw_only=True):
    title: str = ""
    detail: str = ""
    field: str | None = None
    retry_after_s: float | None = None


class ServiceApi:
    """A client over a session of :func:`http_session`. Every method raises :class:`ServiceProblem`."""

    def __init__(self, name: str, url: str, http: aiohttp.ClientSession, *, answer_bytes: int) -> None:
        """``name`` begins sentences about the service; a longer answer than ``answer_bytes`` is a problem."""
        self.name = name
        self.url = url.rstrip("/")
        self._http = http
        self._answer_bytes = answer_bytes

    async def ask(
        self,
        method: str,
        path: str,
        kind: type[T],
        *,
        key: str,
        body: object = None,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        extra_s: float = 0.0,
    ) -> T:
        """One request; ``extra_s`` is what the service was asked to wait before it answers."""
        sent, data = dict(headers or {}), None
        if body is not None:
            data = msgspec.json.encode(body)
            sent["Content-Type"] = "application/json"
        timeout = aiohttp.ClientTimeout(total=ANSWER_S + extra_s, sock_connect=CONNECT_S)
        async with self._request(
            method, path, key=key, headers=sent, params=params or {}, data=data, timeout=timeout
        ) as answer:
            if answer.status >= 300:
                raise await self._problem(answer)
            received = await self._read(answer, self._answer_bytes)
        try:
            return msgspec.json.decode(received or b"{}", type=kind)
        except msgspec.MsgspecError as error:
            detail = f"{method} {path}: {error}"
            raise ServiceProblem(502, f"{self.name} does not speak as expected", detail) from error

    @asynccontextmanager
    async def stream(
        self, path: str, *, key: str, headers: Mapping[str, str] | None = None
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        """Server-sent events, as bytes as they come."""
        sent = {"Accept": "text/event-stream", **(headers or {})}
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S, sock_read=SILENCE_S)
        async with self._request("GET", path, key=key, headers=sent, timeout=timeout) as answer:
            if answer.status != 200:
                raise await self._problem(answer)
            if answer.content_type != "text/event-stream":
                raise ServiceProblem(502, f"{self.name} does not speak as expected", "no event stream came")
            yield answer.content.iter_any()

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
            raise ServiceProblem(504, f"{self.name} did not answer in time", self.url) from error
        except (aiohttp.ClientError, OSError) as error:
            raise ServiceProblem(502, f"{self.name} cannot be reached", f"{self.url}: {error}") from error

    async def _read(self, answer: aiohttp.ClientResponse, most: int) -> bytes:
        data = bytearray()
        async for piece in answer.content.iter_any():
            data += piece
            if len(data) > most:
                raise ServiceProblem(502, f"{self.name}'s answer is too large", f"more than {most} bytes")
        return bytes(data)

    async def _problem(self, answer: aiohttp.ClientResponse) -> ServiceProblem:
        """What the service says is wrong; in its own words where it has any."""
        try:
            told = msgspec.json.decode(await self._read(answer, PROBLEM_BYTES), type=_Problem)
        except (msgspec.MsgspecError, ServiceProblem):
            told = _Problem()
        after = told.retry_after_s
        if after is None and (text := answer.headers.get("Retry-After", "")).isascii() and text.isdigit():
            after = float(text[:9])
        return ServiceProblem(
            answer.status,
            told.title or f"{self.name} answered {answer.status}",
            told.detail,
            field=told.field,
            retry_after_s=after,
        )
