"""A stack to add to, and its template as what CloudFormation would read."""

from __future__ import annotations

import json
from typing import Any

from troposphere import Template

from holdfast.deploy.core.answer import Answer
from holdfast.deploy.core.candidates import BY_ID
from holdfast.deploy.core.plan import Placement, Plan
from holdfast.deploy.core.workload import DeploySettings, TemplateSettings, Workload
from holdfast.deploy.shell.template.stack import Network, Stack

NETWORK = Network(
    vpc="vpc-12345678",
    public_subnets=("subnet-11111111", "subnet-22222222"),
    private_subnets=("subnet-33333333", "subnet-44444444"),
    tasks_public=True,
)


def a_plan(**template: Any) -> Plan:
    return Plan(settings=DeploySettings(template=TemplateSettings(**template)), placements=(), unplaced=())


def a_stack(**template: Any) -> Stack:
    plan = a_plan(**template)
    return Stack(name="holdfast", region="us-east-1", summary="", template=Template(), plan=plan)


def placed(name: str, candidate: str, *regions: str, **needs: Any) -> Placement:
    answer = Answer(workload=name, region="us-east-1", chosen=None, weighed=(), decisive=())
    regions = regions or ("us-east-1",)
    return Placement(name=name, workload=Workload(**needs), candidate=BY_ID[candidate], regions=regions, answer=answer)


def written(stack: Stack) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(stack.template.to_json())
    return found


def resources(stack: Stack, kind: str = "") -> dict[str, Any]:
    return {title: each for title, each in written(stack)["Resources"].items() if each["Type"].endswith(kind)}


def statements(role: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        statement
        for policy in role["Properties"].get("Policies", ())
        for statement in policy["PolicyDocument"]["Statement"]
    ]
