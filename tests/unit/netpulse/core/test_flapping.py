"""What changes too often is told of twice at most, and how it ended."""

from __future__ import annotations

import pytest

from holdfast.kernel import Duration
from holdfast.netpulse.core.flapping import Dampers, policy
from holdfast.netpulse.core.incident import State
from holdfast.netpulse.core.settings import IncidentSettings
from tests.unit.netpulse.core.incidents import START, Desk, watched

PAGES = {"opened", "reopened", "flapping"}
DAY = 86_400.0


def flap(desk: Desk, down_s: float, up_s: float, seconds: float) -> None:
    end = desk.now + seconds
    while desk.now < end:
        desk.fail("web")
        desk.wait(down_s)
        desk.recover("web")
        desk.wait(up_s)


@pytest.mark.parametrize("up_s", [20, 55, 65, 120, 300, 540, 650])
@pytest.mark.parametrize("down_s", [20, 60, 300, 900, 2_400])
def test_a_day_of_flapping_is_two_pages_at_most_and_its_end_is_told(down_s: float, up_s: float) -> None:
    desk = Desk([watched("web")])
    flap(desk, down_s, up_s, DAY)
    assert len([tell for tell in desk.tell() if tell in PAGES]) <= 2, desk.tell()
    assert len(desk.incidents) == 1
    desk.wait(DAY)
    assert desk.only().state is State.RESOLVED
    assert desk.tell()[-1] == "resolved"
    assert len(desk.tell()) <= 4


def test_what_flapped_and_stays_down_is_told_as_down() -> None:
    desk = Desk([watched("web")])
    flap(desk, 60, 50, 3_600)
    assert desk.only().state is State.FLAPPING
    desk.fail("web")
    desk.wait(14 * 60)
    assert desk.tell() == ["opened", "flapping"]
    desk.wait(60)
    assert desk.only().state is State.OPEN
    assert desk.tell() == ["opened", "flapping", "opened"]


def test_who_has_acknowledged_it_keeps_it_while_it_flaps() -> None:
    desk = Desk([watched("web")])
    flap(desk, 60, 50, 3_600)
    desk.keep(desk.book.acknowledge("inc_0001", "ann", desk.now))
    assert desk.only().state is State.FLAPPING
    desk.fail("web")
    desk.wait(3_600)
    assert desk.only().state is State.ACKNOWLEDGED


def test_restarts_in_maintenance_are_not_flapping() -> None:
    desk = Desk([watched("web")])
    desk.maintain("m1", 3_600.0)
    desk.wait(60)
    flap(desk, 60, 60, 3_000)
    desk.wait(900)
    desk.fail("web")
    assert desk.tell() == ["opened"]
    assert desk.standing()[0].state is State.OPEN


def test_what_is_said_of_the_figures_is_so() -> None:
    dampers = Dampers(IncidentSettings())
    for number in range(4):
        assert not dampers.flapping("web", START + 360 * number)
        dampers.failed("web", START + 360 * number)
    assert dampers.flapping("web", START + 1_080)
    slow = Dampers(IncidentSettings())
    for number in range(60):
        slow.failed("web", START + 1_050 * number)
    assert slow.flapping("web", START + 1_050 * 59)
    busy = Dampers(IncidentSettings())
    for number in range(720):
        busy.failed("web", START + 120 * number)
    released = busy.released_at("web", START + 120 * 719)
    assert released is not None
    assert (released - START - 120 * 719) / 3_600 == pytest.approx(2.5, abs=0.1)
    busy.forget(released + DAY)
    assert len(busy) == 0


def test_figures_that_never_damp_are_refused() -> None:
    with pytest.raises(ValueError, match="suppress"):
        policy(IncidentSettings(flap_suppress=1e9, flap_max=Duration(60.0)))
