"""The story of the burst in virtual time: one tenant submits 5,000 jobs at once, nine others one per second."""

from __future__ import annotations

from random import Random

import pytest

from holdfast.execution.core.settings import FairnessSettings
from tests.property.execution.simulation import Job, Run, Simulation, first_in_first_out, quantile

FAIR = FairnessSettings()
STARTUP_S = 0.002
"""From a claim to the first instruction, during which the slot is taken."""
LIGHT_S = 0.005
HEAVY_S = 3.0
UNTIL_S = 900.0

FLOOD = [
    Job(tenant="flood", at=0.0, cost_s=HEAVY_S if number % 5 == 0 else LIGHT_S, heavy=number % 5 == 0)
    for number in range(5_000)
]


def _arrivals() -> list[Job]:
    rng = Random(7)
    jobs = []
    for number in range(9):
        at = rng.expovariate(1.0)
        while at < UNTIL_S:
            jobs.append(Job(tenant=f"light{number}", at=at, cost_s=LIGHT_S))
            at += rng.expovariate(1.0)
    return jobs


LIGHT = _arrivals()


def waits(runs: list[Run]) -> list[float]:
    return [run.wait_s for run in runs if run.job.tenant != "flood"]


@pytest.fixture(scope="module")
def burst() -> dict[int, Simulation]:
    simulations = {slots: Simulation(slots, FAIR, startup_s=STARTUP_S) for slots in (4, 8)}
    for simulation in simulations.values():
        simulation.run([*FLOOD, *LIGHT])
    return simulations


def alone(slots: int) -> float:
    return quantile(waits(Simulation(slots, FAIR, startup_s=STARTUP_S).run(LIGHT)), 0.95)


def test_light_tenants_wait_as_they_would_alone_on_the_slots_that_are_set_aside_for_them(
    burst: dict[int, Simulation],
) -> None:
    # Nobody is interrupted, so of 4 slots the heavy jobs leave one, of 8 two. That one is all that counts.
    assert quantile(waits(burst[4].runs), 0.95) <= 1.5 * alone(1)
    assert quantile(waits(burst[8].runs), 0.95) <= 1.5 * alone(2)


def test_two_slots_set_aside_are_as_good_as_being_alone(burst: dict[int, Simulation]) -> None:
    assert quantile(waits(burst[8].runs), 0.95) <= 1.5 * alone(8)


@pytest.mark.parametrize("slots", [4, 8])
def test_light_tenants_wait_a_small_part_of_what_first_in_first_out_makes_them(
    slots: int, burst: dict[int, Simulation]
) -> None:
    before = waits(first_in_first_out([*FLOOD, *LIGHT], slots, startup_s=STARTUP_S))
    assert 20 * quantile(waits(burst[slots].runs), 0.95) <= quantile(before, 0.95)
    assert 20 * max(waits(burst[slots].runs)) <= max(before)


@pytest.mark.parametrize("slots", [4, 8])
def test_no_light_job_ever_waits_for_a_heavy_one(slots: int, burst: dict[int, Simulation]) -> None:
    assert max(waits(burst[slots].runs)) < 10 * (STARTUP_S + LIGHT_S)
    assert burst[slots].most_heavy == slots * 3 // 4


def test_the_burst_is_worked_off_as_fast_as_its_slots_allow(burst: dict[int, Simulation]) -> None:
    work_s = sum(job.cost_s + STARTUP_S for job in FLOOD if job.heavy)
    last = max(run.started + run.job.cost_s for run in burst[4].runs if run.job.tenant == "flood")
    assert last <= work_s / 3 * 1.01


def test_a_tenant_that_hides_long_jobs_among_short_ones_is_found_out() -> None:
    learner = Simulation(4, FAIR, startup_s=STARTUP_S, learning=True)
    learner.run([*FLOOD, *LIGHT])
    taken_in = [run.wait_s for run in learner.runs if run.job.tenant != "flood" and run.job.at < 2 * HEAVY_S]
    later = [run.wait_s for run in learner.runs if run.job.tenant != "flood" and run.job.at >= 2 * HEAVY_S]
    assert max(taken_in) <= HEAVY_S
    assert max(later) < 10 * (STARTUP_S + LIGHT_S)
