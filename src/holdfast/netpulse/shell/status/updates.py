"""What people write on the status page about an incident; it takes the place of the drafts."""

from __future__ import annotations

import asyncio
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
KIND: Final = "status-updates"
"""Of the documents: by incident, a JSON array of :class:`Update`."""


class StatusUpdates:
    """Updates by people, in the records."""

    def __init__(self, documents: Documents) -> None:
        self._documents = documents
        self._turn = asyncio.Lock()
        """An array is read, then written; there is one engine."""

    async def add(self, incident: str, status: str, body: str, *, now: float) -> Update:
        """Publish one. Raises :class:`Invalid`. The caller has seen that the incident is the actor's to speak of."""
        text = body.strip()
        if status not in set(UpdateStatus):
            raise _invalid("status", status, f"write one of {', '.join(UpdateStatus)}")
        if not text or len(text) > BODY_CHARACTERS:
            raise _invalid("body", None, f"write 1 to {BODY_CHARACTERS} characters")
        async with self._turn:
            known = _decoded(await self._documents.document(KIND, incident))
            if len(known) >= MOST_UPDATES:
                raise _invalid("body", None, f"an incident has at most {MOST_UPDATES} updates")
            id = f"{incident}-{len(known) + 1}"
            update = Update(id=id, at=now, status=UpdateStatus(status), body=text, written=True)
            await self._documents.put_document(KIND, incident, msgspec.json.encode([*known, update]))
        return update

    async def by_incident(self) -> Mapping[str, Sequence[Update]]:
        """All of them, for :class:`~holdfast.netpulse.core.status.StatusSource`."""
        return {incident: _decoded(data) for incident, data in (await self._documents.documents(KIND)).items()}

    async def forget(self, *, before: float) -> None:
        """Drop those of incidents that were last written of before; the page shows ninety days."""
        for incident, updates in (await self.by_incident()).items():
            if max((update.at for update in updates), default=0.0) < before:
                await self._documents.put_document(KIND, incident, None)


def _decoded(data: bytes | None) -> list[Update]:
    return [] if data is None else msgspec.json.decode(data, type=list[Update])


def _invalid(field: str, value: object, remedy: str) -> Invalid:
    problem = Problem(path=(field,), value=value, message="not an update", remedy=remedy)
    return Invalid(f"{field}: {remedy}", [problem])
