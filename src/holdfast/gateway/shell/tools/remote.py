"""A server of the Model Context Protocol behind an address (Streamable HTTP), by addresses that were judged."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

from holdfast.gateway.shell.tools.addresses import CONNECT_S, USER_AGENT, judge, look_up

READ_S: Final = 300.0
"""Silence of one answer; calls have a shorter time of their own."""
EVENT_BYTES: Final = 4 * 1024 * 1024


@asynccontextmanager
async def remote(url: str, headers: Mapping[str, str], *, private: bool) -> AsyncIterator[tuple[Any, Any]]:
    """Connect; the streams that a session of the SDK reads and writes."""
    import httpx2
    from mcp.client.streamable_http import streamable_http_client

    transport = httpx2.AsyncHTTPTransport(trust_env=False) if private else _judged()
    async with (
        httpx2.AsyncClient(
            transport=transport,
            headers={"User-Agent": USER_AGENT, **headers},
            timeout=httpx2.Timeout(30.0, connect=CONNECT_S, read=READ_S),
            follow_redirects=False,
            trust_env=False,
        ) as client,
        streamable_http_client(url, http_client=client, max_sse_event_size=EVENT_BYTES) as streams,
    ):
        yield streams


def _judged() -> Any:
    """A transport that resolves names itself, judges what it finds, and connects to just that."""
    import httpcore2
    import httpx2

    class Judging(httpcore2.AsyncNetworkBackend):
        def __init__(self) -> None:
            self._inner = httpcore2.AnyIOBackend()

        async def connect_tcp(
            self,
            host: str,
            port: int,
            timeout: float | None = None,  # noqa: ASYNC109 - the pool calls it so
            local_address: str | None = None,
            socket_options: Iterable[Any] | None = None,
        ) -> Any:
            try:
                addresses = await look_up(host, port)
                judge(addresses)
            except OSError as error:
                raise httpcore2.ConnectError(str(error)) from error
            # Certificates are still checked against the name, which the pool knows.
            return await self._inner.connect_tcp(addresses[0], port, timeout, local_address, socket_options)

        async def sleep(self, seconds: float) -> None:
            await self._inner.sleep(seconds)

    transport = httpx2.AsyncHTTPTransport(trust_env=False)
    # The client library takes no network backend, its pool does: the only way to be between look-up and connection.
    transport._pool._network_backend = Judging()  # noqa: SLF001
    return transport
