"""ECS Express Mode: one resource, from which ECS makes load balancer, certificate, target groups, scaling and rollout.

What it takes is what it lets a team set; anything else (drain, thresholds, protocols) is a reason not to be placed
here, and the planner has weighed it before. The task definition is ours, with the same confinement, sidecars and
architecture as everywhere else: the container that Express makes of an image alone may write its own file system, and
in CloudFormation there is no architecture to it.
"""

from __future__ import annotations

from typing import Any, Final

from troposphere import GetAtt, Output, Ref, ecs

from holdfast.deploy.core.plan import Placement
from holdfast.deploy.errors import Invalid
from holdfast.deploy.shell.template import alarms, roles
from holdfast.deploy.shell.template.cluster import Cluster
from holdfast.deploy.shell.template.database import Database
from holdfast.deploy.shell.template.names import logical_id
from holdfast.deploy.shell.template.network import add_endpoints
from holdfast.deploy.shell.template.scaling import UTILISATION, requests_per_minute
from holdfast.deploy.shell.template.stack import Network, Stack
from holdfast.deploy.shell.template.targets import is_private
from holdfast.deploy.shell.template.tasks import add_task, health_of, port_of

METRICS: Final = {"memory": "AVERAGE_MEMORY", "requests": "REQUEST_COUNT_PER_TARGET", "concurrency": "AVERAGE_CPU"}
"""What it scales by, for our names; everything else is the processor."""


def add_express(
    stack: Stack, network: Network, cluster: Cluster, placement: Placement, database: Database | None
) -> Any:
    """The service; private subnets make its load balancer a private one. Raises :class:`Invalid` without a port."""
    workload, name = placement.workload, placement.name
    if port_of(workload) is None:
        raise Invalid(f"{name}: ECS Express Mode is for what answers requests; give it a port, or place it elsewhere")
    task = add_task(stack, network, placement, database)
    private = is_private(workload)
    if private and network.tasks_public:
        add_endpoints(stack, network)
    _, path = health_of(workload)
    signal = METRICS.get(workload.scale.signal or "cpu", "AVERAGE_CPU")
    target = requests_per_minute(workload) if signal == "REQUEST_COUNT_PER_TARGET" else int(UTILISATION)
    service = stack.template.add_resource(
        ecs.ExpressGatewayService(
            logical_id(name, "service"),
            Cluster=Ref(cluster.resource),
            InfrastructureRoleArn=GetAtt(roles.express_role(stack), "Arn"),
            TaskDefinitionArn=Ref(task.definition),
            HealthCheckPath=path,
            ScalingTarget=ecs.ExpressGatewayScalingTarget(
                AutoScalingMetric=signal,
                AutoScalingTargetValue=target,
                # It never goes to zero.
                MinTaskCount=max(1, workload.scale.min),
                MaxTaskCount=max(1, workload.scale.max),
            ),
            NetworkConfiguration=ecs.ExpressGatewayServiceNetworkConfiguration(
                SecurityGroups=[GetAtt(task.group, "GroupId")],
                Subnets=list(network.private_subnets if private else network.public_subnets),
            ),
            DependsOn=sorted({cluster.attached.title, *network.ready}),
        )
    )
    alarms.express_alarms(stack, name, cluster=Ref(cluster.resource), service=service, least=workload.scale.min)
    for output, attribute, about in (
        ("ServiceArn", "ServiceArn", "Express service of"),
        ("Endpoint", "Endpoint", "Name under which ECS serves"),
        ("BalancerArn", "ECSManagedResourceArns.IngressPath.LoadBalancerArn", "Load balancer that ECS made for"),
    ):
        stack.template.add_output(
            Output(logical_id(name, output), Value=GetAtt(service, attribute), Description=f"{about} {name}")
        )
    return service
