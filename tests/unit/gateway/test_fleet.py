from __future__ import annotations

from collections import Counter
from typing import Any

import msgspec
import pytest

from holdfast.gateway.core.deployments import deployments_of, implied
from holdfast.gateway.core.fleet import IMPLIED
from holdfast.gateway.core.outcome import BLAMELESS
from holdfast.gateway.core.ports import Chosen, Fleet, Nowhere, Wait
from holdfast.gateway.core.settings import (
    AdmissionSettings,
    DeploymentSettings,
    HealthSettings,
    HedgeSettings,
    ProviderSettings,
)
from tests.unit.gateway.fleet_scene import Scene, need, settings

FIXED = AdmissionSettings(adaptive=False)


def at(provider: str, model: str = "x", **more: Any) -> DeploymentSettings:
    return DeploymentSettings(provider=provider, model=model, **more)


def test_it_is_the_fleet_that_the_data_plane_asks_for() -> None:
    fleet: Fleet = Scene("a").fleet
    assert fleet.tick(0.0) == []


def test_the_first_tier_is_used_while_one_of_it_is_left() -> None:
    scene = Scene(at("a"), at("b", tier=1))
    assert scene.place() == "a/x"
    scene.attempt("a/x", "rate_limited", retry_after_s=5.0)
    assert scene.place() == "b/x"


def test_a_full_tier_spills_into_the_next_one() -> None:
    scene = Scene(at("a", tokens_in_flight=150), at("b", tier=1), admission=FIXED)
    scene.fleet.began("a/x", need(100), now=0.0)
    assert scene.place(need(100)) == "b/x"


def test_who_finds_all_deployments_full_waits() -> None:
    scene = Scene(at("a", tokens_in_flight=150), admission=FIXED)
    ticket = scene.fleet.began("a/x", need(100), now=0.0)
    assert isinstance(scene.choose(need(100)), Wait)
    scene.fleet.succeeded(ticket, now=1.0, usage=None)
    assert scene.place(need(100)) == "a/x"


def test_a_request_above_the_whole_limit_goes_when_nothing_else_is_in_flight() -> None:
    scene = Scene(at("a", tokens_in_flight=150), admission=FIXED)
    assert scene.place(need(10_000)) == "a/x"


def test_a_provider_that_has_all_it_takes_gets_no_more() -> None:
    scene = Scene("a", providers={"a": ProviderSettings(max_in_flight=2)})
    scene.fleet.began("a/x", need(), now=0.0)
    scene.fleet.began("a/x", need(), now=0.0)
    assert isinstance(scene.choose(), Wait)


def test_each_deployment_that_cannot_do_it_is_told_with_its_reason() -> None:
    scene = Scene(at("a", tools=False), at("b", context=1000), at("c", vision=False))
    asked = need(2000, input_tokens=1500, tools=True, vision=True)
    nowhere = scene.choose(asked)
    assert isinstance(nowhere, Nowhere)
    assert nowhere.reason == "unsuited"
    assert nowhere.detail == {
        "a/x": "unsuited: has no tools",
        "b/x": "unsuited: holds 1000 tokens, about 1500 are asked for",
        "c/x": "unsuited: cannot read images",
    }


def test_an_unknown_context_lets_everything_through() -> None:
    assert Scene("a").place(need(10**6)) == "a/x"


def test_a_second_attempt_goes_where_the_first_one_was_not() -> None:
    scene = Scene("a", "b")
    assert scene.place(tried=("a/x",)) == "b/x"
    assert scene.place(tried=("b/x",)) == "a/x"


def test_the_next_tier_comes_before_a_second_attempt_at_the_same_place() -> None:
    scene = Scene(at("a"), at("b", tier=1))
    assert scene.place(tried=("a/x",)) == "b/x"


def test_where_all_were_tried_one_of_them_is_tried_again() -> None:
    chosen = Scene("a").choose(tried=("a/x",))
    assert isinstance(chosen, Chosen)
    assert chosen.why == "all were tried"


