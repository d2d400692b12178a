"""An ASGI application on a listening socket, until it is told to stop."""

from __future__ import annotations

import asyncio
import functools
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, cast

import uvicorn
from litestar.types import ASGIApp

from holdfast.web.connections import IDLE_S, Guard, GuardedProtocol
from holdfast.web.listening import BACKLOG


class Server:
    """Make it, :meth:`run` it in a task, :meth:`stop` it."""

    def __init__(
        self,
        app: ASGIApp,
        sock: socket.socket,
        *,
        guard: Guard,
        drain_timeout_s: float,
        stopping: Callable[[], None] = lambda: None,
    ) -> None:
        """``stopping`` is called when the end begins, to end what is held open; it may come again."""
        self._sock = sock
        self._guard = guard
        self._stopping = stopping
        self._server = _Uvicorn(
            uvicorn.Config(
                cast("Any", app),
                http=cast("Any", functools.partial(GuardedProtocol, guard)),
                lifespan="off",
                ws="none",
                access_log=False,
                log_config=None,
                log_level="error",  # what strangers send is not worth a line each
                server_header=False,
                headers=[("cache-control", "no-store"), ("x-content-type-options", "nosniff")],
                proxy_headers=False,
                backlog=BACKLOG,
                timeout_keep_alive=IDLE_S,
                timeout_graceful_shutdown=max(1, round(drain_timeout_s)),
            )
        )

    async def run(self) -> None:
        """Serve until :meth:`stop`, then let the requests under way finish."""
        guarding = asyncio.create_task(self._guard.run(), name="connection deadlines")
        serving = asyncio.create_task(self._server.serve(sockets=[self._sock]), name="uvicorn")
        try:
            await asyncio.shield(serving)
        except asyncio.CancelledError:
            self.stop()
            await serving
            raise
        finally:
            guarding.cancel()
            await asyncio.gather(guarding, return_exceptions=True)

    def stop(self, *, now: bool = False) -> None:
        """Begin to end; ``now`` does not wait for what is under way."""
        self._stopping()
        self._guard.stop()
        self._server.should_exit = True
        self._server.force_exit = self._server.force_exit or now


class _Uvicorn(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals to the service."""
        yield
