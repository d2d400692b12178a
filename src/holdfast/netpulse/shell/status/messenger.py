"""Messages to subscribers, by the same mail and HTTP that channels use.

Webhooks are named by strangers, so they are only ever called at public addresses, whatever channels may do.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from email.message import EmailMessage
from email.policy import SMTP
from typing import Final

from holdfast.netpulse.core.delivery import Answer, Request
from holdfast.netpulse.core.settings import ChannelSettings
from holdfast.netpulse.errors import NetpulseError
from holdfast.netpulse.shell.notify import smtp
from holdfast.netpulse.shell.notify.http import Network
from holdfast.netpulse.shell.status.times import mail

TIMEOUT_S: Final = 10.0


class NotTold(NetpulseError):
    """A message did not arrive."""


class ChannelMessenger:
    """The :class:`~.subscribers.Messenger` of the engine. ``channel`` is the e-mail channel of the status page."""

    def __init__(self, network: Network, channel: ChannelSettings | None, *, wall: Callable[[], float]) -> None:
        self._network = network
        self._channel = channel
        self._wall = wall

    async def mail(self, to: str, subject: str, text: str, headers: Mapping[str, str]) -> None:
        """By e-mail. Raises :class:`NotTold`."""
        if self._channel is None or self._channel.email is None:
            raise NotTold("no mail is sent here: netpulse.status.subscribe_channel names no e-mail channel")
        settings = self._channel.email
        message = EmailMessage(policy=SMTP)
        message["Subject"] = subject
        message["From"] = settings.sender
        message["To"] = to
        message["Date"] = mail(self._wall())
        message["Message-ID"] = f"<{uuid.uuid4().hex}@{settings.sender.rpartition('@')[2]}>"
        for name, value in headers.items():
            message[name] = value
        message.set_content(text)
        try:
            await smtp.send(
                self._network,
                settings,
                (to,),
                message.as_bytes(),
                timeout_s=TIMEOUT_S,
                allow_private=self._channel.allow_private,
                partly=False,
            )
        except smtp.SmtpError as error:
            raise NotTold(str(error)) from error

    async def post(self, url: str, body: bytes) -> None:
        """JSON to a webhook. Raises :class:`NotTold`."""
        request = Request(url=url, body=body, headers={"Content-Type": "application/json"})
        got = await self._network.request(request, timeout_s=TIMEOUT_S, allow_private=False)
        if not isinstance(got, Answer):
            raise NotTold(got.why)
        if not 200 <= got.status < 300:
            raise NotTold(f"the webhook answered {got.status}")
