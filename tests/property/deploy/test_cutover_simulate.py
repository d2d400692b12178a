"""Simulated cut-overs in worlds of every kind."""

from __future__ import annotations

from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.deploy.core.cutover.settings import Thresholds
from holdfast.deploy.core.cutover.simulate import CAREFUL, SPAN_S, STAGED, STRATEGIES, Strategy, play
from holdfast.deploy.core.cutover.verdict import Seen, judge
from holdfast.deploy.core.cutover.world import FAULTS, Fault, draw, some_of

seeds = st.integers(0, 2**64 - 1)


@settings(max_examples=30)
@given(seeds, st.sampled_from([STAGED, CAREFUL]))
def test_with_a_sound_target_nobody_loses_a_request_or_a_stream(seed: int, strategy: Strategy) -> None:
    outcome = play(strategy, draw(Random(seed), "sound"), Random(seed))
    assert (outcome.failed, outcome.broken, outcome.exposed) == (0, 0, 0)


@settings(max_examples=30)
@given(seeds, st.sampled_from(FAULTS), st.sampled_from(STRATEGIES))
def test_a_run_is_the_same_for_the_same_seed_and_its_counts_are_possible(
    seed: int, fault: Fault, strategy: Strategy
) -> None:
    world = draw(Random(seed), fault)
    outcome = play(strategy, world, Random(seed))
    assert outcome == play(strategy, world, Random(seed))
    assert 0 <= outcome.failed <= outcome.requests
    assert 0 <= outcome.exposed <= outcome.requests
    assert outcome.broken >= 0
    assert (outcome.back_s is None) or 0 <= outcome.back_s <= SPAN_S + 60
    assert outcome.rolled_back == (outcome.percent >= 0)


@given(seeds, st.integers(0, 3_000), st.floats(0.0, 1.0))
def test_a_count_is_possible(seed: int, number: int, share: float) -> None:
    assert 0 <= some_of(Random(seed), number, share) <= number


@given(st.integers(0, 5_000), st.data())
def test_more_errors_never_make_a_target_look_better(requests: int, data: st.DataObject) -> None:
    fewer = data.draw(st.integers(0, requests))
    more = data.draw(st.integers(fewer, requests))
    old = Seen(requests=10_000, errors=10, p99_s=1.0)

    def bad(errors: int) -> bool:
        return judge(old, Seen(requests=requests, errors=errors, p99_s=1.0), Thresholds()) == "errors"

    assert bad(fewer) <= bad(more)
