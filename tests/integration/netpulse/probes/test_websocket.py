"""The WebSocket check against the `websockets` server, and against ones that break the rules."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import ssl
from pathlib import Path

import pytest
import trustme
import websockets.asyncio.server as ws

from holdfast.netpulse.core.result import Failure, Outcome
from holdfast.netpulse.core.settings import WebSocketCheck
from holdfast.netpulse.shell.probes import Finding
from tests.integration.netpulse.probes.targets import Serve, answer, monitor, probe, saying, target

pytestmark = pytest.mark.anyio


async def echo(connection: ws.ServerConnection) -> None:
    async for message in connection:
        await connection.ping(b"are you there")
        await connection.send(["echo ", "of ", message] if isinstance(message, str) else message)


async def look(port: int, *, scheme: str = "ws", within: float = 2.0, **check: str) -> Finding:
    url = f"{scheme}://localhost:{port}/socket?room=1"
    return await probe(monitor(timeout=within, websocket=WebSocketCheck(url=url, **check)))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("check", "failure"),
    [
        ({}, Failure.NONE),
        ({"send": "hello"}, Failure.NONE),
        ({"send": "hello", "expect": "of hello"}, Failure.NONE),
        ({"send": "h" * 300, "expect": "of " + "h" * 300}, Failure.NONE),
        ({"send": "h" * 70_000, "expect": "h" * 70_000}, Failure.NONE),
        ({"send": "hello", "expect": "goodbye"}, Failure.TIMEOUT),
    ],
)
async def test_a_message_each_way(check: dict[str, str], failure: Failure) -> None:
    async with ws.serve(echo, "127.0.0.1", 0) as server:
        found = await look(next(iter(server.sockets)).getsockname()[1], within=0.5, **check)
    assert found.failure is failure, found
    assert found.status == 101


async def test_with_tls_it_is_wss(tmp_path: Path) -> None:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    ca_file = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(ca_file)
    async with ws.serve(echo, "127.0.0.1", 0, ssl=context) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        found = await look(port, scheme="wss", send="x", expect="of x", ca_file=str(ca_file))
        distrusted = await look(port, scheme="wss")
    assert found.outcome is Outcome.UP, found
    assert found.phases.tls is not None
    assert found.cert_days is not None
    assert distrusted.failure is Failure.CERTIFICATE


def switching(after: bytes, *, accept: bytes | None = None, protocol: bytes = b"websocket") -> Serve:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        key = next(line for line in head.split(b"\r\n") if line.lower().startswith(b"sec-websocket-key")).split()[1]
        digest = hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()
        proof = base64.b64encode(digest) if accept is None else accept
        writer.write(
            b"HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: %b\r\nSec-WebSocket-Accept: %b\r\n\r\n%b"
            % (protocol, proof, after)
        )
        await writer.drain()
        await reader.read()
        writer.close()

    return serve


@pytest.mark.parametrize(
    ("serve", "failure"),
    [
        (saying(answer()), Failure.STATUS),
        (saying(answer(status="403 Forbidden")), Failure.STATUS),
        (saying(b""), Failure.PROTOCOL),
        (saying(b"nonsense"), Failure.PROTOCOL),
        (switching(b"", accept=b"bm9wZQ=="), Failure.PROTOCOL),
        (switching(b"", protocol=b"h2c"), Failure.PROTOCOL),
        (switching(b"\x88\x02\x03\xf3"), Failure.CONTENT),
        (switching(b"\x83\x00"), Failure.PROTOCOL),
        (switching(b"\x81\x85\0\0\0\0hello"), Failure.PROTOCOL),
        (switching(b"\xc1\x05hello"), Failure.PROTOCOL),
        (switching(b"\x89\x7e\x01\x00" + b"x" * 256), Failure.PROTOCOL),
        (switching(b"\x81\x7f\x7f\xff\xff\xff\xff\xff\xff\xff"), Failure.CONTENT),
        (switching(b"\x01\x03hel\x89\x00\x80\x02lo"), Failure.NONE),
    ],
)
async def test_what_the_protocol_does_not_allow(serve: Serve, failure: Failure) -> None:
    async with target(serve) as port:
        found = await look(port, expect="hello")
    assert found.failure is failure, found
