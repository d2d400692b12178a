"""One request to a channel, by an address that was judged.

A channel's address is given by whoever writes the configuration, and it could lead to what only this machine reaches:
a metadata service, a database's port. So the name is resolved here, every address judged, and the request sent to one
of them by number; the HTTP client never sees a name and cannot look it up again. Certificates are checked against the
name. No redirects, no proxy of the environment, no cookies; of the answer 64 KiB are read.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from ipaddress import ip_address
from typing import Final, TypeAlias

import aiohttp
from yarl import URL

from holdfast.kernel.addresses import is_public
from holdfast.netpulse.core.delivery import Again, Answer, Refused, Request

BODY_LIMIT: Final = 64 * 2**10
ADDRESSES: Final = 3
"""Addresses of a name that are tried, one after the other, while none takes the connection."""
USER_AGENT: Final = "holdfast-netpulse"
_HEAD_LIMIT: Final = 8190

Resolve: TypeAlias = Callable[[str, int], Awaitable[Sequence[str]]]
"""Host and port -> addresses as text. Raises ``OSError``."""


class Network:
    """Resolving, judging and TLS for all channels. To be closed in the end."""

    def __init__(self, *, threads: int = 8, resolve: Resolve | None = None, tls: ssl.SSLContext | None = None) -> None:
        """``resolve`` and ``tls`` are replaced in tests."""
        # Threads of our own: names that take long to resolve must not take those of everybody else.
        self._threads = ThreadPoolExecutor(max_workers=threads, thread_name_prefix="notify-dns")
        self._resolve = resolve or self._look_up
        self._tls = tls
        self._session: aiohttp.ClientSession | None = None

    async def addresses(self, host: str, port: int, *, allow_private: bool) -> list[str] | Again | Refused:
        """Where a name may be called, or why it is not."""
        try:
            found = list(dict.fromkeys(await self._resolve(host, port)))
        except (OSError, UnicodeError):
            return Again("the name does not resolve")
        if not found:
            return Again("the name has no address")
        if not allow_private and (private := _private(found)):
            return Refused(f"{private} is not a public address; say allow_private: true for the channel if it is meant")
        return found[:ADDRESSES]

    async def tls(self) -> ssl.SSLContext:
        """The system's authorities. Reading them takes some 20 ms, so once."""
        if self._tls is None:
            self._tls = await asyncio.to_thread(ssl.create_default_context)
        return self._tls

    async def request(self, request: Request, *, timeout_s: float, allow_private: bool) -> Answer | Again | Refused:
        """Send. Everything that can happen is in the return value, within ``timeout_s``."""
        try:
            async with asyncio.timeout(timeout_s):
                return await self._request(request, allow_private)
        except TimeoutError:
            return Again(f"no answer within {timeout_s:g} s")

    async def close(self) -> None:
        """Close what is open."""
        if self._session is not None:
            await self._session.close()
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _request(self, request: Request, allow_private: bool) -> Answer | Again | Refused:
        try:
            url = URL(request.url, encoded=True)
            host, port = url.host, url.port
        except ValueError:
            return Refused("the channel's address cannot be read")
        if url.scheme not in {"http", "https"} or host is None or port is None or url.user is not None:
            return Refused("the channel's address is not http:// or https:// with a host and no credentials")
        found = await self.addresses(host, port, allow_private=allow_private)
        if isinstance(found, Again | Refused):
            return found
        failure = "no address takes a connection"
        for address in found:
            try:
                return await self._send(address, url, host, port, request)
            except aiohttp.ClientConnectorCertificateError:
                failure = "the certificate is not valid for the name"
            except aiohttp.ClientConnectorSSLError:
                failure = "TLS could not be agreed on"
            except aiohttp.ClientConnectorError:
                continue
            except ValueError:
                return Refused(
                    "the channel's headers cannot be sent; a name or value has a character that is not allowed"
                )
            except (aiohttp.ClientError, OSError):
                # It may have been received, so the next address would be a repetition; that is for the schedule.
                return Again("the connection broke, or the answer was not HTTP")
        return Again(failure)

    async def _send(self, address: str, url: URL, host: str, port: int, request: Request) -> Answer:
        session = await self._open()
        number = f"[{address}]" if ":" in address else address
        async with session.request(
            request.method,
            URL(f"{url.scheme}://{number}:{port}{url.raw_path_qs}", encoded=True),
            data=request.body,
            headers={"Host": url.authority.rpartition("@")[2], "User-Agent": USER_AGENT, **request.headers},
            server_hostname=host if url.scheme == "https" else None,
            allow_redirects=False,
        ) as answer:
            body = await _at_most(answer.content, BODY_LIMIT)
            return Answer(
                status=answer.status, body=body, retry_after_s=_retry_after(answer.headers.get("Retry-After"))
            )

    async def _open(self) -> aiohttp.ClientSession:
        context = await self.tls()
        if self._session is None:  # asked after the wait: two that come first must not both open one
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(ssl=context, force_close=True, limit=0, use_dns_cache=False),
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=None),  # the caller's bounds all of it
                auto_decompress=False,
                trust_env=False,
                max_line_size=_HEAD_LIMIT,
                max_field_size=_HEAD_LIMIT,
            )
        return self._session

    async def _look_up(self, host: str, port: int) -> Sequence[str]:
        return await asyncio.get_running_loop().run_in_executor(self._threads, _resolve, host, port)


async def _at_most(content: aiohttp.StreamReader, limit: int) -> bytes:
    body = bytearray()
    while len(body) < limit and (chunk := await content.read(limit - len(body))):
        body += chunk
    return bytes(body)


def _resolve(host: str, port: int) -> list[str]:
    return [str(found[4][0]) for found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


def _private(addresses: Sequence[str]) -> str | None:
    return next((address for address in addresses if not is_public(ip_address(address))), None)


def _retry_after(field: str | None) -> float | None:
    """Seconds of a `Retry-After`; the form with a date is not read, its clock is not ours."""
    return float(field) if field is not None and field.isascii() and field.isdigit() and len(field) < 10 else None
