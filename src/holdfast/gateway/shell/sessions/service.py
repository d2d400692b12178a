"""Sessions and runs, opened and closed together."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Final, Protocol

from holdfast.gateway.shell.sessions.following import Following
from holdfast.gateway.shell.sessions.runner import Runner
from holdfast.gateway.shell.sessions.store import SessionStore
from holdfast.identity import Principal, Scope
from holdfast.web.watching import Held

if TYPE_CHECKING:
    from holdfast.gateway.core.ports import Holder, ModelCaller
    from holdfast.gateway.core.settings import GatewaySettings
    from holdfast.gateway.shell.tools import Broker
    from holdfast.store import Database

ANONYMOUS: Final = "anonymous"
"""Id of the key of who has none."""


class Identities(Protocol):
    """What is needed of the identity room."""

    async def principal(self, key_id: str, *, now: float) -> Principal | None:
        """Whom a key speaks for now."""
        ...


class Sessions:
    """What the endpoints work with."""

    def __init__(
        self,
        settings: GatewaySettings,
        *,
        database: Database,
        broker: Broker,
        models: ModelCaller,
        identities: Identities,
        holder: Callable[[Principal], Awaitable[Holder]],
        clock: Callable[[], float],
    ) -> None:
        """``holder`` says who pays for what a caller asks; ``clock`` gives seconds since the epoch."""
        self.settings = settings
        self.broker = broker
        self.holder = holder
        self.clock = clock
        self.store = SessionStore(database)
        self.following = Following(database, self.store)
        self.held = Held()
        self._identities = identities
        self.runner = Runner(
            settings.sessions,
            database=database,
            store=self.store,
            owner=settings.ledger.instance,
            models=models,
            tools=broker,
            caller=self.caller,
            clock=clock,
        )
        self._stack = AsyncExitStack()

    async def open(self) -> None:
        """Bring the tables up to date and work on runs. Raises ``StoreError``."""
        async with AsyncExitStack() as stack:
            await self.store.open()
            await self.following.open()
            stack.push_async_callback(self.following.close)
            await self.runner.open()
            stack.push_async_callback(self.runner.close)
            self._stack = stack.pop_all()

    async def close(self) -> None:
        """Let go of runs and end streams."""
        await self._stack.aclose()

    def reconfigure(self, settings: GatewaySettings) -> None:
        """Take other settings; runs keep the bounds that they began with."""
        self.settings = settings
        self.runner.settings = settings.sessions

    async def caller(self, holder: Holder) -> Principal | None:
        """Whom the key of a run speaks for now; ``None`` when it is good no more."""
        if holder.key_id == ANONYMOUS:
            if self.settings.anonymous is None:
                return None
            return Principal(tenant=holder.tenant, key_id=ANONYMOUS, scopes=frozenset({Scope.GATEWAY_USE}))
        return await self._identities.principal(holder.key_id, now=self.clock())
