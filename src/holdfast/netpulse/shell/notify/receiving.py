"""What a Prometheus Alertmanager posts to its webhook receivers, version 4 of it.

Bounded, and strict about what decisions rest on: the version, the state, the labels (they tell one alert from
another) and when it began. Annotations are for people and are shortened. Fields that are not used are not looked at,
so that a newer Alertmanager is not refused for saying more.

Source: https://prometheus.io/docs/alerting/latest/configuration/#webhook_config.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from hashlib import sha256
from typing import Annotated, Final, Literal

import msgspec

from holdfast.kernel.settings import Problem
from holdfast.netpulse.core.delivery import line
from holdfast.netpulse.core.ports import ForeignAlert
from holdfast.netpulse.errors import Invalid

BODY_LIMIT: Final = 2**20
ALERTS_LIMIT: Final = 1000
LABELS_LIMIT: Final = 64
TITLE_LIMIT: Final = 200

_Name = Annotated[str, msgspec.Meta(min_length=1, max_length=128)]
_Value = Annotated[str, msgspec.Meta(max_length=1024)]
_Labels = Annotated[dict[_Name, _Value], msgspec.Meta(min_length=1, max_length=LABELS_LIMIT)]


class _Alert(msgspec.Struct, frozen=True):
    status: Literal["firing", "resolved"]
    labels: _Labels
    startsAt: dt.datetime  # noqa: N815 - as it is called there
    annotations: dict[str, str] = {}
    fingerprint: Annotated[str, msgspec.Meta(max_length=64, pattern="^[0-9a-zA-Z_-]*$")] = ""


class _Post(msgspec.Struct, frozen=True):
    version: Literal["4"]
    alerts: Annotated[list[_Alert], msgspec.Meta(max_length=ALERTS_LIMIT)]


_DECODER: Final = msgspec.json.Decoder(_Post)


def parse(body: bytes) -> Sequence[ForeignAlert]:
    """The alerts in a body, in their order; the last word about each fingerprint.

    Raises:
        Invalid: It is too large, or not what Alertmanager sends; the message says where.
    """
    if len(body) > BODY_LIMIT:
        raise _invalid(f"larger than {BODY_LIMIT} bytes", "lower max_alerts of the webhook_config")
    try:
        post = _DECODER.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _invalid(str(error), "point a webhook_config of Alertmanager 0.16 or later here") from error
    found: dict[str, ForeignAlert] = {}
    for number, alert in enumerate(post.alerts):
        if alert.startsAt.tzinfo is None:
            raise _invalid(f"alerts[{number}].startsAt has no time zone", "write RFC 3339")
        read = _read(alert)
        found.pop(read.fingerprint, None)
        found[read.fingerprint] = read
    return tuple(found.values())


def _read(alert: _Alert) -> ForeignAlert:
    labels = dict(sorted(alert.labels.items()))
    name, where = labels.get("alertname", "alert"), labels.get("instance", "")
    title = alert.annotations.get("summary") or alert.annotations.get("title") or ""
    return ForeignAlert(
        # Older versions send none; the labels are what it is made of.
        fingerprint=alert.fingerprint or sha256(msgspec.json.encode(labels)).hexdigest()[:16],
        title=line(title, TITLE_LIMIT) or line(f"{name} on {where}" if where else name, TITLE_LIMIT),
        labels=labels,
        starts=alert.startsAt.timestamp(),
        active=alert.status == "firing",
    )


def _invalid(message: str, remedy: str) -> Invalid:
    problem = Problem(path=(), value=None, message=message, remedy=remedy)
    return Invalid(f"not a notification of Alertmanager: {message}; {remedy}", [problem])
