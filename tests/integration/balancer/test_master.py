"""The master with real worker processes that speak the protocol."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from tests.integration.balancer.harness import settings


def run(test: Callable[[], Any]) -> None:
    """Run a coroutine function to its end."""
    asyncio.run(test())


def test_ready_comes_with_real_ports_once_every_worker_listens(start: Callable[..., Any]) -> None:
    """Port 0 becomes one port that all workers are told."""

    async def scenario() -> None:
        async with start(settings(workers=3)) as running:
            (address,) = running.addresses.listen
            assert not address.endswith(":0")
            told = running.heard("configure")
            assert len(told) == 3
            assert all(line["listen"] == [address] for line in told)
        assert running.task.result() == 0
        assert len(running.heard("drain")) == 3

    run(scenario)