def test_the_last_one_that_was_tried_and_cools_down_is_not_tried_again() -> None:
    scene = Scene("a")
    scene.attempt("a/x", "rate_limited", retry_after_s=3.0)
    nowhere = scene.choose(tried=("a/x",))
    assert isinstance(nowhere, Nowhere)
    assert nowhere.reason == "tried"
    assert nowhere.retry_after_s == pytest.approx(3.0)


# ------------------------------------------------------------ cool-down


def test_a_rate_limit_that_names_no_time_pauses_for_twice_as_long_each_time() -> None:
    scene = Scene("a")
    pauses = []
    for _ in range(4):
        scene.attempt("a/x", "rate_limited")
        nowhere = scene.choose()
        assert isinstance(nowhere, Nowhere)
        assert nowhere.reason == "cooling"
        pauses.append(nowhere.retry_after_s)
        scene.pass_time(nowhere.retry_after_s or 0.0)
    assert pauses == pytest.approx([1.0, 2.0, 4.0, 8.0])


def test_an_answer_ends_the_doubling() -> None:
    scene = Scene("a")
    for failure in ("rate_limited", "rate_limited", None, "rate_limited"):
        scene.attempt("a/x", failure)
        scene.pass_time(5.0)
    assert [change["pause_s"] for change in scene.changes if change["after"] == "cooling"] == [1.0, 2.0, 1.0]


def test_a_burst_of_refusals_is_one_refusal() -> None:
    scene = Scene("a")
    tickets = [scene.fleet.began("a/x", need(), now=0.0) for _ in range(20)]
    scene.now = 0.5
    for ticket in tickets:
        scene.fleet.failed(ticket, "rate_limited", now=scene.now)
    assert scene.fleet.explain("a/x", scene.now)["figures"]["consecutive"] == 1


def test_a_shorter_retry_after_does_not_move_the_deadline_back() -> None:
    scene = Scene("a")
    scene.attempt("a/x", "overloaded", retry_after_s=30.0)
    scene.attempt("a/x", "overloaded", retry_after_s=1.0)
    scene.attempt("a/x", "rate_limited")
    assert scene.fleet.explain("a/x", 0.0)["until_s"] == pytest.approx(30.0)


def test_a_retry_after_of_an_hour_is_bounded() -> None:
    scene = Scene("a", health=HealthSettings(longest_pause=60.0))  # type: ignore[arg-type]
    scene.attempt("a/x", "rate_limited", retry_after_s=3600.0)
    assert scene.fleet.explain("a/x", 0.0)["until_s"] == pytest.approx(60.0)


def test_a_deployment_that_cools_down_gets_no_request_before_its_time() -> None:
    scene = Scene("a")
    scene.attempt("a/x", "rate_limited", retry_after_s=2.0)
    for _ in range(19):
        scene.pass_time(0.1)
        assert isinstance(scene.choose(), Nowhere)
    scene.pass_time(0.11)
    assert scene.place() == "a/x"


def test_refusals_are_no_illness() -> None:
    scene = Scene("a", "b")
    for _ in range(50):
        scene.attempt("b/x")
        scene.attempt("a/x", "overloaded", retry_after_s=0.01)
        scene.pass_time(0.1)
    assert {change["after"] for change in scene.changes if change["deployment"] == "a/x"} <= {
        "cooling",
        "ramping",
        "up",
    }


def test_a_refusal_lowers_the_limit_of_tokens() -> None:
    scene = Scene("a")
    tickets = [scene.fleet.began("a/x", need(1000), now=0.0) for _ in range(200)]
    scene.fleet.failed(tickets[0], "rate_limited", now=1.0)
    assert scene.fleet.explain("a/x", 1.0)["token_limit"] == int(0.7 * 199_000)


# ------------------------------------------------------------ blame


@pytest.mark.parametrize("failure", sorted(BLAMELESS))
def test_a_failure_that_is_not_its_fault_ejects_nobody(failure: str) -> None:
    scene = Scene("a", "b")
    for _ in range(100):
        scene.attempt("b/x")
        scene.attempt("a/x", failure)
        scene.pass_time(0.1)
    assert scene.state("a/x") == "up"
    assert scene.fleet.explain("a/x", scene.now)["flips"] == 0


