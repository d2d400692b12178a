"""Questions to name servers: over UDP, and over TCP when the answer is too long for that.

The socket is connected, so the kernel takes answers from nobody else and hands on that a server refuses; each question
has a socket (a source port) and an id of its own, which is what makes forging an answer hard (RFC 5452).
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from typing import Final

import dns.exception
import dns.flags
import dns.message
import dns.rcode

from holdfast.netpulse.core.result import Failure
from holdfast.netpulse.shell.probes.finding import Failed, from_os_error
from holdfast.netpulse.shell.probes.wire import Wire, connect

Server = tuple[str, int]
"""Address and port."""

FIRST_WAIT_S: Final = 1.0
"""Until a question is asked again (of the next server); doubled with each round. A datagram is lost now and then."""
LONGEST_WAIT_S: Final = 4.0
_DATAGRAM_BYTES: Final = 65_535
_ANSWERED: Final = frozenset((dns.rcode.NOERROR, dns.rcode.NXDOMAIN))


async def ask(
    loop: asyncio.AbstractEventLoop, servers: Sequence[Server], question: dns.message.QueryMessage
) -> tuple[dns.message.Message, Server]:
    """The answer, and who gave it: the first server that knows it, asked one after the other, round after round.

    Without an answer it goes on for ever: the caller has the deadline. Raises :class:`Failed` when every server has
    said that it will not answer, or cannot be sent anything.
    """
    wait_s = FIRST_WAIT_S
    while True:
        silent = False
        verdict: Failed | None = None
        for server in servers:
            try:
                async with asyncio.timeout(wait_s):
                    answer = await _ask_one(loop, server, question)
            except TimeoutError:
                silent = True
            except Failed as failed:
                verdict = failed
            else:
                if answer.rcode() in _ANSWERED:
                    return answer, server
                verdict = Failed(Failure.RESOLVE, f"the name server answered {dns.rcode.to_text(answer.rcode())}")
        if not silent:
            raise verdict or Failed(Failure.AGENT, "there is no name server to ask")
        wait_s = min(2 * wait_s, LONGEST_WAIT_S)


async def _ask_one(
    loop: asyncio.AbstractEventLoop, server: Server, question: dns.message.QueryMessage
) -> dns.message.Message:
    family = socket.AF_INET6 if ":" in server[0] else socket.AF_INET
    try:
        sock = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    except OSError as error:
        raise from_os_error(error) from None
    wire = Wire(sock, loop)
    try:
        sock.connect(server)
        sock.send(question.to_wire())
        while True:
            await wire.readable()
            answer = _read(sock.recv(_DATAGRAM_BYTES), question)
            if answer is not None:
                break
    except BlockingIOError:
        raise Failed(Failure.AGENT, "the agent's network takes no more datagrams") from None
    except OSError as error:
        raise from_os_error(error) from None
    finally:
        wire.close()
    return await _ask_by_tcp(loop, server, question) if answer.flags & dns.flags.TC else answer


async def _ask_by_tcp(
    loop: asyncio.AbstractEventLoop, server: Server, question: dns.message.QueryMessage
) -> dns.message.Message:
    wire = await connect(loop, *server)
    try:
        data = question.to_wire()
        await wire.send(len(data).to_bytes(2, "big") + data)
        data = b""
        while len(data) < 2 or len(data) < 2 + int.from_bytes(data[:2], "big"):
            more = await wire.receive()
            if not more:
                raise Failed(Failure.PROTOCOL, "the name server closed the connection before its answer was complete")
            data += more
    finally:
        wire.close()
    answer = _read(data[2 : 2 + int.from_bytes(data[:2], "big")], question)
    if answer is None:
        raise Failed(Failure.PROTOCOL, "the name server's answer is malformed, or not to the question")
    return answer


def _read(data: bytes, question: dns.message.QueryMessage) -> dns.message.Message | None:
    """An answer to this question; ``None`` for anything else, which a forger may have sent: the true one may follow."""
    try:
        answer = dns.message.from_wire(data, ignore_trailing=True, raise_on_truncation=False)
    except dns.exception.DNSException:
        return None
    return answer if question.is_response(answer) else None
