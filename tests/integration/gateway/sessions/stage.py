"""What tests of sessions share: a model that says what it is told to, and sessions over a store of their own."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from holdfast.gateway.core.conversation import Answer, Chat, Choice, Text, ToolCall
from holdfast.gateway.core.ports import Holder
from holdfast.gateway.errors import Refused
from holdfast.gateway.shell.sessions import Sessions, session_router
from holdfast.gateway.shell.tools import Broker
from holdfast.identity import ROLES, Principal
from holdfast.store import StoreSettings, open_database
from tests.integration.gateway.tools.stage import ListedTrail, asking, settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    import httpx

NOW = 1_800_000_000.0


@dataclass
class ScriptedModel:
    """Says one line of its script after the other; a call of a tool is ``("name", "arguments")``."""

    script: list[Any]
    cost_nano: int | None = 1000
    asked: list[tuple[Holder, Chat]] = field(default_factory=list)
    began: asyncio.Event = field(default_factory=asyncio.Event)

    async def complete(self, holder: Holder, chat: Chat) -> tuple[Answer, int | None]:
        self.asked.append((holder, chat))
        line = self.script.pop(0)
        if line == "stuck":
            self.began.set()
            await asyncio.Event().wait()
        if isinstance(line, Refused):
            raise line
        part = Text(text=line) if isinstance(line, str) else ToolCall(id="c", name=line[0], arguments=line[1])
        return Answer(id="a", model="m", created=0, choices=(Choice(parts=(part,)),), usage=None), self.cost_nano


class Keys:
    """Keys whose holders are developers until they are revoked."""

    def __init__(self) -> None:
        self.revoked: set[str] = set()

    async def principal(self, key_id: str, *, now: float) -> Principal | None:
        if key_id in self.revoked:
            return None
        return Principal(tenant=key_id.removeprefix("k-"), key_id=key_id, scopes=ROLES["developer"])


@dataclass
class Stage:
    sessions: Sessions
    client: httpx.AsyncClient
    model: ScriptedModel
    keys: Keys

    async def run(self, content: str = "what is it?", tenant: str = "acme", **more: Any) -> dict[str, Any]:
        """A new session with one message; its run when that has ended."""
        headers = {"x-tenant": tenant}
        made = (await self.client.post("/v1/sessions", json={"model": "m"}, headers=headers)).json()
        answer = await self.client.post(
            f"/v1/sessions/{made['id']}/messages", json={"content": content, **more}, headers=headers
        )
        assert answer.status_code == 202, answer.text
        return await self.ended(answer.json()["id"], tenant)

    async def ended(self, id: str, tenant: str = "acme") -> dict[str, Any]:
        async with asyncio.timeout(10.0):
            async for _ in self.sessions.following.events(id, after=0):
                pass
        found: dict[str, Any] = (await self.client.get(f"/v1/runs/{id}", headers={"x-tenant": tenant})).json()
        return found


async def who(request: Any) -> Principal:
    tenant = request.headers["x-tenant"]
    return Principal(tenant=tenant, key_id=f"k-{tenant}", scopes=ROLES["developer"])


async def holder(caller: Principal) -> Holder:
    return Holder(tenant=caller.tenant, key_id=caller.key_id)


@asynccontextmanager
async def staged(
    path: Path, script: list[Any], *, model: ScriptedModel | None = None, **sections: Any
) -> AsyncIterator[Stage]:
    model = model or ScriptedModel(script)
    keys = Keys()
    configured = settings(**sections)
    async with await open_database(StoreSettings(url=f"sqlite:{path}/store.db")) as database:
        broker = Broker(configured, trail=ListedTrail(), clock=lambda: NOW)
        await broker.open()
        sessions = Sessions(
            configured,
            database=database,
            broker=broker,
            models=model,
            identities=keys,
            holder=holder,
            clock=lambda: NOW,
        )
        try:
            await sessions.open()
            async with asking(session_router(sessions, who)) as client:
                yield Stage(sessions, client, model, keys)
        finally:
            await sessions.close()
            await broker.close()