def test_a_refused_key_is_said_once_for_each_episode() -> None:
    scene = Scene("a")
    for failure in ("auth", "auth", "auth", None, "auth"):
        scene.attempt("a/x", failure)
        scene.pass_time(1.0)
    assert [change["rule"] for change in scene.changes] == ["key.refused", "key.accepted", "key.refused"]
    assert "key.refused" in [reason["rule"] for reason in scene.fleet.explain("a/x", scene.now)["reasons"]]


@pytest.mark.parametrize("failure", ["connect", "reset", "timeout", "stalled", "cut", "server_error", "protocol"])
def test_a_deployment_that_fails_while_others_do_not_is_opened(failure: str) -> None:
    scene = Scene("a", "b")
    scene.break_down("a/x", failure)
    for _ in range(50):
        assert scene.place() == "b/x"


def test_the_only_deployment_that_failed_alone_gets_no_request_until_its_trials() -> None:
    scene = Scene("a", at("b", tier=1))
    scene.break_down("a/x")
    nowhere = scene.fleet.choose((("a/x",),), need(), tried=(), now=scene.now)
    assert isinstance(nowhere, Nowhere)
    assert nowhere.retry_after_s is not None
    assert nowhere.detail["a/x"].startswith("open")


def test_when_all_fail_at_once_nobody_is_opened() -> None:
    scene = Scene("a", "b", "c")
    for _ in range(60):
        for name in ("a/x", "b/x", "c/x"):
            scene.attempt(name, "connect")
        scene.pass_time(0.1)
    assert {scene.state(name) for name in scene.fleet.deployments} == {"up"}
    assert "outlier.correlated" in {change["rule"] for change in scene.changes}


def test_half_open_admits_no_more_than_its_trials() -> None:
    scene = Scene("a", "b")
    scene.break_down("a/x")
    scene.pass_time(6.0)
    chosen = [scene.choose() for _ in range(5)]
    assert [one.deployment for one in chosen].count("a/x") == 2
    assert [one.trial for one in chosen] == [True, True, False, False, False]


def test_trials_that_succeed_bring_it_back_slowly() -> None:
    scene = Scene("a", "b")
    scene.break_down("a/x")
    scene.pass_time(6.0)
    for _ in range(2):
        assert scene.choose().trial
        scene.attempt("a/x", trial=True)
    assert scene.state("a/x") == "ramping"
    assert scene.fleet.explain("a/x", scene.now)["weight"] < 0.2
    scene.pass_time(11.0)
    assert scene.state("a/x") == "up"


def test_a_trial_is_over_with_its_first_token() -> None:
    scene = Scene("a", "b")
    scene.break_down("a/x")
    scene.pass_time(6.0)
    tickets = []
    for _ in range(2):
        assert scene.choose().trial
        tickets.append(scene.fleet.began("a/x", need(), now=scene.now, trial=True))
    for ticket in tickets:
        scene.fleet.first_token(ticket, now=scene.now)
    assert scene.state("a/x") == "ramping"


def test_a_trial_that_fails_opens_it_for_longer() -> None:
    scene = Scene("a", "b")
    scene.break_down("a/x")
    scene.pass_time(6.0)
    assert scene.choose().trial
    scene.attempt("a/x", "timeout", trial=True)
    figures = scene.fleet.explain("a/x", scene.now)["figures"]
    assert scene.state("a/x") == "open"
    assert figures["opening"] == 2
    assert figures["nominal_s"] == 10.0


def test_a_trial_that_was_not_begun_is_given_back() -> None:
    scene = Scene("a", "b")
    scene.break_down("a/x")
    scene.pass_time(6.0)
    for _ in range(5):
        chosen = scene.choose()
        assert chosen.trial
        scene.fleet.forgo(chosen)


def test_a_trial_that_meets_a_rate_limit_proves_nothing() -> None:
    scene = Scene("a", "b")
    scene.break_down("a/x")
    scene.pass_time(6.0)
    assert scene.choose().trial
    scene.attempt("a/x", "rate_limited", trial=True, retry_after_s=1.0)
    assert scene.state("a/x") == "cooling"
    scene.pass_time(1.1)
    assert scene.state("a/x") == "half_open"


