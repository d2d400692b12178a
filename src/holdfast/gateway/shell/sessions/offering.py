"""Tools, sessions and runs of a gateway, as one thing to open and close."""

from __future__ import annotations

from typing import TYPE_CHECKING

from holdfast.gateway.shell.sessions.api import session_router
from holdfast.gateway.shell.sessions.service import Sessions
from holdfast.gateway.shell.tools import Broker, tool_router

if TYPE_CHECKING:
    from litestar import Router

    from holdfast.gateway.core.settings import GatewaySettings
    from holdfast.gateway.shell.plane.gateway import Gateway
    from holdfast.gateway.shell.tools.api import Who
    from holdfast.store import Database


class Offering:
    """What the gateway does besides passing on requests. Its routers may be mounted before it is open."""

    def __init__(self, gateway: Gateway, database: Database) -> None:
        settings = gateway.settings
        self.broker = Broker(settings, trail=gateway.identities, clock=gateway.wall, rng=gateway.rng)
        self.sessions = Sessions(
            settings,
            database=database,
            broker=self.broker,
            models=gateway,
            identities=gateway.identities,
            holder=lambda caller: gateway.permits.holder(caller, ()),
            clock=gateway.wall,
        )

    def routers(self, who: Who) -> list[Router]:
        """Their endpoints; ``who`` says whose a request is."""
        return [tool_router(self.broker, who), session_router(self.sessions, who)]

    async def open(self) -> None:
        """Connect to servers of tools and go on with runs: the data plane has to answer by now.

        Raises ``StoreError``, and :class:`~holdfast.gateway.errors.Invalid` for a tool that will not do.
        """
        await self.broker.open()
        try:
            await self.sessions.open()
        except BaseException:
            await self.broker.close()
            raise

    async def close(self) -> None:
        """Let go of runs, then of tools: before the data plane ends, which runs ask."""
        await self.sessions.close()
        await self.broker.close()

    async def reconfigure(self, settings: GatewaySettings) -> None:
        """Take other settings, or raise and keep the present ones. Runs keep the bounds that they began with."""
        await self.broker.reconfigure(settings)
        self.sessions.reconfigure(settings)
