"""How services find each other inside the network: a private zone with an address for every task.

Cloud Map rather than Service Connect: who calls most is a balancer, which asks the name (``discovery: {dns: ...}``) and
judges every task by itself. A proxy beside each task would hide them behind one address, retry on its own account, and
cost 256 CPU units a task.
"""

from __future__ import annotations

from typing import Any, Final

from troposphere import GetAtt, Output, Ref, ec2, servicediscovery

from holdfast.deploy.shell.template.names import logical_id
from holdfast.deploy.shell.template.services import shifts_traffic
from holdfast.deploy.shell.template.stack import Network, Stack
from holdfast.deploy.shell.template.tasks import Task

TTL_S: Final = 10
"""Of an address. A task that went is asked for so long; the balancer's health checks are faster."""


def add_registry(stack: Stack, network: Network, task: Task) -> Any | None:
    """A name for one service, ``gateway.holdfast.internal``, if others look for it.

    ``None`` for what has no port, what nobody asked to be found, and what shifts traffic in a rollout: ECS takes no
    registry there, and others go through its load balancer.
    """
    wanted = task.own is not None or "service-discovery" in task.workload.needs
    if task.port is None or not wanted or shifts_traffic(task.workload):
        return None
    zone = f"{stack.plan.settings.template.name}.internal"
    if "Names" not in stack.template.resources:
        stack.template.add_resource(
            servicediscovery.PrivateDnsNamespace(
                "Names", Name=zone, Vpc=network.vpc, Description=f"Services of {stack.name}"
            )
        )
        stack.template.add_output(Output("PrivateZone", Value=zone, Description="Names of services inside the VPC"))
    return stack.template.add_resource(
        servicediscovery.Service(
            logical_id(task.name, "registry"),
            Name=task.name,
            NamespaceId=Ref("Names"),
            DnsConfig=servicediscovery.DnsConfig(
                RoutingPolicy="MULTIVALUE", DnsRecords=[servicediscovery.DnsRecord(Type="A", TTL=str(TTL_S))]
            ),
            # ECS says what is healthy; without this an address would stay until the record is taken out.
            HealthCheckCustomConfig=servicediscovery.HealthCheckCustomConfig(),
        )
    )


def connect(stack: Stack, tasks: dict[str, Task]) -> None:
    """Let services in where one calls another, and nobody else. ``tasks`` by the name of our own service."""
    for caller, task in tasks.items():
        if task.own is None:
            continue
        for called in task.own.calls:
            other = tasks.get(called)
            if other is None or other.port is None or called == caller:
                continue
            stack.template.add_resource(
                ec2.SecurityGroupIngress(
                    logical_id(task.name, "calls", other.name),
                    GroupId=GetAtt(other.group, "GroupId"),
                    SourceSecurityGroupId=GetAtt(task.group, "GroupId"),
                    IpProtocol="tcp",
                    FromPort=other.port,
                    ToPort=other.port,
                    Description=f"{other.name} from {task.name}",
                )
            )
