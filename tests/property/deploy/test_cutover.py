"""Cut-overs of every kind: no step leaves the name unanswered, and every step can be taken back."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from holdfast.deploy.core.cutover.plan import plan
from holdfast.deploy.core.cutover.records import MAX_WEIGHT, apply
from holdfast.deploy.core.cutover.settings import CutoverRequest
from holdfast.deploy.core.cutover.steps import weights
from holdfast.kernel import Duration
from tests.unit.deploy.core.cutover.requests import REQUESTS


@st.composite
def requests(draw: st.DrawFn) -> CutoverRequest:
    base = draw(st.sampled_from(list(REQUESTS.values())))
    ttl = draw(st.integers(1, 7 * 86_400))
    return msgspec.structs.replace(
        base,
        ttl=Duration(ttl),
        low_ttl=Duration(draw(st.integers(1, min(ttl, 3600)))),
        longest=Duration(draw(st.integers(0, 86_400))),
        bake=Duration(draw(st.integers(60, 7 * 86_400))),
        keep_warm=Duration(draw(st.integers(0, 90 * 86_400))),
        rate=draw(st.floats(0.01, 1e5)),
        types=draw(st.sampled_from([("A",), ("AAAA",), ("A", "AAAA")])),
        stages=(*sorted(draw(st.sets(st.integers(1, 99), max_size=8))), 100),
    )


@given(requests())
def test_weights_sum_to_a_hundred_and_are_never_all_zero(request_: CutoverRequest) -> None:
    of = plan(request_)
    seen = []
    for step in of.steps:
        zone = of.after(step)
        assert zone, "the name always has an answer"
        for group in weights(zone).values():
            assert sum(group.values()) == 100
            assert all(0 <= weight <= MAX_WEIGHT for weight in group.values())
            seen.append(group)
    assert seen


@given(requests())
def test_every_prefix_of_the_plan_followed_by_its_way_back_restores_the_records(request_: CutoverRequest) -> None:
    of = plan(request_)
    for step in of.steps:
        if step.back is not None:
            zone = of.after(step)
            for batch in step.back.batches:
                zone = apply(zone, batch)
            assert zone == of.before


@given(requests())
def test_the_first_batch_of_a_way_back_already_sends_everybody_to_the_old_target(request_: CutoverRequest) -> None:
    of = plan(request_)
    for step in of.steps:
        if step.back is not None and step.back.batches:
            zone = apply(of.after(step), step.back.batches[0])
            for group in weights(zone).values():
                assert {side.split("-")[0]: weight for side, weight in group.items()} == {"old": 100, "new": 0}
            if not weights(zone):
                assert zone == of.before


@given(requests())
def test_the_share_of_the_new_target_only_rises_and_a_stage_outlasts_caches_and_streams(
    request_: CutoverRequest,
) -> None:
    of = plan(request_)
    percents = [step.percent for step in of.steps if step.percent is not None]
    assert percents == sorted(percents)
    assert percents[-1] == 100
    for step in of.steps:
        if step.id.startswith("shift-"):
            assert step.wait_s >= max(3 * request_.low_ttl_s, request_.longest + request_.low_ttl_s)
        if step.id == "keep-warm":
            assert step.wait_s >= max(request_.ttl_s, request_.longest, 86_400)
