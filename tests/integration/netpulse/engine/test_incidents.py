"""From batches to messages, and on from any step after the process was killed."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from holdfast.netpulse.core.incident import State

if TYPE_CHECKING:
    from holdfast.netpulse.core.incident import Decisions
    from tests.integration.netpulse.engine.harness import House

pytestmark = pytest.mark.anyio


async def test_an_outage_is_one_incident_one_page_and_one_end(house: House) -> None:
    await house.rounds(3, up=True)
    await house.rounds(3, up=False)
    assert await house.told() == ["opened"]
    await house.rounds(20, up=True)
    assert await house.told() == ["opened", "resolved"]
    (only,) = await house.incidents()
    assert only.state is State.RESOLVED


@pytest.mark.parametrize("killed_in", range(5))
async def test_an_engine_that_is_killed_at_any_step_of_an_outage_loses_no_message_and_says_none_twice(
    house: House, killed_in: int
) -> None:
    phases = [(3, True), (1, False), (3, False), (2, True), (20, True)]
    for number, (count, up) in enumerate(phases):
        if number == killed_in:
            await house.see(up=up)  # stored, and perhaps decided
            await house.restart()
        await house.rounds(count, up=up)
    assert await house.told() == ["opened", "resolved"]


async def test_what_was_decided_and_not_stored_is_decided_again_after_the_kill(house: House) -> None:
    await house.rounds(3, up=True)
    never = asyncio.Event()

    async def stuck(_: Decisions) -> None:
        await never.wait()

    house.records.decide = stuck  # type: ignore[method-assign]
    for _ in range(3):
        await house.see(up=False)
        house.now += 30.0
        house.runtime.tick()
    assert await house.records.incidents("t", limit=10) == []
    await house.restart()
    await house.rounds(2, up=False)
    assert await house.told() == ["opened"]


async def test_a_checkpoint_while_batches_come_loses_no_evidence(house: House) -> None:
    async def save() -> None:
        for _ in range(20):
            await house.runtime.checkpoint()

    saving = asyncio.create_task(save())
    for _ in range(20):
        await house.see(up=True)
        house.now += 1.0
    await saving
    before = house.runtime.engine.snapshots()
    await house.restart()
    assert house.runtime.engine.snapshots() == before


async def test_an_acknowledged_incident_stays_acknowledged_after_a_restart(house: House) -> None:
    await house.rounds(3, up=False)
    (one,) = await house.incidents()
    view = await house.runtime.acknowledge("t", one.id, actor="ann")
    assert view.acknowledged_by == "ann"
    await house.restart()
    await house.rounds(3, up=False)
    (one,) = await house.incidents()
    assert (one.state, one.acknowledged_by) == (State.ACKNOWLEDGED, "ann")
    assert await house.told() == ["opened", "acknowledged"]
