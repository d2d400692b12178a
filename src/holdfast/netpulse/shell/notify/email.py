"""Mail: the message as text and HTML, in one thread an incident.

Every mail of an incident refers to the same made-up first one (``References``), so that mail programs show them as
one conversation; ``Message-ID`` follows from the notice's key, so that a repetition can be told from a new message.
Header fields are made by :mod:`email` with a policy that refuses line breaks, and texts come without any.

A mail to several people is one transaction. Somebody who is refused for good (5xx) does not keep it from the others;
somebody who is refused for now (4xx: greylisting, a full mailbox) puts off the whole, so that nobody gets it twice,
up to the last attempt, which goes to whoever is accepted.
"""

from __future__ import annotations

import datetime as dt
import html
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from hashlib import sha256
from typing import Final

from holdfast.netpulse.core.delivery import Again, Outcome, Refused, Sent, line
from holdfast.netpulse.core.message import Message, text_of
from holdfast.netpulse.core.settings import EmailChannel
from holdfast.netpulse.shell.notify import smtp
from holdfast.netpulse.shell.notify.http import Network

_POLICY: Final = SMTP.clone(cte_type="7bit")
"""7-bit lines only: a server need not know 8BITMIME to pass them on unharmed."""


async def send(
    network: Network, channel: EmailChannel, message: Message, *, timeout_s: float, allow_private: bool, last: bool
) -> Outcome:
    """One attempt, within ``timeout_s``. ``last``: there will be no other."""
    try:
        body = written(channel, message).as_bytes()
    except ValueError as error:
        return Refused(f"the mail cannot be written: {line(str(error), 200)}")
    try:
        refused = await smtp.send(
            network, channel, channel.to, body, timeout_s=timeout_s, allow_private=allow_private, partly=last
        )
    except smtp.SmtpError as error:
        return Refused(str(error)) if error.final else Again(str(error))
    accepted = len(channel.to) - len(refused)
    return Sent(f"{accepted} of {len(channel.to)}; refused: {', '.join(refused)}"[:500] if refused else "")


def written(channel: EmailChannel, message: Message) -> EmailMessage:
    """The mail. Raises ``ValueError`` when an address of the channel is none."""
    sender = Address(addr_spec=channel.sender)
    mail = EmailMessage(policy=_POLICY)
    mail["Subject"] = message.title
    mail["From"] = Address("Holdfast", addr_spec=channel.sender)
    mail["To"] = [Address(addr_spec=address) for address in channel.to]
    mail["Date"] = format_datetime(dt.datetime.fromtimestamp(message.at, dt.UTC))
    mail["Message-ID"] = f"<{_name(message.key)}@{sender.domain}>"
    if message.event != "test":
        thread = f"<{_name(message.incident)}@{sender.domain}>"
        mail["In-Reply-To"] = thread
        mail["References"] = thread
    mail["Auto-Submitted"] = "auto-generated"  # RFC 3834: no out-of-office answers, please
    mail["X-Holdfast-Notice"] = message.key
    mail.set_content(text_of(message))
    mail.add_alternative(_html(message), subtype="html")
    return mail


def _name(text: str) -> str:
    return sha256(text.encode()).hexdigest()[:32]


def _html(message: Message) -> str:
    facts = "".join(
        f"<tr><td style='padding-right:12px;color:#667085'>{html.escape(name)}</td><td>{html.escape(text)}</td></tr>"
        for name, text in message.facts
    )
    members = [*message.members, *([f"and {message.others} more"] if message.others else [])]
    links = " &nbsp; ".join(
        f"<a href='{html.escape(url)}'>{text}</a>"
        for text, url in (("Acknowledge", message.acknowledge_url), ("Incident", message.incident_url))
        if url
    )
    return (
        "<!doctype html><html><body style='font:15px/1.5 sans-serif'>"
        f"<div style='border-left:6px solid {message.colour};padding:0 16px'>"
        f"<h2 style='font-size:18px'>{html.escape(message.title)}</h2><p>{html.escape(message.summary)}</p>"
        f"<table>{facts}</table>{_list(members)}"
        f"{f'<p>Evidence</p>{_list(list(message.evidence))}' if message.evidence else ''}"
        f"<p style='font-size:17px'>{links}</p></div></body></html>"
    )


def _list(lines: list[str]) -> str:
    return f"<ul>{''.join(f'<li>{html.escape(text)}</li>' for text in lines)}</ul>" if lines else ""
