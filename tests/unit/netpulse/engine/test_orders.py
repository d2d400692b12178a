"""What agents are told to do, and when they hear of it."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from holdfast.netpulse.core.incident import Wanted
from holdfast.netpulse.core.presence import Presence
from holdfast.netpulse.core.protocol import Ask, Orders, Sight
from holdfast.netpulse.core.settings import NetpulseSettings
from holdfast.netpulse.core.world import World
from holdfast.netpulse.shell.engine.orders import CONFIRMS, Dispatch
from tests.unit.netpulse.core.test_engine import SETTINGS

pytestmark = pytest.mark.anyio
NOW = 1000.0


def ask(agent: str = "eu", *, schedule: str = "", confirmed: int = 0, epoch: str = "1") -> Ask:
    sight = Sight(blind=False, since=NOW)
    return Ask(agent=agent, region=agent[:2], epoch=epoch, now=NOW, sight=sight, schedule=schedule, confirmed=confirmed)


class Desk:
    def __init__(self, settings: NetpulseSettings = SETTINGS) -> None:
        self.presence = Presence(heartbeat_s=5.0, tolerance_s=2.0, started=NOW)
        self.presence.configure(settings.regions, heartbeat_s=5.0, tolerance_s=2.0, now=NOW)
        self.dispatch = Dispatch(self.presence)
        self.dispatch.configure(World(settings))

    async def answer(self, question: Ask) -> Orders:
        self.presence.heard(question, NOW)
        self.presence.look(NOW)
        self.dispatch.regrouped()
        return await self.dispatch.answer(question, now=NOW, heartbeat_s=5.0)


async def test_an_agent_without_a_schedule_gets_it_at_once() -> None:
    orders = await Desk().answer(ask())
    assert orders.targets is not None
    assert {target.monitor for target in orders.targets} == {"default/web", "default/db"}
    assert orders.wait_s < 5.0


async def test_the_regions_of_a_target_are_staggered() -> None:
    desk = Desk()
    offsets = []
    for region in ("eu", "us", "ap"):
        orders = await desk.answer(ask(region))
        assert orders.targets is not None
        offsets += [target.offset for target in orders.targets if target.monitor == "default/web"]
    first, second, third = sorted(offsets)
    assert [second - first, third - second] == pytest.approx([10.0, 10.0])


async def test_a_held_question_is_answered_by_a_confirmation() -> None:
    desk = Desk()
    version = (await desk.answer(ask())).schedule
    held = asyncio.create_task(desk.answer(ask(schedule=version)))
    await asyncio.sleep(0)
    assert not held.done()
    desk.dispatch.want([Wanted(monitor="default/web", regions=("eu", "us"))])
    orders = await held
    assert [confirm.monitor for confirm in orders.confirms] == ["default/web"]
    assert orders.targets is None


async def test_a_confirmation_is_repeated_until_it_was_taken_up() -> None:
    desk = Desk()
    version = (await desk.answer(ask())).schedule
    desk.dispatch.want([Wanted(monitor="default/web", regions=("eu",))])
    first = await desk.answer(ask(schedule=version))
    again = await desk.answer(ask(schedule=version))
    assert first.confirms == again.confirms
    number = first.confirms[-1].number
    desk.dispatch.want([Wanted(monitor="default/db", regions=("eu",))])
    later = await desk.answer(ask(schedule=version, confirmed=number))
    assert [confirm.monitor for confirm in later.confirms] == ["default/db"]


async def test_a_changed_world_reaches_who_waits() -> None:
    desk = Desk()
    version = (await desk.answer(ask())).schedule
    held = asyncio.create_task(desk.answer(ask(schedule=version)))
    await asyncio.sleep(0)
    desk.dispatch.configure(World(msgspec.structs.replace(SETTINGS, monitors={"db": SETTINGS.monitors["db"]})))
    orders = await held
    assert orders.targets is not None
    assert [target.monitor for target in orders.targets] == ["default/db"]


async def test_two_agents_of_a_region_share_its_targets() -> None:
    many = {f"m{n}": SETTINGS.monitors["web"] for n in range(40)}
    desk = Desk(msgspec.structs.replace(SETTINGS, monitors=many))
    alone = await desk.answer(ask())
    assert alone.targets is not None
    assert len(alone.targets) == 40
    await desk.answer(ask("eu-2"))
    shares = [await desk.answer(ask("eu")), await desk.answer(ask("eu-2"))]
    names = [{target.monitor for target in share.targets or ()} for share in shares]
    assert len(names[0] | names[1]) == 40
    assert names[0].isdisjoint(names[1])


async def test_paused_monitors_are_on_nobodys_schedule() -> None:
    paused = {"web": msgspec.structs.replace(SETTINGS.monitors["web"], paused=True)}
    orders = await Desk(msgspec.structs.replace(SETTINGS, monitors=paused)).answer(ask())
    assert orders.targets == ()


async def test_confirmations_of_an_agent_that_does_not_come_for_them_are_bounded() -> None:
    many = {f"m{n}": SETTINGS.monitors["web"] for n in range(CONFIRMS + 50)}
    desk = Desk(msgspec.structs.replace(SETTINGS, monitors=many))
    version = (await desk.answer(ask())).schedule
    desk.dispatch.want([Wanted(monitor=f"default/{name}", regions=("eu",)) for name in many])
    orders = await desk.answer(ask(schedule=version))
    assert len(orders.confirms) == CONFIRMS


async def test_closing_answers_everybody() -> None:
    desk = Desk()
    version = (await desk.answer(ask())).schedule
    held = asyncio.create_task(desk.answer(ask(schedule=version)))
    await asyncio.sleep(0)
    desk.dispatch.close()
    assert (await held).confirms == ()
