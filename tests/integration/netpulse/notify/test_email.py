"""Mail to a real SMTP server: what arrives, what is refused, and what is never said in the clear."""

from __future__ import annotations

import asyncio
import email
import email.policy
import ssl
from collections.abc import AsyncIterator
from concurrent.futures import Future
from contextlib import asynccontextmanager
from email.message import EmailMessage
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import trustme
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, Session

from holdfast.netpulse.core.delivery import Again, Refused, Sent
from holdfast.netpulse.core.incident import Cause, Condition, Member, State
from holdfast.netpulse.core.settings import ChannelSettings, EmailChannel
from holdfast.testing import eventually
from tests.integration.netpulse.notify.services import ACK, PAGE, tell
from tests.integration.netpulse.notify.test_http import behaving
from tests.machine import free_port
from tests.unit.netpulse.notify.memory import NOW, incident

pytestmark = pytest.mark.anyio


class Mailbox:
    """Takes mail, and refuses whom it is told to."""

    def __init__(self) -> None:
        self.mails: list[tuple[Envelope, EmailMessage]] = []
        self.refuses: dict[str, str] = {}
        self.data_answer = "250 OK"
        self.logins: list[tuple[bytes, bool]] = []

    async def handle_RCPT(  # noqa: N802 - as it is called there
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if address in self.refuses:
            return self.refuses[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        assert isinstance(envelope.content, bytes)
        mail = email.message_from_bytes(envelope.content, policy=email.policy.default)
        assert isinstance(mail, EmailMessage)
        if self.data_answer.startswith("2"):
            self.mails.append((envelope, mail))
        return self.data_answer

    def login(self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any) -> AuthResult:
        good = (data.login, data.password) == (b"pulse", "s3crét".encode())
        self.logins.append((data.login, session.ssl is not None))  # TLS that begun with STARTTLS
        return AuthResult(success=good, handled=good)


@asynccontextmanager
async def a_server(mailbox: Mailbox, authority: trustme.CA, tls: str = "starttls", **how: Any) -> AsyncIterator[int]:
    """Its port."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    if tls == "starttls":
        how |= {"tls_context": context, "require_starttls": True}
    elif tls == "implicit":
        how["auth_require_tls"] = False  # it cannot see the TLS that it stands behind
    # A loop of asyncio's own: aiosmtpd puts asyncio's TLS on the transport, which uvloop's does not take.
    loop = asyncio.SelectorEventLoop()

    transports: list[asyncio.BaseTransport] = []

    class Noted(SMTP):  # aiosmtpd leaves the transport below TLS to the garbage collector
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            transports.append(transport)
            super().connection_made(transport)

    def session() -> SMTP:
        return Noted(mailbox, loop=loop, hostname="mail.test", authenticator=mailbox.login, **how)

    async def serve(port: Future[int], over: asyncio.Event) -> None:
        server = await loop.create_server(session, "127.0.0.1", 0, ssl=context if tls == "implicit" else None)
        port.set_result(server.sockets[0].getsockname()[1])
        await over.wait()
        server.close()
        await eventually(lambda: len(asyncio.all_tasks(loop)) == 1, "the end of the sessions")
        for transport in transports:
            transport.abort()  # type: ignore[attr-defined]
        await asyncio.sleep(0.01)  # the selector's transports close in the rounds after it

    port: Future[int] = Future()
    over = asyncio.Event()
    thread = Thread(target=lambda: loop.run_until_complete(serve(port, over)))
    thread.start()
    try:
        yield await asyncio.wrap_future(port)
    finally:
        loop.call_soon_threadsafe(over.set)
        await asyncio.to_thread(thread.join)
        loop.close()


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def ca_file(authority: trustme.CA, tmp_path: Path) -> str:
    path = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(path)
    return str(path)


def channel(port: int, ca_file: str, **changes: Any) -> ChannelSettings:
    how: dict[str, Any] = {"to": ("ops@example.org",), "ca_file": ca_file, **changes}
    return ChannelSettings(
        allow_private=True, email=EmailChannel(server=f"127.0.0.1:{port}", sender="pulse@example.org", **how)
    )


@pytest.fixture
def mailbox() -> Mailbox:
    return Mailbox()


async def test_a_mail_has_text_and_html_and_says_what_happened(
    mailbox: Mailbox, authority: trustme.CA, ca_file: str
) -> None:
    async with a_server(mailbox, authority) as port:
        assert await tell(channel(port, ca_file, to=("ann@example.org", "bob@example.org"))) == Sent()
    ((envelope, mail),) = mailbox.mails
    assert (envelope.mail_from, envelope.rcpt_tos) == ("pulse@example.org", ["ann@example.org", "bob@example.org"])
    assert mail["Subject"] == "[DOWN] shop is down"
    assert mail["To"] == "ann@example.org, bob@example.org"
    text, html = mail.get_body(("plain",)), mail.get_body(("html",))
    assert text is not None
    assert html is not None
    assert "shop is down since" in text.get_content()
    assert ACK in text.get_content()
    assert ACK.replace("&", "&amp;") in html.get_content()
    assert PAGE in html.get_content()
    assert mail["Auto-Submitted"] == "auto-generated"


async def test_the_mails_of_an_incident_are_one_thread_and_a_repetition_can_be_told(
    mailbox: Mailbox, authority: trustme.CA, ca_file: str
) -> None:
    over = incident(state=State.RESOLVED, resolved=NOW + 60)
    async with a_server(mailbox, authority) as port:
        for event, about, cause in (("opened", incident(), 2), ("opened", incident(), 2), ("resolved", over, 4)):
            await tell(channel(port, ca_file), event, about, cause=cause)
    first, again, last = (mail for _, mail in mailbox.mails)
    assert first["Message-ID"] == again["Message-ID"] != last["Message-ID"]
    assert first["References"] == last["References"] == last["In-Reply-To"]
    assert first["Message-ID"].endswith("@example.org>")


async def test_no_name_can_add_a_header_a_recipient_or_a_line(
    mailbox: Mailbox, authority: trustme.CA, ca_file: str
) -> None:
    nasty = "shop\r\nBcc: eve@example.org\r\n\r\n.\r\nMAIL FROM:<eve@example.org>\r\n<script>ü</script>"
    about = incident(
        title=nasty,
        cause=Cause(kind="tag", value=nasty),
        members=(Member(monitor=nasty, condition=Condition.DOWN, began=NOW, joined=NOW, evidence={nasty: nasty}),),
    )
    async with a_server(mailbox, authority) as port:
        assert await tell(channel(port, ca_file), about=about) == Sent()
    ((envelope, mail),) = mailbox.mails
    assert envelope.rcpt_tos == ["ops@example.org"]
    assert mail["Bcc"] is None
    html = mail.get_body(("html",))
    assert html is not None
    assert "<script>" not in html.get_content()


async def test_lines_that_begin_with_a_dot_arrive_as_they_are(
    mailbox: Mailbox, authority: trustme.CA, ca_file: str
) -> None:
    member = Member(monitor="default/.hidden", condition=Condition.DOWN, began=NOW, joined=NOW)
    async with a_server(mailbox, authority) as port:
        await tell(channel(port, ca_file), about=incident(members=(member,)))
    text = mailbox.mails[0][1].get_body(("plain",))
    assert text is not None
    assert text.get_content().startswith(".hidden is down since")


@pytest.mark.parametrize("tls", ["starttls", "implicit"])
async def test_a_password_is_sent_inside_of_tls(
    mailbox: Mailbox, authority: trustme.CA, ca_file: str, tls: str
) -> None:
    async with a_server(mailbox, authority, tls) as port:
        good = channel(port, ca_file, tls=tls, username="pulse", password="s3crét")
        assert await tell(good) == Sent()
        wrong = await tell(channel(port, ca_file, tls=tls, username="pulse", password="guess"))
    assert wrong == Refused("the mail server answered 535: 5.7.8 Authentication credentials invalid")
    assert len(mailbox.mails) == 1
    assert mailbox.logins == [(b"pulse", tls == "starttls")] * 2
    assert b"guess" not in repr(wrong).encode()


async def test_login_is_spoken_where_plain_is_not(mailbox: Mailbox, authority: trustme.CA, ca_file: str) -> None:
    async with a_server(mailbox, authority, auth_exclude_mechanism=["PLAIN"]) as port:
        assert await tell(channel(port, ca_file, username="pulse", password="s3crét")) == Sent()
    assert mailbox.logins[0][0] == b"pulse"


async def test_no_password_is_sent_in_the_clear(mailbox: Mailbox, authority: trustme.CA, ca_file: str) -> None:
    async with a_server(mailbox, authority, "none", auth_require_tls=False) as port:
        outcome = await tell(channel(port, ca_file, tls="none", username="pulse", password="s3crét"))
        assert await tell(channel(port, ca_file, tls="none")) == Sent()
    assert isinstance(outcome, Refused)
    assert mailbox.logins == []


async def test_without_starttls_nothing_is_said(mailbox: Mailbox, authority: trustme.CA, ca_file: str) -> None:
    async with a_server(mailbox, authority, "none") as port:
        assert await tell(channel(port, ca_file)) == Again("the mail server does not offer STARTTLS")
    assert mailbox.mails == []


async def test_a_certificate_of_an_unknown_authority_is_not_taken(mailbox: Mailbox, authority: trustme.CA) -> None:
    for tls in ("starttls", "implicit"):
        async with a_server(mailbox, authority, tls) as port:
            outcome = await tell(channel(port, "", tls=tls))
        assert isinstance(outcome, Again)
        assert "certificate" in outcome.why
    assert mailbox.mails == []


async def test_whoever_is_refused_for_good_does_not_keep_it_from_the_others(
    mailbox: Mailbox, authority: trustme.CA, ca_file: str
) -> None:
    mailbox.refuses["gone@example.org"] = "550 5.1.1 no such user"
    async with a_server(mailbox, authority) as port:
        outcome = await tell(channel(port, ca_file, to=("gone@example.org", "ann@example.org")))
        alone = await tell(channel(port, ca_file, to=("gone@example.org",)))
    assert outcome == Sent("1 of 2; refused: gone@example.org")
    assert mailbox.mails[0][0].rcpt_tos == ["ann@example.org"]
    assert alone == Refused("the mail server answered 550: 5.1.1 no such user")


async def test_whoever_is_refused_for_now_puts_it_off_for_all_so_that_nobody_gets_it_twice(
    mailbox: Mailbox, authority: trustme.CA, ca_file: str
) -> None:
    mailbox.refuses["grey@example.org"] = "451 4.7.1 greylisted"
    to = ("ann@example.org", "grey@example.org")
    async with a_server(mailbox, authority) as port:
        assert await tell(channel(port, ca_file, to=to)) == Again("the mail server answered 451: 4.7.1 greylisted")
        assert mailbox.mails == []
        assert await tell(channel(port, ca_file, to=to), last=True) == Sent("1 of 2; refused: grey@example.org")
    assert mailbox.mails[0][0].rcpt_tos == ["ann@example.org"]


@pytest.mark.parametrize(("reply", "kind"), [("452 full", Again), ("554 spam", Refused)])
async def test_the_answer_to_the_text_decides(
    mailbox: Mailbox, authority: trustme.CA, ca_file: str, reply: str, kind: type
) -> None:
    mailbox.data_answer = reply
    async with a_server(mailbox, authority) as port:
        assert isinstance(await tell(channel(port, ca_file)), kind)


@pytest.mark.parametrize("address", ["ann@exämple.org", "ann", "ann@example.org>\r\nRCPT TO:<eve@example.org"])
async def test_an_address_that_smtp_cannot_carry_is_refused(
    mailbox: Mailbox, authority: trustme.CA, ca_file: str, address: str
) -> None:
    async with a_server(mailbox, authority) as port:
        assert isinstance(await tell(channel(port, ca_file, to=(address,))), Refused)
    assert mailbox.mails == []


# ---------------------------------------------------------------- servers that are none


@asynccontextmanager
async def saying(*lines: bytes) -> AsyncIterator[tuple[int, list[bytes]]]:
    """A server that says one line after the other, whatever it hears; its port, and what it heard."""
    heard: list[bytes] = []

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for line in lines:
            writer.write(line)
            await writer.drain()
            heard.append(await reader.readline())
        await reader.read()

    async with behaving(behave) as url:
        yield int(url.rstrip("/").rpartition(":")[2]), heard


@pytest.mark.parametrize(
    ("lines", "why"),
    [
        ((b"HTTP/1.1 400 Bad Request\r\n",), "the mail server does not speak SMTP"),
        ((b"220-" + b"x" * 100_000,), "the connection to the mail server broke"),
        ((b"220-hello\r\n" * 100,), "the mail server does not speak SMTP"),
        ((b"421 too busy\r\n",), "the mail server answered 421: too busy"),
    ],
)
async def test_what_is_not_a_mail_server_is_tried_again(lines: tuple[bytes, ...], why: str) -> None:
    async with saying(*lines) as (port, _):
        assert await tell(channel(port, "", tls="none")) == Again(why)


async def test_a_server_that_says_nothing_is_ended_by_the_deadline() -> None:
    async with saying(b"") as (port, _):
        outcome = await tell(channel(port, "", tls="none"), timeout_s=0.2)
    assert outcome == Again("the mail server did not finish within 0.2 s")


async def test_what_is_slipped_in_behind_the_answer_to_starttls_is_never_read(ca_file: str) -> None:
    """The injected line would otherwise be read as the answer to the first command inside of TLS."""
    async with saying(b"220 hello\r\n", b"250-me\r\n250 STARTTLS\r\n", b"220 go\r\n250-me\r\n250 AUTH PLAIN\r\n") as (
        port,
        heard,
    ):
        outcome = await tell(channel(port, ca_file, username="pulse", password="s3crét"), timeout_s=1.0)
    assert isinstance(outcome, Again)
    assert not any(b"AUTH" in line for line in heard)


async def test_nobody_listening_and_private_addresses_are_told_apart(ca_file: str) -> None:

    port = free_port()
    assert await tell(channel(port, ca_file)) == Again("the mail server takes no connection")
    closed = ChannelSettings(email=EmailChannel(server=f"127.0.0.1:{port}", sender="a@b.c", to=("d@e.f",)))
    assert isinstance(await tell(closed), Refused)