def test_flaps_are_counted_and_lower_the_weight() -> None:
    scene = Scene("a", "b")
    for _ in range(2):
        scene.break_down("a/x")
        scene.pass_time(12.0)
        for _ in range(2):
            assert scene.choose().trial
            scene.attempt("a/x", trial=True)
        scene.pass_time(12.0)
    explained = scene.fleet.explain("a/x", scene.now)
    assert explained["flips"] == 4
    assert explained["weight"] < 1.0


def test_what_flapped_too_much_helps_out_when_nothing_else_is_left() -> None:
    scene = Scene("a", "b")
    state = scene.fleet._states["a/x"]
    assert state.damping is not None
    for _ in range(5):
        state.damping.flap(scene.now)
    state._settle(scene.now, "damping.suppress", {})
    assert {scene.place() for _ in range(50)} == {"b/x"}
    scene.attempt("b/x", "rate_limited", retry_after_s=5.0)
    assert scene.place() == "a/x"


# ------------------------------------------------------------ selection


def test_the_same_key_goes_to_the_same_deployment_and_keys_spread() -> None:
    scene = Scene("a", "b", "c")
    places = {}
    for user in range(300):
        asked = need(key=b"user-%d" % user)
        places[user] = scene.place(asked)
        assert scene.place(asked) == places[user]
    assert min(Counter(places.values()).values()) > 70


def test_a_key_moves_on_only_when_its_deployment_is_out() -> None:
    scene = Scene("a", "b", "c")
    before = {user: scene.place(need(key=b"%d" % user)) for user in range(200)}
    scene.attempt("a/x", "rate_limited", retry_after_s=60.0)
    after = {user: scene.place(need(key=b"%d" % user)) for user in range(200)}
    assert all(after[user] == before[user] for user in before if before[user] != "a/x")


def test_a_key_with_much_traffic_does_not_overload_its_deployment() -> None:
    scene = Scene("a", "b")
    placed: Counter[str] = Counter()
    for _ in range(200):
        name = scene.place(need(key=b"one"))
        scene.fleet.began(name, need(), now=0.0)
        placed[name] += 1
    assert max(placed.values()) <= 0.7 * 200


def test_a_key_leaves_a_deployment_that_is_three_times_slower() -> None:
    scene = Scene("a", "b")
    asked = need(key=b"one")
    own = scene.place(asked)
    other = "b/x" if own == "a/x" else "a/x"
    for _ in range(40):
        scene.attempt(own, took=1.0)
        scene.attempt(other, took=0.1)
    assert Counter(scene.place(asked) for _ in range(20))[other] == 20


def test_weights_share_the_traffic() -> None:
    scene = Scene(at("a", weight=3.0), at("b"))
    placed = Counter(scene.place(need(key=b"%d" % user)) for user in range(1000))
    assert placed["a/x"] / 1000 == pytest.approx(0.75, abs=0.05)


def test_a_weight_of_zero_gets_nothing() -> None:
    assert {Scene(at("a", weight=0.0), at("b"), seed=seed).place() for seed in range(20)} == {"b/x"}


# ------------------------------------------------------------ priorities


def test_batch_fills_a_part_while_interactive_requests_come() -> None:
    scene = Scene(at("a", tokens_in_flight=1000), admission=FIXED)
    batch = need(100, priority="batch")
    scene.fleet.began("a/x", need(100), now=0.0)
    for _ in range(5):
        assert scene.place(batch) == "a/x"
        scene.fleet.began("a/x", batch, now=0.0)
    assert isinstance(scene.choose(batch), Wait)
    assert scene.place(need(100)) == "a/x"


def test_batch_fills_everything_when_no_interactive_request_came_for_a_while() -> None:
    scene = Scene(at("a", tokens_in_flight=1000), admission=FIXED)
    batch = need(100, priority="batch")
    for _ in range(10):
        assert scene.place(batch) == "a/x"
        scene.fleet.began("a/x", batch, now=0.0)
    assert isinstance(scene.choose(batch), Wait)


