"""The execution service as the command line talks to it."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Mapping
from typing import Any, Final, Self

import aiohttp

from holdfast.kernel import HoldfastError

CONNECT_S: Final = 5.0
ANSWER_S: Final = 30.0
SILENCE_S: Final = 45.0
"""A stream of events that is silent for longer is dead: the service sends a comment every 15 s."""
RECONNECTS: Final = 20
"""How often a stream is taken up again without a single event in between."""
MAX_LINE_BYTES: Final = 64 * 2**20
"""Longest event: all output that a job may have, in one piece, as base64."""
_MISTAKES: Final = frozenset({400, 404, 409, 413, 415, 422})
"""Statuses that the same request will always get."""


class RemoteError(HoldfastError):
    """The service did not do what it was asked to; the text says why and what to do."""

    def __init__(self, message: str, *, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.exit_code = 2 if status in _MISTAKES else 1


class Service:
    """A connection to the service at ``url``, as the owner of ``key``. An asynchronous context."""

    def __init__(self, url: str, key: str) -> None:
        self._url = url.rstrip("/")
        # A line of an event stream is as long as a chunk of output; aiohttp reads at most this much at a time.
        self._session = aiohttp.ClientSession(
            headers={"Authorization": f"Bearer {key}"},
            timeout=aiohttp.ClientTimeout(total=ANSWER_S, connect=CONNECT_S),
            cookie_jar=aiohttp.DummyCookieJar(),
            read_bufsize=MAX_LINE_BYTES,
        )

    async def __aenter__(self) -> Self:
        """Itself; the connection is closed at the end."""
        return self

    async def __aexit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        """Close."""
        await self._session.close()

    async def get(self, path: str, **query: str) -> dict[str, Any]:
        """Ask for something. Raises :class:`RemoteError`."""
        return await self._ask("GET", path, params=query)

    async def post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Tell it something. Raises :class:`RemoteError`."""
        return await self._ask("POST", path, json=body)

    async def delete(self, path: str) -> dict[str, Any]:
        """Have something removed. Raises :class:`RemoteError`."""
        return await self._ask("DELETE", path)

    async def events(self, id: str) -> AsyncIterator[tuple[str, dict[str, Any]]]:
        """What happens to a job, to its end, as kind and fields; output is ``bytes`` in ``data``.

        A stream that breaks is taken up where it broke. Raises :class:`RemoteError` when that fails too often.
        """
        last, failures = "", 0
        while True:
            try:
                async for kind, number, fields in self._stream(id, last):
                    last, failures = number or last, 0
                    yield kind, fields
                    if kind in ("finished", "dead"):
                        return
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                if failures >= RECONNECTS:
                    raise self._unreachable(error) from error
            else:
                if failures >= RECONNECTS:
                    raise RemoteError(f"{self._url}: the events of job {id} end without an end; ask for the job later")
            failures += 1
            await asyncio.sleep(min(0.1 * 2**failures, 5.0))

    async def _stream(self, id: str, last: str) -> AsyncIterator[tuple[str, str, dict[str, Any]]]:
        headers = {"Accept": "text/event-stream"} | ({"Last-Event-ID": last} if last else {})
        timeout = aiohttp.ClientTimeout(total=None, connect=CONNECT_S, sock_read=SILENCE_S)
        url = f"{self._url}/v1/jobs/{id}/events"
        async with self._session.get(url, params={"encoding": "base64"}, headers=headers, timeout=timeout) as answer:
            if answer.status == 204:  # nothing more than what came already
                yield "finished", "", {}
                return
            await self._refuse_failure(answer)
            kind, number, data = "message", "", ""
            async for raw in answer.content:
                name, _, value = raw.decode("utf-8", "replace").rstrip("\r\n").partition(":")
                value = value.removeprefix(" ")
                if name == "event":
                    kind = value
                elif name == "id":
                    number = value
                elif name == "data":
                    data += value
                elif not name and not value and data:
                    fields = json.loads(data)
                    if "base64" in fields:
                        fields["data"] = base64.b64decode(fields.pop("base64"))
                    yield kind, number, fields
                    kind, number, data = "message", "", ""

    async def _ask(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        try:
            async with self._session.request(method, f"{self._url}{path}", **options) as answer:
                await self._refuse_failure(answer)
                body = await answer.json(content_type=None)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise self._unreachable(error) from error
        except ValueError as error:
            raise RemoteError(f"{self._url}{path} answered no JSON; is it the execution service?") from error
        if not isinstance(body, dict):
            raise RemoteError(f"{self._url}{path} answered no JSON object; is it the execution service?")
        return body

    async def _refuse_failure(self, answer: aiohttp.ClientResponse) -> None:
        if answer.status < 300:
            return
        try:
            problem = json.loads(await answer.content.read(64 * 1024))
        except ValueError:
            problem = None
        if not isinstance(problem, dict) or "title" not in problem:
            raise RemoteError(
                f"{answer.url} answered {answer.status}; is it the execution service?", status=answer.status
            )
        text = f"{problem['title']}: {problem.get('detail', '')}".rstrip(": ")
        if answer.status in (401, 403):
            text += "; give another key with --key or HOLDFAST_KEY"
        elif wait := answer.headers.get("Retry-After"):
            text += f"; try again in {wait} s"
        raise RemoteError(" ".join(text.split()), status=answer.status)

    def _unreachable(self, error: Exception) -> RemoteError:
        said = str(error) or type(error).__name__
        return RemoteError(
            f"{self._url} cannot be reached: {said}; start it with `holdfast up`, or correct --url or HOLDFAST_URL"
        )
