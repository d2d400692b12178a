"""The service on a listening socket, until it is told to stop."""

from __future__ import annotations

import socket

from holdfast.execution.shell.api.app import application
from holdfast.execution.shell.api.service import Service
from holdfast.web import server
from holdfast.web.connections import Guard


class Server(server.Server):
    """Make it, :meth:`run` it in a task, :meth:`stop` it."""

    def __init__(self, service: Service, sock: socket.socket, *, guard: Guard) -> None:
        self._service = service
        service.metrics.follow_connections(lambda: guard.connections, lambda: guard.evicted)
        self.front = application(service)
        super().__init__(
            self.front, sock, guard=guard, drain_timeout_s=service.settings.drain_timeout, stopping=service.stop
        )

    async def run(self) -> None:
        """Serve until :meth:`stop`, then let the requests under way finish."""
        try:
            await super().run()
        finally:
            await self._service.batcher.close()
