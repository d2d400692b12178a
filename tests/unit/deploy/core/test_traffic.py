from __future__ import annotations

from decimal import Decimal

import pytest

from holdfast.deploy.core.assumptions import Assumptions
from holdfast.deploy.core.traffic import ALB, ALB_LAMBDA, NLB_TCP, Tasks, capacity, cents, exact, load, silence, tasks
from holdfast.deploy.core.workload import ScaleNeeds, Workload
from holdfast.kernel import Duration, Size
from tests.unit.deploy.core.priced import api, traffic

ASSUME = Assumptions()


def needed(workload: Workload, *, can_zero: bool = True) -> Tasks:
    return tasks(workload, load(workload), ASSUME, can_zero=can_zero)


def test_half_a_cent_is_rounded_up() -> None:
    assert cents(Decimal("2.555")) == Decimal("2.56")
    assert cents(Decimal("36.385")) == Decimal("36.39")


def test_a_float_is_read_as_it_was_written() -> None:
    assert exact(0.1) == Decimal("0.1")


def test_tasks_are_planned_at_six_tenths_of_their_processor() -> None:
    # 300/s x 1 ms = 0.3 vCPU; a task of 0.25 gives 0.15: exactly two
    assert needed(api(300)).busy == 2
    # one request a second more is too many for two
    assert needed(api(301)) == Tasks(busy=3, idle=1, bound="cpu", short=1)


def test_open_requests_are_planned_at_six_tenths_of_the_memory() -> None:
    # 10/s x 60 s = 600 open x 1 MiB = 600 MiB; a task of 512 MiB gives 307.2: two
    workload = api(10, traffic=traffic(10, cpu=Duration(0.0), duration=Duration(60.0), memory=Size(2**20)))
    assert needed(workload) == Tasks(busy=2, idle=1, bound="memory")


def test_the_least_number_of_tasks_is_kept_under_little_traffic() -> None:
    assert needed(api(1, scale=ScaleNeeds(min=2, max=4))) == Tasks(busy=2, idle=2, bound="min")


def test_what_goes_to_zero_needs_one_task_while_there_is_work() -> None:
    workload = api(1, scale=ScaleNeeds(min=0, to_zero=True))
    assert needed(workload) == Tasks(busy=1, idle=0, bound="min")
    assert needed(workload, can_zero=False) == Tasks(busy=1, idle=1, bound="min")


def test_a_month_without_work_has_nothing_in_it() -> None:
    found = silence(api(300))
    assert not any((found.units, found.gb_out, found.open, found.busy_hours))


def test_requests_of_a_month_are_those_of_its_busy_share() -> None:
    # 2/s x 730 h x 3600 s / 4
    assert load(api(traffic=traffic(2, busy=0.25))).units == 1_314_000


def test_a_timer_is_traffic_of_its_own() -> None:
    # every 5 min: 12 an hour
    assert round(load(Workload(schedule=Duration(300.0))).units, 6) == 12 * 730


@pytest.mark.parametrize(
    ("workload", "units", "bound"),
    [
        # 1000/s over connections of 10 requests: 100 new a second, 25 to a unit
        (api(1000), 4, "new connections"),
        # each stream is a connection: 10 new a second, and 10 x 590 s open + 10 x 60 s within the minute: 6500 / 3000
        (api(10, protocols=("sse",), traffic=traffic(10, duration=Duration(590.0))), Decimal(6500) / 3000, "active"),
        # 10/s x 3600 s x 1 MiB = 36000 MiB an hour
        (api(10, traffic=traffic(10, bytes_out=Size(2**20))), Decimal(36000) / 1024, "processed bytes"),
    ],
)
def test_the_dimension_that_needs_most_is_billed(workload: Workload, units: Decimal, bound: str) -> None:
    found = capacity(workload, load(workload), ASSUME, ALB)
    assert round(found.units, 9) == round(Decimal(units), 9)
    assert found.bound.startswith(bound)


def test_rules_beyond_the_tenth_count() -> None:
    # 2000/s x 5 rules / 1000 = 10, against 200 new connections / 25 = 8
    found = capacity(api(2000), load(api(2000)), Assumptions(balancer_rules=15), ALB)
    assert found.units == 10
    assert found.bound == "rule evaluations"


def test_a_unit_carries_fewer_bytes_to_functions_and_more_connections_on_a_network_balancer() -> None:
    heavy = api(10, traffic=traffic(10, bytes_out=Size(2**20)))
    to_lambda = capacity(heavy, load(heavy), ASSUME, ALB_LAMBDA)
    to_tasks = capacity(heavy, load(heavy), ASSUME, ALB)
    assert round(to_lambda.units, 9) == round(to_tasks.units * Decimal("2.5"), 9)
    assert capacity(api(1000), load(api(1000)), ASSUME, NLB_TCP).units == Decimal(100) / 800
