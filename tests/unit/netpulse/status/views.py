"""Monitors and incidents as the engine would show them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from holdfast.netpulse.core.settings import StatusGroup, StatusSettings
from holdfast.netpulse.core.status import StatusSource
from holdfast.netpulse.core.views import IncidentView, MemberView, MonitorView

NOW = datetime(2026, 1, 31, 12, 0, tzinfo=UTC).timestamp()
MINUTE, HOUR, DAY = 60.0, 3600.0, 86_400.0


def stamp(ago_s: float = 0.0) -> str:
    """A time before now, as the API writes it."""
    return datetime.fromtimestamp(NOW - ago_s, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")


def monitor(id: str, **changes: Any) -> MonitorView:
    """A public monitor that is up."""
    values: dict[str, Any] = {
        "id": id,
        "name": id.replace("-", " ").title(),
        "group": "secret-group",
        "tags": {"host": "secret-host"},
        "kind": "http",
        "target": "https://10.0.0.7:8443/secret-path",
        "interval_s": 30.0,
        "regions": ["eu"],
        "depends_on": ["secret-parent"],
        "source": "file",
        "state": "up",
        "doubt": 0.0,
        "since": None,
        "last": [],
        "beats": [],
        "uptime": {},
        "p95_ms": None,
        "cert_days": None,
        "incident": None,
        "delay_s": 20.0,
        "simulated": None,
        "public": True,
        "paused": False,
        "objective": None,
    }
    return MonitorView(**{**values, **changes})


def member(name: str, condition: str = "down", **evidence: Any) -> MemberView:
    """A monitor in an incident."""
    return MemberView(
        monitor=name,
        name="secret-name",
        condition=condition,
        began=stamp(600),
        joined=stamp(590),
        until=None,
        evidence=evidence,
    )


def incident(id: str = "inc_1", *members: MemberView, **changes: Any) -> IncidentView:
    """An incident that somebody is told of."""
    values: dict[str, Any] = {
        "id": id,
        "state": "open",
        "condition": "down",
        "severity": "page",
        "title": "secret-title at 10.0.0.7",
        "cause": {"kind": "host", "value": "secret-host"},
        "members": list(members) or [member("shop")],
        "began": stamp(600),
        "detected": stamp(590),
        "opened": stamp(580),
        "acknowledged": None,
        "acknowledged_by": "",
        "recovering": None,
        "resolved": None,
        "resolved_by": "",
        "reopenings": 0,
        "suppressed_by": "",
        "simulated": False,
        "duration_s": 600.0,
        "url": "https://secret-console.example",
    }
    return IncidentView(**{**values, **changes})


def source(**changes: Any) -> StatusSource:
    """Two public monitors, one that is not, nothing wrong."""
    values: dict[str, Any] = {
        "settings": StatusSettings(
            title="Acme status",
            url="https://status.acme.example/",
            groups=(StatusGroup(title="Storefront", monitors=("shop", "secret-monitor")),),
        ),
        "monitors": [monitor("shop"), monitor("blog"), monitor("secret-monitor", public=False)],
    }
    return StatusSource(**{**values, **changes})
