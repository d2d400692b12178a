"""The simulated world is the one that is described, and skipping does not change it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from random import Random

import pytest

from holdfast.drills.noise_rules import AnyTwice, KOfN
from holdfast.drills.noise_virtual import contenders, outages, quiet
from holdfast.drills.noise_world import YEAR_S, World, outages_every, scenario
from holdfast.netpulse.core.result import Observation, Outcome
from holdfast.netpulse.core.signal import Signal


class Counter:
    """Sees everything, says nothing; calm after each success when it may be skipped."""

    suspicious = False

    def __init__(self, *, skips: bool) -> None:
        self.skips = skips
        self.probes = 0
        self.failures = 0
        self.starts: list[tuple[str, float]] = []
        self._failing: set[str] = set()

    @property
    def calm(self) -> bool:
        return self.skips and not self._failing

    def observe(self, seen: Observation) -> Sequence[Signal]:
        self.probes += 1
        self.starts.append((seen.region, seen.at))
        if seen.outcome is Outcome.DOWN:
            self.failures += 1
            self._failing.add(seen.region)
        else:
            self._failing.discard(seen.region)
        return ()

    def skip(self, region: str, successes: int, until: float) -> None:
        self.probes += successes

    def confirmations(self, now: float) -> Sequence[str]:
        return ()


@pytest.mark.parametrize("variant", ["plain", "provider", "lossy"])
def test_as_many_probes_fail_with_skipping_as_without(variant: str) -> None:
    of = scenario(variant, (2, 1))
    shares = []
    for skips, days in ((True, 100), (False, 8)):
        watcher = Counter(skips=skips)
        seen = World(of, Random(3), confirm=False).play(watcher, iter(()), until=days * 86_400.0)
        assert watcher.probes == pytest.approx(days * 86_400 / 10, rel=1e-4)
        assert watcher.probes == seen.probes
        shares.append(watcher.failures / watcher.probes)
    lone = 0.002 if variant != "lossy" else (0.002 * 2 + 0.05) / 3
    assert shares[0] == pytest.approx(lone + 0.002 * 0.9, rel=0.2)
    assert shares[1] == pytest.approx(shares[0], rel=0.5)


def test_probes_stay_on_their_schedule_over_a_skip() -> None:
    watcher = Counter(skips=True)
    World(scenario("plain", (1, 1, 1)), Random(3), confirm=False).play(watcher, iter(()), until=30 * 86_400.0)
    assert len({(region, round(at % 30.0, 3)) for region, at in watcher.starts}) == 3


def test_a_target_that_is_down_fails_for_as_long_as_it_is() -> None:
    rng = Random(5)
    watcher = Counter(skips=True)
    World(scenario("plain", (1,)), rng, confirm=False).play(
        watcher, outages_every(86_400.0, 3_000.0, rng), until=200 * 86_400.0
    )
    assert watcher.failures == pytest.approx(200 * 100 * 0.967 + 200 * 2_880 * 0.0038, rel=0.1)


def test_the_baseline_pages_hundreds_of_times_a_year_and_ours_hardly_ever() -> None:
    of = scenario("plain", (1, 1, 1))
    by_name = {contender.name: contender for contender in contenders()}
    assert quiet(by_name["any_twice"], of, years=0.03, seed="s").per_year > 300
    assert quiet(by_name["holdfast"], of, years=0.05, seed="s").false_pages <= 1


def test_every_outage_is_found_once_and_quickly() -> None:
    by_name = {contender.name: contender for contender in contenders()}
    found = outages(by_name["holdfast"], scenario("plain", (1, 1, 1)), count=40, length_s=600.0, seed="s")
    assert found.missed == 0
    assert sorted(found.delays_s)[len(found.delays_s) // 2] < 10.0
    assert sum(found.pages) <= len(found.pages) + 1


def test_the_baseline_does_not_tell_twice_within_ten_minutes() -> None:
    of = scenario("plain", (1,))
    rng = Random(2)
    seen = World(of, rng, confirm=False).play(
        AnyTwice(of.domains), outages_every(240.0, 120.0, rng), until=0.01 * YEAR_S
    )
    begun = seen.begun()
    assert begun
    assert min(after - before for before, after in pairwise(begun)) >= 600.0


def test_a_region_that_is_stuck_does_not_keep_a_rule_from_rest() -> None:
    of = scenario("stuck", (1, 1, 1))
    seen = World(of, Random(2), confirm=False).play(KOfN(of.domains, k=2, in_a_row=1), iter(()), until=0.1 * YEAR_S)
    assert 200 < len(seen.begun()) / 0.1 < 20_000
