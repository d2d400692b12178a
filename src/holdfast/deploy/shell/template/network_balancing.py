"""Network load balancers: one for each service that needs packets instead of requests, or TLS that passes through."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from troposphere import GetAtt, Ref, ec2
from troposphere import elasticloadbalancingv2 as elb

from holdfast.deploy.shell.template import alarms
from holdfast.deploy.shell.template.balancing import certificate
from holdfast.deploy.shell.template.names import logical_id
from holdfast.deploy.shell.template.stack import Network, Stack
from holdfast.deploy.shell.template.targets import (
    PRIVATE_RANGES,
    TLS,
    Attachment,
    add_target_groups,
    admit,
    attributes,
    is_private,
    let_in,
    nowhere,
    port_of_task,
    tell,
)
from holdfast.deploy.shell.template.tasks import Task

TCP_IDLE_LEAST_S, TCP_IDLE_MOST_S = 350, 6000
"""``tcp.idle_timeout.seconds`` of a network load balancer's TCP listener: the default, and the most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkBalancer:
    """A network load balancer of one service."""

    resource: Any
    group: Any
    private: bool


def add_network_balancer(stack: Stack, network: Network, task: Task) -> NetworkBalancer:
    """Make the one of a service, with outputs that a cut-over needs."""
    private = is_private(task.workload)
    group = stack.template.add_resource(
        ec2.SecurityGroup(
            logical_id(task.name, "balancer", "group"),
            GroupDescription=f"Network load balancer of {task.name}",
            VpcId=network.vpc,
            SecurityGroupEgress=[nowhere()],
        )
    )
    balancer = stack.template.add_resource(
        elb.LoadBalancer(
            logical_id(task.name, "network", "balancer"),
            Type="network",
            Scheme="internal" if private else "internet-facing",
            Subnets=list(network.private_subnets if private else network.public_subnets),
            SecurityGroups=[GetAtt(group, "GroupId")],
            DependsOn=list(network.ready),
            # One zone's node may use the tasks of all: with few tasks a zone without one would answer nobody.
            LoadBalancerAttributes=attributes({"load_balancing.cross_zone.enabled": "true"}),
        )
    )
    tell(stack, balancer, f"network load balancer of {task.name}")
    return NetworkBalancer(resource=balancer, group=group, private=private)


def attach_network(
    stack: Stack, network: Network, balancer: NetworkBalancer, task: Task, *, agents: bool = False
) -> Attachment:
    """Put a port of a service behind its network load balancer: the port of its clients, or that of its agents.

    TLS ends at the load balancer if there is a domain and the workload does not end it itself (``tls-passthrough``).
    The TLS of agents always passes through: the service has to see their certificates.
    """
    own, workload = task.own, task.workload
    name = f"{task.name}-agents" if agents else task.name
    port = own.agents_port if agents and own is not None and own.agents_port is not None else port_of_task(task)
    # What needs passthrough on one port may have it there and be without TLS of its own on the other.
    through = agents or ("tls-passthrough" in workload.needs and (own is None or own.agents_port is None))
    datagrams = "udp" in workload.protocols and not agents
    protocol = ("TCP_UDP" if len(workload.protocols) > 1 else "UDP") if datagrams else "TCP"
    ends_tls = bool(stack.plan.settings.template.domain) and not (balancer.private or through or datagrams)
    public = 443 if ends_tls else port
    kinds = ("tcp", "udp") if protocol == "TCP_UDP" else ("udp",) if protocol == "UDP" else ("tcp",)
    callers = PRIVATE_RANGES if balancer.private else ("0.0.0.0/0",)
    for kind in kinds:
        title = logical_id(name, "balancer", f"{public}{'' if kind == 'tcp' else kind}")
        admit(stack, title, balancer.group, public, callers, kind)
    groups = add_target_groups(stack, network, task, port, protocol=protocol, name=name)
    optional: dict[str, Any] = {}
    if ends_tls:
        optional |= {"SslPolicy": TLS, "Certificates": [elb.Certificate(CertificateArn=certificate(stack))]}
    elif protocol == "TCP":
        wished = math.ceil(workload.silence) if workload.silence is not None else 0
        wait = min(TCP_IDLE_MOST_S, max(TCP_IDLE_LEAST_S, wished))
        optional["ListenerAttributes"] = [elb.ListenerAttribute(Key="tcp.idle_timeout.seconds", Value=str(wait))]
    listener = stack.template.add_resource(
        elb.Listener(
            logical_id(name, "listener"),
            LoadBalancerArn=Ref(balancer.resource),
            Protocol="TLS" if ends_tls else protocol,
            Port=public,
            DefaultActions=[elb.Action(Type="forward", TargetGroupArn=Ref(groups[0]))],
            **optional,
        )
    )
    let_in(stack, task, balancer.group, name=name, kinds=kinds, port=port)
    full = GetAtt(balancer.resource, "LoadBalancerFullName")
    watched = []
    for kind, target in zip(("", "-alternate"), groups, strict=False):
        watched.append(logical_id(f"{name}{kind}", "unhealthy", "alarm"))
        alarms.network_load_balancer_alarms(
            stack, f"{name}{kind}", load_balancer=full, target_group=GetAtt(target, "TargetGroupFullName")
        )
    return Attachment(
        load_balancer=Ref(balancer.resource),
        target_groups=groups,
        rule=Ref(listener),
        port=port,
        network=True,
        depends_on=() if len(groups) > 1 else (listener.title,),
        alarms=tuple(watched),
    )