# ------------------------------------------------------------ hedging, tickets, explanations


def test_a_hedge_waits_for_the_quantile_of_its_deployment() -> None:
    scene = Scene("a", model={"hedge": HedgeSettings(enabled=True, minimum_samples=20)})
    for number in range(100):
        assert (scene.choose().hedge_after_s is None) == (number < 20)
        scene.attempt("a/x", took=0.2 if number % 10 else 0.4)
    assert scene.choose().hedge_after_s == pytest.approx(0.4, rel=0.06)


def test_hedges_that_won_do_not_make_the_slow_ones_invisible() -> None:
    scene = Scene("a", model={"hedge": HedgeSettings(enabled=True, minimum_samples=20)})
    for number in range(400):
        if number % 10:
            scene.attempt("a/x", took=0.1)
        else:
            after_s = scene.choose().hedge_after_s or 1.0
            ticket = scene.fleet.began("a/x", need(), now=scene.now)
            scene.now += after_s + 0.1
            scene.fleet.abandoned(ticket, now=scene.now)
    assert scene.choose().hedge_after_s > 0.15


def test_hedges_cost_five_percent_of_the_tokens_at_most() -> None:
    scene = Scene("a")
    for _ in range(100):
        scene.attempt("a/x")
    granted = sum(scene.fleet.may_hedge(need(100), now=scene.now) for _ in range(20))
    assert granted == 5


def test_a_ticket_ends_once() -> None:
    scene = Scene("a")
    ticket = scene.fleet.began("a/x", need(), now=0.0)
    scene.fleet.succeeded(ticket, now=1.0, usage=None)
    scene.fleet.failed(ticket, "cut", now=1.0)
    scene.fleet.abandoned(ticket, now=1.0)
    explained = scene.fleet.explain("a/x", 1.0)
    assert (explained["in_flight"], explained["tokens_in_flight"], scene.fleet.in_flight) == (0, 0, 0)


def test_an_explanation_can_be_sent_as_json_in_every_state() -> None:
    scene = Scene("a", "b")
    scene.attempt("b/x", "auth")
    texts = [scene.fleet.explain("a/x", scene.now)["summary"]]
    scene.attempt("a/x", "rate_limited", retry_after_s=2.0)
    texts.append(scene.fleet.explain("a/x", scene.now)["summary"])
    scene.pass_time(15.0)
    scene.break_down("a/x")
    texts.append(scene.fleet.explain("a/x", scene.now)["summary"])
    scene.pass_time(6.0)
    for name in scene.fleet.deployments:
        msgspec.json.encode(scene.fleet.explain(name, scene.now))
    assert texts[0] == "a/x is in rotation for 0.0 s (state up for 0.0 s)."
    assert texts[1].endswith("(state cooling for 0.0 s). Requests begin again in 2.0 s.")
    assert "Trial requests begin in" in texts[2]
    msgspec.json.encode(scene.changes)


def test_an_unknown_deployment_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        Scene("a").fleet.explain("nobody/x", 0.0)


def test_clients_cannot_fill_the_memory_with_names_of_models() -> None:
    scene = Scene("a")
    for number in range(IMPLIED + 50):
        scene.fleet.add(implied("a", f"guess-{number}"), 0.0)
    assert len(scene.fleet.deployments) == IMPLIED + 1
    assert "a/x" in scene.fleet.deployments


def test_another_configuration_keeps_what_was_learned_of_those_that_stay() -> None:
    scene = Scene("a", "b")
    scene.attempt("a/x", "rate_limited", retry_after_s=60.0)
    running = scene.fleet.began("b/x", need(), now=scene.now)
    other = settings("a", at("c", weight=2.0))
    scene.fleet.reconfigure(other, deployments_of(other), now=scene.now)
    scene.fleet.failed(running, "connect", now=scene.now)
    assert sorted(scene.fleet.deployments) == ["a/x", "c/x"]
    assert scene.state("a/x") == "cooling"
    assert scene.fleet.explain("c/x", scene.now)["configured_weight"] == 2.0
    assert scene.fleet.in_flight == 0
