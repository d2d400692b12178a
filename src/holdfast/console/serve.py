"""The way in: serve the console in this process."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
from collections.abc import Callable, Mapping

from holdfast.console.errors import AddressError
from holdfast.console.settings import ConsoleSettings, split_listen

log = logging.getLogger(__name__)


async def serve(settings: ConsoleSettings, *, ready: Callable[[Mapping[str, str]], None]) -> int:
    """Serve until SIGTERM or SIGINT; the exit code. Pages under way are finished, event streams are cut after 1 s.

    ``ready`` is called once it listens, with its URL (real port). Raises :class:`AddressError`.
    """
    # The web framework and its server are imported when needed: reading a configuration takes the settings only.
    import uvicorn

    from holdfast.console.app import console_app
    from holdfast.console.server import Server
    from holdfast.console.service import http_session

    loop = asyncio.get_running_loop()
    sock = await _listen(settings.listen)
    try:
        async with http_session() as http:
            server = Server(
                uvicorn.Config(
                    console_app(settings, http, clock=loop.time),
                    lifespan="off",
                    ws="none",
                    access_log=False,
                    log_config=None,
                    log_level="warning",
                    server_header=False,
                    proxy_headers=False,  # who is on this machine is decided in the gate, on what was really sent
                    limit_concurrency=512,
                    timeout_keep_alive=30,
                    timeout_graceful_shutdown=1,
                ),
                lambda: ready({"console": _url(settings.listen, sock)}),
            )
            loop.add_signal_handler(signal.SIGTERM, server.stop)
            loop.add_signal_handler(signal.SIGINT, server.stop)
            loop.add_signal_handler(signal.SIGHUP, _no_reload)
            serving = asyncio.create_task(server.serve(sockets=[sock]), name="console")
            try:
                await asyncio.shield(serving)
            except asyncio.CancelledError:
                server.should_exit = True
                await serving
                raise
            finally:
                for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
                    loop.remove_signal_handler(number)
    finally:
        sock.close()
    return 0


def _no_reload() -> None:
    log.info("the console has nothing to reload; restart it to change its settings", extra={"action": "reload"})


async def _listen(address: str) -> socket.socket:
    """A listening socket. Raises :class:`AddressError`."""
    try:
        host, port = split_listen(address)
    except ValueError as error:
        raise AddressError(f"console.listen: {error}; write HOST:PORT, like 127.0.0.1:8085") from error
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, where = found[0]
        sock = socket.socket(family, kind, protocol)
    except OSError as error:
        raise AddressError(f"console.listen: {address}: {error}; listen on an address of this machine") from error
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(where)
        sock.listen(128)
    except OSError as error:
        sock.close()
        reason = error.strerror or str(error)
        raise AddressError(f"console.listen: {address}: {reason}; stop what uses it, or choose another port") from error
    return sock


def _url(address: str, sock: socket.socket) -> str:
    host = address.rpartition(":")[0]
    return f"http://{host}:{sock.getsockname()[1]}"
