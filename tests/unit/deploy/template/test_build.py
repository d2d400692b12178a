"""What stacks a plan becomes, and that they are the same bytes every time."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from holdfast.deploy.errors import Invalid
from holdfast.deploy.shell.template.build import build, is_emitted, left_out, render, write
from tests.unit.deploy.template import demo

GENERIC = {"protocols": ("http/1.1",)}


def test_a_plan_becomes_a_stack_per_region_and_one_for_each_agent_site_and_budget() -> None:
    stacks = build(demo.everything(monthly_budget=200.0))
    assert [(stack.name, stack.region) for stack in stacks] == [
        ("holdfast", "us-east-1"),
        ("holdfast-agents-us-east-1", "us-east-1"),
        ("holdfast-agents-eu-west-1", "eu-west-1"),
        ("holdfast-agents-ap-southeast-2", "ap-southeast-2"),
        ("holdfast-blog", "us-east-1"),
        ("holdfast-budget", "us-east-1"),
    ]


def test_the_home_region_comes_first_and_others_carry_their_name() -> None:
    plan = demo.plan(demo.generic("api", "ecs-fargate+alb", "eu-west-1", "ap-south-1", **GENERIC), region="eu-west-1")
    assert [stack.name for stack in build(plan)] == ["holdfast", "holdfast-ap-south-1"]


def test_the_same_plan_makes_the_same_bytes() -> None:
    first, second = ([render(stack) for stack in build(demo.everything(**demo.SECURE))] for _ in range(2))
    assert first == second


def test_logical_ids_come_from_the_names_in_the_file() -> None:
    resources = build(demo.everything(**demo.SECURE))[0].template.resources
    expected = {
        "BalancerService": "AWS::ECS::Service",
        "BalancerTask": "AWS::ECS::TaskDefinition",
        "BalancerTargets": "AWS::ElasticLoadBalancingV2::TargetGroup",
        "GatewayService": "AWS::ECS::ExpressGatewayService",
        "ExecutionWorkerService": "AWS::ECS::Service",
        "NetpulseNetworkBalancer": "AWS::ElasticLoadBalancingV2::LoadBalancer",
        "Database": "AWS::RDS::DBInstance",
    }
    assert {title: resources[title].resource_type for title in expected} == expected


def test_another_service_changes_no_id_of_those_that_are_there() -> None:
    api = demo.generic("api", "ecs-fargate+alb", **GENERIC)
    more = demo.generic("more", "ecs-fargate+alb", **GENERIC)
    alone, together = (build(demo.plan(*placed))[0].template.resources for placed in ((api,), (api, more)))
    assert set(alone) <= set(together)


def test_what_no_template_is_made_for_is_named_all_at_once() -> None:
    strange = [demo.generic(name, on) for name, on in (("old", "app-runner"), ("pets", "eks+alb"), ("fn", "lambda"))]
    with pytest.raises(
        Invalid, match=r"old is placed on app-runner.*pets is placed on eks\+alb.*fn is placed on lambda"
    ):
        build(demo.plan(*strange))


def test_what_no_template_is_made_for_keeps_nothing_else_from_its_own() -> None:
    plan = demo.plan(demo.generic("sandboxes", "lambda-microvms"), demo.blog())
    assert [stack.name for stack in build(plan)] == ["holdfast-blog"]
    (said,) = left_out(plan)
    assert said.startswith("sandboxes is placed on lambda-microvms")
    assert [is_emitted(placement) for placement in plan.placements] == [False, True]


def test_a_service_that_is_none_of_ours_is_refused() -> None:
    with pytest.raises(Invalid, match="'gatewy' is none of ours"):
        build(demo.plan(demo.generic("gateway", "ecs-fargate+alb", service="gatewy", **GENERIC)))


def test_a_load_balancer_without_a_port_behind_it_is_refused() -> None:
    with pytest.raises(Invalid, match="nothing says on which port"):
        build(demo.plan(demo.generic("worker", "ecs-fargate+alb")))


def test_everything_that_keeps_something_says_what_becomes_of_it() -> None:
    kept = ("AWS::RDS::DBInstance", "AWS::S3::Bucket", "AWS::SecretsManager::Secret", "AWS::Logs::LogGroup")
    for stack in build(demo.everything(**demo.SECURE)):
        for title, resource in json.loads(render(stack))["Resources"].items():
            if resource["Type"] in kept:
                assert {"DeletionPolicy", "UpdateReplacePolicy"} <= set(resource), title


def test_templates_stay_within_what_cloudformation_takes() -> None:
    # 500 resources and 200 outputs; a body of 1 MB, by way of a bucket.
    for plan in demo.variants().values():
        for stack in build(plan):
            assert len(stack.template.resources) < 400
            assert len(stack.template.outputs) < 100
            assert len(render(stack)) < 500_000


def test_files_are_written_whole_and_replaced(tmp_path: Path) -> None:
    stacks = build(demo.plan(demo.gateway()))
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "holdfast.json").write_text("old")
    (path,) = write(stacks, tmp_path / "out")
    assert path.read_text() == render(stacks[0])
    assert [file.name for file in path.parent.iterdir()] == ["holdfast.json"]
