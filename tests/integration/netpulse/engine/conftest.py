"""A runtime over real records on a fresh store of each kind."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.integration.netpulse.engine.harness import House

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from holdfast.store import Database


@pytest.fixture
async def house(database: Database) -> AsyncIterator[House]:
    """An engine that runs, and three regions that have been heard of."""
    made = House(database)
    await made.start()
    await made.hear()
    yield made
    await made.kill()
