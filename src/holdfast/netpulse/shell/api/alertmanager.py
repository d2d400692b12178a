"""What a Prometheus Alertmanager posts to its webhook receivers (version 4 of the message).

https://prometheus.io/docs/alerting/latest/configuration/#webhook_config says what is in it. Unknown fields are left
out, as the format may grow; what is used is bounded.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from holdfast.netpulse.core.ports import ForeignAlert
from holdfast.netpulse.shell.api.bodies import decode
from holdfast.netpulse.shell.api.problems import ProblemError
from holdfast.web.times import moment

MOST_ALERTS: Final = 1_000
MOST_LABELS: Final = 64
TEXT: Final = 500
"""Characters that are kept of a label or a title."""


class Alert(msgspec.Struct, frozen=True, kw_only=True):
    """One alert of the message."""

    status: str
    labels: dict[str, str]
    annotations: dict[str, str] = {}
    starts: str = msgspec.field(default="", name="startsAt")
    fingerprint: str


class Webhook(msgspec.Struct, frozen=True, kw_only=True):
    """The message."""

    version: str
    alerts: list[Alert]


_WEBHOOK: Final[msgspec.json.Decoder[Any]] = msgspec.json.Decoder(Webhook)


def read(body: bytes, *, now: float) -> list[ForeignAlert]:
    """The alerts of a message. Raises :class:`ProblemError`."""
    message: Webhook = decode(_WEBHOOK, body)
    if message.version != "4":
        text = f"version: is {message.version[:20]!r}; version 4 is understood, which Alertmanager sends since 0.7"
        raise ProblemError("invalid-request", text, field="version")
    if len(message.alerts) > MOST_ALERTS:
        text = f"alerts: more than {MOST_ALERTS}; set max_alerts of the webhook, or group by more labels"
        raise ProblemError("invalid-request", text, field="alerts")
    return [_alert(number, each, now) for number, each in enumerate(message.alerts)]


def _alert(number: int, alert: Alert, now: float) -> ForeignAlert:
    at = f"alerts[{number}]"
    if not (alert.fingerprint.isascii() and alert.fingerprint.isalnum() and len(alert.fingerprint) <= 64):
        text = f"{at}.fingerprint: is not one of Alertmanager's, which are hexadecimal"
        raise ProblemError("invalid-request", text, field=f"{at}.fingerprint")
    if len(alert.labels) > MOST_LABELS:
        raise ProblemError("invalid-request", f"{at}.labels: more than {MOST_LABELS}", field=f"{at}.labels")
    if alert.status not in {"firing", "resolved"}:
        text = f"{at}.status: is neither firing nor resolved"
        raise ProblemError("invalid-request", text, field=f"{at}.status")
    title = alert.annotations.get("summary") or alert.labels.get("alertname") or alert.fingerprint
    try:
        starts = min(now, moment(alert.starts)) if alert.starts else now
    except ValueError as wrong:
        raise ProblemError("invalid-request", f"{at}.startsAt: {wrong}", field=f"{at}.startsAt") from None
    return ForeignAlert(
        fingerprint=alert.fingerprint,
        title=title[:TEXT],
        labels={name[:TEXT]: value[:TEXT] for name, value in alert.labels.items()},
        starts=starts,
        active=alert.status == "firing",
    )
