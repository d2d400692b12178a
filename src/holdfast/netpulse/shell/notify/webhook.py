"""Webhook: the message as JSON, signed."""

from __future__ import annotations

import msgspec

from holdfast.netpulse.core.delivery import Answer, Outcome, Request, of_status
from holdfast.netpulse.core.message import Message, as_json
from holdfast.netpulse.core.settings import WebhookChannel
from holdfast.netpulse.core.signature import HEADER, sign


def request(channel: WebhookChannel, message: Message, *, now: float) -> Request:
    """One attempt. The field ``Holdfast-Notice`` carries the key, as the body does."""
    body = msgspec.json.encode(as_json(message))
    headers = {**channel.headers, "Content-Type": "application/json", "Holdfast-Notice": message.key}
    if channel.secret:
        headers[HEADER] = sign(channel.secret, body, now=now)
    return Request(url=channel.url, headers=headers, body=body)


def outcome(answer: Answer) -> Outcome:
    """By the status; what a stranger's body says is not looked at."""
    return of_status(answer)
