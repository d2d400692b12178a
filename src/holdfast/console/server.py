"""The web server, told when to end by :mod:`.serve`."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import uvicorn


class Server(uvicorn.Server):
    """Leaves signals alone, and says when it is up."""

    def __init__(self, config: uvicorn.Config, on_up: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_up = on_up

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals to :func:`~.serve.serve`."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Say so when it is done."""
        await super().startup(sockets)
        if not self.should_exit:
            self._on_up()

    def stop(self) -> None:
        """Finish what is under way; a second time, at once."""
        self.force_exit = self.should_exit
        self.should_exit = True
