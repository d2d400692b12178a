"""The engine's side of :mod:`holdfast.netpulse.core.protocol`.

Who asks is decided three times: by TLS (a certificate of our authority, within its time), for each request again by
the list of revoked serials and the certificate's end (connections are kept for long), and by the message, which must
name the agent and the region of the certificate.

Strangers cannot use up what agents need: handshakes and connections have bounds of their own, each handshake, head and
body a deadline.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import logging
import socket
import ssl
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar

import msgspec
from aiohttp import web

from holdfast.netpulse.core.protocol import (
    BATCH_BYTES,
    BATCH_RESULTS,
    ORDERS_BYTES,
    Ask,
    Batch,
    Message,
    decoder,
    encode,
)
from holdfast.netpulse.errors import Invalid, Superseded
from holdfast.netpulse.shell.certificates import CertificateError, Revocations, engine_context, expiring
from holdfast.store import StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path
    from typing import Protocol

    from holdfast.netpulse.core.protocol import Orders, Receipt

    class Engine(Protocol):
        """What agents want of the engine: part of :class:`~holdfast.netpulse.core.ports.Netpulse`."""

        async def orders(self, ask: Ask) -> Orders:
            """What there is to do; may take as long as the heartbeat."""
            ...

        async def take(self, batch: Batch) -> Receipt:
            """Store results; returns after the commit."""
            ...


log = logging.getLogger(__name__)

CONNECTIONS: Final = 1024
"""Agents' connections; each agent has two."""
HANDSHAKES: Final = 128
"""At a time. A handshake takes a millisecond of work and two round trips."""
HANDSHAKE_S: Final = 5.0
IDLE_S: Final = 30.0
"""Between two requests, and for the head of one."""
BODY_S: Final = 20.0
"""2 MiB at 1 Mbit/s."""
ASK_BYTES: Final = 64 * 1024
ORDERS_S: Final = 60.0
"""Longest that orders may be held open, whatever the heartbeat."""
TAKE_S: Final = 30.0
STOP_S: Final = 2.0
"""How long results that are being stored may take at the end."""
SAY_EVERY_S: Final = 86_400.0
"""A certificate that ends soon is warned of once a day."""
CONTENT_TYPE: Final = "application/msgpack"

M = TypeVar("M", Ask, Batch)


@dataclass(frozen=True, slots=True)
class Peer:
    """Whom the certificate of a connection names."""

    agent: str
    region: str
    serial: str
    expires: float


class _Refused(Exception):
    """An answer that is not the one that was asked for."""

    def __init__(self, status: int, text: str, *, retry_after_s: int | None = None) -> None:
        super().__init__(text)
        self.status = status
        self.text = text
        self.retry_after_s = retry_after_s


