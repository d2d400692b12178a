"""What the API makes, while others make something, too, and while the store is away."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import msgspec
import pytest

from holdfast.kernel import Duration
from holdfast.netpulse.core.definitions import TENANT_BYTES
from holdfast.netpulse.core.ports import StoredMaintenance
from holdfast.netpulse.core.settings import HeartbeatCheck, HttpCheck, MaintenanceSettings, MonitorSettings
from holdfast.netpulse.errors import Conflict, Invalid
from holdfast.store import StoreUnavailable
from tests.integration.netpulse.engine.harness import BACKUP, SHOP, TOKEN

if TYPE_CHECKING:
    from tests.integration.netpulse.engine.harness import House

pytestmark = pytest.mark.anyio
WINDOW = MaintenanceSettings(start="2030-01-01T02:00", duration=Duration(3600.0))


async def known(house: House) -> set[str]:
    return {view.id for view in await house.runtime.monitors("t")}


async def test_monitors_that_are_made_at_the_same_time_are_all_watched(house: House) -> None:
    names = [f"shop-{number}" for number in range(10)]
    await asyncio.gather(*(house.runtime.put_monitor("t", name, SHOP, create=True) for name in names))
    assert await known(house) == {"web", *names}
    await house.restart()
    assert await known(house) == {"web", *names}


async def test_of_two_who_make_the_same_monitor_one_is_told_that_it_exists(house: House) -> None:
    made = await asyncio.gather(
        *(house.runtime.put_monitor("t", "shop", SHOP, create=True) for _ in range(2)), return_exceptions=True
    )
    assert sum(isinstance(each, Conflict) for each in made) == 1


async def test_windows_that_are_dropped_at_the_same_time_are_all_gone(house: House) -> None:
    for name in ("a", "b", "c"):
        await house.runtime.put_maintenance("t", name, WINDOW)
    await asyncio.gather(*(house.runtime.drop_maintenance("t", name) for name in ("a", "b")))
    assert set(house.runtime.maintenances("t")) == {"c"}


async def test_silences_that_are_made_at_the_same_time_all_count(house: House) -> None:
    made = await asyncio.gather(
        *(
            house.runtime.silence(
                "t", {"monitor": f"m{n}"}, starts=house.now, ends=house.now + 60, comment="", actor="a"
            )
            for n in range(5)
        )
    )
    assert {each.id for each in house.runtime.silences("t")} == {each.id for each in made}


async def test_a_monitor_that_the_store_could_not_remove_stays_and_can_be_removed_again(house: House) -> None:
    await house.runtime.put_monitor("t", "shop", SHOP, create=True)
    house.records.away = True
    with pytest.raises(StoreUnavailable):
        await house.runtime.drop_monitor("t", "shop")
    assert await known(house) == {"web", "shop"}
    house.records.away = False
    await house.runtime.drop_monitor("t", "shop")
    assert await known(house) == {"web"}
    await house.restart()
    assert await known(house) == {"web"}


async def test_a_monitor_that_the_store_could_not_take_is_not_watched(house: House) -> None:
    house.records.away = True
    with pytest.raises(StoreUnavailable):
        await house.runtime.put_monitor("t", "shop", SHOP, create=True)
    assert await known(house) == {"web"}


async def test_nobody_takes_the_token_of_anothers_heartbeat(house: House) -> None:
    await house.runtime.put_monitor("t", "backup", BACKUP, create=True)
    with pytest.raises(Conflict, match="token"):
        await house.runtime.put_monitor("other", "theirs", BACKUP, create=True)
    await house.runtime.put_monitor("t", "backup", msgspec.structs.replace(BACKUP, name="Backup"), create=False)
    assert await house.runtime.beat(TOKEN, failed=False, detail="")
    made = MonitorSettings(heartbeat=HeartbeatCheck(period=Duration(60.0)))
    await house.runtime.put_monitor("other", "theirs", made, create=True)
    heartbeat = house.runtime.spec("other", "theirs").heartbeat
    assert heartbeat is not None
    assert len(heartbeat.token) >= 16


async def test_an_incident_of_a_monitor_that_is_dropped_ends_and_leaves_nothing_behind(house: House) -> None:
    await house.runtime.put_monitor("t", "shop", SHOP, create=True)
    await house.rounds(3, up=False, monitor="t/shop")
    assert await house.told() == ["opened"]
    await house.runtime.drop_monitor("t", "shop")
    await house.advance(house.settings.incidents.reopen + 1)
    assert await house.incidents(standing=True) == []
    assert await house.records.spans(["t/shop"], since=0.0, until=house.now) == []


async def test_text_of_people_does_no_harm_to_the_store(house: House) -> None:
    text = "\x00\x1b[2J\r\n<script>alert(1)</script>=cmd|' /C calc'!A0"
    spec = msgspec.structs.replace(SHOP, name=text, group=text, tags={"team": text})
    await house.runtime.put_monitor("t", "shop", spec, create=True)
    await house.runtime.silence("t", {"team": text}, starts=house.now, ends=house.now + 1, comment=text, actor=text)
    await house.advance(2.0)
    await house.rounds(3, up=False, monitor="t/shop")
    (one,) = await house.incidents()
    await house.runtime.note("t", one.id, text, actor=text)
    await house.runtime.acknowledge("t", one.id, actor=text)
    assert await house.told() == ["opened", "acknowledged"]
    await house.restart()
    assert await known(house) == {"web", "shop"}


async def test_a_window_that_the_engine_cannot_follow_is_refused_and_stored_nowhere(house: House) -> None:
    for wrong in (
        msgspec.structs.replace(WINDOW, rrule="FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30"),
        msgspec.structs.replace(WINDOW, rrule="FREQ=HOURLY"),
        msgspec.structs.replace(WINDOW, start="1200-01-01T00:00"),
        msgspec.structs.replace(WINDOW, match={f"tag{number}": "x" for number in range(18)}),
    ):
        with pytest.raises(Invalid):
            await house.runtime.put_maintenance("t", "odd", wrong)
    assert await house.records.maintenances() == []


async def test_a_stored_window_that_the_engine_cannot_follow_any_more_stops_nobody(house: House) -> None:
    odd = msgspec.structs.replace(WINDOW, rrule="FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30")
    await house.records.put_maintenance(StoredMaintenance(id="odd", tenant="t", spec=odd))
    await house.restart()
    await house.runtime.put_maintenance("t", "fine", WINDOW)
    assert set(house.runtime.maintenances("t")) == {"fine"}


async def test_a_tenant_that_makes_very_many_monitors_leaves_room_for_the_others(house: House) -> None:
    large = MonitorSettings(http=HttpCheck(url="https://x.example.com/", body="x" * 64_000))
    fit = TENANT_BYTES // 64_500
    for number in range(fit):
        await house.runtime.put_monitor("other", f"m{number}", large, create=True)
    with pytest.raises(Conflict, match="agents"):
        await house.runtime.put_monitor("other", "one-more", large, create=True)
    await house.runtime.put_monitor("t", "shop", SHOP, create=True)
    await house.hear()
