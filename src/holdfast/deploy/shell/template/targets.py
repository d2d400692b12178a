"""What both kinds of load balancer share: target groups, who is let in, and how long they wait.

A load balancer waits as long as the longest stream before it lets go of a task, and is patient with one that is
silent. Tasks let in their load balancer and nobody else.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final

from troposphere import GetAtt, Output, Ref, ec2
from troposphere import elasticloadbalancingv2 as elb

from holdfast.deploy.core.workload import Workload
from holdfast.deploy.errors import Invalid
from holdfast.deploy.shell.template.names import logical_id
from holdfast.deploy.shell.template.stack import Network, Stack
from holdfast.deploy.shell.template.tasks import Task, health_of, longest_s, said

TLS: Final = "ELBSecurityPolicy-TLS13-1-2-2021-06"
"""TLS 1.3, and 1.2 with forward secrecy: what AWS recommends for both kinds of load balancer."""
DRAIN_MOST_S: Final = 3600
"""``deregistration_delay.timeout_seconds`` ends there."""
IDLE_LEAST_S, IDLE_MOST_S = 60, 4000
"""``idle_timeout.timeout_seconds``: the default, and the most that an application load balancer takes."""
PRIVATE_RANGES: Final = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")
"""Who may come to a load balancer without a public address: RFC 1918, so peered networks and VPNs may, too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attachment:
    """A service behind a load balancer."""

    load_balancer: Any
    target_groups: tuple[Any, ...]
    """The one that is used; and the one that a new version is brought out in, where the rollout shifts traffic."""
    rule: Any
    """ARN of the listener rule (application) or listener (network) whose weights a rollout moves."""
    port: int
    network: bool
    depends_on: tuple[str, ...]
    """What the service has to wait for, unless it refers to ``rule``: ECS refuses a target group without a listener."""
    alarms: tuple[str, ...] = ()
    """Alarms that undo a rollout."""


def is_private(workload: Workload) -> bool:
    """Reached from its own network only."""
    return workload.ingress in ("private", "none")


def deregistration_s(workload: Workload) -> int:
    """How long the load balancer lets open requests go on: as long as the longest of them.

    It costs nothing where there are none: a target without open connections is let go at once.
    """
    return min(DRAIN_MOST_S, math.ceil(longest_s(workload)))


def idle_s(workload: Workload) -> int:
    """Longest silence on a connection: what is written, or else a stream that is silent throughout."""
    silence = workload.silence if workload.silence is not None else workload.longest
    return IDLE_LEAST_S if silence is None else min(IDLE_MOST_S, max(IDLE_LEAST_S, math.ceil(silence)))


def add_target_groups(
    stack: Stack, network: Network, task: Task, port: int, *, protocol: str, name: str = ""
) -> tuple[Any, ...]:
    """One, or two where the rollout shifts traffic from an old version to a new one."""
    second_way = bool(name) and name != task.name
    name, workload = name or task.name, task.workload
    kinds = ("",) if second_way or workload.rollout in (None, "rolling") else ("", "alternate")
    health_port, path = health_of(workload)
    web = {"http/1.1", "http/2", "websocket", "sse", "grpc"} & set(workload.protocols)
    asks_http = protocol == "HTTP" or (not second_way and (task.own is not None or bool(web)))
    attributes: dict[str, Any] = {"deregistration_delay.timeout_seconds": deregistration_s(workload)}
    optional: dict[str, Any] = {}
    if protocol == "HTTP":
        # The least busy task, not the next in turn: a stream may last a second or ten minutes.
        attributes["load_balancing.algorithm.type"] = "least_outstanding_requests"
        if "grpc" in workload.protocols:
            optional["ProtocolVersion"] = "GRPC"
    else:
        # What is still open after the drain is closed: its task is about to go.
        attributes["deregistration_delay.connection_termination.enabled"] = "true"
        if "client-address" in workload.needs or protocol != "TCP":
            attributes["preserve_client_ip.enabled"] = "true"
    if asks_http:
        optional |= {"HealthCheckProtocol": "HTTP", "HealthCheckPath": path}
        if optional.get("ProtocolVersion") == "GRPC":
            optional["Matcher"] = elb.Matcher(GrpcCode="0")
        else:
            optional["Matcher"] = elb.Matcher(HttpCode="200-299" if task.own is None else "200")
        if health_port is not None and health_port != port:
            optional["HealthCheckPort"] = str(health_port)
    else:
        optional["HealthCheckProtocol"] = "TCP"
        if health_port is not None and health_port != port and not second_way:
            optional["HealthCheckPort"] = str(health_port)
    figures = {"longest_s": math.ceil(longest_s(workload)), "silence_s": idle_s(workload)}
    return tuple(
        stack.template.add_resource(
            elb.TargetGroup(
                logical_id(name, kind, "targets"),
                VpcId=network.vpc,
                TargetType="ip",
                Protocol=protocol,
                Port=port,
                HealthCheckIntervalSeconds=10,
                HealthCheckTimeoutSeconds=5,
                HealthyThresholdCount=2,
                UnhealthyThresholdCount=3,
                TargetGroupAttributes=[
                    elb.TargetGroupAttribute(Key=key, Value=str(attributes[key])) for key in sorted(attributes)
                ],
                Metadata=said(**figures),
                **optional,
            )
        )
        for kind in kinds
    )


