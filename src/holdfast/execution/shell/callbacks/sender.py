"""One signed request to a receiver that is not trusted.

The name is resolved here, every address judged, and the request sent to one of those addresses
by number: the HTTP client never sees a name, so it cannot look it up again. Certificates are
checked against the name. No redirects, no proxy of the environment, no cookies, one connection
per call; of the answer the head is read and the body is not.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeAlias

import aiohttp
from yarl import URL

from holdfast.execution.core.callback import Attempt, Target, judge_addresses, target
from holdfast.execution.core.settings import CallbackSettings

log = logging.getLogger(__name__)

HEAD_LIMIT: Final = 8190
"""Longest line of an answer's head; with at most 128 fields."""
ADDRESSES: Final = 3
"""Addresses of a name that are tried, one after the other, while none takes the connection."""
USER_AGENT: Final = "holdfast-callback"

Resolve: TypeAlias = Callable[[str, int], Awaitable[Sequence[str]]]
"""Host and port -> addresses as text. Raises ``OSError``."""
Judge: TypeAlias = Callable[[list[str]], str | None]
"""Why these addresses may not be called; ``None`` when they may."""


class Sender:
    """Sends. To be closed in the end."""

    def __init__(
        self,
        settings: CallbackSettings,
        *,
        resolve: Resolve | None = None,
        judge: Judge | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """``resolve``, ``judge`` and ``tls`` are replaced in tests."""
        self._settings = settings
        # Threads of our own: names that take long to resolve must not take those of everybody else.
        self._threads = ThreadPoolExecutor(max_workers=settings.concurrency, thread_name_prefix="callback-dns")
        self._resolve = resolve or self._look_up
        self._judge = judge or (lambda found: judge_addresses(found, allow_private=settings.allow_private))
        self._tls = tls
        self._session: aiohttp.ClientSession | None = None

    async def send(self, url: str, headers: Mapping[str, str], body: bytes) -> Attempt:
        """Post ``body``. Everything that can happen is in the return value, within ``settings.timeout``."""
        where = target(url, allow_private=self._settings.allow_private)
        if isinstance(where, str):
            return Attempt(failure=where, forbidden=True)
        try:
            async with asyncio.timeout(self._settings.timeout):
                return await self._call(where, headers, body)
        except TimeoutError:
            return Attempt(failure=f"no answer within {self._settings.timeout}")

    async def close(self) -> None:
        """Close what is open."""
        if self._session is not None:
            await self._session.close()
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _call(self, where: Target, headers: Mapping[str, str], body: bytes) -> Attempt:
        try:
            addresses = list(dict.fromkeys(await self._resolve(where.host, where.port)))
        except (OSError, UnicodeError):
            return Attempt(failure="the name does not resolve")
        if (reason := self._judge(addresses)) is not None:
            return Attempt(failure=reason, forbidden=True)
        failure = "no address takes a connection"
        for address in addresses[:ADDRESSES]:
            try:
                return await self._post(address, where, headers, body)
            except aiohttp.ClientConnectorCertificateError:
                failure = "the certificate is not valid for the name"
            except aiohttp.ClientConnectorSSLError:
                failure = "TLS could not be agreed on"
            except aiohttp.ClientConnectorError:
                continue
            except (aiohttp.ClientError, OSError, ValueError):
                # It may have been received: the next attempt is for the schedule, not for the next address.
                return Attempt(failure="the connection broke, or the answer was not HTTP")
        return Attempt(failure=failure)

    async def _post(self, address: str, where: Target, headers: Mapping[str, str], body: bytes) -> Attempt:
        session = await self._open()
        number = f"[{address}]" if ":" in address else address
        async with session.post(
            URL(f"{where.scheme}://{number}:{where.port}{where.path}", encoded=True),
            data=body,
            headers={"Host": where.authority, "User-Agent": USER_AGENT, **headers},
            server_hostname=where.host if where.scheme == "https" else None,
            allow_redirects=False,
        ) as answer:
            return Attempt(status=answer.status, retry_after_s=_retry_after(answer.headers.get("Retry-After")))

    async def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            if self._tls is None:  # reading the trust store takes some 20 ms
                self._tls = await asyncio.to_thread(ssl.create_default_context)
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(ssl=self._tls, force_close=True, limit=0, use_dns_cache=False),
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=None),  # the caller's bounds all of it
                auto_decompress=False,
                trust_env=False,
                max_line_size=HEAD_LIMIT,
                max_field_size=HEAD_LIMIT,
                read_bufsize=HEAD_LIMIT,
            )
        return self._session

    async def _look_up(self, host: str, port: int) -> Sequence[str]:
        return await asyncio.get_running_loop().run_in_executor(self._threads, resolve, host, port)


def resolve(host: str, port: int) -> list[str]:
    """Addresses of a host, in the order in which the system would try them. Blocks. Raises ``OSError``."""
    return [str(found[4][0]) for found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


def _retry_after(field: str | None) -> float | None:
    """Seconds of a `Retry-After`; the form with a date is not read, its clock is not ours."""
    return float(field) if field is not None and field.isascii() and field.isdigit() and len(field) < 10 else None
