"""What holds for the price of any workload on any candidate."""

from __future__ import annotations

from decimal import Decimal

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.deploy.core.assumptions import Assumptions
from holdfast.deploy.core.candidates import CANDIDATES, Candidate
from holdfast.deploy.core.cost import busy, idle, per_million
from holdfast.deploy.core.curves import crossover, moved
from holdfast.deploy.core.workload import Account, DeploySettings, ScaleNeeds, Traffic, Workload
from holdfast.kernel import Duration, Size
from tests.unit.deploy.core.priced import AMOUNTS, AT, REGION, table

PRICES = table()
EXAMPLES = settings(max_examples=100, deadline=None)


@st.composite
def workloads(draw: st.DrawFn) -> Workload:
    to_zero = draw(st.booleans())
    least = 0 if to_zero else draw(st.integers(1, 3))
    return Workload(
        protocols=draw(st.sampled_from([(), ("http/1.1",), ("sse",), ("websocket",), ("udp",)])),
        cpu=draw(st.sampled_from([0.25, 0.5, 1.0, 2.0])),
        memory=Size(draw(st.sampled_from([2**29, 2**30, 2**31, 2**32]))),
        scale=ScaleNeeds(min=least, max=least + 4, to_zero=to_zero),
        schedule=draw(st.sampled_from([None, Duration(300.0)])),
        needs=draw(st.sampled_from([(), ("isolated-tasks",), ("private-egress",)])),
        traffic=Traffic(
            unit=draw(st.sampled_from(["request", "job"])),
            rate=draw(st.sampled_from([0.0, 0.01, 0.5, 3.0, 40.0, 700.0])),
            busy=draw(st.sampled_from([0.0, 0.1, 0.5, 1.0])),
            cpu=Duration(draw(st.sampled_from([0.0, 0.0005, 0.02, 1.0]))),
            memory=Size(draw(st.sampled_from([0, 20_000, 2**22]))),
            duration=Duration(draw(st.sampled_from([0.01, 1.0, 90.0]))),
        ),
    )


accounts = st.builds(
    lambda nat, sharing, wakes, cold: DeploySettings(
        account=Account(nat=nat, shared_alb=sharing), assume=Assumptions(wakes_per_month=wakes, cold_starts=cold)
    ),
    st.booleans(),
    st.sampled_from([1, 5, 25]),
    st.sampled_from([None, 100.0]),
    st.sampled_from([None, 0.02]),
)
candidates = st.sampled_from(CANDIDATES)


def total(candidate: Candidate, workload: Workload, asked: DeploySettings) -> Decimal | None:
    found = busy(candidate, workload, settings=asked, region=REGION, prices=PRICES, at=AT)
    return None if found is None else found.total


@EXAMPLES
@given(candidates, workloads(), accounts)
def test_a_total_is_the_sum_of_its_lines_and_nothing_is_negative(
    candidate: Candidate, workload: Workload, asked: DeploySettings
) -> None:
    found = busy(candidate, workload, settings=asked, region=REGION, prices=PRICES, at=AT)
    if found is None:
        return
    assert all(one.quantity >= 0 for one in found.lines)
    assert found.total == sum(one.quantity * (one.price.amount or 0) for one in found.lines)
    assert found.complete == all(one.price.amount is not None for one in found.lines if one.quantity)
    if (million := per_million(found, workload)) is not None:
        assert million >= 0


@EXAMPLES
@given(candidates, workloads(), accounts)
def test_idle_never_costs_more_than_busy(candidate: Candidate, workload: Workload, asked: DeploySettings) -> None:
    quiet = idle(candidate, workload, settings=asked, region=REGION, prices=PRICES, at=AT)
    if quiet is not None:
        worked = total(candidate, workload, asked)
        assert worked is not None
        assert quiet.total <= worked


@EXAMPLES
@given(candidates, workloads(), accounts, st.sampled_from(["rate", "busy"]), st.floats(1.0, 8.0))
def test_more_traffic_never_costs_less(
    candidate: Candidate, workload: Workload, asked: DeploySettings, axis: str, factor: float
) -> None:
    workload = msgspec.structs.replace(workload, schedule=None)  # a timer stands in for a rate of zero
    before = Decimal(repr(workload.traffic.rate if axis == "rate" else workload.traffic.busy))
    after = before * Decimal(repr(factor)) if axis == "rate" else min(Decimal(1), before * Decimal(repr(factor)))
    more = moved(workload, axis, after)  # type: ignore[arg-type]
    first, second = total(candidate, workload, asked), total(candidate, more, asked)
    if first is not None:
        assert second is not None
        # 28 digits are carried; a share that rounds in the last one is no saving
        assert first <= second + Decimal("1e-15")


@EXAMPLES
@given(candidates, workloads(), st.sampled_from(sorted(AMOUNTS)))
def test_a_price_that_is_not_known_is_missed_wherever_it_counts(
    candidate: Candidate, workload: Workload, key: str
) -> None:
    found = busy(
        candidate, workload, settings=DeploySettings(), region=REGION, prices=table(without=frozenset({key})), at=AT
    )
    if found is not None and any(one.price.key == key and one.quantity for one in found.lines):
        assert not found.complete
        assert key in {one.price.key for one in found.missing}


@EXAMPLES
@given(candidates, workloads(), st.integers(1, 24))
def test_sharing_a_load_balancer_never_costs_more(candidate: Candidate, workload: Workload, sharing: int) -> None:
    alone = total(candidate, workload, DeploySettings(account=Account(shared_alb=sharing)))
    shared = total(candidate, workload, DeploySettings(account=Account(shared_alb=sharing + 1)))
    if alone is not None:
        assert shared is not None
        assert shared <= alone


@settings(max_examples=12, deadline=None)
@given(candidates, candidates, workloads())
def test_at_a_crossing_the_cheaper_one_changes(one: Candidate, other: Candidate, workload: Workload) -> None:
    def cost(candidate: Candidate, moved_one: Workload, region: str) -> object:
        return busy(candidate, moved_one, settings=DeploySettings(), region=region, prices=PRICES, at=AT)

    found = crossover(one, other, workload, REGION, cost=cost, low=Decimal("0.01"), high=Decimal(100))  # type: ignore[arg-type]
    for crossing in found.crossings:
        assert {crossing.below, crossing.above} == {one, other}
        for at, cheaper, dearer in (
            (crossing.at * Decimal("0.99999"), crossing.below, crossing.above),
            (crossing.at * Decimal("1.00001"), crossing.above, crossing.below),
        ):
            place = moved(workload, "rate", at)
            low, high = total(cheaper, place, DeploySettings()), total(dearer, place, DeploySettings())
            assert low is not None
            assert high is not None
            assert low <= high
