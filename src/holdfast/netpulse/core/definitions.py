"""What the API may make of monitors: the judgement, apart from the storing."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from typing import Final

import msgspec

from holdfast.netpulse.core.monitors import validate_monitor
from holdfast.netpulse.core.ports import StoredMonitor
from holdfast.netpulse.core.protocol import ORDERS_BYTES, encode
from holdfast.netpulse.core.settings import MonitorSettings
from holdfast.netpulse.core.validate import circles
from holdfast.netpulse.core.world import World
from holdfast.netpulse.errors import Conflict, Invalid, ReadOnly

SCHEDULE_BYTES: Final = ORDERS_BYTES * 3 // 4
"""Of all monitors: agents refuse a schedule that is larger than :data:`ORDERS_BYTES`, and would watch nothing new."""
TENANT_BYTES: Final = ORDERS_BYTES // 8
"""Of one tenant's monitors, unless it is the file's: nobody takes the room of others."""


def sound(
    world: World,
    tenant: str,
    monitor: str,
    spec: MonitorSettings,
    *,
    create: bool,
    now: float,
    made: Callable[[], str],
) -> StoredMonitor:
    """What to store for a monitor. ``made`` gives a token that nobody can guess.

    Raises ``ReadOnly`` for one of the file, ``Conflict`` for one that exists, a token that is taken or a schedule that
    would be too large, and ``Invalid`` with everything that is wrong with it.
    """
    known = world.entries.get(f"{tenant}/{monitor}")
    if known is not None and known.source == "file":
        raise ReadOnly(f"monitor {monitor} is written in the configuration file; change it there")
    if create and known is not None:
        raise Conflict(f"monitor {monitor} exists; PUT it to change it")
    siblings = {entry.id for entry in world.entries.values() if entry.tenant == tenant}
    problems = validate_monitor(monitor, spec, world.settings, known=siblings - {monitor})
    parents = {each.id: each.spec.depends_on for each in world.entries.values() if each.tenant == tenant}
    round_about = circles({**parents, monitor: spec.depends_on})
    if problems or round_about:
        why = f"depends on itself: {' -> '.join(round_about[0])}" if round_about and not problems else "not sound"
        raise Invalid(f"monitor {monitor}: {why}", problems)
    if spec.heartbeat is not None and not spec.heartbeat.token:
        old = known.spec.heartbeat.token if known is not None and known.spec.heartbeat is not None else ""
        spec = msgspec.structs.replace(spec, heartbeat=msgspec.structs.replace(spec.heartbeat, token=old or made()))
    elif spec.heartbeat is not None and _is_of_another(world, spec.heartbeat.token, f"{tenant}/{monitor}"):
        raise Conflict(f"monitor {monitor}: this token is taken; leave it out and one is made")
    _has_room(world, tenant, monitor, spec)
    created = next((each.created for each in world.stored if (each.tenant, each.id) == (tenant, monitor)), now)
    return StoredMonitor(tenant=tenant, id=monitor, spec=spec, created=created, updated=now)


def _has_room(world: World, tenant: str, monitor: str, spec: MonitorSettings) -> None:
    """Raise ``Conflict`` when the schedule, or one tenant's part of it, would be larger than an agent is sent."""
    size = len(encode(spec))
    theirs, others = 0, 0
    for each in world.entries.values():
        if (each.tenant, each.id) == (tenant, monitor):
            continue
        of_one = len(encode(each.spec))
        theirs, others = (theirs + of_one, others) if each.tenant == tenant else (theirs, others + of_one)
    most = TENANT_BYTES if tenant != world.settings.tenant else SCHEDULE_BYTES
    if theirs + size > most or theirs + others + size > SCHEDULE_BYTES:
        raise Conflict(f"monitor {monitor}: agents are sent no more than there is; remove some, or write less in them")


def _is_of_another(world: World, token: str, key: str) -> bool:
    """Whether a heartbeat with this token would be somebody else's, of whatever tenant, paused or not."""
    digest = hashlib.sha256(token.encode()).digest()
    return any(
        hmac.compare_digest(digest, hashlib.sha256(each.spec.heartbeat.token.encode()).digest())
        for each in world.entries.values()
        if each.key != key and each.spec.heartbeat is not None
    )