class AgentListener:
    """Listens from :meth:`start` to :meth:`stop`."""

    def __init__(
        self,
        engine: Engine,
        *,
        listen: str,
        certificates: Path,
        connections: int = CONNECTIONS,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """``listen`` is ``HOST:PORT``, port 0 for any; ``certificates`` the authority's directory."""
        self._engine = engine
        self._host, _, port = listen.rpartition(":")
        self._port = int(port)
        self._certificates = certificates
        self._revocations = Revocations(certificates)
        self._most = connections
        self._clock = clock
        self._decoders: dict[type[Message], msgspec.msgpack.Decoder[Any]] = {
            Ask: decoder(Ask),
            Batch: decoder(Batch),
        }
        self._socket: socket.socket | None = None
        self._server: web.Server | None = None
        self._context: ssl.SSLContext | None = None
        self._accepting: asyncio.Task[None] | None = None
        self._handshakes: set[asyncio.Task[None]] = set()
        self._taking: dict[str, asyncio.Task[Receipt]] = {}
        self._said: dict[str, float] = {}

    @property
    def url(self) -> str:
        """Where agents find it."""
        host = f"[{self._host.strip('[]')}]" if ":" in self._host else self._host
        return f"https://{host}:{self._port}"

    async def start(self) -> None:
        """Listen. Raises :class:`CertificateError`, and ``OSError`` for an address that cannot be had."""
        self.reload()
        loop = asyncio.get_running_loop()
        host = self._host.strip("[]")
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._socket = socket.create_server((host, self._port), family=family, backlog=HANDSHAKES)
        self._socket.setblocking(False)
        self._port = self._socket.getsockname()[1]
        self._server = web.Server(
            self._handle,
            handler_cancellation=True,  # orders for an agent that has gone are nobody's
            keepalive_timeout=IDLE_S,
            access_log=None,
            auto_decompress=False,
            max_headers=32,
        )
        self._accepting = loop.create_task(self._accept(self._socket, self._server), name="agents: accept")
        log.info("waiting for agents", extra={"action": "agents_listening", "url": self.url})

    async def stop(self) -> None:
        """Close all connections; what is being stored may finish."""
        tasks = [*self._handshakes, *([self._accepting] if self._accepting else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._socket is not None:
            self._socket.close()
        if self._taking:
            await asyncio.wait(self._taking.values(), timeout=STOP_S)
        for taking in self._taking.values():
            taking.cancel()
        await asyncio.gather(*self._taking.values(), return_exceptions=True)
        if self._server is not None:
            await self._server.shutdown(0.1)
            await asyncio.sleep(0)  # transports say goodbye in the next turn of the loop

    def reload(self) -> None:
        """Use the certificate that is on disk from the next handshake on. Raises :class:`CertificateError`."""
        self._context = engine_context(self._certificates)
        if said := expiring(self._certificates / "engine.pem"):
            log.warning(said, extra={"action": "certificate_expires"})
        if said := expiring(self._certificates / "authority.pem"):
            log.warning(said, extra={"action": "certificate_expires"})

    # ---------------------------------------------------------------- connections

    async def _accept(self, listening: socket.socket, server: web.Server) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                sock, _ = await loop.sock_accept(listening)
            except OSError as error:  # out of descriptors, or a connection that was reset while it waited
                log.warning("cannot accept", extra={"action": "agents_accept_failed", "error": str(error)})
                await asyncio.sleep(0.1)
                continue
            if len(self._handshakes) >= HANDSHAKES or len(server.connections) >= self._most:
                sock.close()
                continue
            sock.setblocking(False)
            task = loop.create_task(self._handshake(sock, server), name="agents: handshake")
            self._handshakes.add(task)
            task.add_done_callback(self._handshakes.discard)

    async def _handshake(self, sock: socket.socket, server: web.Server) -> None:
        try:
            async with asyncio.timeout(HANDSHAKE_S):
                await asyncio.get_running_loop().connect_accepted_socket(
                    server, sock, ssl=self._context, ssl_handshake_timeout=HANDSHAKE_S, ssl_shutdown_timeout=1.0
                )
        except (OSError, TimeoutError) as error:  # ssl.SSLError is an OSError
            log.info("a handshake failed", extra={"action": "agents_handshake_failed", "error": str(error)[:200]})
            sock.close()
        except asyncio.CancelledError:
            sock.close()
            raise

    # ---------------------------------------------------------------- requests

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        try:
            peer = self._peer(request)
            if request.method != "POST":
                raise _Refused(405, "POST only")
            if request.path == "/agent/v1/orders":
                answer = await self._orders(peer, await self._message(request, peer, Ask, ASK_BYTES))
                body = encode(answer)
                if len(body) > ORDERS_BYTES:
                    log.error("the schedule is too large", extra={"action": "orders_too_large", "size": len(body)})
                    raise _Refused(500, f"the schedule has {len(body)} bytes, at most {ORDERS_BYTES} can be sent")
            elif request.path == "/agent/v1/results":
                body = encode(await self._take(await self._message(request, peer, Batch, BATCH_BYTES)))
            else:
                raise _Refused(404, "no such place; is this agent of another version?")
        except _Refused as refused:
            response = web.Response(status=refused.status, text=refused.text)
            if refused.retry_after_s is not None:
                response.headers["Retry-After"] = str(refused.retry_after_s)
            if refused.status in (400, 403, 408, 413):
                response.force_close()  # what is left of the body is nobody's
            return response
        return web.Response(body=body, content_type=CONTENT_TYPE)

    def _peer(self, request: web.BaseRequest) -> Peer:
        """Who asks, if they may."""
        transport = request.transport
        if transport is None:
            raise _Refused(403, "the connection is gone")
        peer = _named(transport.get_extra_info("peercert"))
        if peer is None:
            raise _Refused(403, "this certificate names no agent and region")
        try:
            revoked = peer.serial in self._revocations
        except CertificateError as error:
            self._say("revocations", logging.ERROR, str(error))
            raise _Refused(503, "whether this certificate was revoked cannot be told", retry_after_s=5) from error
        now = self._clock()
        if revoked or peer.expires <= now:
            why = "was revoked" if revoked else "has expired"
            self._say(peer.serial, logging.WARNING, f"the certificate of {peer.agent} in {peer.region} {why}")
            raise _Refused(403, f"this certificate {why}; make another with `holdfast netpulse certs agent`")
        if peer.expires - now < 30 * 86_400.0:
            days = int((peer.expires - now) / 86_400.0)
            self._say(peer.serial, logging.WARNING, f"the certificate of {peer.agent} expires in {days} days")
        return peer

    async def _message(self, request: web.BaseRequest, peer: Peer, kind: type[M], most: int) -> M:
        length = request.content_length
        if length is None:
            raise _Refused(411, "a message needs its length")
        if length > most:
            raise _Refused(413, f"a message of {length} bytes; at most {most}")
        try:
            async with asyncio.timeout(BODY_S):
                data = await request.content.readexactly(length)
        except TimeoutError:
            raise _Refused(408, f"the message was not complete after {BODY_S:g} s") from None
        except asyncio.IncompleteReadError:
            raise _Refused(400, "the message is not complete") from None
        try:
            message: M = self._decoders[kind].decode(data)
        except msgspec.MsgspecError as error:
            raise _Refused(400, f"not of this protocol: {error}") from error
        if (message.agent, message.region) != (peer.agent, peer.region):
            text = f"the certificate is of {peer.agent} in {peer.region}, the message of another"
            self._say(f"{peer.serial} name", logging.WARNING, text)
            raise _Refused(403, text)
        return message

    async def _orders(self, peer: Peer, ask: Ask) -> Orders:
        try:
            async with asyncio.timeout(ORDERS_S):
                orders: Orders = await _translated(self._engine.orders(ask))
                return orders
        except TimeoutError:
            raise _Refused(503, "no orders in time", retry_after_s=1) from None

    async def _take(self, batch: Batch) -> Receipt:
        """Store a batch, also when the agent goes away meanwhile: what is committed has to be looked at, too."""
        if len(batch.results) > BATCH_RESULTS:
            raise _Refused(413, f"{len(batch.results)} results; at most {BATCH_RESULTS}")
        try:
            async with asyncio.timeout(TAKE_S):
                while (before := self._taking.get(batch.agent)) is not None:  # one at a time: they come in order
                    await asyncio.wait({before})
                task = asyncio.create_task(_translated(self._engine.take(batch)), name=f"results of {batch.agent}")
                self._taking[batch.agent] = task
                task.add_done_callback(lambda _: self._taking.pop(batch.agent, None))
                task.add_done_callback(_looked_at)
                return await asyncio.shield(task)
        except TimeoutError:
            raise _Refused(503, "not stored in time", retry_after_s=1) from None

    def _say(self, what: str, level: int, text: str) -> None:
        """Log, but not for every request."""
        now = self._clock()
        if now - self._said.get(what, float("-inf")) >= SAY_EVERY_S:
            if len(self._said) > 4 * CONNECTIONS:
                self._said.clear()
            self._said[what] = now
            log.log(level, text, extra={"action": "agents_certificate"})


async def _translated(call: Awaitable[Any]) -> Any:
    """The engine's answer, or what its failure means to an agent."""
    try:
        return await call
    except StoreUnavailable as error:
        raise _Refused(503, "the store is not available", retry_after_s=1) from error
    except Superseded as error:
        raise _Refused(503, "another engine has taken over", retry_after_s=2) from error
    except Invalid as error:
        raise _Refused(400, str(error)) from error
    except _Refused:
        raise
    except Exception as error:
        log.exception("an agent could not be answered", extra={"action": "agents_failed"})
        raise _Refused(500, "the engine failed; its log says more", retry_after_s=5) from error


def _looked_at(task: asyncio.Task[Any]) -> None:
    """The agent has gone and nobody awaits this any more; its failure was logged where it happened."""
    with contextlib.suppress(asyncio.CancelledError):
        task.exception()


def _named(certificate: dict[str, Any] | None) -> Peer | None:
    if not certificate:
        return None
    subject: dict[str, list[str]] = {}
    for part in certificate.get("subject", ()):
        for key, value in part:
            subject.setdefault(key, []).append(value)
    agents, regions = subject.get("commonName", []), subject.get("organizationalUnitName", [])
    if len(agents) != 1 or len(regions) != 1:
        return None
    ends = dt.datetime.fromtimestamp(ssl.cert_time_to_seconds(certificate["notAfter"]), dt.UTC)
    serial = str(certificate["serialNumber"]).lower().lstrip("0")
    return Peer(agent=agents[0], region=regions[0], serial=serial, expires=ends.timestamp())
