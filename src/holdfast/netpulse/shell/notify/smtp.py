"""One mail by SMTP (RFC 5321), with STARTTLS (RFC 3207) or TLS from the start (RFC 8314), and AUTH (RFC 4954).

By hand on asyncio, not :mod:`smtplib` in a thread: a server that sends a byte a minute would keep the thread for as
long as it likes, where a deadline over the whole ends it here.

Nothing that a server said before TLS counts after it: the reader is made anew, so that a line that somebody put behind
the answer to STARTTLS is never read. Without TLS no password is sent.
"""

from __future__ import annotations

import asyncio
import binascii
import re
import ssl
from collections.abc import Sequence
from typing import Final

from holdfast.netpulse.core.delivery import Again, Refused, line
from holdfast.netpulse.core.settings import EmailChannel
from holdfast.netpulse.shell.notify.http import Network

_LINE_LIMIT: Final = 4096
"""Bytes of a line of an answer; RFC 5321 4.5.3.1.5 has 512."""
_LINES_LIMIT: Final = 64
_QUIT_S: Final = 1.0


class SmtpError(Exception):
    """The mail was not taken."""

    def __init__(self, why: str, *, final: bool) -> None:
        self.final = final
        super().__init__(why)


async def send(
    network: Network,
    channel: EmailChannel,
    to: Sequence[str],
    body: bytes,
    *,
    timeout_s: float,
    allow_private: bool,
    partly: bool,
) -> list[str]:
    """Send ``body`` (lines end in CR LF) to ``to``; who was refused, when others were accepted.

    Args:
        network: Resolves and judges the server's address, and has the authorities for TLS.
        channel: Server, sender and credentials.
        to: Addresses, ASCII.
        body: Head and text.
        timeout_s: For all of it.
        allow_private: Whether the server may be at a private address.
        partly: Whether to send although somebody is refused for now.

    Raises:
        SmtpError: Nobody has it, as far as is known.
    """
    host, _, port = channel.server.rpartition(":")
    host = host.strip("[]")
    try:
        async with asyncio.timeout(timeout_s):
            context = await _context(network, channel)
            found = await network.addresses(host, int(port), allow_private=allow_private)
            if isinstance(found, Again | Refused):
                raise SmtpError(found.why, final=isinstance(found, Refused))
            connection = await _connect(found, int(port), host, context if channel.tls == "implicit" else None)
            try:
                refused = await _transaction(connection, channel, host, context, to, body, partly=partly)
            finally:
                connection.abort()
            return refused
    except TimeoutError:
        raise SmtpError(f"the mail server did not finish within {timeout_s:g} s", final=False) from None
    except ssl.SSLCertVerificationError as error:
        raise SmtpError(f"the mail server's certificate is not valid: {error.verify_message}", final=False) from error
    except ssl.SSLError as error:
        raise SmtpError("TLS with the mail server could not be agreed on", final=False) from error
    except (OSError, EOFError, asyncio.LimitOverrunError) as error:
        raise SmtpError("the connection to the mail server broke", final=False) from error
    except UnicodeEncodeError as error:
        raise SmtpError("an address is not ASCII; SMTPUTF8 is not spoken here", final=True) from error


async def _context(network: Network, channel: EmailChannel) -> ssl.SSLContext | None:
    if channel.tls == "none":
        return None
    if not channel.ca_file:
        return await network.tls()
    try:
        return await asyncio.to_thread(ssl.create_default_context, cafile=channel.ca_file)
    except (OSError, ssl.SSLError) as error:
        raise SmtpError(f"ca_file {channel.ca_file} cannot be read", final=False) from error


async def _connect(addresses: Sequence[str], port: int, host: str, context: ssl.SSLContext | None) -> _Connection:
    for number, address in enumerate(addresses, 1):
        try:
            reader, writer = await asyncio.open_connection(
                address, port, limit=_LINE_LIMIT, ssl=context, server_hostname=host if context else None
            )
        except ssl.SSLError:
            raise
        except OSError:
            if number == len(addresses):
                raise SmtpError("the mail server takes no connection", final=False) from None
        else:
            return _Connection(reader, writer)
    raise AssertionError(addresses)


