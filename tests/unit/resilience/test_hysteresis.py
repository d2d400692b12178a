from __future__ import annotations

import pytest

from holdfast.resilience import Change, Hysteresis, HysteresisPolicy


def watch(policy: HysteresisPolicy, *observations: str, up: bool = True) -> tuple[Hysteresis, list[Change]]:
    """Feed ``pass`` or failure classes, one per second."""
    state = Hysteresis(policy, up=up)
    changes = [
        state.observe(passed=kind in ("pass", "slow-pass"), kind=kind, now=float(at))
        for at, kind in enumerate(observations)
    ]
    return state, [change for change in changes if change is not None]


def test_three_failures_in_a_row_take_down() -> None:
    state, changes = watch(HysteresisPolicy(), "status", "status", "status")
    assert not state.up
    assert [(c.rule, c.before, c.after, c.at) for c in changes] == [("hysteresis.fall", "up", "down", 2.0)]
    assert changes[0].figures == {"score": 3.0, "needed": 3.0, "last": "status"}


def test_a_pass_between_failures_wipes_their_score() -> None:
    state, changes = watch(HysteresisPolicy(), "status", "status", "pass", "status", "status")
    assert state.up
    assert changes == []
    assert state.score == 2.0


def test_a_failure_between_passes_wipes_their_score() -> None:
    state, changes = watch(HysteresisPolicy(), "pass", "status", "pass", up=False)
    assert not state.up
    assert changes == []


def test_two_passes_in_a_row_bring_up() -> None:
    state, changes = watch(HysteresisPolicy(), "pass", "pass", up=False)
    assert state.up
    assert [c.rule for c in changes] == ["hysteresis.rise"]


def test_a_refused_connection_takes_down_one_check_earlier() -> None:
    state, _ = watch(HysteresisPolicy(), "connect", "connect")
    assert not state.up


def test_slow_answers_need_twice_as_many() -> None:
    policy = HysteresisPolicy()
    assert watch(policy, *["slow"] * 5)[0].up
    assert not watch(policy, *["slow"] * 6)[0].up


def test_weights_that_only_sum_up_approximately_still_reach_the_score() -> None:
    policy = HysteresisPolicy(fall=1.0, weights={"slow": 0.1})
    assert not watch(policy, *["slow"] * 10)[0].up


def test_reconfiguring_keeps_the_verdict_and_the_score() -> None:
    state, _ = watch(HysteresisPolicy(fall=3), "status", "status")
    state.reconfigure(HysteresisPolicy(fall=5))
    assert (state.up, state.score, state.needed) == (True, 2.0, 5)


@pytest.mark.parametrize(
    ("policy", "named"),
    [
        ({"rise": 0}, "rise"),
        ({"fall": -1.0}, "fall"),
        ({"fall": float("nan")}, "fall"),
        ({"weights": {"connect": 0.0}}, "connect"),
    ],
)
def test_scores_that_could_never_decide_are_refused_by_name(policy: dict[str, object], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        HysteresisPolicy(**policy)  # type: ignore[arg-type]
