"""From a plan to templates: one stack per region, with what the placements of that region need and nothing more.

The same plan makes the same bytes: resources are added in the order of the plan and written sorted by name, and nothing
asks the clock, chance or the machine. Logical ids come from the names in the file (``GatewayService``), because a
changed id is a replaced resource.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from troposphere import Output, Ref, Tags, Template

from holdfast.deploy.core.plan import Placement, Plan
from holdfast.deploy.errors import Invalid
from holdfast.deploy.shell.template import alarms, balancing, database
from holdfast.deploy.shell.template.agents import agent_stacks
from holdfast.deploy.shell.template.budget import add_budget
from holdfast.deploy.shell.template.cluster import Cluster, add_cluster
from holdfast.deploy.shell.template.discovery import add_registry, connect
from holdfast.deploy.shell.template.express import add_express
from holdfast.deploy.shell.template.network import add_network
from holdfast.deploy.shell.template.network_balancing import add_network_balancer, attach_network
from holdfast.deploy.shell.template.scaling import add_scaling
from holdfast.deploy.shell.template.services import add_service
from holdfast.deploy.shell.template.site import site_stack
from holdfast.deploy.shell.template.stack import Network, Stack
from holdfast.deploy.shell.template.targets import is_private
from holdfast.deploy.shell.template.tasks import Task, add_task, own_of

ON_ECS: Final = frozenset({"ecs-express", "ecs-fargate", "ecs-fargate-spot", "ecs-managed-instances", "ecs-ec2"})
SITES: Final = frozenset({"s3-cloudfront"})
AGENT: Final = "agent"
"""Our service that stands in stacks of its own, far from the others; only it is put on Lambda (a function of somebody
else's is an archive that we do not know)."""


def build(plan: Plan) -> tuple[Stack, ...]:
    """The stacks of a plan, in the order in which they are deployed.

    Placements that no template is made for (:func:`left_out`) are not among them. Raises
    :class:`~holdfast.deploy.errors.Invalid` if none is left, and for settings that AWS would refuse.
    """
    if plan.placements and not any(is_emitted(placement) for placement in plan.placements):
        raise Invalid("; ".join(left_out(plan)))
    regions: dict[str, list[Placement]] = {}
    for placement in plan.placements:
        if placement.candidate.compute in ON_ECS and placement.workload.service != AGENT:
            for region in placement.regions:
                regions.setdefault(region, []).append(placement)
    home = plan.settings.region
    stacks = [
        _region(plan, region, placements)
        for region, placements in sorted(regions.items(), key=lambda item: (item[0] != home, item[0]))
    ]
    for placement in plan.placements:
        if placement.workload.service == AGENT:
            stacks += agent_stacks(plan, placement)
    stacks += [site_stack(plan, placement) for placement in plan.placements if placement.candidate.compute in SITES]
    stacks += _budget(plan)
    for stack in stacks:
        tag(stack)
    return tuple(stacks)


def left_out(plan: Plan) -> tuple[str, ...]:
    """What has no template, each in a sentence with the remedy: said to whoever asks for the templates."""
    known = ", ".join(sorted(ON_ECS | SITES))
    return tuple(
        f"{placement.name} is placed on {placement.candidate.id}, for which no template is made; deploy it by hand, or "
        f"keep it to what there is one for with `only` (on {known}, and lambda for agents)"
        for placement in plan.placements
        if not is_emitted(placement)
    )


def is_emitted(placement: Placement) -> bool:
    """Whether a template is made for a placement."""
    compute = placement.candidate.compute
    return compute in ON_ECS | SITES or (compute == "lambda" and placement.workload.service == AGENT)


def render(stack: Stack) -> str:
    """The template as JSON with sorted keys: readable in a review, and the same bytes for the same plan."""
    return json.dumps(stack.template.to_dict(), indent=1, sort_keys=True) + "\n"


def write(stacks: Iterable[Stack], directory: Path) -> tuple[Path, ...]:
    """Write ``NAME.json`` for each stack; a file is either the old one or the whole new one. Raises ``OSError``."""
    directory.mkdir(parents=True, exist_ok=True)
    return tuple(_replace(directory / f"{stack.name}.json", render(stack)) for stack in stacks)


def _replace(path: Path, text: str) -> Path:
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    return path


def _budget(plan: Plan) -> tuple[Stack, ...]:
    """Of the whole account, in a stack of its own: most regions do not know the resource type."""
    settings = plan.settings.template
    if settings.monthly_budget is None:
        return ()
    about = f"{settings.name}: a budget of {settings.monthly_budget:g} USD a month"
    stack = Stack(
        name=f"{settings.name}-budget",
        region="us-east-1",
        summary=about,
        template=Template(Description=about),
        plan=plan,
    )
    stack.template.set_version("2010-09-09")
    add_budget(stack)
    return (stack,)


def _region(plan: Plan, region: str, placements: list[Placement]) -> Stack:
    settings = plan.settings.template
    name = settings.name if region == plan.settings.region else f"{settings.name}-{region}"
    names = ", ".join(placement.name for placement in placements)
    summary = f"{settings.name} in {region}: {names}"
    stack = Stack(name=name, region=region, summary=summary, template=Template(Description=summary[:1024]), plan=plan)
    stack.template.set_version("2010-09-09")
    stack.template.set_metadata({"Holdfast": {"Region": region, "Workloads": _described(placements)}})
    network = add_network(
        stack, instances=any(p.candidate.compute in ("ecs-managed-instances", "ecs-ec2") for p in placements)
    )
    records = None
    if any(own is not None and own.store for own in (own_of(placement.workload) for placement in placements)):
        records = database.add_database(stack, network)
        alarms.database_alarms(stack, records)
    cluster = add_cluster(stack, network, placements)
    stack.template.add_output(Output("ClusterName", Value=Ref(cluster.resource), Description="ECS cluster"))
    stack.template.add_output(Output("VpcId", Value=network.vpc, Description="VPC"))
    _services(stack, network, cluster, placements, records)
    return stack


def tag(stack: Stack) -> None:
    """Say on everything that can say it whose it is: for the bill, and for who finds it in a year.

    CloudFormation passes tags of a stack on as well, but not every resource takes them from there, and a template that
    somebody else deploys has none.
    """
    names = {"Project": stack.plan.settings.template.name, "Template": "holdfast-deploy"}
    for resource in stack.template.resources.values():
        if resource.resource_type == "AWS::AutoScaling::AutoScalingGroup":
            continue  # its tags are of another shape, and ECS gives its machines their own
        # troposphere keeps that check once for each service, all under one name.
        kind = resource.props.get("Tags", (None,))[0]
        if kind is Tags or getattr(kind, "__name__", "") == "validate_tags_or_list":
            resource.Tags = resource.properties.get("Tags", Tags()) + Tags(**names)


def _described(placements: list[Placement]) -> Mapping[str, Any]:
    return {placement.name: placement.candidate.id for placement in placements}


def _services(
    stack: Stack,
    network: Network,
    cluster: Cluster,
    placements: list[Placement],
    records: database.Database | None,
) -> None:
    balancers = {}
    for private in (False, True):
        behind = [
            placement
            for placement in placements
            if placement.candidate.ingress == "alb" and is_private(placement.workload) is private
        ]
        if behind:
            balancers[private] = (balancing.add_balancer(stack, network, behind, private=private), _front(behind))
    ours: dict[str, Task] = {}
    queue = _queue(placements)
    watched = any(placement.workload.service == AGENT for placement in stack.plan.placements)
    for placement in placements:
        if placement.candidate.compute == "ecs-express":
            add_express(stack, network, cluster, placement, records)
            continue
        task = add_task(stack, network, placement, records)
        if placement.workload.service:
            ours[placement.workload.service] = task
        attachments = []
        if placement.candidate.ingress == "alb":
            balancer, front = balancers[is_private(placement.workload)]
            attachments.append(balancing.attach(stack, network, balancer, task, front=placement.name == front))
        agents = watched and task.own is not None and task.own.agents_port is not None
        if placement.candidate.ingress == "nlb" or agents:
            passes = add_network_balancer(stack, network, task)
            if placement.candidate.ingress == "nlb":
                attachments.append(attach_network(stack, network, passes, task))
            if agents:
                attachments.append(attach_network(stack, network, passes, task, agents=True))
        registry = add_registry(stack, network, task)
        service = add_service(stack, network, cluster, task, tuple(attachments), registry)
        add_scaling(stack, cluster, task, service, tuple(attachments), queue=queue or placement.name)
    connect(stack, ours)


def _front(placements: list[Placement]) -> str:
    """Which of them answers for the domain itself: the balancer, or else the first of the file."""
    return next((p.name for p in placements if p.workload.service == "balancer"), placements[0].name)


def _queue(placements: list[Placement]) -> str | None:
    """Whose backlog workers follow: the execution API's, if it is placed here."""
    return next((p.name for p in placements if p.workload.service == "execution-api"), None)
