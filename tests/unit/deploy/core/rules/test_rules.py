"""Every rule against a sound template, and against what it is for."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from holdfast.deploy.core.plan import Plan
from holdfast.deploy.core.rules import RULES, Violation, check
from holdfast.deploy.core.workload import Account, DeploySettings
from holdfast.deploy.errors import Invalid
from holdfast.drills.deploy_held_out import EARLIER, HELD_OUT
from holdfast.drills.deploy_mutations import FAULTS, Fault, container, properties
from holdfast.drills.deploy_scene import REGION, scene

AT = date(2026, 11, 22)
PLAN = Plan(
    settings=DeploySettings(account=Account(quotas={"ecs-fargate": 32.0}, app_runner_customer=False)),
    placements=(),
    unplaced=(),
)


def found(template: dict[str, Any], *, region: str = REGION) -> tuple[Violation, ...]:
    return check(template, region=region, at=AT, plan=PLAN)


def ids(template: dict[str, Any]) -> set[str]:
    return {violation.rule for violation in found(template)}


def test_a_sound_template_has_nothing_to_be_said_against_it() -> None:
    assert found(scene()) == ()


@pytest.mark.parametrize("fault", [*FAULTS, *EARLIER], ids=lambda fault: fault.name)
def test_a_seeded_fault_is_found_and_its_remedy_said(fault: Fault) -> None:
    template = scene()
    fault.apply(template)
    assert found(template)
    assert all(violation.remedy and violation.text for violation in found(template))


@pytest.mark.parametrize("fault", [*FAULTS, *EARLIER, *HELD_OUT], ids=lambda fault: fault.name)
def test_a_fault_changes_the_template_and_only_its_own_copy(fault: Fault) -> None:
    template = scene()
    fault.apply(template)
    assert template != scene()


def test_names_of_faults_are_unique() -> None:
    names = [fault.name for fault in (*FAULTS, *EARLIER, *HELD_OUT)]
    assert len(names) == len(set(names))


def test_a_violation_says_where_in_the_template_it_is() -> None:
    template = scene()
    container(template)["Image"] = "example:latest"
    (violation,) = found(template)
    assert violation.where == "ApiTask.Properties.ContainerDefinitions.0.Image"
    assert violation.rule == "HF106"


def test_a_fault_behind_a_condition_is_found_whichever_way_it_goes() -> None:
    for parameter in ("yes", "no"):
        template = scene()
        template["Parameters"] = {"Fast": {"Type": "String", "Default": parameter, "AllowedValues": ["yes", "no"]}}
        template["Conditions"] = {"IsFast": {"Fn::Equals": [{"Ref": "Fast"}, "yes"]}}
        container(template)["Privileged"] = {"Fn::If": ["IsFast", True, {"Ref": "AWS::NoValue"}]}
        assert ids(template) == {"HF101"}


def test_conditions_on_one_parameter_are_never_read_as_if_both_held() -> None:
    template = scene()
    template["Parameters"] = {"Size": {"Type": "String", "Default": "small"}}
    template["Conditions"] = {
        "Small": {"Fn::Equals": [{"Ref": "Size"}, "small"]},
        "NotSmall": {"Fn::Not": [{"Condition": "Small"}]},
    }
    template["Resources"]["NameNow"]["Condition"] = "Small"
    template["Resources"]["NameElse"] = {**scene()["Resources"]["NameNow"], "Condition": "NotSmall"}
    properties(template, "NameBefore")["Weight"] = 10
    assert found(template) == ()


def test_a_suppressed_rule_is_silent_on_that_resource_only() -> None:
    template = scene()
    template["Resources"]["ApiTask"]["Metadata"] = {
        "holdfast": {"ignore": [{"id": "HF106", "reason": "an experiment of one day"}]}
    }
    for task in ("ApiTask", "WorkerTask"):
        container(template, task)["Image"] = "example:1"
    assert [violation.resource for violation in found(template)] == ["WorkerTask"]


@pytest.mark.parametrize("entry", [{"id": "HF106"}, {"id": "HF106", "reason": " "}, {"id": "HF999", "reason": "why"}])
def test_a_suppression_without_a_reason_or_a_rule_is_itself_a_finding(entry: dict[str, str]) -> None:
    template = scene()
    template["Resources"]["ApiTask"]["Metadata"] = {"holdfast": {"ignore": [entry]}}
    container(template)["Image"] = "example:1"
    assert ids(template) == {"HF001", "HF106"}


def test_an_existing_customer_may_go_on_with_app_runner() -> None:
    template = scene()
    next(fault for fault in FAULTS if fault.name == "app-runner-for-a-newcomer").apply(template)
    settings = DeploySettings(account=Account(app_runner_customer=True))
    plan = Plan(settings=settings, placements=(), unplaced=())
    assert check(template, region=REGION, at=AT, plan=plan) == ()
    assert check(template, region=REGION, at=date(2026, 4, 29)) == ()


def test_a_password_that_is_looked_up_when_the_stack_is_made_is_no_plain_text() -> None:
    template = scene()
    container(template)["Environment"].append({"Name": "API_TOKEN", "Value": "{{resolve:ssm:/api/token}}"})
    container(template)["Environment"].append({"Name": "MAX_TOKENS", "Value": "4096"})
    assert found(template) == ()


def test_an_image_parameter_has_to_demand_a_digest() -> None:
    template = scene()
    template["Parameters"] = {"Image": {"Type": "String"}}
    container(template)["Image"] = {"Ref": "Image"}
    assert ids(template) == {"HF106"}
    template["Parameters"]["Image"]["AllowedPattern"] = "^.+@sha256:[0-9a-f]{64}$"
    assert found(template) == ()


def test_an_unknown_region_is_said() -> None:
    assert {violation.rule for violation in found(scene(), region="eu-middle-9")} == {"HF801"}


@pytest.mark.parametrize("template", [{}, {"Resources": []}, {"Resources": {"A": 1}}, {"Resources": {"A": {}}}])
def test_what_is_no_template_is_refused(template: dict[str, Any]) -> None:
    with pytest.raises(Invalid):
        found(template)


def test_a_template_that_is_nested_without_end_is_refused() -> None:
    template = scene()
    deep: Any = "x"
    for _ in range(200):
        deep = {"A": deep}
    properties(template, "Site")["Tags"] = deep
    with pytest.raises(Invalid, match="nested"):
        found(template)


def test_every_rule_says_why_and_what_to_do() -> None:
    for rule in RULES.values():
        assert rule.title
        assert rule.why.endswith(".")
        assert rule.remedy
        assert rule.source
