"""A queue on a fresh store of each kind."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.conformance.execution.world import World, opened

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from holdfast.store import Database


@pytest.fixture
async def world(database: Database) -> AsyncIterator[World]:
    """An open queue with the default settings."""
    async with opened(World(database)) as made:
        yield made
