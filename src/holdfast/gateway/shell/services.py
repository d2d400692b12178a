"""The processes of the gateway, each behind one function that imports what it needs when it is called."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from holdfast.gateway.core.deployments import Deployment
from holdfast.gateway.core.expectations import Expectation, expectations
from holdfast.gateway.core.settings import GatewaySettings, MockSettings
from holdfast.gateway.core.usage import Price
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


async def expected(settings: GatewaySettings) -> list[Expectation]:
    """What every deployment may cost, by the configuration and by what is publicly known."""
    from holdfast.gateway.shell.ledger.prices import read_catalogue

    catalogue = await read_catalogue()
    now = time.time()

    def known(deployment: Deployment) -> Price | None:
        tariff = None if catalogue is None else catalogue.tariff(deployment.provider, deployment.model)
        return None if tariff is None else tariff.at(now)

    return expectations(settings, known)
