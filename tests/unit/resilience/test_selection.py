"""What tells the strategies apart. What they have in common is in the property tests."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest

from holdfast.resilience import Strategy, Target, hash_key, safest, strategy

RNG = Random(1)


def pool(**weights: float) -> tuple[Target, ...]:
    return tuple(Target(name, weight) for name, weight in weights.items())


def picks(chosen: Strategy, targets: tuple[Target, ...], count: int) -> str:
    """The names of successive picks of an idle pool."""
    names = []
    for _ in range(count):
        target = chosen.pick(targets, (), 0.0, RNG, RNG.getrandbits(64))
        assert target is not None
        names.append(target.id)
    return "".join(names)


def test_an_unknown_strategy_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"'fastest'; use one of round_robin, weighted"):
        strategy("fastest")


class TestRoundRobins:
    def test_weighted_is_smooth(self) -> None:
        """The example of nginx: 5, 1, 1 gives a a b a c a a."""
        assert picks(strategy("weighted"), pool(a=5, b=1, c=1), 14) == "aabacaa" * 2

    def test_round_robin_gives_equal_turns_whatever_the_weights_are(self) -> None:
        assert picks(strategy("round_robin"), pool(a=5, b=1, c=1), 6) == "abcabc"

    def test_round_robin_honours_a_ramp(self) -> None:
        targets = pool(a=4, b=4)
        targets[1].weight = 1.0
        assert Counter(picks(strategy("round_robin"), targets, 500)) == {"a": 400, "b": 100}

    def test_a_failing_target_gets_its_turns_as_it_succeeds(self) -> None:
        targets = pool(a=1, b=1)
        targets[1].success = 0.25
        assert Counter(picks(strategy("weighted"), targets, 500)) == {"a": 400, "b": 100}


class TestLeastConnections:
    def test_it_fills_targets_evenly(self) -> None:
        targets, chosen = pool(a=1, b=1, c=1), strategy("least_connections")
        for _ in range(30):
            target = chosen.pick(targets, (), 0.0, RNG, None)
            assert target is not None
            target.began()
        assert [target.in_flight for target in targets] == [10, 10, 10]

    def test_it_fills_targets_by_weight(self) -> None:
        targets, chosen = pool(a=3, b=1), strategy("least_connections")
        for _ in range(40):
            target = chosen.pick(targets, (), 0.0, RNG, None)
            assert target is not None
            target.began()
        assert [target.in_flight for target in targets] == [30, 10]

    def test_ties_go_round(self) -> None:
        assert Counter(picks(strategy("least_connections"), pool(a=1, b=1, c=1), 300)) == {"a": 100, "b": 100, "c": 100}


class TestPowerOfTwoChoices:
    def test_of_two_it_takes_the_cheaper(self) -> None:
        targets = pool(a=1, b=1)
        for target, latency_s in zip(targets, (0.01, 0.03), strict=True):
            target.began()
            target.succeeded(1.0, latency_s)
        assert picks(strategy("p2c"), targets, 50) == "a" * 50
        targets[0].in_flight = 3  # (3 + 1) * 10 ms against (0 + 1) * 30 ms
        assert picks(strategy("p2c"), targets, 50) == "b" * 50

    def test_a_new_target_is_neither_flooded_nor_starved(self) -> None:
        targets = pool(new=1, b=1, c=1)
        for known in targets[1:]:
            known.latency_s = 0.01
            known.in_flight = 4
        chosen = strategy("p2c")
        for _ in range(3000):
            target = chosen.pick(targets, (), 0.0, RNG, None)
            assert target is not None
            target.began()
        assert 900 < targets[0].in_flight < 1100

    def test_an_idle_pool_of_equals_is_used_evenly(self) -> None:
        counts = Counter(picks(strategy("p2c"), pool(a=1, b=1, c=1, d=1, e=1), 5000))
        assert all(850 < count < 1150 for count in counts.values())

    def test_a_target_that_is_out_does_not_cost_its_neighbour_the_second_choice(self) -> None:
        """Three open targets of four: the dearest of them must never win."""
        targets = pool(a=1, b=1, dear=1, out=0)
        targets[2].in_flight = 50
        assert "dear" not in picks(strategy("p2c"), targets, 500)


KEYS = [hash_key(f"client-{n}".encode()) for n in range(3000)]


class TestConsistentHash:
    def owners(self, targets: tuple[Target, ...]) -> list[str]:
        chosen = strategy("consistent_hash")
        found = [chosen.pick(targets, (), 0.0, RNG, key) for key in KEYS]
        return [target.id if target else "" for target in found]

    def test_equal_keys_go_to_the_same_target(self) -> None:
        targets = pool(a=1, b=1, c=1)
        assert self.owners(targets) == self.owners(targets)

    def test_targets_own_about_equal_parts(self) -> None:
        counts = Counter(self.owners(pool(a=1, b=1, c=1, d=1, e=1)))
        assert all(450 < count < 750 for count in counts.values())

    def test_heavier_targets_own_more(self) -> None:
        counts = Counter(self.owners(pool(a=3, b=1)))
        assert counts["a"] / counts["b"] == pytest.approx(3.0, rel=0.3)  # 53 points scatter by 14 %

    def test_a_new_target_takes_keys_only_for_itself(self) -> None:
        before, after = self.owners(pool(a=1, b=1, c=1)), self.owners(pool(a=1, b=1, c=1, d=1))
        moved = [(old, new) for old, new in zip(before, after, strict=True) if old != new]
        assert {new for _, new in moved} == {"d"}
        assert 0.17 < len(moved) / len(before) < 0.33

    def test_a_ramp_hands_keys_back_without_moving_others(self) -> None:
        targets = pool(a=1, b=1, c=1)
        full = self.owners(targets)
        targets[2].weight = 0.5
        half = self.owners(targets)
        assert all(old in {new, "c"} for old, new in zip(full, half, strict=True))
        assert half.count("c") / full.count("c") == pytest.approx(0.5, abs=0.12)

    def test_a_popular_key_overflows_to_the_next_and_loads_stay_bounded(self) -> None:
        targets, chosen = pool(a=1, b=1, c=1, d=1), strategy("consistent_hash")
        for _ in range(400):
            target = chosen.pick(targets, (), 0.0, RNG, 42)
            assert target is not None
            target.began()
        assert max(target.in_flight for target in targets) <= 1.25 * 400 / 4 + 1

    def test_keys_of_a_failing_target_go_elsewhere_and_come_back(self) -> None:
        targets, chosen = pool(a=1, b=1, c=1), strategy("consistent_hash")
        owner = chosen.pick(targets, (), 0.0, RNG, 7)
        assert owner is not None
        owner.success = 0.4
        assert chosen.pick(targets, (), 0.0, RNG, 7) is not owner
        owner.success = 0.9
        assert chosen.pick(targets, (), 0.0, RNG, 7) is owner

    def test_without_a_key_requests_are_spread(self) -> None:
        targets, chosen = pool(a=1, b=1, c=1), strategy("consistent_hash")
        counts = Counter(target.id for _ in range(600) if (target := chosen.pick(targets, (), 0.0, RNG, None)))
        assert min(counts.values()) > 100

    def test_a_list_that_changes_in_place_is_noticed(self) -> None:
        targets, chosen = list(pool(a=1, b=1)), strategy("consistent_hash")
        chosen.pick(targets, (), 0.0, RNG, 7)
        del targets[1]
        assert chosen.pick(targets, (), 0.0, RNG, 7) is targets[0]

    def test_hashes_are_the_same_in_every_process(self) -> None:
        """``hash()`` would differ from run to run, and so send every key elsewhere after a restart."""
        assert hash_key(b"alpha") == 5982700193828047002


def test_a_retry_goes_to_the_sound_target_that_answered_last() -> None:
    sound, fresh, doubtful, tried, out = pool(sound=1.0, fresh=1.0, doubtful=1.0, tried=1.0, out=0.0)
    for at, target in enumerate((sound, fresh, doubtful, tried, out), start=1):
        target.succeeded_at = float(at)
    doubtful.success = 0.8
    assert safest((sound, fresh, doubtful, tried, out), [tried]) is fresh
    assert safest((sound, fresh, doubtful, tried, out), [tried, fresh, sound]) is doubtful


def test_a_retry_leaves_out_a_target_that_hangs_long_before_it_times_out() -> None:
    hangs, works = pool(hangs=1.0, works=1.0)
    for at in range(20):
        for target in (hangs, works):
            target.began()
            target.succeeded(at * 0.005, 0.002)
    for _ in range(3):
        hangs.began()
    works.began()
    works.succeeded(0.101, 0.002)
    assert safest((hangs, works), []) is works


def test_a_retry_may_go_to_the_least_doubtful_when_nothing_is_sound() -> None:
    first, second, third = pool(first=1.0, second=1.0, third=1.0)
    first.success, second.success, third.success = 0.2, 0.5, 0.4
    third.succeeded_at = 9.0
    assert safest((first, second, third), [first]) is second


def test_there_is_nowhere_to_repeat_when_all_were_tried_or_are_full() -> None:
    first, second = pool(first=1.0, second=1.0)
    second.limit = 0
    assert safest((first, second), [first]) is None
