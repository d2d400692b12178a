"""What people write on the status page about an incident; it takes the place of the drafts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from holdfast.kernel.settings import Problem
from holdfast.netpulse.core.status import Update, UpdateStatus
from holdfast.netpulse.errors import Invalid
from holdfast.netpulse.shell.status.subscribers import Documents

BODY_CHARACTERS: Final = 4000
MOST_UPDATES: Final = 100
"""Of one incident."""
_KIND: Final = "status-update"


class _Stored(msgspec.Struct, frozen=True, kw_only=True):
    incident: str
    at: float
    status: UpdateStatus
    body: str
    actor: str


class StatusUpdates:
    """Updates by people, in the records."""

    def __init__(self, documents: Documents) -> None:
        self._documents = documents

    async def add(self, incident: str, status: str, body: str, *, actor: str, now: float) -> Update:
        """Publish one. Raises :class:`Invalid`. The caller has seen that the incident is the actor's to speak of."""
        text = body.strip()
        if status not in set(UpdateStatus):
            raise _invalid("status", status, f"one of {', '.join(UpdateStatus)}")
        if not text or len(text) > BODY_CHARACTERS:
            raise _invalid("body", None, f"write 1 to {BODY_CHARACTERS} characters")
        known = (await self.by_incident()).get(incident, ())
        if len(known) >= MOST_UPDATES:
            raise _invalid("body", None, f"an incident has at most {MOST_UPDATES} updates")
        number = 1 + max((int(update.id.rpartition("-")[2]) for update in known), default=0)
        stored = _Stored(incident=incident, at=now, status=UpdateStatus(status), body=text, actor=actor)
        await self._documents.put_document(_KIND, f"{incident}-u-{number}", msgspec.json.encode(stored))
        return _update(f"{incident}-u-{number}", stored)

    async def by_incident(self) -> Mapping[str, Sequence[Update]]:
        """All of them, for :class:`~holdfast.netpulse.core.status.StatusSource`."""
        found: dict[str, list[Update]] = {}
        for key, data in (await self._documents.documents(_KIND)).items():
            stored = msgspec.json.decode(data, type=_Stored)
            found.setdefault(stored.incident, []).append(_update(key, stored))
        return found

    async def forget(self, *, before: float) -> None:
        """Drop what is older; the page shows ninety days."""
        for key, data in (await self._documents.documents(_KIND)).items():
            if msgspec.json.decode(data, type=_Stored).at < before:
                await self._documents.put_document(_KIND, key, None)


def _update(id: str, stored: _Stored) -> Update:
    return Update(id=id, at=stored.at, status=stored.status, body=stored.body, written=True)


def _invalid(field: str, value: object, remedy: str) -> Invalid:
    problem = Problem(path=(field,), value=value, message="not an update", remedy=remedy)
    return Invalid(f"{field}: {remedy}", [problem])
