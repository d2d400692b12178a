"""Active health checks: one HTTP/1.1 request per check, on a connection of its own.

A fresh connection is the point: it proves that the backend still accepts, which a
keep-alive connection would hide. The verdict needs the head of the answer alone, at most
:data:`HEAD_LIMIT` bytes of it; the body goes down with the connection.
"""

from __future__ import annotations

import asyncio
import logging
import re
import ssl
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import lru_cache
from random import Random
from typing import Final
from urllib.parse import urlsplit

import msgspec

from holdfast.balancer.core.health import ProbeResult
from holdfast.balancer.core.messages import BackendRef, Endpoint, FailureClass
from holdfast.balancer.core.settings import BalancerSettings, HealthSettings, UpstreamTlsSettings

log = logging.getLogger(__name__)

HEAD_LIMIT: Final = 16 * 1024
FIRST_CHECK_S: Final = 1.0
"""Within this time of its appearance a backend is checked, however long the interval is."""
_JITTER: Final = 0.1
"""Intervals vary by 10 % either way, so that checks of many balancers do not fall into step."""
_INTERIM_ANSWERS: Final = 4
"""1xx answers that are skipped before the check counts as a broken protocol."""
_STATUS_LINE: Final = re.compile(rb"HTTP/1\.[01] ([1-9]\d\d)(?: [^\r\n]*)?\r\n")


class Target(msgspec.Struct, frozen=True):
    """What one check needs to know. Equal targets share their schedule over a reload."""

    url: str
    health: HealthSettings
    tls: UpstreamTlsSettings


def targets(settings: BalancerSettings, discovered: Iterable[Endpoint]) -> dict[BackendRef, Target]:
    """The backends that are to be checked."""
    found = {
        BackendRef(name, backend.id): Target(backend.url, pool.health, pool.tls)
        for name, pool in settings.pools.items()
        for backend in pool.backends
    }
    for endpoint in discovered:
        pool = settings.pools[endpoint.pool]
        found.setdefault(BackendRef(endpoint.pool, endpoint.backend), Target(endpoint.url, pool.health, pool.tls))
    return {ref: target for ref, target in found.items() if target.health.enabled}


async def probe(target: Target) -> ProbeResult:
    """Check a backend once. Connecting, TLS and the answer share the one timeout."""
    began = time.monotonic()

    def failed(kind: FailureClass, detail: str, status: int | None = None) -> ProbeResult:
        log.debug("check failed", extra={"action": "probe", "url": target.url, "kind": kind, "why": detail})
        return ProbeResult(passed=False, kind=kind, status=status, latency_s=time.monotonic() - began)

    url = urlsplit(target.url)
    writer: asyncio.StreamWriter | None = None
    try:
        async with asyncio.timeout(target.health.timeout):
            try:
                context = await asyncio.to_thread(_tls_context, target.tls) if url.scheme == "https" else None
                reader, writer = await asyncio.open_connection(
                    url.hostname,
                    url.port or (443 if context else 80),
                    ssl=context,
                    server_hostname=(target.tls.server_name or url.hostname) if context else None,
                    limit=HEAD_LIMIT,
                )
            except (OSError, ssl.SSLError) as refused:
                return failed("connect", str(refused) or type(refused).__name__)
            host = target.health.host or url.netloc.rpartition("@")[2]
            writer.write(
                f"GET {target.health.path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: holdfast-health\r\n"
                "Accept: */*\r\nConnection: close\r\n\r\n".encode("latin-1")
            )
            status = await _read_status(reader)
    except TimeoutError:
        return failed("timeout", f"no answer within {target.health.timeout}")
    except asyncio.LimitOverrunError:
        return failed("protocol", f"the head of the answer exceeds {HEAD_LIMIT} bytes")
    except (asyncio.IncompleteReadError, OSError) as cut:
        return failed("reset", f"cut before the answer was complete ({cut})")
    except ValueError as bad:
        return failed("protocol", str(bad))
    finally:
        if writer is not None:
            writer.transport.abort()
    lowest, highest = target.health.expect
    if not lowest <= status <= highest:
        return failed("status", f"status {status} is outside {lowest} to {highest}", status)
    return ProbeResult(passed=True, status=status, latency_s=time.monotonic() - began)


async def _read_status(reader: asyncio.StreamReader) -> int:
    for _ in range(_INTERIM_ANSWERS + 1):
        head = await reader.readuntil(b"\r\n\r\n")
        match = _STATUS_LINE.match(head)
        if match is None:
            raise ValueError(f"not an HTTP/1.x answer: {head[:40]!r}")
        status = int(match[1])
        if status >= 200:
            return status
    raise ValueError(f"more than {_INTERIM_ANSWERS} interim answers")


@lru_cache(maxsize=64)
def _tls_context(tls: UpstreamTlsSettings) -> ssl.SSLContext:
    # Loading a trust store takes some 20 ms of blocking work; callers run this in a thread.
    context = ssl.create_default_context(cafile=tls.ca)
    if not tls.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if tls.cert is not None:
        context.load_cert_chain(tls.cert, tls.key)
    return context


def forget_certificates() -> None:
    """Read the certificate files anew at the next check; called on a reload."""
    _tls_context.cache_clear()


class Prober:
    """One task per backend, each with its own jittered schedule."""

    def __init__(
        self,
        on_result: Callable[[BackendRef, ProbeResult], None],
        rng: Random,
        *,
        check: Callable[[Target], Awaitable[ProbeResult]] = probe,
    ) -> None:
        """``on_result`` is called in the loop; it must not block."""
        self._on_result = on_result
        self._rng = rng
        self._check = check
        self._tasks: dict[BackendRef, tuple[Target, asyncio.Task[None]]] = {}

    def retarget(self, wanted: Mapping[BackendRef, Target]) -> None:
        """Check exactly these from now on. Who stays as it was keeps its schedule."""
        for ref, (target, task) in list(self._tasks.items()):
            if wanted.get(ref) != target:
                task.cancel()
                del self._tasks[ref]
        for ref, target in wanted.items():
            if ref not in self._tasks:
                name = f"probe {ref.pool}/{ref.backend}"
                self._tasks[ref] = target, asyncio.create_task(self._repeat(ref, target), name=name)

    async def close(self) -> None:
        """Stop every check."""
        tasks = [task for _, task in self._tasks.values()]
        self._tasks.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _repeat(self, ref: BackendRef, target: Target) -> None:
        interval = float(target.health.interval)
        # A hundred backends are not all checked in the same instant.
        await asyncio.sleep(self._rng.uniform(0, min(interval, FIRST_CHECK_S)))
        while True:
            began = time.monotonic()
            try:
                self._on_result(ref, await self._check(target))
            except Exception:
                # A backend that is not checked any more would stay in rotation for ever.
                log.exception("check broke", extra={"action": "probe", "pool": ref.pool, "backend": ref.backend})
            pause = interval * self._rng.uniform(1 - _JITTER, 1 + _JITTER)
            await asyncio.sleep(max(0.0, began + pause - time.monotonic()))
