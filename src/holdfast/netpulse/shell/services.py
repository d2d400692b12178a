"""The processes of NetPulse, each behind one function that imports what it needs when it is called."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from holdfast.netpulse.core.settings import NetpulseSettings, StatusSettings
from holdfast.store import StoreSettings

Ready = Callable[[Mapping[str, str]], None]
"""Called once, with addresses by what they are."""


async def serve_engine(
    settings: NetpulseSettings, store: StoreSettings, *, reload: Callable[[], NetpulseSettings], ready: Ready
) -> int:
    """Run the engine until SIGTERM; the exit code. SIGHUP takes up what ``reload`` gives, unless it raises."""
    from holdfast.netpulse.shell.serve import serve

    return await serve(settings, store, reload=reload, ready=ready)


async def serve_agent(settings: NetpulseSettings, *, region: str, name: str | None, ready: Ready) -> int:
    """Run an agent until SIGTERM; the exit code."""
    from holdfast.netpulse.shell.agent import serve_agent as serve
    from holdfast.netpulse.shell.probes import Leave, Prober

    agents = settings.agents
    prober = Prober(Leave(allow_private=agents.allow_private, allow_commands=agents.allow_commands))
    try:
        return await serve(settings, region=region, name=name, ready=ready, prober=prober)
    finally:
        await prober.close()


async def serve_status(settings: StatusSettings, *, subscribe_url: str, ready: Ready) -> int:
    """Serve the files of the status page until SIGTERM; the exit code."""
    from holdfast.netpulse.shell.status import serve_status as serve

    return await serve(Path(settings.directory), settings.listen, subscribe_url=subscribe_url, ready=ready)


async def serve_sink(host: str, port: int, secret: str, ready: Callable[[int], None]) -> None:
    """Show the webhook messages that arrive at a port, until cancelled."""
    from holdfast.netpulse.shell.notify.sink import serve_sink as serve

    await serve(host, port, secret, ready)
