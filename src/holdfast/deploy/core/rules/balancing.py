"""HF3xx: load balancers, listeners and target groups."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from holdfast.deploy.core.rules.resolve import (
    Resource,
    is_literal,
    list_of,
    mapping_of,
    number_of,
    target_of,
    text_of,
)
from holdfast.deploy.core.rules.violation import Found, FoundOnFacts, Subject, rule
from holdfast.deploy.core.rules.workloads import (
    BALANCER,
    GROUP,
    LISTENER,
    LISTENER_RULE,
    TARGETS,
    amount,
    attribute,
    balancers_of,
    containers,
    forwards,
    is_network,
    listeners_of,
    placement_of,
    seconds,
    target_groups,
    task_of,
    users_of,
)

_DELAY: Final = "deregistration_delay.timeout_seconds"
_DELAY_DEFAULT_S: Final = 300.0
_IDLE: Final = "idle_timeout.timeout_seconds"
_IDLE_DEFAULT_S: Final = 60.0
_LISTENER_WEIGHT_MOST: Final = 999
_ATTRIBUTES: Final = "Elastic Load Balancing, target group attributes"
_OLD_TLS: Final = ("2015-05", "2016-08", "TLS-1-0", "TLS-1-1", "TLS13-1-0", "TLS13-1-1")


@rule(
    "HF301",
    "drain shorter than the longest stream",
    why="Each deployment and each scale-in cuts the streams that are still open when the delay is over.",
    remedy="set deregistration_delay.timeout_seconds to at least the longest stream, at most 3600",
    source=_ATTRIBUTES,
)
def _drain(subject: Subject) -> Iterator[Found]:
    for targets in subject.template.of(TARGETS):
        longest = min(seconds(subject, "longest", (targets, *users_of(subject.template, targets))), 3600.0)
        found = attribute(targets, "TargetGroupAttributes", _DELAY)
        delay = _DELAY_DEFAULT_S if found is None else found[1]
        if isinstance(delay, float) and delay < longest:
            said = "300 s by default" if found is None else amount(delay)
            where = ("Properties", "TargetGroupAttributes", *((found[0], "Value") if found else ()))
            yield targets.id, where, f"streams last up to {amount(longest)}, and are cut after {said}"


@rule(
    "HF302",
    "idle timeout shorter than the longest silence",
    why="The load balancer closes a connection that says nothing for so long, although both ends are well.",
    remedy="raise idle_timeout.timeout_seconds above the longest silence, or have the service send heartbeats",
    source="Elastic Load Balancing, load balancer attributes",
)
def _idle(subject: Subject) -> Iterator[Found]:
    for targets in subject.template.of(TARGETS):
        silence = seconds(subject, "silence", (targets, *users_of(subject.template, targets)))
        for balancer in balancers_of(subject.template, targets):
            found = attribute(balancer, "LoadBalancerAttributes", _IDLE)
            idle = (350.0 if is_network(balancer) else _IDLE_DEFAULT_S) if found is None else found[1]
            if isinstance(idle, float) and idle < silence:
                text = f"{targets.id} is silent for up to {amount(silence)}, and is cut off after {amount(idle)}"
                where = ("Properties", "LoadBalancerAttributes", *((found[0], "Value") if found else ()))
                yield balancer.id, where, text


@rule(
    "HF303",
    "listener that forwards in clear text beside TLS",
    why="Keys and prompts travel where everybody on the way can read them, as soon as one client types http.",
    remedy="redirect to HTTPS (RedirectConfig) on the listener of port 80",
    source="Elastic Load Balancing, create an HTTP listener; redirect actions",
)
def _clear_text(subject: Subject) -> Iterator[Found]:
    for listener, has_tls in _plain_listeners(subject):
        if has_tls:
            yield listener.id, ("Properties", "DefaultActions"), "forwards over HTTP what it should redirect to HTTPS"


@rule(
    "HF314",
    "public load balancer without TLS",
    why="Whatever clients send can be read on the way. For a first try that may do, for keys it does not.",
    remedy="name a domain and its hosted zone (deploy.template.domain), and the load balancer ends TLS for it",
    source="Elastic Load Balancing, create an HTTPS listener",
    severity="warning",
)
def _no_tls(subject: Subject) -> Iterator[Found]:
    for listener, has_tls in _plain_listeners(subject):
        if not has_tls:
            yield listener.id, ("Properties", "Protocol"), "its load balancer has no listener with TLS"


def _plain_listeners(subject: Subject) -> Iterator[tuple[Resource, bool]]:
    """Public listeners that forward over HTTP, and whether their load balancer has one with TLS, too."""
    template = subject.template
    for listener in template.of(LISTENER):
        balancer = template.target(listener.at("LoadBalancerArn"), BALANCER)
        if listener.at("Protocol") != "HTTP" or (balancer is not None and balancer.at("Scheme") == "internal"):
            continue
        if any(True for _ in forwards(template, listener)):
            beside = [one for one in template.of(LISTENER) if _same_balancer(one, listener)]
            yield listener, any(one.at("Protocol") == "HTTPS" for one in beside)


def _same_balancer(one: Resource, other: Resource) -> bool:
    return target_of(one.at("LoadBalancerArn")) == target_of(other.at("LoadBalancerArn"))


@rule(
    "HF304",
    "targets by instance for tasks with addresses",
    why="Tasks in awsvpc are registered by address: creating the service fails.",
    remedy="set TargetType to ip",
    source="Amazon ECS service load balancing",
)
def _by_instance(subject: Subject) -> Iterator[Found]:
    template = subject.template
    for targets in template.of(TARGETS):
        kind = targets.at("TargetType")
        tasks = [task_of(template, service) for service in users_of(template, targets)]
        awsvpc = any(task is not None and task.at("NetworkMode") == "awsvpc" for task in tasks)
        if awsvpc and is_literal(kind) and (kind or "instance") != "ip":
            yield (
                targets.id,
                ("Properties", "TargetType"),
                f"its tasks use awsvpc, and it registers by {kind or 'instance'}",
            )


@rule(
    "HF305",
    "health check of another port",
    why="Every task is unhealthy from its first check, and ECS replaces all of them for ever.",
    remedy="check traffic-port, or a port that the container maps",
    source="Elastic Load Balancing, health checks for target groups",
)
def _check_elsewhere(subject: Subject) -> Iterator[Found]:
    template = subject.template
    for targets in template.of(TARGETS):
        port = number_of(targets.at("HealthCheckPort"))
        for service in users_of(template, targets):
            task = task_of(template, service)
            if task is None or port is None:
                continue
            mapped = [
                number_of(mapping_of(one).get("ContainerPort"))
                for _, container in containers(task)
                for one in list_of(container.get("PortMappings"))
            ]
            if port not in mapped and None not in mapped:
                yield targets.id, ("Properties", "HealthCheckPort"), f"{task.id} has no port {port:g}"


@rule(
    "HF306",
    "health check of another path",
    why="The check asks for a path that the service does not answer, so every task is unhealthy.",
    remedy="set HealthCheckPath to the workload's own",
    source="Elastic Load Balancing, health checks for target groups",
)
def _check_path(subject: Subject) -> Iterator[Found]:
    for targets in subject.template.of(TARGETS):
        placement = placement_of(subject, targets, *users_of(subject.template, targets))
        wanted = placement.workload.health if placement is not None else None
        path = targets.at("HealthCheckPath")
        if wanted is None or "http" not in wanted.checks or targets.at("Protocol") in {"TCP", "UDP", "TLS", "TCP_UDP"}:
            continue
        if is_literal(path) and (path or "/") != wanted.path:
            yield (
                targets.id,
                ("Properties", "HealthCheckPath"),
                f"asks for {path or '/'}, and {wanted.path} is the check",
            )


@rule(
    "HF307",
    "health check longer than its interval",
    why="The stack fails: a check has to end before the next one begins.",
    remedy="keep HealthCheckTimeoutSeconds below HealthCheckIntervalSeconds",
    source="Elastic Load Balancing, health checks for target groups",
)
def _check_too_long(subject: Subject) -> Iterator[Found]:
    for targets in subject.template.of(TARGETS):
        timeout, interval = (number_of(targets.at(f"HealthCheck{key}Seconds")) for key in ("Timeout", "Interval"))
        interval = 30.0 if targets.at("HealthCheckIntervalSeconds") is None else interval
        if timeout is not None and interval is not None and timeout >= interval:
            text = f"a check may take {amount(timeout)}, and the next begins after {amount(interval)}"
            yield targets.id, ("Properties", "HealthCheckTimeoutSeconds"), text


@rule(
    "HF308",
    "tasks that do not let their load balancer in",
    why="Security groups drop what it sends: every check and every request runs into its timeout.",
    remedy="let the load balancer's security group in on the container's port",
    source="Amazon ECS service load balancing; Amazon VPC security groups",
)
def _not_let_in(subject: Subject) -> Iterator[Found]:
    template = subject.template
    for targets in template.of(TARGETS):
        for service in users_of(template, targets):
            ports = [
                number_of(one.get("ContainerPort"))
                for one, found in target_groups(template, service)
                if found == targets
            ]
            named = service.at("NetworkConfiguration", "AwsvpcConfiguration", "SecurityGroups")
            own = [template.target(one, GROUP) for one in list_of(named)]
            for balancer in balancers_of(template, targets):
                theirs = [template.target(one, GROUP) for one in list_of(balancer.at("SecurityGroups"))]
                if not own or None in own or not theirs or None in theirs:
                    continue
                for port in ports:
                    if port is not None and not any(
                        _lets_in(entry, {one.id for one in theirs if one is not None}, port)
                        for group in own
                        if group is not None
                        for _, _, entry in ingress_of(subject, group)
                    ):
                        text = f"{balancer.id} cannot reach port {port:g} of {service.id}"
                        yield service.id, ("Properties", "NetworkConfiguration"), text


def ingress_of(subject: Subject, group: Resource) -> Iterator[tuple[str, tuple[str | int, ...], Mapping[str, Any]]]:
    """Whom a security group lets in, by entries of its own and by rules beside it."""
    for number, entry in enumerate(list_of(group.at("SecurityGroupIngress"))):
        yield group.id, ("Properties", "SecurityGroupIngress", number), mapping_of(entry)
    for rule_ in subject.template.of("AWS::EC2::SecurityGroupIngress"):
        if subject.template.target(rule_.at("GroupId") or rule_.at("GroupName"), GROUP) == group:
            yield rule_.id, ("Properties",), rule_.properties


def _lets_in(entry: Mapping[str, Any], groups: set[str], port: float) -> bool:
    source = entry.get("SourceSecurityGroupId")
    if source is not None and target_of(source) not in groups:
        return False
    low, high = number_of(entry.get("FromPort")), number_of(entry.get("ToPort"))
    if text_of(entry.get("IpProtocol")) == "-1":
        return True
    return low is None or high is None or low <= port <= high


@rule(
    "HF309",
    "weights of a listener that send nothing",
    why="All weights are zero or one is out of range (0 to 999): requests get 503, or the stack fails.",
    remedy="give at least one target group a weight above 0",
    source="Elastic Load Balancing, forward actions",
)
def _weights(subject: Subject) -> Iterator[Found]:
    for owner, key in (
        *((one, "DefaultActions") for one in subject.template.of(LISTENER)),
        *((one, "Actions") for one in subject.template.of(LISTENER_RULE)),
    ):
        for number, action in enumerate(list_of(owner.at(key))):
            groups = list_of(mapping_of(mapping_of(action).get("ForwardConfig")).get("TargetGroups"))
            weights = [1.0 if (w := mapping_of(one).get("Weight")) is None else number_of(w) for one in groups]
            known = [weight for weight in weights if weight is not None]
            where = ("Properties", key, number, "ForwardConfig")
            if groups and len(known) == len(weights) and not any(known):
                yield owner.id, where, "all weights are zero: every request gets 503"
            if any(not 0 <= weight <= _LISTENER_WEIGHT_MOST for weight in known):
                yield owner.id, where, f"a weight is 0 to {_LISTENER_WEIGHT_MOST}"


@rule(
    "HF310",
    "protocol that the load balancer does not speak",
    why="The stack fails: application load balancers take HTTP and HTTPS, network load balancers TCP, UDP and TLS.",
    remedy="use the load balancer of that protocol, or a target group of the load balancer's",
    source="Elastic Load Balancing, target groups",
)
def _protocol(subject: Subject) -> Iterator[Found]:
    template = subject.template
    for targets in template.of(TARGETS):
        protocol = targets.at("Protocol")
        for balancer in balancers_of(template, targets):
            web = {"HTTP", "HTTPS"}
            if is_literal(protocol) and protocol is not None and (protocol in web) == is_network(balancer):
                kind = "a network" if is_network(balancer) else "an application"
                yield targets.id, ("Properties", "Protocol"), f"{protocol} behind {kind} load balancer"


@rule(
    "HF311",
    "old TLS",
    why="Without a SslPolicy the load balancer still offers TLS 1.0 and 1.1.",
    remedy="set SslPolicy to ELBSecurityPolicy-TLS13-1-2-2021-06 or newer",
    source="Elastic Load Balancing, security policies",
    severity="warning",
)
def _old_tls(subject: Subject) -> Iterator[Found]:
    for listener in subject.template.of(LISTENER):
        policy = listener.at("SslPolicy")
        ends_tls = listener.at("Protocol") in {"HTTPS", "TLS"} and is_literal(policy)
        if ends_tls and (policy is None or any(old in str(policy) for old in _OLD_TLS)):
            said = policy or "the default policy"
            yield listener.id, ("Properties", "SslPolicy"), f"{said} offers TLS 1.0 or 1.1"


@rule(
    "HF312",
    "two rules of one priority",
    why="The stack fails: a listener's rules have different priorities.",
    remedy="number the rules of a listener",
    source="Elastic Load Balancing, listener rules",
)
def _priorities(subject: Subject) -> Iterator[Found]:
    seen: dict[tuple[str, float], str] = {}
    for one in subject.template.of(LISTENER_RULE):
        listener, priority = target_of(one.at("ListenerArn")), number_of(one.at("Priority"))
        if listener is None or priority is None:
            continue
        if (other := seen.setdefault((listener, priority), one.id)) != one.id:
            yield one.id, ("Properties", "Priority"), f"{other} has {priority:g} already"


@rule(
    "HF313",
    "target group that gets nothing",
    why="A service stands behind it, and no listener sends to it: its tasks never get a request.",
    remedy="forward to it from a listener or a listener rule",
    source="Amazon ECS service load balancing",
)
def _no_listener(subject: Subject) -> Iterator[FoundOnFacts]:
    for targets in subject.template.of(TARGETS):
        outside = any(
            not subject.template.target(one.at("ListenerArn"), LISTENER) for one in subject.template.of(LISTENER_RULE)
        )
        if users_of(subject.template, targets) and not listeners_of(subject.template, targets) and not outside:
            yield targets.id, ("Properties",), "no listener sends to it", ()
