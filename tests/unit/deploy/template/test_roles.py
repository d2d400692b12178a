from __future__ import annotations

import json
from typing import Any

import pytest
from moto.iam.aws_managed_policies import aws_managed_policies_data

from holdfast.deploy.shell.template import roles
from holdfast.deploy.shell.template.logs import log_group
from holdfast.deploy.shell.template.stack import Stack
from tests.unit.deploy.template.making import a_stack, resources, statements

SECRET = "arn:aws:secretsmanager:us-east-1:123456789012:secret:key-a1b2c3"
NEED_ANY = {"ecr:GetAuthorizationToken", "cloudwatch:PutMetricData"} | {
    f"ssmmessages:{verb}{kind}Channel" for verb in ("Create", "Open") for kind in ("Control", "Data")
}
"""Actions that know no resources, by the service authorization reference."""


@pytest.fixture
def every() -> Stack:
    stack = a_stack()
    group = log_group(stack, "gateway")
    roles.execution_role(
        stack, "gateway", log_group=group, repository=roles.repository_arn("holdfast"), secrets=[SECRET]
    )
    roles.task_role(stack, "worker")
    roles.task_role(stack, "scaling", statements=[roles.publishes_metrics("Holdfast")], exec_=True)
    roles.function_role(stack, "agent", log_group=group, secrets=[SECRET], failures="arn:aws:sqs:us-east-1:1:q")
    roles.scheduler_role(
        stack, "agent", function="arn:aws:lambda:us-east-1:1:function:f", failures="arn:aws:sqs:us-east-1:1:q"
    )
    for _ in range(2):
        roles.express_role(stack)
        roles.blue_green_role(stack)
        roles.managed_instances_roles(stack)
    return stack


def test_no_action_has_a_wildcard_and_a_resource_is_one_only_where_the_action_knows_none(every: Stack) -> None:
    found = [statement for role in resources(every, "IAM::Role").values() for statement in statements(role)]
    assert found
    for statement in found:
        assert not any("*" in action for action in statement["Action"])
        if statement["Resource"] == "*":
            assert set(statement["Action"]) <= NEED_ANY


def test_an_execution_role_reads_the_secrets_of_its_task_and_no_others(every: Stack) -> None:
    role = resources(every)["GatewayExecutionRole"]
    (reads,) = [each for each in statements(role) if "secretsmanager:GetSecretValue" in each["Action"]]
    assert reads["Resource"] == [SECRET]


def test_nobody_makes_log_groups_because_those_would_never_end(every: Stack) -> None:
    actions = [a for role in resources(every, "Role").values() for s in statements(role) for a in s["Action"]]
    assert "logs:PutLogEvents" in actions
    assert "logs:CreateLogGroup" not in actions


def test_a_worker_of_a_queue_may_do_nothing_in_the_account(every: Stack) -> None:
    assert statements(resources(every)["WorkerTaskRole"]) == []


def test_metrics_are_published_into_one_namespace_only(every: Stack) -> None:
    (first, *_) = statements(resources(every)["ScalingTaskRole"])
    assert first["Condition"] == {"StringEquals": {"cloudwatch:namespace": "Holdfast"}}


@pytest.mark.parametrize("title", ["GatewayExecutionRole", "WorkerTaskRole", "AgentSchedulerRole"])
def test_a_service_must_say_that_it_comes_for_this_account(every: Stack, title: str) -> None:
    (trust,) = resources(every)[title]["Properties"]["AssumeRolePolicyDocument"]["Statement"]
    assert trust["Condition"]["StringEquals"]["aws:SourceAccount"] == {"Ref": "AWS::AccountId"}


def test_roles_that_services_share_are_made_once(every: Stack) -> None:
    assert sum("Infrastructure" in title for title in resources(every, "IAM::Role")) == 3


def test_every_policy_of_aws_that_is_attached_exists_under_that_path(every: Stack) -> None:
    attached = [
        arn["Fn::Sub"].replace("${AWS::Partition}", "aws")
        for role in resources(every, "IAM::Role").values()
        for arn in role["Properties"].get("ManagedPolicyArns", ())
    ]
    policies = json.loads(aws_managed_policies_data)
    known = {f"arn:aws:iam::aws:policy{policy['Path']}{name}" for name, policy in policies.items()}
    assert len(attached) == 4
    assert set(attached) <= known


def test_managed_instances_get_exactly_the_role_that_was_made_for_them(every: Stack) -> None:
    found: dict[str, Any] = resources(every)["ManagedInstancesInfrastructureRole"]
    (passes,) = statements(found)
    assert passes["Action"] == ["iam:PassRole"]
    assert passes["Resource"] == {"Fn::GetAtt": ["ManagedInstancesRole", "Arn"]}
