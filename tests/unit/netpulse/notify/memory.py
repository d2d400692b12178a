"""An outbox and incidents in memory, and the settings and incidents that tests of telling are about."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from holdfast.netpulse.core.escalation import Key
from holdfast.netpulse.core.incident import Cause, Condition, Incident, Member, Notice, State
from holdfast.netpulse.core.ports import Delivery
from holdfast.netpulse.core.settings import ChannelSettings, NetpulseSettings, WebhookChannel
from holdfast.store import StoreUnavailable

NOW = 1_700_000_000.0
"""Tuesday, 2023-11-14 22:13:20 UTC: long ago by any clock, so that what was decided then is due."""


def incident(id: str = "inc_1", **changes: Any) -> Incident:
    """A monitor that went down 30 s ago and was opened now."""
    base = Incident(
        id=id,
        tenant="default",
        state=State.OPEN,
        condition=Condition.DOWN,
        severity="page",
        title="shop is down",
        cause=Cause(kind="monitor", value="default/shop"),
        members=(Member(monitor="default/shop", condition=Condition.DOWN, began=NOW - 30, joined=NOW),),
        began=NOW - 30,
        detected=NOW,
        opened=NOW,
        revision=2,
    )
    return replace(base, **changes)


def notice(
    event: str = "opened", of: Incident | None = None, *, cause: int = 2, channel: str = "ops", **changes: Any
) -> Notice:
    """A notice about an incident, decided and due now."""
    about = of or incident()
    base = Notice(
        key=str(Key(incident=about.id, cause=cause, event=event, channel=channel)),
        incident=about.id,
        tenant=about.tenant,
        channel=channel,
        event=event,
        at=NOW,
        not_before=NOW,
        snapshot=about,
    )
    return replace(base, **changes)


def settings(**channels: ChannelSettings) -> NetpulseSettings:
    """The tenant ``default`` with these channels; without any, a webhook named ``ops``."""
    return NetpulseSettings(channels=channels or {"ops": ChannelSettings(webhook=WebhookChannel(url="http://x.test/"))})


@dataclass
class Row:
    """A notice in the outbox."""

    notice: Notice
    due: float
    state: str = "waiting"
    error: str = ""
    reference: str = ""
    attempts: int = 0


@dataclass
class Outbox:
    """What is owed. It can be told to fail, and to die: then nothing is written any more."""

    book: dict[str, Incident] = field(default_factory=dict)
    rows: dict[str, Row] = field(default_factory=dict)
    unreadable: int = 0
    unwritable: int = 0
    dead: bool = False

    def owe(self, *notices: Notice) -> None:
        for owed in notices:
            self.rows.setdefault(owed.key, Row(owed, owed.not_before))
            if owed.snapshot is not None:
                self.book.setdefault(owed.incident, owed.snapshot)

    def states(self) -> dict[str, str]:
        return {key: row.state for key, row in self.rows.items()}

    @property
    def settled(self) -> bool:
        return all(row.state != "waiting" for row in self.rows.values())

    async def owed(self, now: float, *, limit: int, lease_s: float) -> Sequence[Delivery]:
        if self.unreadable:
            self.unreadable -= 1
            raise StoreUnavailable("gone for a moment")
        ready = sorted((row.due, key) for key, row in self.rows.items() if row.state == "waiting" and row.due <= now)
        taken = []
        for _, key in ready[:limit]:
            row = self.rows[key]
            row.attempts, row.due = row.attempts + 1, now + lease_s
            taken.append(Delivery(notice=row.notice, attempt=row.attempts, lease=str(row.attempts)))
        return taken

    async def delivered(self, delivery: Delivery, now: float, *, reference: str = "") -> None:
        self._write()
        row = self.rows[delivery.notice.key]
        row.state, row.reference = "sent", reference

    async def undelivered(self, delivery: Delivery, *, error: str, again_at: float | None) -> None:
        self._write()
        row = self.rows[delivery.notice.key]
        row.error = error
        if again_at is None:
            row.state = "failed"
        else:
            row.due = again_at

    async def incident(self, tenant: str, incident: str) -> Incident | None:
        return self.book.get(incident)

    async def incidents(
        self,
        tenant: str,
        *,
        standing: bool | None = None,
        monitor: str | None = None,
        limit: int,
        before: str | None = None,
    ) -> Sequence[Incident]:
        return [each for each in self.book.values() if each.tenant in {tenant, ""} and each.standing == standing]

    async def notices(self, incident: str) -> Sequence[tuple[Notice, str, str]]:
        return [(row.notice, row.state, row.error) for row in self.rows.values() if row.notice.incident == incident]

    def _write(self) -> None:
        if self.dead or self.unwritable:
            self.unwritable -= not self.dead
            raise StoreUnavailable("locked")
