"""The control API of a gateway that runs: who may see and do what."""

from __future__ import annotations

from holdfast.testing.gateway import mock_provider
from tests.integration.gateway.stack import running_gateway


async def test_a_gateway_answers_and_says_that_it_is_ready() -> None:
    async with mock_provider() as provider, running_gateway(provider=provider) as stack:
        assert (await stack.chat()).status == 200
        assert (await stack.ask("GET", "/readyz")).status == 200
