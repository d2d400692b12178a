"""The data plane in this process, between a test's clients and its backends."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import socket
import time
from random import Random
from typing import TYPE_CHECKING, Any

from holdfast.proxy import Address, Backend, EdgePolicy, Engine, Pool, PoolPolicy
from holdfast.testing.client import RawClient
from holdfast.testing.upstream import ScriptedUpstream
from holdfast.testing.waiting import eventually

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator

    from holdfast.proxy import AccessLog


@dataclasses.dataclass(frozen=True, slots=True)
class _Routed:
    pool: str
    name: str = "*/"

    def forwarded(self, target: str) -> str:
        return target


class ProxyUnderTest:
    """An :class:`~holdfast.proxy.Engine` that listens on ``port``, with one pool ``web``.

    A target that begins with ``/nowhere`` has no route.
    """

    def __init__(self, engine: Engine, pool: Pool, host: str, port: int, *, tls: bool) -> None:
        self.engine = engine
        self.pool = pool
        self.host = host
        self.port = port
        self.errors: list[BaseException] = []
        """What the event loop caught: a callback of the proxy that raised."""
        self._tls = tls

    async def connect(self, **options: Any) -> RawClient:
        """A client of this proxy; ``options`` as :meth:`RawClient.connect`."""
        return await RawClient.connect(self.host, self.port, **options)

    def configure(self, *, edge: EdgePolicy | None = None, policy: PoolPolicy | None = None) -> None:
        """Reload with another policy; backends stay."""
        if policy is not None:
            self.pool.reconfigure(policy, self.pool.backends)
        self.engine.reconfigure(edge=edge or self.engine.edge, pools={"web": self.pool}, route=_route)

    def unsettled(self) -> str:
        """What is still held for a request, in words; empty when everything was given back."""
        held = {
            "active exchanges": len(self.engine.active),
            "in flight in the pool": self.pool.in_flight,
            "waiting in the pool": len(self.pool.queue),
            **{f"in flight at {backend.id}": backend.in_flight for backend in self.pool.backends},
            **{f"trials at {backend.id}": backend.trials_in_flight for backend in self.pool.backends},
            **{
                f"busy connections to {backend.id}": backend.connections - len(backend.idle)
                for backend in self.pool.backends
            },
        }
        return ", ".join(f"{count} {what}" for what, count in held.items() if count)

    async def settled(self, *, within_s: float = 5.0) -> None:
        """Wait until nothing is held for any request. Raises ``TimeoutError`` that says what is."""
        try:
            await eventually(lambda: not self.unsettled(), within_s=within_s)
        except TimeoutError:
            raise TimeoutError(f"still held after {within_s} s: {self.unsettled()}") from None


def _route(_: str, target: str) -> _Routed | None:
    return None if target.startswith("/nowhere") else _Routed("web")


@contextlib.asynccontextmanager
async def proxied(
    *upstreams: ScriptedUpstream | Address,
    edge: EdgePolicy | None = None,
    policy: PoolPolicy | None = None,
    strategy: str = "round_robin",
    host: str = "127.0.0.1",
    tls: ssl.SSLContext | None = None,
    seed: int = 1,
    log: AccessLog | None = None,
) -> AsyncIterator[ProxyUnderTest]:
    """Run a proxy in front of ``upstreams`` (named ``b0``, ``b1`` and so on), on real sockets and real time.

    At the end everything must have been given back, and no callback may have raised; otherwise the block raises.
    """
    edge, policy, rng = edge or EdgePolicy(), policy or PoolPolicy(), Random(seed)
    engine = Engine(edge=edge, rng=rng, clock=time.monotonic, utc=time.time, log=log)  # noqa: TID251 - the outermost layer of a test
    pool = Pool("web", policy, strategy, rng)
    pool.reconfigure(policy, [Backend(f"b{index}", _address(upstream)) for index, upstream in enumerate(upstreams)])
    engine.reconfigure(edge=edge, pools={"web": pool}, route=_route)
    sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    sock.bind((host, 0))
    proxy = ProxyUnderTest(engine, pool, host, sock.getsockname()[1], tls=tls is not None)

    def caught(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        proxy.errors.append(context.get("exception") or RuntimeError(str(context.get("message"))))

    engine.loop.set_exception_handler(caught)
    try:
        await engine.listen(sock, tls)
        engine.start()
        yield proxy
        await proxy.settled()
    finally:
        engine.close()
        await eventually(lambda: not engine.clients, "clients closed")
        await eventually(lambda: not any(b.connections for b in pool.backends), "connections to backends closed")
        engine.loop.set_exception_handler(None)
    if errors := [error for error in proxy.errors if isinstance(error, Exception)]:
        raise ExceptionGroup("callbacks of the proxy raised", errors)


def _address(upstream: ScriptedUpstream | Address) -> Address:
    return upstream if isinstance(upstream, Address) else Address(host=upstream.host, port=upstream.port)
