from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest

from holdfast.deploy.core.candidates import BY_ID
from holdfast.deploy.core.cost import busy, cost_of, idle, per_million, together, warnings
from holdfast.deploy.core.pricing.beside import beside
from holdfast.deploy.core.traffic import cents
from holdfast.deploy.core.workload import Account, DeploySettings, TemplateSettings, Workload
from holdfast.kernel import Size
from tests.unit.deploy.core.priced import AT, REGION, api, month, table

API = api(1)


@pytest.mark.parametrize(
    ("candidate", "cpu", "memory", "dollars"),
    [
        # 0.5 GB x 0.007 x 730
        ("app-runner", 0.25, "512MiB", "2.56"),
        # (0.25 x 0.04048 + 0.5 x 0.004445 + 0.0225 + 3 x 0.005) x 730 = 36.385025
        ("ecs-express", 0.25, "512MiB", "36.39"),
        ("app-runner", 1.0, "2GiB", "10.22"),
        # (0.04048 + 2 x 0.004445 + 0.0225 + 3 x 0.005) x 730 = 63.41510
        ("ecs-express", 1.0, "2GiB", "63.42"),
    ],
)
def test_the_known_idle_months_are_reproduced_to_the_cent(
    candidate: str, cpu: float, memory: str, dollars: str
) -> None:
    workload = Workload(protocols=("http/1.1",), cpu=cpu, memory=Size.parse(memory))
    found = idle(BY_ID[candidate], workload, settings=DeploySettings(), region=REGION, prices=table(), at=AT)
    assert found is not None
    assert found.complete
    assert cents(found.total) == Decimal(dollars)


def test_a_ranking_gets_the_busy_month() -> None:
    settings, prices = DeploySettings(), table()
    found = cost_of(settings, prices, AT)(BY_ID["ecs-express"], API, REGION)
    assert found == busy(BY_ID["ecs-express"], API, settings=settings, region=REGION, prices=prices, at=AT)


def test_a_price_that_is_not_known_is_compared_with_one_of_another_region_and_stays_unknown() -> None:
    there = cost_of(DeploySettings(), table(), AT)(BY_ID["lambda+lambda-url"], API, "eu-central-1")
    home = cost_of(DeploySettings(), table(), AT)(BY_ID["lambda+lambda-url"], API, REGION)
    assert there is not None
    assert home is not None
    assert not there.complete
    assert there.total < home.total
    assert there.compared == home.total
    assert home.compared is None


def test_a_ranking_is_told_the_same_price_without_computing_it_twice() -> None:
    cost = cost_of(DeploySettings(), table(), AT)
    assert cost(BY_ID["ecs-express"], api(1), REGION) is cost(BY_ID["ecs-express"], api(1), REGION)


def test_a_million_requests_carry_everything_that_is_billed() -> None:
    # 2.71560438 USD for 2.628 million
    function = month("lambda+lambda-url", API)
    million = per_million(function, API)
    assert million is not None
    assert round(million, 6) == Decimal("1.033335")


def test_a_million_has_no_price_without_traffic_or_with_one_missing() -> None:
    assert per_million(month("ecs-fargate", api()), api()) is None
    assert per_million(month("lambda-web-functions", API), API) is None


def test_what_workloads_share_is_summed_once() -> None:
    behind_nat = DeploySettings(account=Account(nat=True))
    alone = month("ecs-fargate", API, settings=behind_nat)
    both = together("both", [alone, alone])
    # two gateways and their addresses: 2 x (0.045 + 0.005) x 730
    assert both.total == 2 * alone.total - 73
    assert both.assumptions == alone.assumptions


def test_services_of_a_plan_share_the_load_balancer_that_the_templates_make() -> None:
    one, two = month("ecs-fargate+alb", API), month("ecs-ec2+alb", API)
    express, private = month("ecs-express", API), month("ecs-fargate+alb", api(1, ingress="private"))
    # 0.0225 and two addresses x 730 = 23.725
    balancer = Decimal("23.725")
    assert together("", [one, two]).total == one.total + two.total - balancer
    # Express has one of its own, and what is private stands behind another
    assert together("", [one, express]).total == one.total + express.total
    assert together("", [one, private]).total == one.total + private.total


def test_parts_of_a_load_balancer_that_others_share_too_are_summed() -> None:
    part = month("ecs-fargate+alb", API, settings=DeploySettings(account=Account(shared_alb=5)))
    assert together("", [part, part]).total == 2 * part.total


def test_what_stands_beside_the_workloads_is_priced_too() -> None:
    prices = table()
    found = beside(DeploySettings(), region=REGION, prices=prices, at=AT, database=True, secrets=2, alarms=3)
    # 730 x 0.016 + 20 x 0.115 + 2 x 0.40 + 3 x 0.10
    assert found.total == Decimal("15.08")
    doubled = DeploySettings(template=TemplateSettings(multi_az=True, hosted_zone="Z1"))
    # instance and storage twice, and a zone
    assert beside(doubled, region=REGION, prices=prices, at=AT, database=True).total == Decimal("28.46")
    assert beside(DeploySettings(), region=REGION, prices=prices, at=AT, database=False).total == 0


def test_an_old_price_is_used_with_a_warning() -> None:
    prices, later = table(), AT + timedelta(days=200)
    found = idle(BY_ID["app-runner"], API, settings=DeploySettings(), region=REGION, prices=prices, at=later)
    assert found is not None
    assert found.complete
    assert warnings(found, prices=prices, at=later) == (
        "app_runner.gb_hour was looked up on 2026-11-22, more than 180 days ago",
    )
    assert "may have changed" in found.lines[0].note


def test_a_missing_price_is_warned_of_by_its_key() -> None:
    prices = table(without=frozenset({"alb.hour"}))
    found = month("ecs-express", API, prices=prices)
    assert not found.complete
    assert warnings(found, prices=prices, at=AT) == ("the total is incomplete: no price of alb.hour is known",)


def test_a_region_without_prices_has_no_complete_total() -> None:
    found = busy(BY_ID["ecs-express"], API, settings=DeploySettings(), region="me-south-1", prices=table(), at=AT)
    assert found is not None
    assert not found.complete
    assert found.total == 0
