"""What stands behind a resource: its task, its service, and how long its work takes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, Literal

from holdfast.deploy.core.plan import Placement
from holdfast.deploy.core.rules.resolve import Resolved, Resource, list_of, mapping_of, number_of
from holdfast.deploy.core.rules.violation import Subject

SERVICE: Final = "AWS::ECS::Service"
TASK: Final = "AWS::ECS::TaskDefinition"
EXPRESS: Final = "AWS::ECS::ExpressGatewayService"
BALANCER: Final = "AWS::ElasticLoadBalancingV2::LoadBalancer"
LISTENER: Final = "AWS::ElasticLoadBalancingV2::Listener"
LISTENER_RULE: Final = "AWS::ElasticLoadBalancingV2::ListenerRule"
TARGETS: Final = "AWS::ElasticLoadBalancingV2::TargetGroup"
SCALABLE: Final = "AWS::ApplicationAutoScaling::ScalableTarget"
POLICY: Final = "AWS::ApplicationAutoScaling::ScalingPolicy"
GROUP: Final = "AWS::EC2::SecurityGroup"

_FARGATE: Final = frozenset({"FARGATE", "FARGATE_SPOT"})


def containers(task: Resource) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Containers of a task with their place in it."""
    for number, container in enumerate(list_of(task.at("ContainerDefinitions"))):
        if isinstance(container, Mapping):
            yield number, container


def task_of(template: Resolved, service: Resource) -> Resource | None:
    """The task that a service runs, if the template has it."""
    return template.target(service.at("TaskDefinition"), TASK)


def services_of(template: Resolved, task: Resource) -> tuple[Resource, ...]:
    """Services that run a task."""
    return tuple(service for service in template.of(SERVICE) if task_of(template, service) == task)


def providers(template: Resolved, service: Resource) -> dict[str, float]:
    """Share of each capacity provider: by the service's own strategy, its launch type, or its cluster's default."""
    strategy = service.at("CapacityProviderStrategy")
    if not strategy and service.at("LaunchType") is None:
        cluster = template.target(service.at("Cluster"), "AWS::ECS::Cluster")
        strategy = cluster.at("DefaultCapacityProviderStrategy") if cluster is not None else None
    if not strategy:
        return {str(service.at("LaunchType") or "EC2"): 1.0}
    return {
        str(one.get("CapacityProvider")): (number_of(one.get("Weight")) or 0.0) + (number_of(one.get("Base")) or 0.0)
        for one in list_of(strategy)
        if isinstance(one, Mapping)
    }


def on_fargate(template: Resolved, task: Resource) -> bool:
    """Whether a task is made for Fargate, or a service puts it there."""
    if "FARGATE" in list_of(task.at("RequiresCompatibilities")):
        return True
    return any(_FARGATE & providers(template, service).keys() for service in services_of(template, task))


def is_service_on_fargate(template: Resolved, service: Resource) -> bool:
    """Whether a service runs there."""
    return bool(_FARGATE & providers(template, service).keys())


def target_groups(template: Resolved, service: Resource) -> Iterator[tuple[Mapping[str, Any], Resource | None]]:
    """Entries of ``LoadBalancers`` with the target group that they name."""
    for entry in list_of(service.at("LoadBalancers")):
        if isinstance(entry, Mapping):
            yield entry, template.target(entry.get("TargetGroupArn"), TARGETS)


def users_of(template: Resolved, targets: Resource) -> tuple[Resource, ...]:
    """Services whose tasks a target group sends to."""
    return tuple(
        service
        for service in template.of(SERVICE)
        if any(found == targets for _, found in target_groups(template, service))
    )


def forwards(template: Resolved, listener: Resource) -> Iterator[Resource]:
    """Target groups that a listener or one of its rules sends to."""
    rules = [one for one in template.of(LISTENER_RULE) if template.target(one.at("ListenerArn"), LISTENER) == listener]
    for owner, key in ((listener, "DefaultActions"), *((one, "Actions") for one in rules)):
        for action in list_of(owner.at(key)):
            named = [mapping_of(action).get("TargetGroupArn")]
            forward = mapping_of(mapping_of(action).get("ForwardConfig"))
            named += [mapping_of(one).get("TargetGroupArn") for one in list_of(forward.get("TargetGroups"))]
            for one in named:
                if one is not None and (found := template.target(one, TARGETS)) is not None:
                    yield found


def listeners_of(template: Resolved, targets: Resource) -> tuple[Resource, ...]:
    """Listeners that send to a target group."""
    return tuple(one for one in template.of(LISTENER) if targets in tuple(forwards(template, one)))


def balancers_of(template: Resolved, targets: Resource) -> tuple[Resource, ...]:
    """Load balancers in front of a target group."""
    found = (template.target(one.at("LoadBalancerArn"), BALANCER) for one in listeners_of(template, targets))
    return tuple(dict.fromkeys(one for one in found if one is not None))


def attribute(resource: Resource, key: str, name: str) -> tuple[int, float | str] | None:
    """An entry of a list of ``Key`` and ``Value``, with its place; ``None`` where it is not set."""
    for number, entry in enumerate(list_of(resource.at(key))):
        if mapping_of(entry).get("Key") == name:
            value = mapping_of(entry).get("Value")
            known = number_of(value)
            return number, known if known is not None else str(value)
    return None


def is_network(balancer: Resource) -> bool:
    """Whether it is a network load balancer."""
    return bool(balancer.at("Type") == "network")


def scaling_of(template: Resolved, service: Resource) -> Resource | None:
    """The scalable target of a service."""
    for scalable in template.of(SCALABLE):
        if template.target(scalable.at("ResourceId"), SERVICE, EXPRESS) == service:
            return scalable
    return None


def tasks_range(template: Resolved, service: Resource) -> tuple[float | None, float | None]:
    """Least and most tasks of a service: of its scaling, else what it wants. ECS begins with one where nothing says."""
    scalable = scaling_of(template, service)
    if scalable is not None:
        return number_of(scalable.at("MinCapacity")), number_of(scalable.at("MaxCapacity"))
    wanted = service.at("DesiredCount")
    count = 1.0 if wanted is None else number_of(wanted)
    return count, count


def placement_of(subject: Subject, *resources: Resource) -> Placement | None:
    """The workload of the plan that a resource was made for, by its name: ``GatewayTargets`` for ``gateway``."""
    if subject.plan is None:
        return None
    found: list[tuple[int, Placement]] = []
    for placement in subject.plan.placements:
        name = re.sub(r"[^a-z0-9]", "", placement.name.lower())
        if name and any(resource.id.lower().startswith(name) for resource in resources):
            found.append((len(name), placement))
    return max(found, key=lambda pair: pair[0])[1] if found else None


def seconds(subject: Subject, what: Literal["longest", "silence", "drain"], resources: Sequence[Resource]) -> float:
    """How long the work behind some resources takes: what they say themselves, else what the plan says; 0: not known.

    A template says it in ``Metadata: {holdfast: {longest_s: 600, silence_s: 60, drain_s: 120}}``.
    """
    said = [number for one in resources if (number := number_of(one.about(f"{what}_s"))) is not None]
    if said:
        return max(said)
    placement = placement_of(subject, *resources)
    planned = getattr(placement.workload, what) if placement is not None else None
    return float(planned or 0.0)


def amount(seconds: float) -> str:
    """``600 s``."""
    return f"{seconds:g} s"
