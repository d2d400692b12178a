"""docs/deploy-cost.md says what the model computes from the price list."""

from __future__ import annotations

import re
from decimal import Decimal
from pathlib import Path

import pytest

from holdfast.deploy.core.assumptions import Assumptions
from holdfast.deploy.core.candidates import BY_ID, CANDIDATES
from holdfast.deploy.core.cost import busy, cost_of, idle
from holdfast.deploy.core.curves import crossover, duty
from holdfast.deploy.core.traffic import cents
from holdfast.deploy.core.workload import Account, DeploySettings
from holdfast.deploy.shell.files import load_prices
from tests.unit.deploy.core.priced import AT, REGION, api

PAGE = (Path(__file__).parents[3] / "docs" / "deploy-cost.md").read_text()
PRICES = load_prices()
COST = cost_of(DeploySettings(), PRICES, AT)
ROWS = re.findall(r"^\| ([\d.]+) \| ([\d.]+) \| ([\d.]+) \| ([\d.]+) \|$", PAGE, re.MULTILINE)


def idle_month(name: str, cpu: str, gb: str, settings: DeploySettings) -> Decimal:
    workload = api(cpu=float(cpu), memory=f"{gb}GiB")
    found = idle(BY_ID[name], workload, settings=settings, region=REGION, prices=PRICES, at=AT)
    assert found is not None
    assert found.complete
    return cents(found.total)


def test_the_reproduced_months_are_four() -> None:
    assert len(ROWS) == 2


@pytest.mark.parametrize("row", ROWS)
def test_the_reproduced_months_follow_from_the_price_list(row: tuple[str, str, str, str]) -> None:
    cpu, gb, app_runner, express = row
    assert idle_month("app-runner", cpu, gb, DeploySettings()) == Decimal(app_runner)
    assert idle_month("ecs-express", cpu, gb, DeploySettings()) == Decimal(express)


def test_a_shared_load_balancer_costs_what_the_page_says() -> None:
    shared = DeploySettings(account=Account(shared_alb=5))
    assert f"is {idle_month('ecs-express', '0.25', '0.5', shared)} instead of" in PAGE


def test_the_sentences_are_those_of_the_model() -> None:
    rates = crossover(
        BY_ID["lambda+lambda-url"],
        BY_ID["ecs-express"],
        api(1),
        REGION,
        cost=COST,
        low=Decimal("0.01"),
        high=Decimal(100),
    )
    hours = duty(BY_ID["lambda-microvms"], BY_ID["ecs-fargate"], api(1), REGION, cost=COST)
    assert hours is not None
    for sentence in (rates.text, hours.text):
        assert f"> {sentence}\n" in PAGE


def test_every_candidate_is_on_the_page() -> None:
    for candidate in CANDIDATES:
        assert f"`{candidate.compute}`" in PAGE


def test_every_figure_of_planning_that_the_page_quotes_is_the_default() -> None:
    assert f"`interruptions_per_hour` is {Assumptions().interruptions_per_hour:g}," in PAGE
    assert f"`utilisation` is {Assumptions().utilisation * 100:.0f} %" in PAGE


def test_no_candidate_rests_on_a_price_that_the_list_does_not_mention() -> None:
    # Fees of managed instances and sizes of Lightsail nodes are many; of those the list says which are known.
    many = ("managed_instances.", "lightsail.")
    for candidate in CANDIDATES:
        for workload in (api(10), api(10, cpu=1.0, memory="2GiB")):
            found = busy(candidate, workload, settings=DeploySettings(), region=REGION, prices=PRICES, at=AT)
            assert found is not None
            absent = {line.price.key for line in found.lines if not line.price.unit}
            assert all(key.startswith(many) for key in absent), absent
