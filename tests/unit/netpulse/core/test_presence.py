"""Agents are believed while they are heard of and reach their canaries."""

from __future__ import annotations

from holdfast.netpulse.core.presence import Presence
from holdfast.netpulse.core.protocol import Ask, Sight


def ask(now: float, *, agent: str = "eu", region: str = "eu", blind: bool = False, epoch: str = "1") -> Ask:
    return Ask(agent=agent, region=region, epoch=epoch, now=now, sight=Sight(blind=blind, since=now, reason="cut"))


def presence(now: float = 0.0, *regions: str) -> Presence:
    made = Presence(heartbeat_s=5.0, tolerance_s=2.0, started=now)
    made.configure(regions or ("eu",), heartbeat_s=5.0, tolerance_s=2.0, now=now)
    return made


def states(made: Presence, now: float) -> dict[str, str]:
    made.look(now)
    return {name: region.state for name, region in made.regions().items()}


def test_a_region_that_nobody_came_from_is_waited_for_and_then_lost() -> None:
    made = presence()
    assert states(made, 59.0) == {"eu": "waiting"}
    assert made.due() == 60.0
    assert states(made, 60.0) == {"eu": "lost"}


def test_an_agent_that_falls_silent_is_lost_within_two_heartbeats() -> None:
    made = presence()
    made.heard(ask(10.0), 10.0)
    assert states(made, 10.0) == {"eu": "seeing"}
    due = made.due()
    assert due is not None
    assert due < 20.0
    assert states(made, due) == {"eu": "lost"}
    made.heard(ask(30.0), 30.0)
    assert states(made, 30.0) == {"eu": "seeing"}


def test_a_change_is_told_once() -> None:
    made = presence()
    made.heard(ask(10.0), 10.0)
    assert [region.state for region in made.look(10.0)] == ["seeing"]
    assert made.look(10.5) == []


def test_one_seeing_agent_is_enough_for_its_region() -> None:
    made = presence()
    made.heard(ask(1.0, blind=True), 1.0)
    assert states(made, 1.0) == {"eu": "blind"}
    made.heard(ask(1.0, agent="eu-2"), 1.0)
    assert states(made, 1.0) == {"eu": "seeing"}
    assert made.live("eu") == ["eu", "eu-2"]


def test_a_clock_within_the_tolerance_is_left_alone_and_one_an_hour_off_is_corrected() -> None:
    made = presence()
    assert made.offset(100.0, 101.5) == 0.0
    assert made.offset(10_000.0, 13_600.0) == -3600.0
    made.heard(ask(13_600.0, blind=True), 10_000.0)
    assert made.agents["eu"].since == 10_000.0


def test_a_region_that_is_not_configured_any_more_is_forgotten() -> None:
    made = presence(0.0, "eu", "us")
    made.heard(ask(1.0), 1.0)
    made.configure(("us",), heartbeat_s=5.0, tolerance_s=2.0, now=2.0)
    assert states(made, 2.0) == {"us": "waiting"}
    assert made.agents == {}
