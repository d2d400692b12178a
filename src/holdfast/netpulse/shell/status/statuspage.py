"""The JSON of ``api/v2``, in the shape that clients of Statuspage know.

https://www.atlassian.com/software/statuspage: ``summary``, ``status``, ``components``, ``incidents`` and
``scheduled-maintenances``. Statuspage has no word for "nobody knows": such a component is ``operational`` there, as no
outage is known of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

import msgspec

from holdfast.netpulse.core.status import (
    Component,
    ComponentState,
    Group,
    PublicIncident,
    PublicMaintenance,
    StatusView,
)
from holdfast.netpulse.core.status import component_id as opaque
from holdfast.netpulse.shell.status.times import iso

PAGE_ID: Final = "holdfast"
_DAY_STAMP: Final = "T00:00:00Z"


def documents(view: StatusView) -> Iterator[tuple[str, bytes]]:
    """Name and content of each."""
    page = {
        "id": PAGE_ID,
        "name": view.title,
        "url": view.url,
        "time_zone": "Etc/UTC",
        "updated_at": iso(view.generated),
    }
    status = {"indicator": view.indicator, "description": view.description}
    components = list(_components(view))
    by_id = {component["id"]: component for component in components}
    incidents = [_incident(incident, by_id) for incident in view.incidents]
    standing = [_incident(incident, by_id) for incident in view.standing]
    maintenances = [_maintenance(it, by_id, view.generated) for it in view.maintenances]
    summary = {
        "page": page,
        "components": components,
        "incidents": standing,
        "scheduled_maintenances": maintenances,
        "status": status,
    }
    for name, body in (
        ("summary", summary),
        ("status", {"page": page, "status": status}),
        ("components", {"page": page, "components": components}),
        ("incidents", {"page": page, "incidents": incidents}),
        ("scheduled-maintenances", {"page": page, "scheduled_maintenances": maintenances}),
    ):
        yield f"api/v2/{name}.json", msgspec.json.encode(body) + b"\n"


def _components(view: StatusView) -> Iterator[dict[str, Any]]:
    for position, group in enumerate(view.groups, start=1):
        id = opaque(f"group {group.title}") if group.title else None
        if id is not None:
            yield {
                **_component(group.components[0], view, position, None),
                "id": id,
                "name": group.title,
                "status": _worst(group),
                "group": True,
                "components": [component.id for component in group.components],
            }
        for place, component in enumerate(group.components, start=1):
            yield _component(component, view, place if id else position, id)


def _component(component: Component, view: StatusView, position: int, group: str | None) -> dict[str, Any]:
    first = next((day.date for day in component.days if day.watched_s), component.days[-1].date)
    return {
        "id": component.id,
        "name": component.name,
        "status": _state(component.state),
        "created_at": first + _DAY_STAMP,
        "updated_at": iso(view.generated),
        "position": position,
        "description": None,
        "showcase": True,
        "start_date": first,
        "group_id": group,
        "page_id": PAGE_ID,
        "group": False,
        "only_show_if_degraded": False,
    }


def _state(state: ComponentState) -> str:
    return ComponentState.OPERATIONAL if state is ComponentState.UNKNOWN else state


_SEVERITY: Final = (
    ComponentState.MAJOR,
    ComponentState.PARTIAL,
    ComponentState.DEGRADED,
    ComponentState.MAINTENANCE,
    ComponentState.OPERATIONAL,
)


def _worst(group: Group) -> str:
    states = {_state(component.state) for component in group.components}
    return next(state for state in _SEVERITY if state in states)


def _incident(incident: PublicIncident, components: dict[str, dict[str, Any]]) -> dict[str, Any]:
    monitoring = next((update.at for update in incident.updates if update.status == "monitoring"), None)
    return {
        "id": incident.id,
        "name": incident.name,
        "status": incident.status,
        "created_at": iso(incident.updates[-1].at),
        "updated_at": iso(incident.updated),
        "monitoring_at": None if monitoring is None else iso(monitoring),
        "resolved_at": None if incident.resolved is None else iso(incident.resolved),
        "impact": incident.impact,
        "shortlink": "",
        "started_at": iso(incident.began),
        "page_id": PAGE_ID,
        "incident_updates": [
            {
                "id": update.id,
                "status": update.status,
                "body": update.body,
                "incident_id": incident.id,
                "created_at": iso(update.at),
                "updated_at": iso(update.at),
                "display_at": iso(update.at),
                "affected_components": None,
                "deliver_notifications": True,
            }
            for update in incident.updates
        ],
        "components": _chosen(incident.components, components),
    }


def _maintenance(it: PublicMaintenance, components: dict[str, dict[str, Any]], now: float) -> dict[str, Any]:
    return {
        "id": it.id,
        "name": it.name,
        "status": "in_progress" if it.running else "scheduled",
        "created_at": iso(min(now, it.starts)),
        "updated_at": iso(min(now, it.starts)),
        "monitoring_at": None,
        "resolved_at": None,
        "impact": "maintenance",
        "shortlink": "",
        "started_at": iso(it.starts),
        "page_id": PAGE_ID,
        "incident_updates": [],
        "components": _chosen(it.components, components),
        "scheduled_for": iso(it.starts),
        "scheduled_until": iso(it.ends),
    }


def _chosen(ids: Sequence[str], components: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    return [components[id] for id in ids if id in components]
