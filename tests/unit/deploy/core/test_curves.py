from __future__ import annotations

from decimal import Decimal

import pytest

from holdfast.deploy.core.candidates import BY_ID, Candidate
from holdfast.deploy.core.cost import CostOf, cost_of
from holdfast.deploy.core.curves import crossover, curve, duty, moved, places, spoken
from holdfast.deploy.core.prices import Estimate, Line, Price
from holdfast.deploy.core.workload import DeploySettings, Workload
from tests.unit.deploy.core.priced import AT, REGION, api, table, traffic

COST = cost_of(DeploySettings(), table(), AT)
FUNCTION, FARGATE, MICROVM = BY_ID["lambda+lambda-url"], BY_ID["ecs-fargate"], BY_ID["lambda-microvms"]
CENT, HUNDRED = Decimal("0.01"), Decimal(100)


def stairs(*, step: str) -> CostOf:
    """Fargate costs 10 a month and one more for each whole ``step`` of rate; the function costs 10 for each 1/s."""

    def cost(candidate: Candidate, workload: Workload, region: str) -> Estimate:
        rate = Decimal(repr(workload.traffic.rate))
        amount = 10 + 10 * (rate // Decimal(step)) if candidate == FARGATE else 10 * rate
        price = Price(key="x", amount=amount, unit="", region=region)
        return Estimate(title="", lines=(Line(what="all", quantity=Decimal(1), price=price),))

    return cost


def test_a_function_is_cheaper_below_a_rate_and_tasks_above() -> None:
    found = crossover(FUNCTION, FARGATE, api(), REGION, cost=COST, low=CENT, high=HUNDRED)
    # a task: (0.25 x 0.04048 + 0.5 x 0.004445 + 0.005) x 730 = 12.660025 a month;
    # a function: 2.628 M x 0.20 + 131,400 GB-s x 0.0000166667 = 2.71560438 for each request a second
    (crossing,) = found.crossings
    assert abs(crossing.at - Decimal("12.660025") / Decimal("2.71560438")) < Decimal("0.0001")
    assert (crossing.below, crossing.above) == (FUNCTION, FARGATE)
    assert found.text == "lambda+lambda-url is cheaper below 4.7 requests/s, ecs-fargate above"


def test_steps_are_crossed_several_times_and_each_is_found() -> None:
    # 10 up to 1, 20 from 1, 30 from 2...: the slope meets each stair where it rises
    found = crossover(FUNCTION, FARGATE, api(), REGION, cost=stairs(step="1.5"), low=CENT, high=Decimal(4))
    assert [round(crossing.at, 3) for crossing in found.crossings] == [Decimal(1), Decimal("1.5"), Decimal(2)]
    assert found.text == (
        "lambda+lambda-url is cheaper below 1 requests/s and between 1.5 requests/s and 2 requests/s; "
        "ecs-fargate otherwise"
    )


def test_without_a_crossing_it_says_who_is_cheaper_throughout() -> None:
    found = crossover(FUNCTION, FARGATE, api(), REGION, cost=COST, low=CENT, high=Decimal(1))
    assert found.crossings == ()
    assert found.text == "lambda+lambda-url is cheaper than ecs-fargate from 0.01 requests/s to 1 requests/s"


def test_a_missing_price_makes_a_comparison_impossible_and_is_named() -> None:
    unknown = BY_ID["lambda-web-functions"]
    found = crossover(unknown, FARGATE, api(), REGION, cost=COST, low=CENT, high=HUNDRED)
    assert found.cheaper is None
    assert "lambda-web-functions lacks lambda_web_functions.vcpu_hour" in found.text


def test_a_size_that_is_not_offered_makes_a_comparison_impossible() -> None:
    huge = api(cpu=8.0, memory="32GiB")
    found = crossover(FUNCTION, FARGATE, huge, REGION, cost=COST, low=CENT, high=HUNDRED)
    assert found.text.endswith("lambda+lambda-url has no size that holds it")
    assert curve(FUNCTION, huge, REGION, cost=COST, axis="rate", places=(CENT,)) is None


def test_two_that_cost_the_same_are_not_ranked() -> None:
    found = crossover(FARGATE, FARGATE, api(), REGION, cost=COST, low=CENT, high=HUNDRED)
    assert (found.cheaper, found.crossings) == (None, ())
    assert found.text == "ecs-fargate and ecs-fargate cost the same"


def test_an_empty_range_is_refused() -> None:
    with pytest.raises(ValueError, match="nothing lies between"):
        crossover(FUNCTION, FARGATE, api(), REGION, cost=COST, low=HUNDRED, high=CENT)


def test_a_microvm_wins_below_39_percent_of_duty() -> None:
    # running: 0.25 x 0.0997 + 0.5 x 0.0132 = 0.031525 an hour; Fargate 0.0123425: 2.5542 times, 1 / 2.5542 = 39.15 %
    found = duty(MICROVM, FARGATE, api(1), REGION, cost=COST)
    assert found is not None
    assert round(found.ratio, 2) == Decimal("2.55")
    assert abs(found.below - Decimal("0.391515")) < Decimal("0.00001")
    assert found.text == (
        "lambda-microvms costs 2.55 times ecs-fargate per running hour at 0.25 vCPU and 0.5 GB, "
        "and is cheaper below 39 % duty, before snapshots"
    )


def test_snapshots_lower_the_duty_below_which_a_microvm_wins_and_a_public_address_raises_it() -> None:
    whole = crossover(
        MICROVM, FARGATE, api(1), REGION, cost=COST, axis="busy", low=Decimal(0), high=Decimal(1)
    ).crossings[0]
    # 23.01325 d + 0.04 (1 - d) = 12.660025: the address of the task weighs more than the snapshot
    assert abs(whole.at - Decimal("12.620025") / Decimal("22.97325")) < Decimal("0.0001")


def test_there_is_no_duty_to_weigh_against_something_that_is_never_dearer() -> None:
    assert duty(FARGATE, FARGATE, api(1), REGION, cost=COST) is None
    assert duty(BY_ID["lambda-web-functions"], FARGATE, api(1), REGION, cost=COST) is None


def test_a_curve_looks_at_both_sides_of_each_task_that_is_added() -> None:
    # a task carries 150/s
    found = places(api(1), "rate", Decimal(1), Decimal(400), utilisation=0.6)
    near = [at for at in found if abs(at - 150) < Decimal("0.001")]
    assert len(near) == 2
    drawn = curve(FARGATE, api(1), REGION, cost=COST, axis="rate", places=near)
    assert drawn is not None
    assert drawn.complete
    assert drawn.points[0].total < drawn.points[1].total


@pytest.mark.parametrize(
    ("at", "workload", "axis", "text"),
    [
        ("3.14159", api(), "rate", "3.1 requests/s"),
        ("1234", api(), "rate", "1,230 requests/s"),
        ("0.01", api(traffic=traffic(1, unit="job")), "rate", "36 jobs/h"),
        ("0.391", api(), "busy", "39 % duty"),
    ],
)
def test_a_place_is_said_in_the_workloads_unit(at: str, workload: Workload, axis: str, text: str) -> None:
    assert spoken(Decimal(at), workload, axis) == text  # type: ignore[arg-type]


def test_only_the_axis_is_moved() -> None:
    workload = api(3)
    assert moved(workload, "rate", Decimal(7)).traffic.rate == 7
    assert moved(workload, "busy", Decimal("0.5")).traffic == traffic(3, busy=0.5)
