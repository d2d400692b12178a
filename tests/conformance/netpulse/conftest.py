"""Records on a fresh store of each kind."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.conformance.netpulse.world import World

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from holdfast.store import Database


@pytest.fixture
async def world(database: Database) -> AsyncIterator[World]:
    """Open records with the default settings."""
    made = World(database)
    await made.records.open(made.now)
    yield made
    await made.records.close()