def let_in(
    stack: Stack, task: Task, group: Any, *, name: str = "", kinds: tuple[str, ...] = ("tcp",), port: int = 0
) -> None:
    """Tasks let in the load balancer, on the port of the traffic and that of the health check; and it may go there."""
    name, port = name or task.name, port or port_of_task(task)
    asked, _ = health_of(task.workload)
    wanted = [(port, kind) for kind in kinds]
    if asked is not None and (asked, "tcp") not in wanted and name == task.name:
        wanted.append((asked, "tcp"))
    for number, kind in wanted:
        suffix = f"{number}{'udp' if kind == 'udp' else ''}"
        stack.template.add_resource(
            ec2.SecurityGroupIngress(
                logical_id(name, "from", "balancer", suffix),
                GroupId=GetAtt(task.group, "GroupId"),
                SourceSecurityGroupId=GetAtt(group, "GroupId"),
                IpProtocol=kind,
                FromPort=number,
                ToPort=number,
                Description=f"{task.name} from its load balancer",
            )
        )
        stack.template.add_resource(
            ec2.SecurityGroupEgress(
                logical_id("balancer", "to", name, suffix),
                GroupId=GetAtt(group, "GroupId"),
                DestinationSecurityGroupId=GetAtt(task.group, "GroupId"),
                IpProtocol=kind,
                FromPort=number,
                ToPort=number,
                Description=f"The load balancer to {task.name}",
            )
        )


def admit(stack: Stack, title: str, group: Any, port: int, callers: tuple[str, ...], kind: str = "tcp") -> None:
    """Let ranges of addresses in on one port of a load balancer."""
    for index, callers_range in enumerate(callers):
        stack.template.add_resource(
            ec2.SecurityGroupIngress(
                f"{title}Ingress" + (str(index + 1) if len(callers) > 1 else ""),
                GroupId=GetAtt(group, "GroupId"),
                CidrIp=callers_range,
                IpProtocol=kind,
                FromPort=port,
                ToPort=port,
                Description=f"Clients on {port}",
            )
        )


def port_of_task(task: Task) -> int:
    """That a load balancer forwards to. Raises :class:`Invalid` where there is none."""
    if task.port is None:
        raise Invalid(f"{task.name}: a load balancer is to reach it, but nothing says on which port; give port")
    return task.port


def tell(stack: Stack, balancer: Any, about: str) -> None:
    """Outputs: an alias record needs name and zone, a check the rest."""
    for output, value, what in (
        ("Dns", GetAtt(balancer, "DNSName"), "Name, for weighted aliases, of the"),
        ("Zone", GetAtt(balancer, "CanonicalHostedZoneID"), "Hosted zone of the name of the"),
        ("Arn", Ref(balancer), "ARN of the"),
    ):
        stack.template.add_output(Output(f"{balancer.title}{output}", Value=value, Description=f"{what} {about}"))


def nowhere() -> Any:
    """A rule of a group that leads nowhere: without any AWS adds one that leads everywhere.

    What a load balancer may call is added with each service.
    """
    return ec2.SecurityGroupRule(IpProtocol="-1", CidrIp="127.0.0.1/32", Description="Nowhere else")


def attributes(values: dict[str, Any]) -> list[Any]:
    """Of a load balancer, sorted."""
    return [elb.LoadBalancerAttributes(Key=key, Value=str(values[key])) for key in sorted(values)]
