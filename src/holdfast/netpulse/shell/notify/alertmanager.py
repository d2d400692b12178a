"""Prometheus Alertmanager: an incident is an alert, sent again while it stands, ended by ``endsAt``.

Alertmanager knows an alert by its labels, so these are the incident's id and what seldom changes. It takes an alert
for resolved once its ``endsAt`` is over: each message moves it :data:`STANDS_S` ahead, and :data:`RESEND_S` is how
often that is done while the incident stands. So an engine that is gone for good leaves nothing firing behind.
Acknowledgements have no counterpart there.

Source: https://prometheus.io/docs/alerting/latest/alerts_api/, and for the four times Prometheus'
``rules/manager.go`` (``ValidUntil``: four times the larger of interval and resend delay, which is a minute).
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from holdfast.netpulse.core.delivery import Answer, Outcome, Request, of_status
from holdfast.netpulse.core.message import Message, rfc3339, text_of
from holdfast.netpulse.core.settings import AlertmanagerChannel

RESEND_S: Final = 60.0
STANDS_S: Final = 4 * RESEND_S
_PATH: Final = "/api/v2/alerts"


def request(channel: AlertmanagerChannel, message: Message, *, now: float) -> Request | None:
    """One attempt; ``None`` for an acknowledgement."""
    return None if message.event == "acknowledged" else standing(channel, [message], now=now)


def standing(channel: AlertmanagerChannel, messages: Sequence[Message], *, now: float) -> Request:
    """Any number of alerts at once."""
    headers = {"Content-Type": "application/json"}
    if channel.username:
        credentials = f"{channel.username}:{channel.password}".encode()
        headers["Authorization"] = f"Basic {b64encode(credentials).decode('ascii')}"
    url = channel.url.rstrip("/").removesuffix(_PATH) + _PATH
    return Request(url=url, headers=headers, body=msgspec.json.encode([_alert(message, now) for message in messages]))


def outcome(answer: Answer) -> Outcome:
    """200 is sent; 400 says what is wrong with the alert."""
    return of_status(answer, detail=answer.body.decode("utf-8", "replace"))


def _alert(message: Message, now: float) -> dict[str, Any]:
    resolved = message.status == "resolved"
    # A test ends by itself, soon enough to be gone when somebody looks for it, and late enough to be grouped and sent.
    ends = min(now, message.ended if message.ended is not None else now) if resolved else now + STANDS_S
    return {
        "labels": {
            "alertname": "HoldfastTest" if message.event == "test" else "HoldfastIncident",
            "incident": message.incident,
            "tenant": message.tenant or "platform",
            "severity": message.severity,
            "condition": message.condition or "test",
        },
        "annotations": {
            "title": message.title,
            "summary": message.summary,
            "description": text_of(message, links=False),
            "acknowledge_url": message.acknowledge_url,
        },
        "startsAt": rfc3339(min(message.began, ends)),
        "endsAt": rfc3339(ends),
        "generatorURL": message.incident_url,
    }
