"""Agents whose clock, program or connection is not in order, and an engine that stood still."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import msgspec
import pytest

from holdfast.netpulse.core.result import Outcome
from holdfast.netpulse.errors import Invalid
from tests.integration.netpulse.engine.harness import REGIONS, SHOP

if TYPE_CHECKING:
    from holdfast.netpulse.core.result import Observation
    from tests.integration.netpulse.engine.harness import House

pytestmark = pytest.mark.anyio


async def stored(house: House) -> list[Observation]:
    found, _ = await house.records.checks("t/web", since=0.0, until=house.now + 1e9, limit=1000)
    return sorted(found, key=lambda seen: seen.at)


@pytest.mark.parametrize("off_s", [3600.0, -3600.0])
async def test_a_clock_that_is_an_hour_off_is_corrected_for(house: House, off_s: float) -> None:
    for _ in range(4):
        for region in REGIONS:
            result = house.result(region, up=False, at=house.now + off_s - 0.2)
            receipt = await house.runtime.take(house.batch(region, [result], now=house.now + off_s))
            assert receipt.clock_offset_s == pytest.approx(-off_s)
        await house.advance(30.0)
    assert await house.told() == ["opened"]
    assert all(abs(seen.received - seen.at) < 1.0 for seen in await stored(house))


async def test_a_result_from_the_future_is_taken_as_of_now(house: House) -> None:
    await house.runtime.take(house.batch("eu", [house.result("eu", at=house.now + 3600.0)]))
    (seen,) = await stored(house)
    assert seen.at == house.now


async def test_results_that_were_spooled_for_an_hour_count_and_page_nobody(house: House) -> None:
    results = [house.result("eu", up=False, at=house.now - 3600.0 + 30.0 * number) for number in range(60)]
    await house.runtime.take(house.batch("eu", results))
    for region in ("us", "ap"):
        late = [house.result(region, up=False, at=house.now - 3600.0 + 30.0 * number) for number in range(60)]
        await house.runtime.take(house.batch(region, late))
    await house.advance(60.0)
    assert await house.told() == []
    assert sum(seen.late for seen in await stored(house)) >= 177


async def test_what_is_older_than_results_are_kept_is_refused(house: House) -> None:
    old = house.result("eu", at=house.now - house.settings.retention.raw - 1.0)
    receipt = await house.runtime.take(house.batch("eu", [old, house.result("eu")]))
    assert (receipt.upto, receipt.refused) == (2, 1)


async def test_a_batch_that_comes_twice_or_late_is_counted_once(house: House) -> None:
    batches = [house.batch("eu", [house.result("eu", up=False)]) for _ in range(6)]
    for batch in (*batches[3:], *batches[:3], *batches):
        await house.runtime.take(batch)
    assert len(await stored(house)) == 6
    await house.advance(60.0)
    assert await house.told() == []


async def test_results_of_monitors_that_are_gone_or_of_other_regions_are_refused(house: House) -> None:
    house.runtime.reconfigure(house.with_monitors(web=msgspec.structs.replace(SHOP, regions=("eu", "us"))))
    results = [house.result("ap"), house.result("ap", "t/gone"), house.result("ap", "other/web")]
    receipt = await house.runtime.take(house.batch("ap", results))
    assert (receipt.upto, receipt.refused) == (3, 3)
    assert await stored(house) == []


async def test_a_batch_that_cannot_be_is_refused_and_the_next_one_is_taken(house: House) -> None:
    for wrong in (
        house.batch("eu", [house.result("eu", total_ms=math.nan)]),
        house.batch("eu", [house.result("eu", at=-math.inf)]),
        house.batch("eu", [house.result("eu", seq=2**63)]),
        house.batch("eu", [house.result("eu", seq=5), house.result("eu", seq=5)]),
        house.batch("eu", [house.result("eu")], now=math.nan),
        house.batch("eu", [house.result("eu")], spool="a\x00b"),
    ):
        with pytest.raises(Invalid):
            await house.runtime.take(wrong)
    house.seqs.clear()
    await house.see(up=True)
    assert len(await stored(house)) == 3


async def test_text_of_a_target_does_no_harm_to_the_store(house: House) -> None:
    text = "\x00\x1b[31m\r\nSubject: x" + "é" * 500
    await house.runtime.take(house.batch("eu", [house.result("eu", up=False, detail=text, address=text)]))
    (seen,) = await stored(house)
    assert seen.outcome is Outcome.DOWN


async def test_a_number_far_ahead_leaves_room_for_those_before_it(house: House) -> None:
    await house.runtime.take(house.batch("eu", [house.result("eu", seq=10**9)]))
    receipt = await house.runtime.take(house.batch("eu", [house.result("eu", seq=7)]))
    assert receipt.upto == 10**9
    assert len(await stored(house)) == 2


async def test_a_region_that_is_lost_is_one_page_and_none_of_its_monitors(house: House) -> None:
    await house.rounds(2, up=True)
    house.living.remove("ap")
    await house.advance(120.0)
    (one,) = await house.incidents()
    assert (one.tenant, one.cause.value) == ("", "ap")
    house.living.append("ap")
    await house.rounds(6, up=True)
    assert await house.told() == ["opened", "resolved"]


async def test_a_blind_region_is_one_page_whatever_it_reports(house: House) -> None:
    await house.rounds(2, up=True)
    house.blind.add("ap")
    await house.advance(5.0)
    for _ in range(4):
        await house.see(up=True, regions=("eu", "us"))
        await house.advance(30.0)
    assert [one.cause.value for one in await house.incidents()] == ["ap"]


async def test_an_engine_that_stood_still_blames_no_agent(house: House) -> None:
    await house.rounds(2, up=True)
    house.now += 600.0
    house.runtime.tick()
    await house.advance(30.0)
    assert await house.told() == []


async def test_a_region_that_died_while_the_engine_stood_still_is_noticed_after(house: House) -> None:
    house.now += 600.0
    house.living.remove("eu")
    await house.advance(60.0)
    assert [one.cause.value for one in await house.incidents()] == ["eu"]
