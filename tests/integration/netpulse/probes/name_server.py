"""A name server on loopback, by UDP and TCP, that answers as told."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import dns.flags
import dns.message
import dns.rcode
import dns.rrset

Zone = dict[tuple[str, str], list[str]]
"""Name and type -> records; a name that is nowhere in it does not exist."""
Reply = Callable[[dns.message.Message, bool], list[bytes]]
"""Question, and whether it came by TCP -> datagrams (or messages) to send back."""


def zone(records: Zone) -> Reply:
    def reply(question: dns.message.Message, tcp: bool) -> list[bytes]:
        asked = question.question[0]
        name, kind = asked.name.to_text().lower(), asked.rdtype.name
        answer = dns.message.make_response(question)
        if not any(known == name for known, _ in records):
            answer.set_rcode(dns.rcode.NXDOMAIN)
        elif texts := records.get((name, kind)):
            answer.answer.append(dns.rrset.from_text(asked.name, 60, "IN", kind, *texts))
        return [answer.to_wire(max_size=65_535 if tcp else 512)] if tcp or not truncated(answer) else [short(question)]

    return reply


def truncated(answer: dns.message.Message) -> bool:
    return len(answer.to_wire(max_size=65_535)) > 512


def short(question: dns.message.Message) -> bytes:
    answer = dns.message.make_response(question)
    answer.flags |= dns.flags.TC
    return answer.to_wire()


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, reply: Reply) -> None:
        self.reply = reply
        self.asked = 0
        self.transport: Any = None

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self.asked += 1
        for answer in self.reply(dns.message.from_wire(data), False):
            self.transport.sendto(answer, addr)


@contextlib.contextmanager
def _same_port() -> Iterator[tuple[socket.socket, socket.socket]]:
    """A UDP and a TCP socket on one port that is free for both."""
    for _ in range(50):
        with socket.socket(type=socket.SOCK_DGRAM) as by_udp, socket.socket() as by_tcp:
            by_udp.setblocking(False)
            by_tcp.setblocking(False)
            by_udp.bind(("127.0.0.1", 0))
            try:
                by_tcp.bind(by_udp.getsockname())
            except OSError:
                continue
            yield by_udp, by_tcp
            return
    raise AssertionError("no port is free for both")


@contextlib.asynccontextmanager
async def name_server(reply: Reply) -> AsyncIterator[tuple[int, _Datagrams]]:
    """Its port, and what counts the questions."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            size = int.from_bytes(await reader.readexactly(2), "big")
            for answer in reply(dns.message.from_wire(await reader.readexactly(size)), True):
                writer.write(len(answer).to_bytes(2, "big") + answer)
            await writer.drain()
        writer.close()

    with _same_port() as (by_udp, by_tcp):
        port = by_udp.getsockname()[1]
        server = await asyncio.start_server(serve, sock=by_tcp)
        protocol = _Datagrams(reply)
        transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(lambda: protocol, sock=by_udp)
        try:
            yield port, protocol
        finally:
            transport.close()
            server.close()
            await server.wait_closed()
