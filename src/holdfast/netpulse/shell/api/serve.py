"""The way in: the API on a listening socket, over an engine in the same process."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Sequence
from random import Random
from typing import Protocol

from litestar import Router

from holdfast.netpulse.core.ports import Netpulse
from holdfast.netpulse.shell.api.app import application
from holdfast.netpulse.shell.api.exports import Export
from holdfast.netpulse.shell.api.links import Documents, Links, open_links
from holdfast.netpulse.shell.api.service import History, Identities, Service
from holdfast.web import server
from holdfast.web.connections import Guard, places


class Server(server.Server):
    """Make it, :meth:`run` it in a task, :meth:`stop` it."""

    def __init__(self, service: Service, sock: socket.socket, *, guard: Guard, routers: Sequence[Router] = ()) -> None:
        self.service = service
        service.metrics.follow_connections(lambda: guard.connections, lambda: guard.evicted)
        self.front = application(service, routers)
        super().__init__(
            self.front, sock, guard=guard, drain_timeout_s=service.settings.drain_timeout, stopping=service.stop
        )

    async def run(self) -> None:
        """Serve until :meth:`stop`, then let the requests under way finish."""
        try:
            await super().run()
        finally:
            await self.service.exports.close()


class Stored(History, Documents, Protocol):
    """What is needed of :class:`~holdfast.netpulse.core.ports.Records`."""


async def serve_api(
    netpulse: Netpulse,
    records: Stored,
    identities: Identities,
    sock: socket.socket,
    *,
    links: Links | None = None,
    export: Export | None = None,
    routers: Sequence[Router] = (),
    clock: Callable[[], float] = time.time,
) -> Server:
    """The API, ready to :meth:`~Server.run`. The settings are those that ``netpulse`` has in force.

    ``links`` are those that messages are sent with; made here without one. ``export`` writes months to files.
    ``routers`` are what else is offered at the same address.
    ``clock`` gives seconds since the epoch. Raises ``StoreUnavailable``.
    """
    if links is None:
        links = await open_links(records, lambda: netpulse.settings.public_url, clock=time.time)
    service = Service(netpulse, records, identities=identities, links=links, export=export, clock=clock, rng=Random())
    return Server(service, sock, guard=Guard(most=places()), routers=routers)
