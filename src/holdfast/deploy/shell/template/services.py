"""ECS services: how many tasks, where, how a new version comes out, and when it goes back in.

A bad version must not need a person. One that does not start is undone by the circuit breaker; where traffic is
shifted, one that starts and then fails its clients is undone by alarms, before it has all of them.
"""

from __future__ import annotations

import math
from typing import Any, Final

from troposphere import GetAtt, Output, Ref, ecs

from holdfast.deploy.core.workload import Workload
from holdfast.deploy.shell.template import alarms, roles
from holdfast.deploy.shell.template.cluster import Cluster
from holdfast.deploy.shell.template.names import logical_id
from holdfast.deploy.shell.template.stack import Network, Stack
from holdfast.deploy.shell.template.targets import Attachment
from holdfast.deploy.shell.template.tasks import ON_FARGATE, Task, drain_s, said

GRACE_LEAST_S: Final = 60
"""Health checks do not count for so long after a start: tens of seconds for image and process, and two checks."""
CANARY_PERCENT: Final = 5.0
LINEAR_PERCENT: Final = 20.0
BAKE_MIN: Final = 5
"""Minutes at each share. An alarm needs two bad minutes of three, so less would see nothing."""


def add_service(
    stack: Stack,
    network: Network,
    cluster: Cluster,
    task: Task,
    attachments: tuple[Attachment, ...],
    registry: Any | None = None,
) -> Any:
    """The service of one task definition. It waits for listeners, which must know its target groups first."""
    workload, compute = task.workload, task.placement.candidate.compute
    optional: dict[str, Any] = {}
    if attachments:
        optional |= {
            "LoadBalancers": [_load_balancer(stack, task, attachment) for attachment in attachments],
            "HealthCheckGracePeriodSeconds": grace_s(workload),
        }
    if registry is not None:
        optional["ServiceRegistries"] = [ecs.ServiceRegistry(RegistryArn=GetAtt(registry, "Arn"))]
    if not is_scaled(workload):
        optional["DesiredCount"] = workload.scale.min
    public = network.tasks_public and compute in ON_FARGATE
    service = stack.template.add_resource(
        ecs.Service(
            logical_id(task.name, "service"),
            Metadata=said(drain_s=math.ceil(drain_s(workload))),
            Cluster=Ref(cluster.resource),
            TaskDefinition=Ref(task.definition),
            CapacityProviderStrategy=cluster.strategy(compute),
            DeploymentConfiguration=_deployment(workload, attachments),
            AvailabilityZoneRebalancing="ENABLED",
            EnableECSManagedTags=True,
            PropagateTags="SERVICE",
            EnableExecuteCommand="exec" in workload.needs,
            NetworkConfiguration=ecs.NetworkConfiguration(
                AwsvpcConfiguration=ecs.AwsvpcConfiguration(
                    AssignPublicIp="ENABLED" if public else "DISABLED",
                    SecurityGroups=[GetAtt(task.group, "GroupId")],
                    Subnets=list(network.public_subnets if public else network.private_subnets),
                )
            ),
            DependsOn=sorted(
                {
                    cluster.attached.title,
                    *network.ready,
                    *(title for attachment in attachments for title in attachment.depends_on),
                }
            ),
            **optional,
        )
    )
    name = GetAtt(service, "Name")
    least = 0 if workload.scale.to_zero else workload.scale.min
    alarms.task_alarms(stack, task.name, cluster=Ref(cluster.resource), service=name, least=least)
    stack.template.add_output(
        Output(logical_id(task.name, "service", "name"), Value=name, Description=f"ECS service of {task.name}")
    )
    for attachment in attachments:
        for target in attachment.target_groups:
            stack.template.add_output(
                Output(f"{target.title}Arn", Value=Ref(target), Description=f"Target group of {task.name}")
            )
    return service


def grace_s(workload: Workload) -> int:
    """Time that a task has to get well: twice what a start may take, at least a minute."""
    return GRACE_LEAST_S if workload.start is None else max(GRACE_LEAST_S, math.ceil(2 * workload.start))


def is_scaled(workload: Workload) -> bool:
    """Whether the number of tasks is somebody else's to set: a count in the template would undo it at each update."""
    return workload.scale.to_zero or workload.scale.max > workload.scale.min


def shifts_traffic(workload: Workload) -> bool:
    """Whether a new version gets its traffic by weight, beside the old one."""
    return workload.rollout in ("canary", "linear", "blue-green")


def _load_balancer(stack: Stack, task: Task, attachment: Attachment) -> Any:
    optional: dict[str, Any] = {}
    if len(attachment.target_groups) > 1:
        optional["AdvancedConfiguration"] = ecs.AdvancedConfiguration(
            AlternateTargetGroupArn=Ref(attachment.target_groups[1]),
            ProductionListenerRule=attachment.rule,
            RoleArn=GetAtt(roles.blue_green_role(stack), "Arn"),
        )
    return ecs.LoadBalancer(
        ContainerName=task.container,
        ContainerPort=attachment.port,
        TargetGroupArn=Ref(attachment.target_groups[0]),
        **optional,
    )


def _deployment(workload: Workload, attachments: tuple[Attachment, ...]) -> Any:
    always = {
        # All of the old version stays until the new one is well, also with a single task.
        "MinimumHealthyPercent": 100,
        "MaximumPercent": 200,
        # The API reference still says that it is for rolling updates only; the developer guide ("Deployment failure
        # detection") has it for blue/green, too. Where it is not heeded the alarms are there.
        "DeploymentCircuitBreaker": ecs.DeploymentCircuitBreaker(Enable=True, Rollback=True),
    }
    if not shifts_traffic(workload) or not any(len(attachment.target_groups) > 1 for attachment in attachments):
        return ecs.DeploymentConfiguration(**always)
    strategy: dict[str, Any] = {"BakeTimeInMinutes": BAKE_MIN}
    if workload.rollout == "canary":
        strategy["CanaryConfiguration"] = ecs.CanaryConfiguration(
            CanaryPercent=CANARY_PERCENT, CanaryBakeTimeInMinutes=BAKE_MIN
        )
    elif workload.rollout == "linear":
        strategy["LinearConfiguration"] = ecs.LinearConfiguration(
            StepPercent=LINEAR_PERCENT, StepBakeTimeInMinutes=BAKE_MIN
        )
    watched = sorted({name for attachment in attachments for name in attachment.alarms})
    return ecs.DeploymentConfiguration(
        Strategy=(workload.rollout or "rolling").upper().replace("-", "_"),
        Alarms=ecs.DeploymentAlarms(AlarmNames=[Ref(name) for name in watched], Enable=True, Rollback=True),
        **always,
        **strategy,
    )
