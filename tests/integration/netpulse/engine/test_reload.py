"""Another configuration, while things are down and agents report."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from holdfast.kernel import Duration
from holdfast.netpulse.core.incident import State
from holdfast.netpulse.core.settings import SimpleRule
from tests.integration.netpulse.engine.harness import SHOP, WEB

if TYPE_CHECKING:
    from holdfast.netpulse.core.settings import NetpulseSettings
    from tests.integration.netpulse.engine.harness import House

pytestmark = pytest.mark.anyio


async def reload(house: House, settings: NetpulseSettings) -> None:
    house.settings = settings
    house.runtime.reconfigure(settings)
    await house.runtime.settled()


def without(house: House, region: str) -> NetpulseSettings:
    left = {name: each for name, each in house.settings.regions.items() if name != region}
    return msgspec.structs.replace(house.settings, regions=left)


async def test_a_region_that_is_taken_out_is_no_incident_and_the_others_decide(house: House) -> None:
    await house.rounds(2, up=True)
    await reload(house, without(house, "ap"))
    house.living.remove("ap")
    receipt = await house.runtime.take(house.batch("ap", [house.result("ap", up=False)]))
    assert receipt.refused == 1
    for _ in range(4):
        await house.see(up=False, regions=("eu", "us"))
        await house.advance(30.0)
    assert await house.told() == ["opened"]


async def test_a_monitor_of_the_api_whose_only_region_is_taken_out_stops_nobody(house: House) -> None:
    lone = msgspec.structs.replace(SHOP, regions=("ap",), rule=SimpleRule(regions=1, in_a_row=2))
    await house.runtime.put_monitor("t", "shop", lone, create=True)
    await house.rounds(2, up=False, monitor="t/shop")
    await reload(house, without(house, "ap"))
    house.living.remove("ap")
    await house.advance(60.0)
    assert [view.id for view in await house.runtime.monitors("t")] == ["shop", "web"]
    await house.kill()
    await house.start()
    await house.hear("eu", "us")
    await house.advance(60.0)
    view = await house.runtime.monitor("t", "shop")
    assert (view.regions, view.state) == ([], "paused")
    assert await house.incidents(standing=True) == []


async def test_a_monitor_that_is_down_and_taken_out_ends_its_incident(house: House) -> None:
    await house.rounds(3, up=False)
    await reload(house, house.with_monitors(shop=SHOP))
    await house.advance(60.0)
    (one,) = await house.incidents()
    assert one.state is State.RESOLVED


async def test_another_interval_keeps_what_is_known(house: House) -> None:
    await house.rounds(3, up=False)
    await reload(house, house.with_monitors(web=msgspec.structs.replace(WEB, interval=Duration(60.0))))
    for _ in range(3):
        await house.see(up=False)
        await house.advance(60.0)
    await house.restart()
    await house.rounds(1, up=False)
    assert await house.told() == ["opened"]


async def test_a_monitor_that_the_file_takes_over_from_the_api_goes_on(house: House) -> None:
    await house.runtime.put_monitor("t", "shop", SHOP, create=True)
    await house.rounds(3, up=False, monitor="t/shop")
    await reload(house, house.with_monitors(web=WEB, shop=SHOP))
    await house.rounds(2, up=False, monitor="t/shop")
    assert await house.told() == ["opened"]
    assert (await house.runtime.monitor("t", "shop")).source == "file"
