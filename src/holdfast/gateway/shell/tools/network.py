"""Connections to tools, by addresses that were judged.

A tool's address is the operator's, but what its name resolves to is its owner's to change, and could lead to what only
this machine reaches: a metadata service, a database's port. So the resolver judges every address of a name, and the
client connects to the very addresses that it gave: there is no second look-up in between. Names that are addresses
themselves never see a resolver, so they are judged before. No redirects, no proxy of the environment, no cookies.
"""

from __future__ import annotations

import socket
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from holdfast.gateway.errors import Refused
from holdfast.gateway.shell.tools.addresses import CONNECT_S, USER_AGENT, judge, look_up
from holdfast.kernel.addresses import is_public

_HEAD_BYTES: Final = 8190
_PIECE: Final = 65_536


class JudgingResolver(AbstractResolver):
    """Names to addresses that everybody can reach."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Every address of a name. Raises :class:`PrivateAddressError` when one will not do."""
        addresses = await look_up(host, port, family)
        judge(addresses)
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
            for address in addresses
        ]

    async def close(self) -> None:
        """There is nothing to close."""


class Network:
    """One client for public addresses, one for those that the operator said are meant. To be closed in the end."""

    def __init__(self, *, resolver: AbstractResolver | None = None) -> None:
        """``resolver`` is replaced in tests."""
        self._resolver = resolver
        self._clients: dict[bool, aiohttp.ClientSession] = {}

    def client(self, url: str, *, private: bool) -> aiohttp.ClientSession:
        """For requests to an address. Raises :class:`Refused` when it is a number, and not a public one."""
        if not private:
            try:
                address = ip_address((urlsplit(url).hostname or "").partition("%")[0])
            except ValueError:
                pass
            else:
                if not is_public(address):
                    raise Refused("upstream_failed", f"{address} is not a public address; set private: true if meant")
        if private not in self._clients:
            self._clients[private] = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    resolver=None if private else self._resolver or JudgingResolver(),
                    use_dns_cache=False,
                    limit=0,  # who calls is bounded by the broker
                    keepalive_timeout=15.0,
                ),
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=None, connect=CONNECT_S),  # the broker's bounds all of it
                headers={"User-Agent": USER_AGENT},
                trust_env=False,
                max_line_size=_HEAD_BYTES,
                max_field_size=_HEAD_BYTES,
            )
        return self._clients[private]

    async def close(self) -> None:
        """Close what is open."""
        clients, self._clients = list(self._clients.values()), {}
        for client in clients:
            await client.close()


async def read_at_most(answer: aiohttp.ClientResponse, limit: int) -> bytes:
    """The body of an answer. Raises :class:`Refused` for one that is longer; its connection is closed, not drained."""
    pieces: list[bytes] = []
    size = 0
    async for piece in answer.content.iter_chunked(_PIECE):
        size += len(piece)
        if size > limit:
            answer.close()
            raise Refused("upstream_failed", f"the tool's answer has more than {limit} bytes")
        pieces.append(piece)
    return b"".join(pieces)
