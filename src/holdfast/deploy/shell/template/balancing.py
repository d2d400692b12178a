"""Load balancers: one application load balancer for what the internet reaches, one for what only the network does.

Services share them and are told apart by name (``pulse.example.com``), or by port where there is no domain.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from troposphere import GetAtt, Ref, certificatemanager, ec2
from troposphere import elasticloadbalancingv2 as elb

from holdfast.deploy.core.plan import Placement
from holdfast.deploy.errors import Invalid
from holdfast.deploy.shell.template import alarms
from holdfast.deploy.shell.template.names import logical_id
from holdfast.deploy.shell.template.stack import Network, Stack
from holdfast.deploy.shell.template.targets import (
    PRIVATE_RANGES,
    TLS,
    Attachment,
    add_target_groups,
    admit,
    attributes,
    idle_s,
    let_in,
    nowhere,
    port_of_task,
    tell,
)
from holdfast.deploy.shell.template.tasks import Task


@dataclass(slots=True, kw_only=True)
class Balancer:
    """An application load balancer under construction."""

    scheme: str
    resource: Any
    group: Any
    secure: Any | None
    """The HTTPS listener that services share; ``None``: each has a port of its own."""
    services: list[str] = field(default_factory=list)


def add_balancer(stack: Stack, network: Network, placements: list[Placement], *, private: bool) -> Balancer:
    """One load balancer for all of these placements; its idle timeout is the longest that any of them needs."""
    template, title = stack.template, "PrivateBalancer" if private else "PublicBalancer"
    callers = PRIVATE_RANGES if private else ("0.0.0.0/0",)
    group = template.add_resource(
        ec2.SecurityGroup(
            f"{title}Group",
            GroupDescription="Private load balancer" if private else "Public load balancer",
            VpcId=network.vpc,
            SecurityGroupEgress=[nowhere()],
        )
    )
    balancer = template.add_resource(
        elb.LoadBalancer(
            title,
            Type="application",
            Scheme="internal" if private else "internet-facing",
            Subnets=list(network.private_subnets if private else network.public_subnets),
            SecurityGroups=[GetAtt(group, "GroupId")],
            # Refused in a VPC that the internet gateway is not attached to yet.
            DependsOn=list(network.ready),
            LoadBalancerAttributes=attributes(
                {
                    "idle_timeout.timeout_seconds": max(idle_s(placement.workload) for placement in placements),
                    "routing.http.drop_invalid_header_fields.enabled": "true",
                    # A request that two servers could read differently is closed, not passed on.
                    "routing.http.desync_mitigation_mode": "strictest",
                }
            ),
        )
    )
    made = Balancer(scheme="private" if private else "public", resource=balancer, group=group, secure=None)
    if stack.plan.settings.template.domain and not private:
        made.secure = _secure(stack, made, callers)
    alarms_of = GetAtt(balancer, "LoadBalancerFullName")
    if not private:
        alarms.front_door_alarm(stack, load_balancer=alarms_of)
    tell(stack, balancer, f"{made.scheme} load balancer")
    return made


def _secure(stack: Stack, balancer: Balancer, callers: tuple[str, ...]) -> Any:
    """TLS on 443, and a redirect to it on 80. What no service claims is 404, so a scan by address learns nothing."""
    template = stack.template
    title = balancer.resource.title
    for port in (80, 443):
        admit(stack, f"{title}{port}", balancer.group, port, callers)
    template.add_resource(
        elb.Listener(
            f"{title}Redirect",
            LoadBalancerArn=Ref(balancer.resource),
            Protocol="HTTP",
            Port=80,
            DefaultActions=[
                elb.Action(
                    Type="redirect",
                    RedirectConfig=elb.RedirectConfig(Protocol="HTTPS", Port="443", StatusCode="HTTP_301"),
                )
            ],
        )
    )
    return template.add_resource(
        elb.Listener(
            f"{title}Listener",
            LoadBalancerArn=Ref(balancer.resource),
            Protocol="HTTPS",
            Port=443,
            SslPolicy=TLS,
            Certificates=[elb.Certificate(CertificateArn=certificate(stack))],
            DefaultActions=[_nobody()],
        )
    )


def certificate(stack: Stack) -> Any:
    """The operator's, or one for the domain and its names that is made and validated through the zone.

    Raises :class:`Invalid` where there is neither: a certificate that waits for somebody to write a record by hand
    would hold the stack up until it times out.
    """
    settings = stack.plan.settings.template
    if settings.certificate:
        return settings.certificate
    if not settings.hosted_zone:
        raise Invalid(
            f"deploy.template: {settings.domain} needs certificate or hosted_zone; give the ARN of an issued "
            "certificate, or the zone through which one can be validated"
        )
    if "Certificate" not in stack.template.resources:
        stack.template.add_resource(
            certificatemanager.Certificate(
                "Certificate",
                DomainName=settings.domain,
                SubjectAlternativeNames=[f"*.{settings.domain}"],
                ValidationMethod="DNS",
                DomainValidationOptions=[
                    certificatemanager.DomainValidationOption(
                        DomainName=settings.domain, HostedZoneId=settings.hosted_zone
                    )
                ],
            )
        )
    return Ref("Certificate")


def attach(stack: Stack, network: Network, balancer: Balancer, task: Task, *, front: bool) -> Attachment:
    """Put a service behind an application load balancer. ``front``: it answers for the domain itself."""
    port = port_of_task(task)
    if "grpc" in task.workload.protocols and balancer.secure is None:
        raise Invalid(f"{task.name}: gRPC needs HTTPS at an application load balancer; give template.domain, or an NLB")
    groups = add_target_groups(stack, network, task, port, protocol="HTTP")
    domain = stack.plan.settings.template.domain
    if balancer.secure is not None:
        listener, host = Ref(balancer.secure), domain if front else f"{task.name}.{domain}"
        condition = elb.Condition(Field="host-header", HostHeaderConfig=elb.HostHeaderConfig(Values=[host]))
    else:
        public = 80 if front else port
        callers = PRIVATE_RANGES if balancer.scheme == "private" else ("0.0.0.0/0",)
        admit(stack, f"{balancer.resource.title}{public}", balancer.group, public, callers)
        own = stack.template.add_resource(
            elb.Listener(
                logical_id(task.name, "listener"),
                LoadBalancerArn=Ref(balancer.resource),
                Protocol="HTTP",
                Port=public,
                DefaultActions=[_nobody()],
            )
        )
        listener = Ref(own)
        condition = elb.Condition(Field="path-pattern", PathPatternConfig=elb.PathPatternConfig(Values=["/*"]))
    balancer.services.append(task.name)
    weights = [elb.TargetGroupTuple(TargetGroupArn=Ref(groups[0]), Weight=100)]
    weights += [elb.TargetGroupTuple(TargetGroupArn=Ref(other), Weight=0) for other in groups[1:]]
    # A rule of its own, also for the only service: a rollout that shifts traffic moves the weights of a rule.
    rule = stack.template.add_resource(
        elb.ListenerRule(
            logical_id(task.name, "rule"),
            ListenerArn=listener,
            Priority=len(balancer.services),
            Conditions=[condition],
            Actions=[elb.ListenerRuleAction(Type="forward", ForwardConfig=elb.ForwardConfig(TargetGroups=weights))],
        )
    )
    let_in(stack, task, balancer.group)
    full = GetAtt(balancer.resource, "LoadBalancerFullName")
    names = []
    for kind, group in zip(("", "alternate"), groups, strict=False):
        named = f"{task.name}-{kind}" if kind else task.name
        alarms.load_balancer_alarms(
            stack, named, load_balancer=full, target_group=GetAtt(group, "TargetGroupFullName"), p99_s=_p99(task)
        )
        names.append(logical_id(named, "errors", "alarm"))
    return Attachment(
        load_balancer=Ref(balancer.resource),
        target_groups=groups,
        rule=Ref(rule),
        port=port,
        network=False,
        depends_on=() if len(groups) > 1 else (rule.title,),
        alarms=tuple(names),
    )


def _p99(task: Task) -> float | None:
    return None if task.workload.latency is None else float(task.workload.latency)


def _nobody() -> Any:
    return elb.Action(
        Type="fixed-response",
        FixedResponseConfig=elb.FixedResponseConfig(
            StatusCode="404", ContentType="text/plain", MessageBody="no such host"
        ),
    )
