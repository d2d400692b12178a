"""Questions to name servers: over UDP, and over TCP when the answer is too long for that.

The socket is connected, so the kernel takes answers from nobody else and hands on that a server refuses; each question
has a socket (a source port) and an id of its own, which is what makes forging an answer hard (RFC 5452).
"""

from __future__ import annotations

import asyncio
import secrets
import socket
import struct
from collections.abc import Sequence
from typing import Final

import dns.rcode

from holdfast.netpulse.core.result import Failure
from holdfast.netpulse.shell.probes.finding import Failed, from_os_error
from holdfast.netpulse.shell.probes.wire import Wire, connect

Server = tuple[str, int]
"""Address and port."""

FIRST_WAIT_S: Final = 1.0
"""Until a question is asked again (of the next server); doubled with each round. A datagram is lost now and then."""
LONGEST_WAIT_S: Final = 4.0
A: Final = 1
AAAA: Final = 28
_DATAGRAM_BYTES: Final = 65_535
_HEAD_BYTES: Final = 12
_TRUNCATED: Final = 0x02
_ASKED: Final = b"\x01\0\0\1\0\0\0\0\0\0"
"""Flags (recursion desired) and counts (one question)."""
_INTERNET: Final = b"\0\1"
_RECORD: Final = struct.Struct("!HHIH")
_ANSWERED: Final = frozenset((dns.rcode.NOERROR, dns.rcode.NXDOMAIN))


async def ask(loop: asyncio.AbstractEventLoop, servers: Sequence[Server], question: bytes) -> tuple[bytes, Server]:
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
                if rcode(answer) in _ANSWERED:
                    return answer, server
                verdict = Failed(
                    Failure.RESOLVE, f"the name server answered {dns.rcode.to_text(dns.rcode.Rcode(rcode(answer)))}"
                )
        if not silent:
            raise verdict or Failed(Failure.AGENT, "there is no name server to ask")
        wait_s = min(2 * wait_s, LONGEST_WAIT_S)


async def _ask_one(loop: asyncio.AbstractEventLoop, server: Server, question: bytes) -> bytes:
    family = socket.AF_INET6 if ":" in server[0] else socket.AF_INET
    try:
        sock = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    except OSError as error:
        raise from_os_error(error) from None
    wire = Wire(sock, loop)
    try:
        sock.connect(server)
        sock.send(question)
        while True:
            await wire.readable()
            answer = sock.recv(_DATAGRAM_BYTES)
            if _answers(answer, question):  # anything else may be a forger's, and the true one follow
                break
    except BlockingIOError:
        raise Failed(Failure.AGENT, "the agent's network takes no more datagrams") from None
    except OSError as error:
        raise from_os_error(error) from None
    finally:
        wire.close()
    return await _ask_by_tcp(loop, server, question) if answer[2] & _TRUNCATED else answer


async def _ask_by_tcp(loop: asyncio.AbstractEventLoop, server: Server, question: bytes) -> bytes:
    wire = await connect(loop, *server)
    try:
        await wire.send(len(question).to_bytes(2, "big") + question)
        data = b""
        while len(data) < 2 or len(data) < 2 + int.from_bytes(data[:2], "big"):
            more = await wire.receive()
            if not more:
                raise Failed(Failure.PROTOCOL, "the name server closed the connection before its answer was complete")
            data += more
    finally:
        wire.close()
    answer = data[2 : 2 + int.from_bytes(data[:2], "big")]
    if not _answers(answer, question):
        raise Failed(Failure.PROTOCOL, "the name server's answer is malformed, or not to the question")
    return answer


def rcode(answer: bytes) -> int:
    """What became of the question (RFC 1035 section 4.1.1)."""
    return answer[3] & 0x0F


def question(name: bytes, kind: int) -> bytes:
    """A question for the records of one kind; ``name`` as it goes on the wire."""
    return secrets.token_bytes(2) + _ASKED + name + kind.to_bytes(2, "big") + _INTERNET


def addresses(answer: bytes, kind: int) -> list[str]:
    """Addresses in an answer, in its order. Raises :class:`Failed` when it is cut short.

    What :mod:`dns.message` would say, too, but twice as quick with all that is around it: every check has a name.
    """
    found = []
    try:
        at = _after_name(answer, _HEAD_BYTES) + 4
        for _ in range(int.from_bytes(answer[6:8], "big")):
            at = _after_name(answer, at)
            type_, class_, _ttl, size = _RECORD.unpack_from(answer, at)
            at += _RECORD.size
            if type_ == kind and class_ == 1 and size == (4 if kind == A else 16):
                number = answer[at : at + size]
                if len(number) == size:
                    found.append(socket.inet_ntop(socket.AF_INET if kind == A else socket.AF_INET6, number))
            at += size
        if at > len(answer):
            raise IndexError
    except (IndexError, struct.error):
        raise Failed(Failure.PROTOCOL, "the name server's answer is malformed") from None
    return found


def _after_name(data: bytes, at: int) -> int:
    """Where a name ends. It is not followed (its pointers could go in circles), only stepped over."""
    while size := data[at]:
        if size >= 0xC0:
            return at + 2
        at += size + 1
    return at + 1


def _answers(answer: bytes, question: bytes) -> bool:
    """Whether this is an answer, and to this question: same id, and the question repeated."""
    end = _after_name(question, _HEAD_BYTES) + 4
    return (
        len(answer) >= end
        and answer[:2] == question[:2]
        and bool(answer[2] & 0x80)
        and answer[4:6] == b"\0\1"
        and answer[_HEAD_BYTES:end].lower() == question[_HEAD_BYTES:end].lower()
    )
