"""The processes of the gateway, each behind one function that imports what it needs when it is called."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from holdfast.gateway.core.settings import GatewaySettings, MockSettings
from holdfast.store import StoreSettings

Ready = Callable[[Mapping[str, str]], None]
"""Called once, with addresses by what they are."""


async def serve(
    settings: GatewaySettings, store: StoreSettings, *, reload: Callable[[], GatewaySettings], ready: Ready
) -> int:
    """Run the gateway until SIGTERM; the exit code. SIGHUP takes up what ``reload`` gives, unless it raises."""
    from holdfast.gateway.shell.serve import serve as serve_gateway

    return await serve_gateway(settings, store, reload=reload, ready=ready)


async def serve_mock(settings: MockSettings, *, ready: Ready) -> int:
    """Run the scripted provider until SIGTERM; the exit code."""
    from holdfast.gateway.shell.mock import serve_mock as serve_provider

    return await serve_provider(settings, ready=lambda url: ready({"mock-provider": url}))
