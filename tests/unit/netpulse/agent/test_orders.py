"""What the engine answers an agent that was there before it."""

from __future__ import annotations

import asyncio
from typing import Any

from holdfast.netpulse.core.incident import Wanted
from holdfast.netpulse.core.protocol import Ask, Sight
from holdfast.netpulse.shell.engine.orders import Dispatch, _Schedule


class Presence:
    """One agent."""

    def live(self, region: str) -> list[str]:
        return ["eu"]


def test_confirmations_of_a_new_engine_reach_an_agent_that_took_up_some_of_the_one_before() -> None:
    async def scenario() -> None:
        presence: Any = Presence()
        dispatch = Dispatch(presence)
        dispatch._schedules["eu", "eu"] = _Schedule("1", (), frozenset({"t/a"}))
        seen = Sight(blind=False, since=0.0)
        ask = Ask(agent="eu", region="eu", epoch="e", now=0.0, sight=seen, schedule="1", confirmed=57)
        await dispatch.answer(ask, now=0.0, heartbeat_s=0.01)
        dispatch.want([Wanted(monitor="t/a", regions=("eu",))])
        orders = await dispatch.answer(ask, now=0.0, heartbeat_s=5.0)
        assert [each.number for each in orders.confirms] == [58]

    asyncio.run(scenario())
