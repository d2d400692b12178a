"""Shares, caps, bounded waits and conservation hold for any queue."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise, permutations

from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.execution.core.job import Priority
from holdfast.execution.core.scheduler import Candidate, Schedule, TenantQueue, heavy_cap, schedule, share_us
from holdfast.execution.core.settings import FairnessSettings
from holdfast.kernel import Duration
from tests.property.execution.simulation import Job, Simulation

FAIR = FairnessSettings()
UNCAPPED = FairnessSettings(tenant_share=1.0, reserve_share=0.0)
QUANTUM_S = float(FAIR.quantum)
COSTS = st.sampled_from([0.001, 0.005, 0.02, 0.1, 0.25, 0.7, 1.5])


@st.composite
def lanes(draw: st.DrawFn, tenant: str, lane: str) -> list[Candidate]:
    gaps = draw(st.lists(st.floats(0, 50), max_size=6))
    costs = draw(st.lists(st.integers(1, 5_000_000), min_size=len(gaps), max_size=len(gaps)))
    return [
        Candidate(id=f"{tenant}{lane}{index}", cost_us=cost, order=sum(gaps[: index + 1]))
        for index, cost in enumerate(costs)
    ]


@st.composite
def queues(draw: st.DrawFn) -> list[TenantQueue]:
    return [
        TenantQueue(
            tenant=name,
            weight=draw(st.sampled_from([0.001, 0.5, 1.0, 3.0, 100.0])),
            deficit_us=draw(st.integers(-(10**12), 10**9)),
            turn=draw(st.integers(0, 60)),
            fresh=draw(st.booleans()),
            running=draw(st.integers(0, 4)),
            light=draw(lanes(name, "-")),
            heavy=draw(lanes(name, "+")),
            idle_s=draw(st.floats(0, 1e6)),
        )
        for name in "abcdefg"[: draw(st.integers(0, 7))]
    ]


@given(
    queues(),
    st.integers(-1, 8),
    st.integers(1, 12),
    st.integers(0, 9),
    st.integers(0, 9),
    st.integers(0, 50),
    st.sampled_from([FAIR, UNCAPPED, FairnessSettings(tenant_share=0.01, heavy_share=0.01)]),
)
@settings(max_examples=100, deadline=None)
def test_every_decision_keeps_the_caps_the_order_and_no_slot_back(
    tenants: list[TenantQueue],
    free: int,
    slots: int,
    others_running: int,
    running_heavy: int,
    turn: int,
    fairness: FairnessSettings,
) -> None:
    running = others_running + sum(tenant.running for tenant in tenants)

    def decide(some: list[TenantQueue]) -> Schedule:
        return schedule(
            some, free=free, slots=slots, running=running, running_heavy=running_heavy, turn=turn, settings=fairness
        )

    outcome = decide(tenants)
    picks = outcome.picks
    assert all(decide(list(order)) == outcome for order, _ in zip(permutations(tenants), range(5), strict=False))

    # Never more than there is room for, nothing twice, each lane from its head.
    assert len(picks) <= max(0, free)
    queued = {tenant.tenant: tenant for tenant in tenants}
    for name, tenant in queued.items():
        for lane, heavy in ((tenant.light, False), (tenant.heavy, True)):
            taken = [pick.id for pick in picks if pick.tenant == name and pick.heavy is heavy]
            assert taken == [candidate.id for candidate in lane[: len(taken)]]

    # Heavy jobs stay below their cap. What is reserved goes to tenants that hold none. A tenant goes beyond its own cap
    # only as `spare`, when no other had a job that may start.
    cap = max(1, int(fairness.tenant_share * slots))
    heavy_left = heavy_cap(slots, fairness) - running_heavy
    open_left = slots - int(fairness.reserve_share * slots) - running
    holds = {name: tenant.running for name, tenant in queued.items()}
    left = {name: (list(tenant.light), list(tenant.heavy)) for name, tenant in queued.items()}
    for pick in picks:
        if holds[pick.tenant] >= cap:
            assert pick.why == "spare"
            assert not [
                name
                for name, (light, heavy_lane) in left.items()
                if holds[name] < cap
                and (open_left > 0 or not holds[name])
                and (light or (heavy_lane and heavy_left > 0))
            ]
        assert open_left > 0 or not holds[pick.tenant]
        open_left -= 1
        if pick.heavy:
            assert heavy_left > 0
            heavy_left -= 1
        holds[pick.tenant] += 1
        left[pick.tenant][pick.heavy].pop(0)

    # No slot stays free beside a job that may start.
    if len(picks) < free:
        welcome = [name for name in left if open_left > 0 or not holds[name]]
        assert not any(left[name][0] for name in welcome)
        assert heavy_left <= 0 or not any(left[name][1] for name in welcome)

    # Who was served is remembered in the present round with a bounded credit; the round never goes back.
    assert outcome.turn >= turn
    assert {state.tenant for state in outcome.tenants} == {pick.tenant for pick in picks}
    for state in outcome.tenants:
        assert turn <= state.turn <= outcome.turn
        assert state.deficit_us < 8 * share_us(queued[state.tenant].weight, fairness)


@given(st.lists(st.tuples(st.sampled_from([1.0, 2.0, 3.0, 4.0]), COSTS), min_size=2, max_size=5), st.integers(1, 6))
@settings(max_examples=60, deadline=None)
def test_backlogged_tenants_are_never_apart_by_more_than_a_quantum_and_a_job_each(
    kinds: list[tuple[float, float]], slots: int
) -> None:
    names = [f"t{index}" for index in range(len(kinds))]
    floods = [
        Job(tenant=name, at=0.0, cost_s=cost_s)
        for name, (weight, cost_s) in zip(names, kinds, strict=True)
        for _ in range(min(400, int(8 * weight / cost_s) + 1))
    ]
    weights = {name: weight for name, (weight, _) in zip(names, kinds, strict=True)}
    runs = Simulation(slots, UNCAPPED, weights=weights).run(floods)
    left = {name: sum(job.tenant == name for job in floods) for name in names}
    served = dict.fromkeys(names, 0.0)
    for run in runs:
        served[run.job.tenant] += run.job.cost_s / weights[run.job.tenant]
        left[run.job.tenant] -= 1
        if not all(left.values()):
            break
        for first in names:
            for second in names:
                slack = sum(kinds[names.index(name)][1] / weights[name] for name in (first, second))
                assert abs(served[first] - served[second]) <= QUANTUM_S + slack + 1e-6


@given(st.lists(st.tuples(COSTS, st.sampled_from([0.1, 0.5, 2.0, 5.0])), min_size=2, max_size=4))
@settings(max_examples=30, deadline=None)
def test_shares_are_kept_when_estimates_are_wrong(kinds: list[tuple[float, float]]) -> None:
    floods = [
        Job(tenant=f"t{index}", at=0.0, cost_s=cost_s, estimate_s=cost_s * error)
        for index, (cost_s, error) in enumerate(kinds)
        for _ in range(int(20 / cost_s) if cost_s > 0.05 else 400)
    ]
    slots = 4
    runs = Simulation(slots, UNCAPPED).run(floods)
    ends = [max(run.started for run in runs if run.job.tenant == f"t{index}") for index in range(len(kinds))]
    served = [
        sum(run.job.cost_s for run in runs if run.job.tenant == f"t{index}" and run.started < min(ends))
        for index in range(len(kinds))
    ]
    # Each slot may hold one job whose estimate was wrong by the whole error, in either direction.
    worst = max(cost_s * max(1.0, error) for cost_s, error in kinds)
    assert max(served) - min(served) <= QUANTUM_S + 2 * slots * worst


@given(
    st.integers(1, 30),
    st.integers(1, 8),
    st.integers(1, 4),
    st.integers(-(10**9), 0),
    st.sampled_from([0.01, 1.0, 50.0]),
)
@settings(max_examples=60, deadline=None)
def test_whoever_was_idle_is_next_however_large_the_floods_are(
    floods: int, free: int, newcomers: int, deficit_us: int, weight: float
) -> None:
    backlog = [Candidate(id=f"{index}", cost_us=5_000, order=float(index)) for index in range(free)]
    flood = TenantQueue(
        tenant="", weight=weight, deficit_us=deficit_us, turn=9, fresh=False, running=0, light=backlog, heavy=backlog
    )
    tenants = [replace(flood, tenant=f"flood{index}") for index in range(floods)]
    tenants += [
        replace(flood, tenant=f"new{index}", weight=1.0, deficit_us=0, turn=0, fresh=True, light=backlog[:1], heavy=())
        for index in range(newcomers)
    ]
    picks = schedule(tenants, free=free, slots=64, running=64 - free, running_heavy=0, turn=9, settings=FAIR).picks
    assert sum(pick.tenant.startswith("new") for pick in picks[:newcomers]) == min(free, newcomers)


@given(st.integers(1, 6), st.floats(0.001, 1.0), st.integers(1, 4))
@settings(max_examples=40, deadline=None)
def test_going_idle_again_and_again_gains_nothing(others: int, cost_s: float, slots: int) -> None:
    """One tenant submits its next jobs the moment that the last have started, and so comes back from idle each time."""
    floods = [Job(tenant=f"flood{index}", at=0.0, cost_s=0.05) for index in range(others) for _ in range(400)]
    coming = [Job(tenant="clever", at=index * cost_s / slots, cost_s=cost_s) for index in range(400)]
    simulation = Simulation(slots, UNCAPPED)
    horizon = 400 * 0.05 * others / slots / 2
    runs = simulation.run([*floods, *coming], until=horizon)
    clever = sum(run.job.cost_s for run in runs if run.job.tenant == "clever")
    least = min(sum(run.job.cost_s for run in runs if run.job.tenant == f"flood{index}") for index in range(others))
    assert clever <= least + QUANTUM_S + cost_s + 0.05


@given(
    st.lists(
        st.tuples(st.sampled_from("abcd"), st.floats(0, 20), COSTS, st.booleans(), st.sampled_from(Priority)),
        max_size=80,
    ),
    st.integers(1, 6),
)
@settings(max_examples=60, deadline=None)
def test_everything_that_is_queued_is_started_once_and_no_slot_idles_beside_a_light_job(
    kinds: list[tuple[str, float, float, bool, Priority]], slots: int
) -> None:
    jobs = [
        Job(tenant=tenant, at=at, cost_s=cost_s, heavy=heavy, priority=priority)
        for tenant, at, cost_s, heavy, priority in kinds
    ]
    simulation = Simulation(slots, FAIR)
    runs = simulation.run(jobs)
    assert sorted(map(repr, jobs)) == sorted(repr(run.job) for run in runs)
    assert simulation.free == slots
    assert not simulation.idle_slots
    assert simulation.most_heavy <= heavy_cap(slots, FAIR)


@given(st.integers(2, 6), COSTS, COSTS, st.booleans())
@settings(max_examples=40, deadline=None)
def test_no_tenant_starves_not_even_one_of_heavy_jobs_among_light_floods(
    floods: int, flood_cost_s: float, cost_s: float, heavy: bool
) -> None:
    slots = 4
    jobs = [Job(tenant=f"flood{index}", at=0.0, cost_s=flood_cost_s) for index in range(floods) for _ in range(300)]
    jobs += [Job(tenant="victim", at=0.0, cost_s=cost_s, heavy=heavy) for _ in range(10)]
    starts = [run.started for run in Simulation(slots, FAIR).run(jobs) if run.job.tenant == "victim"]
    # Between two of its jobs each flood gets as much as one of them cost, and a quantum and a job more. They have at
    # least one slot, beside the half that the victim may hold and the one that is reserved; and one of the victim's may
    # have to end.
    longest = floods * (cost_s + QUANTUM_S + flood_cost_s) / (slots / 4) + flood_cost_s + cost_s
    assert all(after - before <= longest + 1e-6 for before, after in pairwise([0.0, *starts]))


@given(st.floats(0.05, 1.0), st.integers(1, 3))
@settings(max_examples=30, deadline=None)
def test_a_low_job_is_started_before_high_ones_that_came_two_ageing_times_later(cost_s: float, slots: int) -> None:
    rate = 1.1 * slots / cost_s  # more high jobs than the slots can do
    ageing_s = 2.0
    high = [Job(tenant="a", at=index / rate, cost_s=cost_s, priority=Priority.HIGH) for index in range(int(12 * rate))]
    low = Job(tenant="a", at=0.0, cost_s=cost_s, priority=Priority.LOW)
    simulation = Simulation(slots, FairnessSettings(ageing=Duration(ageing_s)))
    started = next(run.started for run in simulation.run([*high, low]) if run.job is low)
    assert started <= 2 * ageing_s * 1.1 + 2 * cost_s
