"""What cannot be placed, or cannot be meant, is said with the field and what would have to give."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import msgspec
import pytest

from holdfast.deploy.core.answer import Answer, Weighed
from holdfast.deploy.core.constraints.case import STATED
from holdfast.deploy.core.cost import cost_of, warnings
from holdfast.deploy.core.fit import fit
from holdfast.deploy.core.flips import INHERENT
from holdfast.deploy.core.migrate import migrate
from holdfast.deploy.core.validate import validate
from holdfast.deploy.core.whatif import what_if
from holdfast.deploy.core.workload import Account, DeploySettings, ScaleNeeds, Traffic, Workload
from holdfast.deploy.errors import Invalid
from holdfast.deploy.shell.files import load_facts, load_prices
from holdfast.kernel import Duration

AT = date(2026, 11, 23)
FACTS = load_facts()
PRICES = load_prices()
WEB = Workload(protocols=("http/1.1",))


def placed(
    workload: Workload, settings: DeploySettings | None = None, *, at: date = AT, explain: bool = False
) -> Answer:
    settings = settings or DeploySettings()
    cost = cost_of(settings, PRICES, at)
    return fit(
        "api", workload, settings=settings, region=settings.region, facts=FACTS, cost=cost, at=at, explain=explain
    )


def of(answer: Answer, candidate: str) -> Weighed:
    return next(one for one in answer.weighed if one.candidate.id == candidate)


def test_udp_with_only_app_runner_fits_nowhere_and_says_which_of_the_two_has_to_give() -> None:
    settings = DeploySettings(account=Account(app_runner_customer=True))
    answer = placed(Workload(protocols=("udp",), only=("app-runner",)), settings)
    assert answer.chosen is None
    (finding,) = of(answer, "app-runner").rejections
    assert finding.rule == "protocols"
    assert finding.facts[0].retrieved
    ways = " ".join(answer.warnings)
    assert "app-runner would fit with protocols=http/1.1" in ways
    assert "ecs-fargate+nlb would fit with only=" in ways


def test_scale_to_zero_and_a_start_in_10_ms_contradict_each_other_by_name() -> None:
    asleep = Workload(protocols=("http/1.1",), start=Duration(0.01), scale=ScaleNeeds(min=0, to_zero=True))
    (problem,) = validate(DeploySettings(workloads={"api": asleep}))
    assert problem.path == ("workloads", "api", "start")
    assert problem.related == (("workloads", "api", "scale", "to_zero"),)
    assert "scale.to_zero" in problem.message
    assert "to_zero: false" in problem.remedy


def test_the_same_start_without_scale_to_zero_is_a_question_and_not_a_mistake() -> None:
    assert not validate(DeploySettings(workloads={"api": msgspec.structs.replace(WEB, start=Duration(0.01))}))


def test_a_change_that_makes_the_contradiction_is_refused_with_the_field() -> None:
    asleep = Workload(protocols=("http/1.1",), scale=ScaleNeeds(min=0, to_zero=True))
    with pytest.raises(Invalid, match=r"start: 10ms with scale\.to_zero.*to_zero: false"):
        what_if(DeploySettings(), asleep, FACTS, "start=10ms")


def test_a_service_that_nothing_fits_names_the_closest_and_everything_that_would_have_to_give() -> None:
    game = Workload(protocols=("udp",), scale=ScaleNeeds(min=0, to_zero=True), needs=("user-namespaces",))
    answer = placed(msgspec.structs.replace(game, only=("ecs-ec2+nlb",)))
    assert answer.chosen is None
    assert "ecs-ec2+nlb would fit with scale.to_zero=" in answer.warnings[0]
    assert any("only= and scale.to_zero=" in warning for warning in answer.warnings[1:])


def test_a_region_without_the_service_rejects_it_with_the_page_that_lists_the_regions() -> None:
    settings = DeploySettings(region="eu-north-1", account=Account(app_runner_customer=True))
    finding = next(one for one in of(placed(WEB, settings), "app-runner").rejections if one.rule == "region")
    assert finding.facts[0].name == "regions"
    assert finding.facts[0].source
    assert "eu-north-1" in finding.text


def test_prices_past_their_date_place_as_before_and_are_said_to_be_old() -> None:
    busy = msgspec.structs.replace(WEB, traffic=Traffic(rate=1.0))
    later = date(2029, 1, 1)
    now, then = placed(busy), placed(busy, at=later)
    assert now.chosen is not None
    assert then.chosen is not None
    assert then.chosen.candidate == now.chosen.candidate
    estimate = cost_of(DeploySettings(), PRICES, later)(then.chosen.candidate, busy, "us-east-1")
    assert estimate is not None
    assert any("days ago" in warning for warning in warnings(estimate, prices=PRICES, at=later))


def test_an_account_limit_too_small_rejects_with_the_limit_and_what_would_be_taken() -> None:
    settings = DeploySettings(account=Account(quotas={"ecs-fargate": 4.0}))
    large = msgspec.structs.replace(WEB, cpu=4.0, scale=ScaleNeeds(max=10))
    finding = next(one for one in of(placed(large, settings), "ecs-fargate+alb").rejections if one.rule == "quota")
    assert finding.facts[0].source == STATED
    assert finding.text == "the account's limit is 4 vCPU, and 40 vCPU are taken at the most"


def test_a_default_limit_that_is_near_is_a_warning_that_says_where_to_state_ones_own() -> None:
    large = msgspec.structs.replace(WEB, cpu=4.0, scale=ScaleNeeds(max=10), only=("ecs-fargate+alb",))
    assert any("account.quotas.ecs-fargate" in warning for warning in placed(large).warnings)


def test_no_flip_asks_a_reader_to_believe_that_a_platform_is_another_product() -> None:
    for workload in (WEB, Workload(protocols=("http/1.1",), package="files", traffic=Traffic(rate=1.0))):
        for flip in placed(workload, explain=True).decisive:
            assert not flip.key.endswith("=") or not flip.key.startswith("fact:"), flip.key
            assert flip.key.partition("=")[0].rpartition(".")[2] not in INHERENT, flip.key


def test_a_change_of_a_property_on_one_day_is_told_once() -> None:
    """That it was open until a day and closed from that day on is one change, told by what holds now."""
    settings = DeploySettings(account=Account(app_runner_customer=True))
    cost = cost_of(settings, PRICES, AT)
    workload = msgspec.structs.replace(WEB, on="app-runner")
    found = migrate("api", workload, settings=settings, region="us-east-1", facts=FACTS, cost=cost, at=AT)
    closed = [stop for stop in found.past if stop.fact.name == "open_to_new_customers"]
    assert [(stop.day, stop.fact.value) for stop in closed] == [(date(2026, 4, 30), False)]


def test_what_only_ends_is_told_by_its_end() -> None:
    fact = replace(FACTS.get("app-runner", "exec", at=AT, region="us-east-1"), valid_to=date(2027, 1, 1))
    entries = {**FACTS.entries, ("app-runner", "exec"): (fact,)}
    facts = replace(FACTS, entries=entries)
    settings = DeploySettings(account=Account(app_runner_customer=True))
    workload = msgspec.structs.replace(WEB, on="app-runner")
    cost = cost_of(settings, PRICES, AT)
    found = migrate("api", workload, settings=settings, region="us-east-1", facts=facts, cost=cost, at=AT)
    assert [stop.day for stop in found.stops] == [date(2027, 1, 1)]
