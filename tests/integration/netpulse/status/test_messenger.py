"""Messages to subscribers go out by the mail and the HTTP of channels."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiosmtpd.smtp import SMTP, Envelope

from holdfast.netpulse.core.settings import ChannelSettings, EmailChannel
from holdfast.netpulse.shell.notify.http import Network
from holdfast.netpulse.shell.status import ChannelMessenger
from holdfast.netpulse.shell.status.messenger import NotTold
from tests.machine import free_port
from tests.unit.netpulse.status.views import NOW


class Mailbox:
    """A mail server that keeps what comes."""

    def __init__(self) -> None:
        self.mails: list[Envelope] = []

    async def handle_DATA(self, server: object, session: object, envelope: Envelope) -> str:  # noqa: N802
        self.mails.append(envelope)
        return "250 kept"


@asynccontextmanager
async def mailbox() -> AsyncIterator[tuple[Mailbox, int]]:
    """On a free port."""
    kept, port = Mailbox(), free_port()
    server = await asyncio.get_running_loop().create_server(
        lambda: SMTP(kept, loop=asyncio.get_running_loop()), "127.0.0.1", port
    )
    try:
        yield kept, port
    finally:
        server.close()
        await server.wait_closed()


async def test_a_mail_arrives_with_its_way_out() -> None:
    network = Network()
    try:
        async with mailbox() as (kept, port):
            channel = ChannelSettings(
                allow_private=True,
                email=EmailChannel(server=f"127.0.0.1:{port}", sender="status@acme.example", to=(), tls="none"),
            )
            messenger = ChannelMessenger(network, channel, wall=lambda: NOW)
            await messenger.mail("ada@example.org", "Updates", "Hello.\n", {"List-Unsubscribe": "<https://x/end>"})
            (mail,) = kept.mails
            assert mail.rcpt_tos == ["ada@example.org"]
            assert b"List-Unsubscribe: <https://x/end>\r\n" in (mail.content or b"")
    finally:
        await network.close()


async def test_a_webhook_of_a_stranger_never_leads_inside() -> None:
    network = Network()
    try:
        messenger = ChannelMessenger(network, ChannelSettings(allow_private=True), wall=lambda: NOW)
        with pytest.raises(NotTold, match="not a public address"):
            await messenger.post("https://127.0.0.1:1/hook", b"{}")
        with pytest.raises(NotTold, match="no mail is sent here"):
            await messenger.mail("ada@example.org", "Updates", "Hello.", {})
    finally:
        await network.close()
