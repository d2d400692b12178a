"""Recorded results through another policy: pages then and now, and why they differ."""

from __future__ import annotations

from random import Random

import msgspec

from holdfast.netpulse.core.replay import compared, play
from holdfast.netpulse.core.result import Observation
from holdfast.netpulse.core.settings import NetpulseSettings, SimpleRule
from holdfast.netpulse.core.world import World
from tests.unit.netpulse.core.test_engine import SETTINGS, T0, seen

REGIONS = ("eu", "us", "ap")


def history(*, fails: dict[str, tuple[float, float]]) -> list[list[Observation]]:
    """An hour, a probe per region every 30 s; ``fails``: from and to, seconds after the start, of each region."""
    found = []
    for step in range(120):
        for offset, region in enumerate(REGIONS):
            at = step * 30 + offset * 10
            low, high = fails.get(region, (0.0, 0.0))
            found.append(seen(region, T0 + at, up=not low <= at < high))
    return [found[start : start + 50] for start in range(0, len(found), 50)]


def played(settings: NetpulseSettings, *, fails: dict[str, tuple[float, float]]) -> list[str]:
    told = play(World(settings), history(fails=fails), rng=Random(1)).told()
    return [f"{each.incident.title} x{each.pages}" for each in told]


def with_rule(regions: int, in_a_row: int) -> NetpulseSettings:
    web = msgspec.structs.replace(SETTINGS.monitors["web"], rule=SimpleRule(regions=regions, in_a_row=in_a_row))
    return msgspec.structs.replace(SETTINGS, monitors={"web": web})


def test_one_bad_path_pages_by_a_nervous_rule_and_not_by_the_detector() -> None:
    fails = {"eu": (600.0, 900.0)}
    assert played(with_rule(1, 2), fails=fails) == ["web is down x1"]
    assert played(SETTINGS, fails=fails) == []


def test_an_outage_pages_by_both_and_the_detector_is_not_later() -> None:
    fails = dict.fromkeys(REGIONS, (600.0, 900.0))
    ours, theirs = (
        play(World(settings), history(fails=fails), rng=Random(1)).told() for settings in (SETTINGS, with_rule(2, 2))
    )
    assert [each.pages for each in (*ours, *theirs)] == [1, 1]
    assert ours[0].delay_s <= theirs[0].delay_s


def test_what_differs_is_said() -> None:
    nervous = play(World(with_rule(1, 2)), history(fails={"eu": (600.0, 900.0)}), rng=Random(1)).told()
    calm = play(World(SETTINGS), history(fails={"eu": (600.0, 900.0)}), rng=Random(1)).told()
    (gone,) = compared(nervous, calm)
    assert gone.then is not None
    assert gone.now is None
    assert "stays below the new threshold" in gone.why
    (new,) = compared(calm, nervous)
    assert new.then is None
    assert "reaches the new threshold" in new.why
    (same,) = compared(nervous, nervous)
    assert same.why == "the same"


def test_playing_twice_gives_the_same() -> None:
    fails = dict.fromkeys(REGIONS, (600.0, 900.0))
    one, other = (play(World(SETTINGS), history(fails=fails), rng=Random(7)) for _ in range(2))
    assert one.transitions == other.transitions


def test_nothing_recorded_is_nothing_played() -> None:
    assert play(World(SETTINGS), [], rng=Random(1)).results == 0
