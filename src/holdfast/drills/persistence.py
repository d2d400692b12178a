"""A client of the code runner that does not give up: what one has to do that must not lose anything."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any, Final

import aiohttp

from holdfast.drills.code_service import CodeService
from holdfast.drills.errors import DrillError

TERMINAL: Final = frozenset({"finished", "dead"})
_AGAIN_S: Final = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Acknowledged:
    """A program that the API has answered 202 for."""

    id: str
    tenant: str
    number: int


class PersistentClient:
    """Repeats every request until it has an answer, submissions under their idempotency key."""

    def __init__(self, service: CodeService, session: aiohttp.ClientSession) -> None:
        self._service = service
        self._session = session

    async def submit(self, tenant: str, number: int, job: dict[str, Any]) -> Acknowledged:
        """Hand in the ``number``-th program. Raises :class:`DrillError` when it is refused."""
        body = await self.ask("POST", "/v1/jobs", tenant, job, idempotency_key=f"drill-{number}")
        return Acknowledged(id=body["id"], tenant=tenant, number=number)

    async def ended(self, one: Acknowledged, *, within_s: float) -> dict[str, Any] | None:
        """The job once it has ended; ``None`` if it has not in time."""
        try:
            async with asyncio.timeout(within_s):
                while True:
                    job = await self.ask("GET", f"/v1/jobs/{one.id}?wait=5s", one.tenant)
                    if job["status"] in TERMINAL:
                        return job
        except TimeoutError:
            return None

    async def replay(self, tenant: str) -> list[str]:
        """Have all dead letters queued again; their ids."""
        body = await self.ask("POST", "/v1/dead-letters/replay", tenant, {"all": True})
        found: list[str] = body["replayed"]
        return found

    async def results_written(self, one: Acknowledged) -> int:
        """How often ``finished`` is among the events of a job that has ended."""
        headers = {"Authorization": f"Bearer {self._service.keys[one.tenant]}"}
        async with self._session.get(f"/v1/jobs/{one.id}/events", headers=headers) as response:
            text = await response.text()
        return text.count("event: finished\n")

    async def ask(
        self, method: str, path: str, tenant: str, body: object = None, *, idempotency_key: str | None = None
    ) -> dict[str, Any]:
        """Ask until there is an answer. Raises :class:`DrillError` for one that repeating will not change."""
        headers = {} if idempotency_key is None else {"Idempotency-Key": idempotency_key}
        key = self._service.keys[tenant]
        while True:
            try:
                answer = await self._service.call(self._session, method, path, key, body, headers)
            except (aiohttp.ClientError, TimeoutError, OSError):
                await asyncio.sleep(_AGAIN_S)
                continue
            if answer.status < 300:
                document: dict[str, Any] = answer.body
                return document
            if answer.status < 500 and answer.status != 429:
                raise DrillError(f"{method} {path} answered {answer.status}: {answer.body}")
            await asyncio.sleep(_AGAIN_S)