async def _transaction(
    smtp: _Connection,
    channel: EmailChannel,
    host: str,
    context: ssl.SSLContext | None,
    to: Sequence[str],
    body: bytes,
    *,
    partly: bool,
) -> list[str]:
    await smtp.answer(220)
    features = await smtp.hello()
    if channel.tls == "starttls" and context is not None:
        if "STARTTLS" not in features:
            # Somebody in between may have taken it out; going on in the clear is what they would like.
            raise SmtpError("the mail server does not offer STARTTLS", final=False)
        await smtp.say("STARTTLS", 220)
        await smtp.upgrade(context, host)
        features = await smtp.hello()
    if channel.username:
        if channel.tls == "none":
            raise SmtpError("no password is sent without TLS; choose tls: starttls or implicit", final=True)
        await smtp.authenticate(features, channel.username, channel.password)
    await smtp.say(f"MAIL FROM:<{_address(channel.sender)}>", 250)
    refused: list[str] = []
    error: SmtpError | None = None
    for address in to:
        try:
            await smtp.say(f"RCPT TO:<{_address(address)}>", 250, 251, 252)
        except SmtpError as wrong:
            error = wrong if error is None or error.final else error
            if not wrong.final and not partly:
                raise
            refused.append(address)
    if error is not None and len(refused) == len(to):
        raise error
    await smtp.say("DATA", 354)
    smtp.put(re.sub(rb"(?m)^\.", b"..", body).removesuffix(b"\r\n") + b"\r\n.\r\n")
    await smtp.answer(250)
    await smtp.quit()
    return refused


class _Connection:
    """Lines out, answers in."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._outer: asyncio.StreamWriter | None = None
        """The writer below TLS: one that is not referred to closes its transport."""

    def put(self, data: bytes) -> None:
        self._writer.write(data)

    async def say(self, command: str, *wanted: int) -> list[str]:
        """Send a command; the lines of the answer. Raises :class:`SmtpError` for another code than ``wanted``."""
        self.put(command.encode("ascii") + b"\r\n")
        await self._writer.drain()
        return await self.answer(*wanted)

    async def answer(self, *wanted: int) -> list[str]:
        await self._writer.drain()
        lines: list[str] = []
        for _ in range(_LINES_LIMIT):
            text = (await self._reader.readuntil(b"\n")).decode("utf-8", "replace").rstrip("\r\n")
            if not re.match(r"[2-5]\d\d([ -]|$)", text):
                break
            lines.append(text[4:])
            if text[3:4] != "-":
                code = int(text[:3])
                if code in wanted:
                    return lines
                said = line(" ".join(lines), 200)
                raise SmtpError(f"the mail server answered {code}: {said}", final=code >= 500)
        raise SmtpError("the mail server does not speak SMTP", final=False)

    async def hello(self) -> dict[str, str]:
        """What the server can do: keyword -> parameters, in capitals."""
        _, *lines = await self.say("EHLO holdfast.invalid", 250)
        return {text.partition(" ")[0].upper(): text.partition(" ")[2].upper() for text in lines}

    async def upgrade(self, context: ssl.SSLContext, host: str) -> None:
        """TLS from here on, with a new reader."""
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(limit=_LINE_LIMIT, loop=loop)
        protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
        transport = await loop.start_tls(self._writer.transport, protocol, context, server_hostname=host)
        if transport is None:
            raise ConnectionResetError("closed while TLS was being agreed on")
        protocol.connection_made(transport)
        self._outer = self._writer
        self._reader, self._writer = reader, asyncio.StreamWriter(transport, protocol, reader, loop)

    async def authenticate(self, features: dict[str, str], username: str, password: str) -> None:
        """PLAIN (RFC 4616) if it is offered, else LOGIN, which some servers have alone."""
        ways = features.get("AUTH", "").split()
        if "PLAIN" in ways:
            token = _base64(f"\x00{username}\x00{password}")
            await self.say(f"AUTH PLAIN {token}", 235)
        elif "LOGIN" in ways:
            await self.say("AUTH LOGIN", 334)
            await self.say(_base64(username), 334)
            await self.say(_base64(password), 235)
        else:
            raise SmtpError("the mail server offers neither AUTH PLAIN nor AUTH LOGIN", final=True)

    async def quit(self) -> None:
        """Say goodbye. The mail is taken: whatever happens now is no failure."""
        try:
            async with asyncio.timeout(_QUIT_S):
                await self.say("QUIT", 221)
        except (OSError, EOFError, TimeoutError, asyncio.LimitOverrunError, SmtpError):
            pass

    def abort(self) -> None:
        self._writer.transport.abort()
        if self._outer is not None:
            self._outer.transport.abort()


def _address(text: str) -> str:
    """An address that cannot end the command that it stands in."""
    if not re.fullmatch(r"[!-;=?-~]{1,320}", text):
        raise SmtpError(f"not a mail address: {line(text, 100)!r}", final=True)
    return text


def _base64(text: str) -> str:
    return binascii.b2a_base64(text.encode(), newline=False).decode("ascii")
