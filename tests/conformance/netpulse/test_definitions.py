"""What was made by the API comes back, to whom it belongs."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from holdfast.kernel import Duration, Size
from holdfast.netpulse.core.incident import Decisions, Span
from holdfast.netpulse.core.ports import Silence, StoredMaintenance, StoredMonitor
from holdfast.netpulse.core.settings import HttpCheck, MaintenanceSettings, MonitorSettings
from tests.conformance.netpulse.world import START, decided, incident, seen

if TYPE_CHECKING:
    from tests.conformance.netpulse.world import World

pytestmark = pytest.mark.anyio

SPEC = MonitorSettings(
    http=HttpCheck(url="https://web.test", max_time=Duration(0.25), body_limit=Size(123)), interval=Duration(30.0)
)
WEB = StoredMonitor(tenant="t", id="web", spec=SPEC, created=START, updated=START)
WINDOW = MaintenanceSettings(start="2026-11-22T02:00", duration=Duration(3600.0), rrule="FREQ=WEEKLY")
SILENCE = Silence(
    id="s1", tenant="t", match={"monitor": "web*"}, starts=START, ends=START + 60, comment="'?'", created_by="key_1"
)


async def test_a_monitor_comes_back_as_it_was_put_and_last(world: World) -> None:
    await world.records.put_monitor(replace(WEB, updated=0.0))
    await world.records.put_monitor(WEB)
    await world.records.put_monitor(replace(WEB, tenant="u"))
    assert await world.records.monitors() == [WEB, replace(WEB, tenant="u")]


async def test_a_monitor_that_is_dropped_takes_everything_but_history_with_it(world: World) -> None:
    for tenant in ("t", "u"):
        await world.records.put_monitor(replace(WEB, tenant=tenant))
        await world.take(seen(monitor=f"{tenant}/web"), agent=tenant)
        await world.records.decide(Decisions(spans=(Span(monitor=f"{tenant}/web", kind="down", since=START),)))
    await world.records.decide(decided(incident()))
    await world.records.checkpoint({"t/web": b"1", "u/web": b"1"})
    await world.records.upkeep(world.now)
    await world.records.drop_monitor("t", "web")

    assert [one.tenant for one in await world.records.monitors()] == ["u"]
    for monitor, left in (("t/web", 0), ("u/web", 1)):
        assert len((await world.records.checks(monitor, since=0, until=2e9, limit=9))[0]) == left
        assert len(await world.records.series(monitor, since=START, until=START + 60, step_s=60.0)) == left
        assert len(await world.records.spans([monitor], since=0, until=2e9)) == left
    assert await world.records.incident("t", incident().id) is not None
    assert (await world.records.restore(world.now, reopen_since=0.0)).states == {"u/web": b"1"}

    await world.records.upkeep(world.now)
    assert await world.stored() == 1
    for table in ("minutes", "hours", "days"):
        assert await world.rows_of(table) == 1


async def test_a_monitor_that_comes_back_begins_anew(world: World) -> None:
    await world.take(seen())
    await world.records.drop_monitor("t", "web")
    await world.take(seen(START + 60), first=2)
    await world.records.upkeep(world.now)
    found, _ = await world.records.checks("t/web", since=0, until=2e9, limit=9)
    assert [one.at for one in found] == [START + 60]
    assert await world.stored() == 1


async def test_silences_are_those_that_have_not_ended(world: World) -> None:
    later = replace(SILENCE, id="s2", ends=START + 120)
    await world.records.put_silence(SILENCE)
    await world.records.put_silence(later)
    assert await world.records.silences(START + 59) == [SILENCE, later]
    assert await world.records.silences(START + 60) == [later]
    await world.records.put_silence(replace(later, ends=START + 61))
    assert await world.records.silences(START + 61) == []
    await world.records.upkeep(START + 70)
    assert await world.database.read(lambda tx: tx.one("SELECT count(*) FROM netpulse_definitions")) == (0,)


async def test_maintenances_come_and_go(world: World) -> None:
    one = StoredMaintenance(id="m", tenant="t", spec=WINDOW)
    await world.records.put_maintenance(one)
    await world.records.put_maintenance(replace(one, tenant="u"))
    await world.records.drop_maintenance("t", "m")
    await world.records.drop_maintenance("t", "nothing")
    assert await world.records.maintenances() == [replace(one, tenant="u")]


async def test_documents_have_a_kind_and_a_key(world: World) -> None:
    for kind, key, data in (("path", "eu", b"1"), ("path", "eu", b"2"), ("path", "us", b""), ("mail", "eu", b"\0")):
        await world.records.put_document(kind, key, data)
    assert await world.records.document("path", "eu") == b"2"
    assert await world.records.documents("path") == {"eu": b"2", "us": b""}
    await world.records.put_document("path", "eu", None)
    assert await world.records.document("path", "eu") is None
    assert await world.records.documents("mail") == {"eu": b"\0"}
