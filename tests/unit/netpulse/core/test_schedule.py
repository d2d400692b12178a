"""When monitors are probed, and by whom."""

from __future__ import annotations

import pytest

from holdfast.netpulse.core.schedule import GRACE_S, Slots, Timetable, assigned, offset, slot_after

DAY = 1_790_000_000.0  # a Monday of 2026, in seconds since the epoch
EVERY_10 = Slots(3.0, 10.0)


def table(*monitors: str, slots: Slots = EVERY_10, now: float = DAY) -> Timetable:
    made = Timetable()
    for monitor in monitors:
        made.add(monitor, slots, now)
    return made


def test_the_regions_of_a_target_are_evenly_apart() -> None:
    regions = ["us", "eu", "ap"]
    found = sorted(offset("t/web", region, regions, 30.0) for region in regions)
    assert found[1] - found[0] == pytest.approx(10.0)
    assert found[2] - found[1] == pytest.approx(10.0)


def test_targets_are_spread_over_the_interval() -> None:
    tenths = [0] * 10
    for number in range(2000):
        tenths[int(offset(f"t/{number}", "eu", ["eu", "us"], 10.0))] += 1
    assert min(tenths) > 150  # 200 expected, standard deviation 13
    assert max(tenths) < 250


def test_an_offset_depends_on_nothing_but_its_monitor_and_its_regions() -> None:
    assert offset("t/web", "eu", ["eu", "us"], 30.0) == offset("t/web", "eu", ["us", "eu", "us"], 30.0)
    assert offset("t/web", "eu", ["eu"], 60.0) == 2 * offset("t/web", "eu", ["eu"], 30.0)


def test_a_region_that_does_not_watch_has_no_offset() -> None:
    with pytest.raises(ValueError, match="t/web is not watched from ap; it is watched from eu, us"):
        offset("t/web", "ap", ["us", "eu"], 30.0)


def test_without_agents_nothing_is_assigned() -> None:
    assert assigned(["t/a"], []) == {}


def test_agents_of_a_region_share_its_monitors_about_evenly() -> None:
    found = list(assigned([f"t/{n}" for n in range(900)], ["eu", "eu-2", "eu-3"]).values())
    assert all(250 < found.count(agent) < 350 for agent in ("eu", "eu-2", "eu-3"))


@pytest.mark.parametrize("slots", [(0.0, 0.0), (0.0, -1.0), (float("nan"), 1.0), (0.0, float("inf"))])
def test_slots_that_cannot_be_are_refused(slots: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="interval > 0"):
        Slots(*slots)


def test_a_monitor_is_due_at_its_slot_and_out_until_it_is_back() -> None:
    timetable = table("a")
    at = slot_after(3.0, 10.0, DAY)
    assert timetable.next_at() == at
    assert timetable.due(at - 0.001) == []
    assert timetable.due(at) == [(at, "a")]
    assert timetable.next_at() is None
    timetable.back("a", at + 0.2, slot=at, began=at)
    assert timetable.next_at() == at + 10.0
    assert timetable.skipped == 0


def test_after_a_sleep_of_the_machine_only_what_is_due_now_is_probed() -> None:
    timetable = Timetable()
    for number in range(100):
        timetable.add(f"m{number}", Slots(number / 10, 10.0), DAY)
    due = timetable.due(DAY + 3600.0)
    assert 0 < len(due) <= 11, "the slots of one second of grace, not those of an hour"
    assert all(at > DAY + 3600.0 - GRACE_S - 1e-3 for at, _ in due)
    assert len(timetable.due(DAY + 3610.0 - 0.001)) <= 11
    assert timetable.skipped > 100 * 358


def test_a_probe_that_takes_the_whole_interval_is_repeated_at_once_and_not_at_every_other_slot() -> None:
    timetable = table("a")
    at = slot_after(3.0, 10.0, DAY)
    timetable.due(at)
    timetable.back("a", at + 10.02, slot=at, began=at)
    assert timetable.due(at + 10.02) == [(at + 10.0, "a")]
    assert timetable.skipped == 0


def test_a_probe_that_takes_longer_than_the_interval_skips_slots() -> None:
    timetable = table("a")
    at = slot_after(3.0, 10.0, DAY)
    timetable.due(at)
    timetable.back("a", at + 24.0, slot=at, began=at)
    assert timetable.next_at() == at + 30.0
    assert timetable.skipped == 2


def test_a_probe_that_began_late_is_not_followed_closely_by_the_next() -> None:
    timetable = table("a")
    at = slot_after(3.0, 10.0, DAY)
    timetable.due(at)
    timetable.back("a", at + 8.1, slot=at, began=at + 8.0)  # it waited for a place
    assert timetable.next_at() == at + 20.0
    assert timetable.skipped == 1


def test_a_probe_out_of_turn_moves_no_slot() -> None:
    timetable = table("a")
    at = slot_after(3.0, 10.0, DAY)
    assert timetable.take("a")
    assert not timetable.take("a"), "it is out"
    assert not timetable.take("unknown")
    assert timetable.due(at) == []
    timetable.back("a", at + 0.4)
    assert timetable.due(at + 0.4) == [(at, "a")], "the slot that passed meanwhile"
    timetable.back("a", at + 0.5, slot=at, began=at + 0.4)
    timetable.take("a")
    timetable.back("a", at + 0.9)
    assert timetable.next_at() == at + 10.0, "a slot that was used is not used again"


def test_replacing_a_schedule_keeps_what_did_not_change() -> None:
    timetable = table("same", "moved", "gone")
    at = slot_after(3.0, 10.0, DAY)
    timetable.replace({"same": EVERY_10, "moved": Slots(4.0, 10.0), "new": Slots(5.0, 10.0)}, at + 0.5)
    assert timetable.due(at + 0.5) == [(at, "same")], "due at this very moment, and still due"
    assert timetable.due(at + 2.0) == [(at + 1.0, "moved"), (at + 2.0, "new")]
    assert "gone" not in timetable
    assert len(timetable) == 3


def test_what_is_removed_while_it_is_out_does_not_come_back() -> None:
    timetable = table("a")
    at = slot_after(3.0, 10.0, DAY)
    timetable.due(at)
    timetable.remove("a")
    timetable.back("a", at + 1.0, slot=at, began=at)
    assert timetable.next_at() is None


def test_what_changes_while_it_is_out_comes_back_with_its_new_slots() -> None:
    timetable = table("a")
    at = slot_after(3.0, 10.0, DAY)
    timetable.due(at)
    timetable.add("a", Slots(3.0, 60.0), at + 0.1)
    timetable.back("a", at + 0.2, slot=at, began=at)
    assert timetable.next_at() == slot_after(3.0, 60.0, at + 30.0)


@pytest.mark.parametrize("step_s", [-3600.0, 3600.0, 7.0])
def test_after_the_clock_was_set_slots_are_by_the_new_time(step_s: float) -> None:
    timetable = table("a", "out")
    at = slot_after(3.0, 10.0, DAY)
    timetable.due(at - 5.0)
    timetable.take("out")
    now = at - 5.0 + step_s
    timetable.replan(now)
    timetable.back("out", now + 0.1, slot=at, began=at)
    following = slot_after(3.0, 10.0, now)
    assert following <= (timetable.next_at() or 0.0) <= following + 10.0
    assert {monitor for _, monitor in timetable.due(now + 20.0)} <= {"a", "out"}


def test_the_heap_does_not_grow_with_changes() -> None:
    timetable = table("a")
    for number in range(1000):
        timetable.replace({"a": Slots(3.0 + number / 1e6, 10.0)}, DAY)
    assert len(timetable._heap) < 200
